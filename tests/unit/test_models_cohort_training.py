"""A labelled cohort of one's own: nobody on two sides, nobody named, resumable, measured on whom it never saw."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from paraspinal.core.errors import ConfigError, InputError, ModelError
from paraspinal.models.card import read_card
from paraspinal.models.engine import load_muscles
from paraspinal.models.network import NetworkSpec
from paraspinal.models.own_cohort.cases import make_ready, read_case
from paraspinal.models.own_cohort.evaluate import Score, interval, score_image, summarise
from paraspinal.models.own_cohort.sheet import Case, Role, read_sheet, read_values
from paraspinal.models.own_cohort.task import CohortTask, mix_dixon
from paraspinal.models.own_cohort.training import CohortPlan, train_cohort
from paraspinal.models.registry import list_models, resolve
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES
from paraspinal.models.synthesis.muscles.task import MuscleTask
from paraspinal.models.training.checkpoint import load_tensors, read_checkpoint
from paraspinal.models.training.loop import Schedule, draw_sample
from paraspinal.models.training.losses import any_of, segmentation_loss

SPEC = NetworkSpec(n_inputs=2, n_classes=len(MUSCLE_CLASSES), channels=(4, 8))
SCHEDULE = Schedule(steps=4, seed=5, batch_size=2, fresh_per_step=1, pool_size=3, warmup_steps=2)
CANARIES = ("Zanzibar", "Quagga", "Xylophon")
"""In the person's name, the centre's and the file's: none may come out again."""

LEFT, RIGHT = MUSCLE_CLASSES.index("multifidus_left"), MUSCLE_CLASSES.index("multifidus_right")


def write_person(folder: Path, stem: str, seed: int, is_dixon: bool = False) -> None:
    """Write a small axial image with a bright multifidus on either side of the middle, outlined as 2 (left) and 3."""
    rng = np.random.default_rng(seed)
    shape = (5, 60, 70)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[1:4, 34:46, 40:50] = 2  # columns run to the patient's left
    labels[1:4, 34:46, 20:30] = 3
    image = rng.uniform(40, 60, shape).astype(np.float32)
    image[labels > 0] += 80.0
    for name, array in (("image", image), ("labels", labels), ("fat", image[:, ::-1])):
        if name == "fat" and not is_dixon:
            continue
        out = sitk.GetImageFromArray(np.ascontiguousarray(array))
        out.SetSpacing((2.5, 2.5, 6.0))
        out.SetOrigin((-86.0, -70.0, 0.0))
        sitk.WriteImage(out, str(folder / f"{stem}-{name}.nii.gz"))


ROWS = [
    ("a", "p1", "c1", "training", "T1w", ""),
    ("b", "p1", "c1", "training", "water", "b-fat.nii.gz"),
    ("c", "p2", "c1", "training", "T2w", ""),
    ("d", "p3", "c1", "tuning", "T2w", ""),
    ("e", "p4", "c2", "external", "T2w", ""),
    ("f", "p5", "c3", "external", "T1w", ""),
]


def shipped(task: str) -> str:
    return next(entry.identifier for entry in list_models() if entry.task == task)


def name_of(kind: str, short: str) -> str:
    return f"{dict(zip('pcf', CANARIES, strict=True))[kind]}-{short}"


def write_cohort(folder: Path, rows: list[tuple[str, ...]] | None = None) -> Path:
    """Write images and a sheet that names people, centres and files by canaries."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["image\tlabels\tperson\tcentre\trole\tcontrast\tfat"]
    for number, (short, person, centre, role, contrast, fat) in enumerate(rows or ROWS):
        stem = name_of("f", short)
        write_person(folder, stem, number, is_dixon=bool(fat))
        files = [f"{stem}-image.nii.gz", f"{stem}-labels.nii.gz"]
        who = [name_of("p", person), name_of("c", centre), role, contrast, name_of("f", fat) if fat else ""]
        lines.append("\t".join([*files, *who]))
    (folder / "sheet.tsv").write_text("\n".join(lines) + "\n")
    (folder / "values.tsv").write_text("value\tlabel\n2\tmultifidus_left\n3\tmultifidus_right\n9\t\n")
    return folder / "sheet.tsv"


def plan_for(sheet: Path, **changes: Any) -> CohortPlan:
    plan = CohortPlan(sheet, "ours", "1.0.0", values=sheet.parent / "values.tsv", phases=(SCHEDULE,), spec=SPEC)
    return replace(plan, **changes)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train once; the folder of the training."""
    out = tmp_path_factory.mktemp("trained")
    train_cohort(plan_for(cohort), out)
    return out


def test_the_model_is_registered_and_loads_by_name(trained: Path) -> None:
    entry = resolve("ours@1.0.0", trained / "resources")
    assert [e.identifier for e in list_models(trained / "resources")] == ["ours@1.0.0"]
    assert load_muscles("ours@1.0.0", resources=trained / "resources").model.sha256 == entry.sha256
    assert not (trained / "cache").exists()


def test_the_card_counts_and_names_nobody(trained: Path) -> None:
    card = read_card(trained / "resources/models/ours/1.0.0/card.json")
    counts = card.training["cohort"]
    assert counts["training"] == {
        "people": 2,
        "images": 3,
        "centres": 1,
        "contrasts": {"T1w": 1, "T2w": 1, "water": 1},
        "with_fat_image": 1,
    }
    assert (counts["tuning"]["people"], counts["external"]["people"], counts["external"]["centres"]) == (1, 2, 2)
    assert card.training["synthetic_frac"] == 0.5
    assert card.training["outlined"] == ["multifidus_left", "multifidus_right"]
    assert "psoas_major_left" in card.limits[0]
    rows = {(r.data.split(":")[0], r.measure, r.structure): r for r in card.accuracy}
    everyone = rows["external, all contrasts", "dsc", "mean of all"]
    assert everyone.data.endswith("people 2, images 2, centres 2")
    assert everyone.low is not None
    assert everyone.high is not None
    assert everyone.low <= everyone.value <= everyone.high
    assert rows["tuning, all contrasts", "dsc", "multifidus_left"].low is None  # one person has no interval
    assert {("external centre 1 of 2", "dsc", "mean of all"), ("external centre 2 of 2", "dsc", "mean of all")} <= set(
        rows
    )


def test_no_file_that_stays_names_anybody(trained: Path) -> None:
    for path in trained.rglob("*"):
        text = path.read_bytes() if path.is_file() else b""
        assert not any(canary.encode() in text or canary in str(path) for canary in CANARIES)


def test_a_killed_training_ends_with_the_same_weights(cohort: Path, trained: Path, tmp_path: Path) -> None:
    train_cohort(plan_for(cohort), tmp_path, stop_after=2)
    again = train_cohort(plan_for(cohort), tmp_path)
    assert again.sha256 == resolve("ours@1.0.0", trained / "resources").sha256
    other = (tmp_path / "resources/models/ours/1.0.0/card.json").read_text()
    assert other == (trained / "resources/models/ours/1.0.0/card.json").read_text()


def test_a_changed_cohort_does_not_continue_a_training(cohort: Path, tmp_path: Path) -> None:
    train_cohort(plan_for(cohort), tmp_path, stop_after=1)
    with pytest.raises(ModelError, match="other settings"):
        train_cohort(plan_for(cohort, synthetic_frac=0.25), tmp_path)


def test_fine_tuning_starts_from_the_weights_it_names(cohort: Path, trained: Path, tmp_path: Path) -> None:
    start = {"start": "ours@1.0.0", "start_folder": trained / "resources"}
    frozen = replace(SCHEDULE, steps=1, learning_rate=1e-12, weight_decay=0.0, ema_decay=0.0)
    entry = train_cohort(plan_for(cohort, version="1.1.0", phases=(frozen,), **start), tmp_path)
    before = load_tensors(resolve("ours@1.0.0", trained / "resources").weights)[0]
    after = load_tensors(entry.weights)[0]
    weights = [k for k in before if k.endswith("0.weight")]
    assert weights
    assert all(torch.allclose(before[k], after[k], atol=1e-6) for k in weights)
    card = read_card(entry.card)
    assert card.training["start"] == "ours@1.0.0"
    assert card.training["start_sha256"] == resolve("ours@1.0.0", trained / "resources").sha256
    assert read_checkpoint(tmp_path / "phase-1/checkpoint.safetensors").description["initial"]
    assert plan_for(cohort, phases=None, **start).schedules()[0].learning_rate < Schedule(1, 0).learning_rate


def test_shipped_names_are_taken_and_unknown_starts_refused(cohort: Path, tmp_path: Path) -> None:
    name, _, version = shipped("muscles").partition("@")
    with pytest.raises(ModelError, match="shipped"):
        train_cohort(plan_for(cohort, name=name, version=version), tmp_path)
    with pytest.raises(ModelError, match="there is no model"):
        train_cohort(plan_for(cohort, start="nothing@1.0.0"), tmp_path)
    with pytest.raises(ModelError, match="other outputs"):
        train_cohort(plan_for(cohort, start=shipped("spine")), tmp_path)
    with pytest.raises(ConfigError, match="synthetic share"):
        train_cohort(plan_for(cohort, synthetic_frac=1.0), tmp_path)


def with_rows(tmp_path: Path, *changes: tuple[int, int, str]) -> Path:
    rows = [list(row) for row in ROWS]
    for row, column, value in changes:
        rows[row][column] = value
    return write_cohort(tmp_path / "changed", [tuple(row) for row in rows])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(3, 1, "p1")], "leakage: rows 2, 3, 5"),
        ([(4, 1, "p2")], "leakage: rows 4, 6"),
        ([(4, 2, "c1")], "leakage: the centre of rows 2, 3, 4, 5"),
        ([(0, 3, "")], "row 2 .* no role"),
        ([(0, 3, "test")], "row 2 .* no role"),
        ([(2, 4, "T3w")], "row 4 .* contrast"),
        ([(i, 3, "tuning") for i in range(3)], "no image for training"),
    ],
)
def test_sheets_that_leak_or_lack_are_refused(
    tmp_path: Path, changes: list[tuple[int, int, str]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as found:
        read_sheet(with_rows(tmp_path, *changes))
    assert not any(canary in str(found.value) for canary in CANARIES)


def test_a_role_may_come_from_the_centre(tmp_path: Path) -> None:
    sheet = with_rows(tmp_path, (4, 3, ""), (5, 3, ""))
    roles = {name_of("c", "c2"): Role.EXTERNAL, name_of("c", "c3"): Role.EXTERNAL}
    assert [case.role for case in read_sheet(sheet, roles)][-2:] == [Role.EXTERNAL, Role.EXTERNAL]


def test_the_same_pixels_under_another_name_are_leakage(cohort: Path, tmp_path: Path) -> None:
    sheet = write_cohort(tmp_path / "twins")
    stems = [name_of("f", short) for short in ("a", "e")]
    first = sitk.ReadImage(str(sheet.parent / f"{stems[0]}-image.nii.gz"))
    sitk.WriteImage(first, str(sheet.parent / f"{stems[1]}-image.nii.gz"))
    with pytest.raises(ConfigError, match="leakage: rows 2 and 6"):
        train_cohort(plan_for(sheet), tmp_path / "out")


def test_missing_files_columns_and_sheets_are_refused(cohort: Path, tmp_path: Path) -> None:
    lines = cohort.read_text().splitlines()
    (tmp_path / "sheet.tsv").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"row 2 .* does not exist"):
        read_sheet(tmp_path / "sheet.tsv")
    (tmp_path / "sheet.tsv").write_text(lines[0].replace("centre", "site") + "\n")
    with pytest.raises(ConfigError, match="columns"):
        read_sheet(tmp_path / "sheet.tsv")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sheet(tmp_path / "nothing.tsv")


def test_label_values(tmp_path: Path, cohort: Path) -> None:
    assert read_values(None)[5101] == "multifidus_left"
    assert read_values(cohort.parent / "values.tsv") == {0: None, 2: "multifidus_left", 3: "multifidus_right", 9: None}
    for text, message in [
        ("value\tname\n", "columns"),
        ("value\tlabel\n1\tbiceps_left\n", "biceps_left"),
        ("value\tlabel\n1\tmultifidus_left\n1\tmultifidus_right\n", "twice"),
        ("value\tlabel\nx\tmultifidus_left\n", "cannot be read"),
    ]:
        (tmp_path / "values.tsv").write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_values(tmp_path / "values.tsv")


def case_of(sheet: Path, index: int = 0) -> Case:
    return read_sheet(sheet)[index]


VALUES = {0: None, 2: "multifidus_left", 3: "multifidus_right"}


@pytest.mark.parametrize("fault", ["nan", "4d", "2d", "grid", "value", "empty", "garbage"])
def test_images_that_cannot_be_learnt_from_are_named_by_row(tmp_path: Path, fault: str) -> None:
    sheet = write_cohort(tmp_path / "bad", ROWS[:1])
    case = case_of(sheet)
    image, labels = sitk.ReadImage(str(case.image)), sitk.ReadImage(str(case.labels))
    if fault == "nan":
        image = image * math.nan  # single ones are read as zero by the NIfTI library
    elif fault == "4d":
        image = sitk.JoinSeries([image, image])
    elif fault == "2d":
        image = image[:, :, 2]
    elif fault == "grid":
        labels.SetSpacing((2.5, 2.5, 6.2))
    elif fault == "value":
        labels[0, 0, 0] = 7
    elif fault == "empty":
        labels = labels * 0
    sitk.WriteImage(image, str(case.image))
    sitk.WriteImage(labels, str(case.labels))
    if fault == "garbage":
        case.image.write_bytes(b"no image")
    with pytest.raises(InputError, match="row 2 of the cohort sheet") as found:
        read_case(case, VALUES)
    assert not any(canary in str(found.value) for canary in CANARIES)


def task_of(sheet: Path, cache: Path, synthetic_frac: float = 0.0) -> CohortTask:
    cache.mkdir()
    cases = tuple(make_ready(read_case(case, VALUES), i, cache) for i, case in enumerate(read_sheet(sheet)[:3]))
    outlined = tuple(name in VALUES.values() for name in MUSCLE_CLASSES)
    return CohortTask(cases, cache, synthetic_frac, outlined)


def test_real_samples_keep_muscles_on_their_sides(cohort: Path, tmp_path: Path) -> None:
    task = task_of(cohort, tmp_path / "cache")
    n_both = 0
    for index in range(12):
        image, classes, _ = draw_sample(task, 1, index)
        assert image.shape == (2, 112, 144)
        unknown = any_of((0, *(i for i, n in enumerate(MUSCLE_CLASSES) if i and n not in VALUES.values())))
        assert set(np.unique(classes)) <= {unknown, 0, LEFT, RIGHT}
        assert (classes == unknown).any()
        where = [np.nonzero(classes == side)[1] for side in (LEFT, RIGHT)]
        if all(part.size > 20 for part in where):
            n_both += 1
            assert where[0].mean() > where[1].mean()  # columns run to the patient's left, mirrored or not
    assert n_both >= 6


def test_real_samples_show_the_muscle_where_its_label_is(cohort: Path, tmp_path: Path) -> None:
    task = task_of(cohort, tmp_path / "cache")
    brighter = []
    for index in range(12):
        image, classes = task.picture(np.random.default_rng([3, index]))
        inside, outside = image[np.isin(classes, (LEFT, RIGHT))], image[(classes < 0) & (image > 0)]
        if inside.size > 50:
            brighter.append(np.median(inside) > np.median(outside))
    assert np.mean(brighter) > 0.75  # opposed images of the Dixon pair may turn it round


def test_the_share_of_synthetic_samples_is_the_stated_one(cohort: Path, tmp_path: Path) -> None:
    class Counting(MuscleTask):
        drawn = 0

        def sample(self, rng: np.random.Generator) -> Any:
            Counting.drawn += 1
            return np.zeros((2, 112, 144), np.float32), np.zeros((112, 144), np.int64), np.zeros((0, 112, 144))

    task = replace(task_of(cohort, tmp_path / "cache", 0.25), synthesis=Counting())
    for index in range(200):
        draw_sample(task, 2, index)
    assert Counting.drawn / 200 == pytest.approx(0.25, abs=0.09)  # three standard deviations


def test_dixon_mixes_are_sums_differences_and_the_water_image() -> None:
    water, fat = np.full((4, 4), 3.0, np.float32), np.full((4, 4), 2.0, np.float32)
    values = [float(mix_dixon(np.random.default_rng(i), water, fat)[0, 0]) for i in range(300)]
    assert np.mean(np.array(values) == 3.0) == pytest.approx(0.4, abs=0.1)
    assert min(values) >= 0.0
    assert max(values) <= 5.0
    assert min(values) < 1.0  # |3 - c * 2| for c in 0.3..1.3 goes down to 0.4
    assert max(values) > 4.0


def test_loss_of_a_set_of_classes_is_the_loss_of_their_sum() -> None:
    torch.manual_seed(1)
    logits = torch.randn(1, 4, 3, 3)
    known = torch.full((1, 3, 3), 1)
    known[0, 0, 0] = any_of((0, 3))
    shares = logits.softmax(dim=1)
    entropy = -torch.log(shares[0, 1]).sum() + torch.log(shares[0, 1, 0, 0])
    entropy = (entropy - torch.log(shares[0, 0, 0, 0] + shares[0, 3, 0, 0])) / 9
    truth = (known == 1).float()
    # Class 1 and 2 count the open pixel as theirs only by mistake; class 3 does not count it at all.
    dice = [(2 * (shares[0, 1] * truth).sum() + 1) / (shares[0, 1].sum() + truth.sum() + 1)]
    dice += [1 / (shares[0, 2].sum() + 1), 1 / (shares[0, 3].sum() - shares[0, 3, 0, 0] + 1)]
    expected = float(entropy + 1 - torch.stack([d.reshape(()) for d in dice]).mean())
    assert float(segmentation_loss(logits, known)) == pytest.approx(expected, abs=1e-5)
    assert any_of((0, 3)) == -9


def test_scores_are_those_of_the_outlined_slices() -> None:
    class Echo:
        """Finds the left muscle exactly, the right one twice as large, and something on an unlabelled slice."""

        def __init__(self, case: Any) -> None:
            self.model = type("M", (), {"card": read_card(resolve(shipped("muscles")).card)})
            codes = self.model.card.codes
            labels = np.array(codes, dtype=np.uint16)[case.classes]
            labels[:, 10:14][case.classes[:, 30:34] == RIGHT] = codes[RIGHT]
            labels[0] = codes[LEFT]
            labels[1, 0, 0] = codes[MUSCLE_CLASSES.index("psoas_major_left")]
            self.map = sitk.GetImageFromArray(labels)

        def segment(self, image: sitk.Image) -> Any:
            return type("R", (), {"label_map": self.map})

    classes = np.zeros((3, 40, 40), dtype=np.uint8)
    classes[1:, 30:34, 4:8], classes[1:, 30:34, 20:24] = RIGHT, LEFT
    case = type("C", (), {"classes": classes, "image": sitk.Image([40, 40, 3], sitk.sitkFloat32)})
    outlined = [name in (*VALUES.values(), "psoas_major_left", "psoas_major_right") for name in MUSCLE_CLASSES]
    score = score_image(Echo(case), case, outlined, Role.EXTERNAL, 0, 0, "T1w")  # type: ignore[arg-type]
    # The left psoas is outlined nowhere, and found; the right one neither.
    assert score.dsc == {"multifidus_left": 1.0, "multifidus_right": pytest.approx(2 / 3), "psoas_major_left": 0.0}
    assert score.volume_error_pct == {"multifidus_left": 0.0, "multifidus_right": pytest.approx(100.0)}


def test_intervals_come_from_people_not_images() -> None:
    assert interval([(1, 0.5), (1, 0.7)]) == (pytest.approx(0.6), None, None)
    mean, low, high = interval([(1, 0.0), (2, 1.0)])
    assert (mean, low, high) == (0.5, 0.0, 1.0)
    many = [(person, 0.9) for person in range(10)] * 3
    assert interval(many) == (pytest.approx(0.9), pytest.approx(0.9), pytest.approx(0.9))
    scores = [Score(Role.TUNING, i, 0, "T1w", {"a": 0.8}, {"a": 2.0}) for i in range(2)]
    rows = summarise(scores)
    assert {row.data for row in rows} == {
        f"tuning, {x}: people 2, images 2, centres 1" for x in ("T1w", "all contrasts")
    }
    assert json.dumps([row.value for row in rows])
