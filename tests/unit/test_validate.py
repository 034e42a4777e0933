"""`paraspinal validate`: pairing, label conventions, grids, states, tables."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from paraspinal.cli.main import main
from paraspinal.core.errors import ConfigError, DataError, InputError
from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import muscle_labels
from paraspinal.core.paths import PROJECT
from paraspinal.core.records.schemas import LEVELS, SCANS
from paraspinal.core.records.tables import Table
from paraspinal.core.vocab import Muscle, Reason, Side
from paraspinal.validate.conventions import known_conventions, read_convention
from paraspinal.validate.masks import align, read_labels
from paraspinal.validate.pairing import entities, pair_by_entities, pair_by_sheet

DATA = Path(os.environ.get("PARASPINAL_DATA", PROJECT.parent / "shared" / "data"))
MF, ES = Muscle.MULTIFIDUS, Muscle.ERECTOR_SPINAE
GRID = Grid((40, 30, 6), (1.0, 1.5, 5.0), (-20.0, -10.0, 50.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
VOXEL = 7.5


def label_map(codes: dict[tuple[Muscle, Side], int], shift: int = 0, skip: tuple[Any, ...] = ()) -> np.ndarray:
    """Four boxes of 6 x 10 x 6 voxels, (z, y, x); ``shift`` moves them along x."""
    array = np.zeros(GRID.size[::-1], dtype=np.uint16)
    for n, key in enumerate(product((MF, ES), (Side.LEFT, Side.RIGHT))):
        if key in codes and key not in skip:
            array[:, 5:15, 3 + 9 * n + shift : 9 + 9 * n + shift] = codes[key]
    return array


def write(path: Path, array: np.ndarray, grid: Grid = GRID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(grid.image(array), str(path))
    return path


def study(root: Path, n: int = 3, convention: str = "paraspinal") -> tuple[Path, Path]:
    """``n`` people: predictions moved by 0, 1, 2, ... voxels (0 to 2), references at rest."""
    ours, theirs = known_conventions()["paraspinal"], known_conventions()[convention]
    for i in range(n):
        write(root / "p" / f"sub-{i:02d}_acq-a_desc-muscles_dseg.nii.gz", label_map(ours, i % 3))
        write(root / "r" / f"sub-{i:02d}" / f"sub-{i:02d}_acq-a_desc-manual_dseg.nii.gz", label_map(theirs))
    return root / "p", root / "r"


def run(root: Path, *options: str, figures: bool = False) -> dict[str, pd.DataFrame]:
    """`paraspinal validate` as it is typed; returns its tables."""
    command = ["validate", str(root / "p"), str(root / "r"), "--out", str(root / "out"), *options]
    assert main([*command, *([] if figures else ["--no-figures"])]) == 0
    names = ("pairs", "overlap", "overlap_summary", "agreement")
    return {name: pd.read_parquet(root / "out" / f"{name}.parquet") for name in names}


class TestConventions:
    def test_known(self) -> None:
        known = known_conventions()
        assert set(known) == {"paraspinal", "musclemap", "musclemap_atlas", "lpm_segmentator"}
        assert known["paraspinal"] == muscle_labels()
        assert sorted(known["musclemap_atlas"].values()) == list(range(1, 9))
        assert known["musclemap_atlas"][Muscle.PSOAS_MAJOR, Side.RIGHT] == 5
        assert known["lpm_segmentator"] == {
            (ES, Side.RIGHT): 1, (MF, Side.RIGHT): 2, (MF, Side.LEFT): 3, (ES, Side.LEFT): 4,
        }  # fmt: skip

    def test_a_table_of_the_user(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.tsv"
        path.write_text("label\tmuscle\tside\n7\tmultifidus\tleft\n8\tmultifidus\tright\n", encoding="utf-8-sig")
        assert read_convention(str(path)) == {(MF, Side.LEFT): 7, (MF, Side.RIGHT): 8}

    @pytest.mark.parametrize(
        "lines",
        [[], ["7\tmultifidus"], ["7\tMF\tleft"], ["x\tmultifidus\tleft"], ["0\tmultifidus\tleft"],
         ["7\tmultifidus\tleft", "7\tmultifidus\tright"], ["7\tmultifidus\tleft", "8\tmultifidus\tleft"]],
    )  # fmt: skip
    def test_tables_that_are_refused(self, tmp_path: Path, lines: list[str]) -> None:
        path = tmp_path / "labels.tsv"
        path.write_text("\n".join(["label\tmuscle\tside", *lines]) + "\n")
        with pytest.raises(ConfigError, match="label table"):
            read_convention(str(path))

    def test_no_such_convention(self) -> None:
        with pytest.raises(ConfigError, match="no such label convention"):
            read_convention("nnunet")


class TestPairing:
    def touch(self, root: Path, *names: str) -> Path:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        return root

    @pytest.mark.parametrize(
        ("stem", "found"),
        [
            ("sub-1_ses-2_dseg", ({"sub": "1", "ses": "2"}, "dseg")),
            ("sub-1_T2w", ({"sub": "1"}, "T2w")),
            ("ses-1_dseg", None),
            ("patient1_dseg", None),
            ("sub-1_sub-2_dseg", None),
            ("sub-_dseg", None),
        ],
    )
    def test_entities(self, stem: str, found: Any) -> None:
        assert entities(stem) == found

    def test_names_pair_by_all_entities_never_by_parts(self, tmp_path: Path) -> None:
        p = self.touch(tmp_path / "p", "sub-1_ses-1_desc-auto_dseg.nii.gz", "sub-11_ses-1_dseg.nii", "sub-1_T2w.nii.gz")
        r = self.touch(
            tmp_path / "r", "sub-1/sub-1_ses-1_dseg.nii.gz", "sub-1/sub-1_ses-11_dseg.nii.gz", "x.txt", "note_dseg.nii"
        )
        found = [(a.prediction and a.prediction.name, a.reference and a.reference.name) for a in pair_by_entities(p, r)]
        assert found == [
            ("sub-1_ses-1_desc-auto_dseg.nii.gz", "sub-1_ses-1_dseg.nii.gz"),
            (None, "sub-1_ses-11_dseg.nii.gz"),
            ("sub-11_ses-1_dseg.nii", None),
        ]

    @pytest.mark.parametrize(
        ("predictions", "references", "word"),
        [
            (["sub-1_dseg.nii.gz"], ["sub-1_desc-a_dseg.nii.gz", "sub-1_desc-b_dseg.nii.gz"], "several label maps"),
            (["case1.nii.gz"], ["sub-1_dseg.nii.gz"], "no label maps"),
            (["sub-1_dseg.nii.gz"], ["sub-10_dseg.nii.gz"], "same BIDS entities"),
        ],
    )
    def test_what_cannot_be_paired(
        self, tmp_path: Path, predictions: list[str], references: list[str], word: str
    ) -> None:
        with pytest.raises(InputError, match=word):
            pair_by_entities(self.touch(tmp_path / "p", *predictions), self.touch(tmp_path / "r", *references))

    def sheet(self, tmp_path: Path, *lines: str) -> Path:
        self.touch(tmp_path, "p/x.nii.gz", "p/y.nii.gz", "r/1.nii.gz", "r/2.nii.gz")
        (tmp_path / "pairs.tsv").write_text("\n".join(lines).replace(" ", "\t") + "\n")
        return tmp_path / "pairs.tsv"

    def test_a_sheet(self, tmp_path: Path) -> None:
        path = self.sheet(
            tmp_path, "reference prediction participant vendor age_years", "2.nii.gz x.nii.gz A GE 44", "1.nii.gz  B  "
        )
        first, second = pair_by_sheet(path, tmp_path / "p", tmp_path / "r")
        assert (first.prediction, first.reference) == (tmp_path / "p" / "x.nii.gz", tmp_path / "r" / "2.nii.gz")
        assert first.names == {"participant": "A", "vendor": "GE", "age_years": "44"}
        assert (second.prediction, second.names) == (None, {"participant": "B"})

    @pytest.mark.parametrize(
        ("lines", "word"),
        [
            (["reference prediction hospital", "1.nii.gz x.nii.gz H"], "unknown column hospital"),
            (["reference", "1.nii.gz"], "needs one column prediction"),
            (["reference prediction", "1.nii.gz z.nii.gz"], "row 1: no such prediction"),
            (["reference prediction", " x.nii.gz"], "row 1: no reference"),
            (["reference prediction", "1.nii.gz x.nii.gz", "1.nii.gz y.nii.gz"], "a reference stands twice"),
            (["reference prediction", "1.nii.gz x.nii.gz", "2.nii.gz x.nii.gz"], "a prediction stands twice"),
        ],
    )
    def test_sheets_that_are_refused(self, tmp_path: Path, lines: list[str], word: str) -> None:
        with pytest.raises((ConfigError, InputError), match=word):
            pair_by_sheet(self.sheet(tmp_path, *lines), tmp_path / "p", tmp_path / "r")


class TestGrids:
    def image(self, grid: Grid = GRID) -> sitk.Image:
        return grid.image(label_map(muscle_labels()))

    def test_one_grid_stays_as_it_is(self) -> None:
        rounded = Grid(GRID.size, GRID.spacing_mm, (-20.00004, -10.0, 50.0), GRID.direction)
        found = align(self.image(rounded), self.image())
        assert found.is_native
        assert found.detail == ""
        assert (found.prediction == found.reference).all()

    def test_turned_axes_lose_nothing(self) -> None:
        turned = sitk.PermuteAxes(sitk.Flip(self.image(), [True, False, True]), [2, 0, 1])
        found = align(turned, self.image())
        assert (found.prediction == found.reference).all()
        assert not found.is_native
        assert "resampled" in found.detail

    def test_a_finer_grid_is_resampled_by_nearest_neighbour(self) -> None:
        fine = sitk.Expand(self.image(), [2, 2, 2], sitk.sitkNearestNeighbor)
        found = align(fine, self.image())
        assert (found.prediction == found.reference).all()

    def test_other_places_are_not_compared(self) -> None:
        far = Grid(GRID.size, GRID.spacing_mm, (200.0, 0.0, 0.0), GRID.direction)
        with pytest.raises(DataError, match="affine been lost") as caught:
            align(self.image(far), self.image())
        assert caught.value.reason is Reason.AFFINE_MISMATCH

    def test_label_maps_are_whole_numbers(self, tmp_path: Path) -> None:
        path = write(tmp_path / "f.nii.gz", label_map(muscle_labels()).astype(np.float32))
        assert "integer" in read_labels(path, "reference").GetPixelIDTypeAsString()
        half = write(tmp_path / "h.nii.gz", np.full(GRID.size[::-1], 0.5, np.float32))
        (tmp_path / "bad.nii.gz").write_bytes(b"no image")
        for bad in (half, tmp_path / "bad.nii.gz"):
            with pytest.raises(DataError, match="reference"):
                read_labels(bad, "reference")


class TestCommand:
    @pytest.mark.parametrize("convention", ["paraspinal", "lpm_segmentator", "musclemap_atlas"])
    def test_numbers_by_hand(self, tmp_path: Path, convention: str) -> None:
        study(tmp_path, 3, convention)
        found = run(tmp_path, "--reference-labels", convention)
        overlap = found["overlap"]
        assert len(overlap) == 3 * 4
        assert set(overlap.pair_state) == {"both_present"}
        assert overlap.groupby("pair").dsc.apply(lambda s: sorted(set(s.round(12)))).tolist() == [
            [1.0],
            [pytest.approx(5 / 6)],
            [pytest.approx(4 / 6)],
        ]
        assert overlap.groupby("pair").hd95_mm.max().tolist() == pytest.approx([0.0, 1.0, 2.0])
        assert overlap.groupby("pair").nsd_1mm.min().tolist()[:2] == [1.0, 1.0]
        assert overlap.reference_volume_mm3.tolist() == pytest.approx([6 * 10 * 6 * VOXEL] * 12)
        assert set(overlap.volume_difference_mm3) == {0.0}
        summary = found["overlap_summary"].query("measure == 'dsc' and muscle == 'multifidus' and side == 'left'")
        assert summary["mean"].tolist() == pytest.approx([(1 + 5 / 6 + 4 / 6) / 3])
        assert summary["worst"].tolist() == pytest.approx([4 / 6])
        assert found["pairs"].status.tolist() == ["ok"] * 3
        assert found["agreement"].n.tolist() == [3] * 4
        assert found["agreement"].bias.tolist() == [0.0] * 4

    def test_states(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Missing in the prediction, in the reference, in both; no prediction; no reference; never outlined."""
        p, r = study(tmp_path, 4)
        codes = muscle_labels()
        left = (MF, Side.LEFT)
        write(p / "sub-00_acq-a_desc-muscles_dseg.nii.gz", label_map(codes, skip=(left,)))
        write(r / "sub-01" / "sub-01_acq-a_desc-manual_dseg.nii.gz", label_map(codes, skip=(left,)))
        for path in (
            p / "sub-02_acq-a_desc-muscles_dseg.nii.gz",
            r / "sub-02" / "sub-02_acq-a_desc-manual_dseg.nii.gz",
        ):
            array = label_map(codes, skip=(left,))
            array[:, 20:25, 3:30] = codes[Muscle.PSOAS_MAJOR, Side.LEFT] if path.is_relative_to(p) else 0
            write(path, array)
        (p / "sub-03_acq-a_desc-muscles_dseg.nii.gz").unlink()
        write(p / "sub-99_dseg.nii.gz", label_map(codes))
        found = run(tmp_path)
        mf = found["overlap"].query("muscle == 'multifidus' and side == 'left'").set_index("pair")
        assert mf.pair_state.to_dict() == {
            1: "reference_only", 2: "prediction_only", 3: "both_absent", 4: "reference_only",
        }  # fmt: skip
        diagonal = np.linalg.norm([40.0, 45.0, 30.0])
        assert mf.dsc[[1, 2, 4]].tolist() == [0.0] * 3
        assert mf.hd95_mm[[1, 2, 4]].tolist() == pytest.approx([diagonal] * 3)
        assert pd.isna(mf.dsc[3])
        assert pd.isna(mf.prediction_volume_mm3[1])
        row = found["overlap_summary"].query("measure == 'dsc' and muscle == 'multifidus' and side == 'left'").iloc[0]
        counts = row[["n", "n_reference_only", "n_prediction_only", "n_both_absent", "mean", "failure_frac"]]
        assert counts.tolist() == [3, 2, 1, 1, 0.0, 1.0]
        row = (
            found["overlap_summary"].query("measure == 'dsc' and muscle == 'erector_spinae' and side == 'left'").iloc[0]
        )
        assert (row["n"], row["failure_frac"]) == (4, 0.25)
        assert row["mean"] == pytest.approx((1.0 + 5 / 6 + 1.0 + 0.0) / 4)
        agreement = found["agreement"].query("muscle == 'multifidus' and side == 'left'").iloc[0]
        assert agreement[["n", "n_missing_prediction", "n_missing_reference", "n_missing_both"]].tolist() == [
            0,
            2,
            1,
            1,
        ]
        assert "psoas_major" not in set(found["overlap"].muscle)
        assert "psoas major left: in no reference" in capsys.readouterr().out
        assert found["pairs"].reason_code.fillna("").tolist() == ["", "", "", "SEG_EMPTY", "NO_REFERENCE"]

    def test_a_pair_that_cannot_be_compared_stops_nothing(self, tmp_path: Path) -> None:
        p, r = study(tmp_path, 4)
        far = Grid(GRID.size, GRID.spacing_mm, (500.0, 0.0, 0.0), GRID.direction)
        write(p / "sub-01_acq-a_desc-muscles_dseg.nii.gz", label_map(muscle_labels()), far)
        (p / "sub-02_acq-a_desc-muscles_dseg.nii.gz").write_bytes(b"cut")
        (r / "sub-03" / "sub-03_acq-a_desc-manual_dseg.nii.gz").write_bytes(b"cut")
        found = run(tmp_path)
        pairs = found["pairs"]
        assert pairs.status.tolist() == ["ok", "failed", "failed", "failed"]
        assert pairs.reason_code.tolist()[1:] == ["AFFINE_MISMATCH", "SEG_IMPLAUSIBLE", "SEG_IMPLAUSIBLE"]
        states = found["overlap"].groupby("pair").pair_state.first().to_dict()
        assert states == {1: "both_present", 3: "reference_only"}, "only the method's own failure counts against it"

    def test_exchanged_labels_are_noticed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        study(tmp_path)
        ours = known_conventions()["paraspinal"]
        lines = [f"{ours[m, s]}\t{m}\t{'left' if s == 'right' else 'right'}" for m, s in ours]
        (tmp_path / "labels.tsv").write_text("\n".join(["label\tmuscle\tside", *lines]))
        run(tmp_path, "--prediction-labels", str(tmp_path / "labels.tsv"))
        said = " ".join(capsys.readouterr().out.split())
        assert "multifidus left of the reference lies mostly in multifidus right of the prediction" in said

    def test_a_sheet_gives_strata_participants_and_fat(self, tmp_path: Path) -> None:
        study(tmp_path, 6)
        water = np.full(GRID.size[::-1], 80.0, np.float32)
        fat = np.full(GRID.size[::-1], 20.0, np.float32)
        fat[:, :, :20] = 40.0
        write(tmp_path / "p" / "w.nii.gz", water)
        write(tmp_path / "p" / "f.nii.gz", fat)
        lines = ["reference,prediction,water,fat,participant,vendor,age_years"]
        for i in range(6):
            name = f"sub-{i:02d}_acq-a_desc"
            cells = (
                f"sub-{i:02d}/{name}-manual_dseg.nii.gz,{name}-muscles_dseg.nii.gz,w.nii.gz,f.nii.gz,Jane Doe {i // 2}"
            )
            lines.append(f"{cells},{'GE' if i < 4 else 'Philips'},{30 + 10 * i}")
        (tmp_path / "pairs.csv").write_text("\n".join(lines))
        found = run(tmp_path, "--sheet", str(tmp_path / "pairs.csv"), figures=True)
        overlap = found["overlap"].query("pair == 2").set_index(["muscle", "side"])
        assert overlap.reference_fi["multifidus", "left"] == pytest.approx(40 / 120)
        assert overlap.reference_fi["erector_spinae", "right"] == pytest.approx(20 / 100)
        straddling = overlap.prediction_fi["multifidus", "right"]  # x from 13 to 18
        assert straddling == pytest.approx(40 / 120)
        agreement = found["agreement"]
        assert set(agreement.measure) == {"volume_mm3", "fi_dixon_ff_ratio_of_sums"}
        assert set(agreement.stratum_by) == {"all", "vendor", "age_band"}
        whole = agreement.query("stratum_by == 'all'")
        assert set(whole.n_participants) == {3}
        assert set(whole.query("measure != 'volume_mm3'").margin) == {0.01}
        assert whole.query("measure == 'volume_mm3'").margin.tolist() == pytest.approx([0.05 * 360 * VOXEL] * 4)
        assert not found["overlap_summary"].is_sufficient.any()
        assert {p.name for p in (tmp_path / "out" / "figures").iterdir()} == {
            "dice.png", "bland-altman_volume_mm3.png", "bland-altman_fi_dixon_ff_ratio_of_sums.png",
        }  # fmt: skip
        for path in (tmp_path / "out").rglob("*"):
            assert path.is_dir() or not any(word in path.read_bytes() for word in (b"Jane", b"sub-0", b"w.nii"))

    def test_names_are_written_where_asked(self, tmp_path: Path) -> None:
        study(tmp_path, 2)
        run(tmp_path, "--names", str(tmp_path / "names.tsv"))
        names = pd.read_csv(tmp_path / "names.tsv", sep="\t")
        assert names.pair.tolist() == [1, 2]
        assert names.prediction[1].endswith("sub-01_acq-a_desc-muscles_dseg.nii.gz")

    def test_the_tables_of_a_run(self, tmp_path: Path) -> None:
        """Strata, levels and Dixon images come from the run; its pseudonyms are used as they are."""
        root = tmp_path / "results"
        study(root, 2)
        (root / "images").mkdir()
        (root / "p").rename(root / "images" / "p")
        write(root / "images" / "w.nii.gz", np.full(GRID.size[::-1], 50.0, np.float32))
        write(root / "images" / "f.nii.gz", np.full(GRID.size[::-1], 50.0, np.float32))
        scans = [
            filled(
                SCANS, subject=f"s{i}", session="v", scan_id=f"scan{i}", site="x7", manufacturer="GE", sex="F",
                field_strength_t=3.0, age_years=61.0, sequence="dixon", fi_reason_code=None,
                dseg_path=f"images/p/sub-{i:02d}_acq-a_desc-muscles_dseg.nii.gz", water_path="images/w.nii.gz",
                fat_path="images/f.nii.gz",
            )
            for i in range(2)
        ]  # fmt: skip
        levels = [
            filled(LEVELS, scan_id="scan0", level=level, level_scheme="vertebra_slab", first_slice=a, last_slice=b)
            for level, a, b in (("L5", 0, 1), ("L4", 2, 4))
        ]
        SCANS.write(root / "tables" / "scans.parquet", scans)
        LEVELS.write(root / "tables" / "levels.parquet", levels)
        command = ["validate", str(root / "images" / "p"), str(root / "r"), "--out", str(tmp_path / "out")]
        assert main([*command, "--results", str(root), "--no-figures"]) == 0
        overlap = pd.read_parquet(tmp_path / "out" / "overlap.parquet")
        assert overlap.groupby(["scan_id", "level"]).size().to_dict() == {
            ("scan0", "L4"): 4, ("scan0", "L5"): 4, ("scan0", "all"): 4, ("scan1", "all"): 4,
        }  # fmt: skip
        volumes = overlap.groupby(["scan_id", "level"]).reference_volume_mm3.first() / (60 * VOXEL)
        assert volumes.round(9).to_dict() == {
            ("scan0", "L4"): 3,
            ("scan0", "L5"): 2,
            ("scan0", "all"): 6,
            ("scan1", "all"): 6,
        }
        assert set(overlap.prediction_fi) == {0.5}
        strata = overlap[["centre", "vendor", "field_strength_t", "sequence", "sex", "age_band"]].drop_duplicates()
        assert strata.to_numpy().tolist() == [["x7", "GE", "3", "dixon", "F", "60-<80"]]
        assert overlap.query("scan_id == 'scan1' and muscle == 'multifidus'").dsc.tolist() == pytest.approx([5 / 6] * 2)

    def test_every_table_has_its_dictionary(self, tmp_path: Path) -> None:
        study(tmp_path, 2)
        tables = run(tmp_path)
        described = json.loads((tmp_path / "out" / "dictionary.json").read_text())
        assert set(described) == set(tables)
        for name, table in tables.items():
            assert [c["name"] for c in described[name]["columns"]] == list(table.columns)

    @pytest.mark.parametrize(
        ("options", "code", "word"),
        [
            (["--reference-labels", "x"], 3, "no such label convention"),
            (["--sheet", "none.tsv"], 4, "does not exist"),
            (["--results", "none"], 4, "no tables"),
            (["--reference-labels", "musclemap_atlas"], 4, "no pair could be compared"),
            (["--config", "none.yaml"], 3, "cannot be read"),
        ],
    )
    def test_errors_are_one_line_and_write_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, word: str
    ) -> None:
        p, r = study(tmp_path, 1)
        assert main(["validate", str(p), str(r), "--out", str(tmp_path / "out"), *options]) == code
        said = capsys.readouterr().err
        assert word in said
        assert said.count("\n") == 1
        assert not (tmp_path / "out").exists()


def filled(table: Table, **values: Any) -> dict[str, Any]:
    """A row with something in every column that may not be null."""
    stand_in = {"string": "x", "int64": 1, "double": 1.0, "bool": False}
    row = {c.name: stand_in.get(str(c.type), []) for c in table.columns if not c.is_nullable}
    return row | values


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="no private data folder (PARASPINAL_DATA)")
class TestReal:
    def test_the_reference_against_itself(self, tmp_path: Path) -> None:
        """The labelled Dixon person, its outlines moved by one voxel (1.02 mm), in the convention of its source."""
        dseg = sitk.ReadImage(str(DATA / "nifti" / "dixon_lumbar" / "sub-TUM01_dseg.nii.gz"))
        array = sitk.GetArrayFromImage(dseg)
        grid = Grid.of(dseg)
        names = {code: key for key, code in known_conventions()["lpm_segmentator"].items()}
        moved = np.zeros(array.shape, np.uint16)
        for code, key in names.items():
            moved[np.roll(array, 1, axis=2) == code] = muscle_labels()[key]
        write(tmp_path / "p" / "sub-1_dseg.nii.gz", moved, grid)
        write(tmp_path / "r" / "sub-1_dseg.nii.gz", array.astype(np.uint16), grid)
        overlap = run(tmp_path, "--reference-labels", "lpm_segmentator")["overlap"]
        assert len(overlap) == 4
        assert overlap.dsc.between(0.93, 0.99).all()
        assert (overlap.hd95_mm <= 1.1).all()
        assert overlap.assd_mm.between(0.1, 0.6).all()
        assert (overlap.nsd_2mm == 1.0).all()
