"""The methods text and the checklist: every number comes from the run, every count adds up, every file is there."""

from __future__ import annotations

import itertools
import json
import platform
import re
from pathlib import Path

import pandas as pd
import pytest
from report_factory import CohortFactory, empty_results, rich_results

from paraspinal.core.errors import InputError
from paraspinal.core.files import sha256_file, sha256_json, write_json
from paraspinal.core.paths import PROJECT, RESOURCES
from paraspinal.core.records.environments import read_environment, record_environment
from paraspinal.core.records.receipts import ACTIVITIES
from paraspinal.core.records.schemas import COHORT_TABLES
from paraspinal.models.registry import list_models
from paraspinal.stages.report.claim import ANSWERS, CHECKLIST, checklist
from paraspinal.stages.report.data import read_cohort
from paraspinal.stages.report.evidence import gather
from paraspinal.stages.report.flow import flow
from paraspinal.stages.report.methods import methods
from paraspinal.stages.report.prose import Grid, Section, markdown
from paraspinal.stages.report.stage import write_report


def sections(root: Path) -> dict[str, Section]:
    cohort = read_cohort(root)
    return {section.title: section for section in methods(cohort, flow(cohort), gather(cohort, root, RESOURCES))}


def words(section: Section) -> str:
    return " ".join(section.paragraphs)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = rich_results(tmp_path_factory.mktemp("rich"))
    write_report(root)
    return root


def test_counts_of_every_flow_add_up_exactly(rich: Path) -> None:
    found = flow(read_cohort(rich))
    inventory = pd.read_parquet(rich / "tables" / "inventory.parquet")
    scans = pd.read_parquet(rich / "tables" / "scans.parquet")
    assert found.persons[0].count == inventory["subject"].nunique()
    assert found.visits[0].count == inventory["session"].nunique()
    for steps in (found.persons, found.visits):
        for step, after in itertools.pairwise(steps):
            assert step.kept == after.count, step.title
        assert steps[-1].leaving == ()
    stacks, *later = found.steps
    assert stacks.kept == scans["stack_ids"].explode().nunique()
    for step, after in itertools.pairwise(later):
        assert step.kept == after.count, step.title


def test_a_person_leaves_once_for_the_reason_of_their_images(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    make.measure(make.scan("p1", 1, "a"))
    make.scan("p1", 2, "b", status="failed", reason_code="SEG_EMPTY", dseg_path=None)
    make.scan("p2", 1, "c", status="failed", reason_code="SEG_EMPTY", dseg_path=None)
    make.scan("p3", 1, "d", plane="sagittal", role="spine")
    for number, reason in enumerate(("LOCALIZER", "DUP_IDENTICAL", "LOCALIZER")):
        make.stack(f"x{number}", subject="p4", session="s4", status="excluded", reason_code=reason)
    make.stack("nobody", status="excluded", reason_code="NOT_AN_IMAGE")
    found = flow(read_cohort(make.write()))
    assert [(s.count, [(x.code, x.count) for x in s.leaving]) for s in found.persons] == [
        (4, [("LOCALIZER", 1)]),
        (3, [("", 1)]),
        (2, [("SEG_EMPTY", 1)]),
        (1, []),
        (1, []),
    ]
    assert found.persons[1].leaving[0].text == "no axial scan"
    assert [s.count for s in found.visits] == [5, 4, 3, 1, 1]


def test_text_on_the_page_and_in_the_file_are_the_same(rich: Path) -> None:
    text = (rich / "report" / "methods.md").read_text()
    page = re.sub(r"<[^>]+>", " ", (rich / "report" / "index.html").read_text())
    page = " ".join(page.replace("&#39;", "'").replace("&gt;", ">").split())
    for section in sections(rich).values():
        assert f"## {section.title}" in text
        for paragraph in section.paragraphs:
            assert " ".join(paragraph.split()) in page
            assert paragraph in text
        for grid in section.grids:
            assert f"{grid.caption}:" in text


def test_every_parameter_of_the_configuration_is_named_with_its_value_and_meaning(rich: Path) -> None:
    config = CohortFactory(rich).settings.public()
    rows = {key: (value, meaning) for key, value, meaning in sections(rich)["Parameters"].grids[0].rows}
    told = {
        ("segment", "device"): "segment", ("segment", "precision"): "segment",
        ("levels", "max_disc_angle_deg"): "levels", ("levels", "max_shift_mm"): "quality",
        ("measure", "min_coverage_frac"): "measure", ("measure", "n4"): "measure",
        ("measure", "min_subcutaneous_ff"): "harmonize", ("quality", "max_side_ratio"): "quality",
        ("quality", "max_csa_jump_frac"): "quality", ("quality", "max_component_frac"): "quality",
    }  # fmt: skip
    for (group, key), used_by in told.items():
        assert rows[f"{used_by}.{key}"][0] == str(config[group][key])
        assert rows[f"{used_by}.{key}"][1]
    assert not any("private" in key or "sheet" in key for key in rows)


def test_a_changed_parameter_changes_the_sentence(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    make.measure(make.scan("p1", 1, "a", sequence="dixon"), methods=("dixon_ff_ratio_of_sums",))
    root = make.write()
    units = [make.unit("measure", min_coverage_frac=0.87), make.unit("harmonize", min_subcutaneous_ff=0.71)]
    ACTIVITIES.write(root / "tables" / "activities.parquet", units)
    found = sections(root)
    assert "at least 0.87 of the level" in words(found["Size"])
    assert "fat fraction of at least 0.71" in words(found["Fat infiltration"])


def test_only_measures_in_use_are_defined(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    make.measure(make.scan("p1", 1, "a"), methods=("t1t2_sat_anchored",))
    found = sections(make.write())
    assert [row[0] for row in found["Size"].grids[0].rows] == ["volume_mm3", "acsa_mm2"]
    assert [row[4] for row in found["Size"].grids[0].rows] == ["40", "40"]
    assert "t1t2_sat_anchored" in words(found["Fat infiltration"])
    assert "dixon" not in words(found["Fat infiltration"]).lower()
    assert "vertebra_slab" in words(found["Levels"])
    assert "disc_stack" not in words(found["Levels"])


def test_models_are_cited_with_their_weights_and_the_place_of_their_accuracy(tmp_path: Path) -> None:
    entry = next(e for e in list_models() if e.task == "muscles")
    make = CohortFactory(tmp_path)
    make.measure(make.scan("p1", 1, "a", model=entry.identifier, model_sha256=entry.sha256))
    make.measure(make.scan("p2", 1, "b", model=entry.identifier, model_sha256="0" * 64))
    found = sections(make.write())["Segmentation"]
    stranger, ours = found.paragraphs
    card = str(entry.card.relative_to(PROJECT))
    assert entry.sha256 in ours
    assert ours.endswith(f"Accuracy is stated in {card}.")
    assert "no card of these weights was found" in stranger
    assert {row[0] for row in found.grids[0].rows} == {entry.identifier}


def test_software_is_what_the_jobs_noted(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    make.measure(make.scan("p1", 1, "a"))
    root = make.write()
    assert "were not recorded" in words(sections(root)["Software"])

    def note(name: str, python: str = "3.11", **packages: str) -> str:
        said = {"python": python, "packages": packages}
        write_json(root / "receipts" / "environments" / f"{(known := sha256_json(said)[:12])}.json", said)
        return known

    old, new, converted = note("old", torch="2.1"), note("new", torch="2.2"), note("c", dcm2niix="v1")
    units = [make.unit("segment", "x", old), make.unit("segment", "y", new), make.unit("convert", "z", converted)]
    ACTIVITIES.write(root / "tables" / "activities.parquet", units)
    found = sections(root)["Software"]
    assert "The software was dcm2niix v1, Python 3.11 and torch 2.1 and 2.2." in words(found)
    assert "More than one version of torch took part" in words(found)
    assert [row[0] for row in found.grids[0].rows] == ["convert", "segment"]
    ACTIVITIES.write(root / "tables" / "activities.parquet", units[1:])
    assert "torch 2.2." in words(sections(root)["Software"])


def test_an_environment_is_named_by_its_content_and_names_nobody(tmp_path: Path) -> None:
    name = record_environment(tmp_path, "0.1+gabc")
    found = read_environment(tmp_path, name)
    assert found is not None
    assert found["packages"]["pandas"] == pd.__version__
    assert set(found) == {"paraspinal", "python", "packages", "system", "cpu", "device"}
    assert platform.node() not in json.dumps(found)
    assert record_environment(tmp_path, "0.1+gabc") == name
    path = tmp_path / "receipts" / "environments" / f"{name}.json"
    path.write_text(path.read_text().replace("0.1+gabc", "0.2+gabc"))
    assert read_environment(tmp_path, name) is None


def test_tables_are_cited_by_their_sha256(rich: Path) -> None:
    rows = sections(rich)["Data"].grids[0].rows
    assert [row[0] for row in rows] == [f"tables/{t.name}.parquet" for t in COHORT_TABLES]
    for name, n, sha256 in rows:
        assert sha256 == sha256_file(rich / name)
        assert int(n.replace(",", "")) == len(pd.read_parquet(rich / name))


def test_an_empty_cohort_has_a_text_without_empty_promises(tmp_path: Path) -> None:
    root = empty_results(tmp_path)
    write_report(root)
    text = (root / "report" / "methods.md").read_text()
    assert not re.search(r"\b(nan|None|inf)\b", text)
    assert "## Fat infiltration" not in text


def test_text_from_headers_cannot_become_markup() -> None:
    grid = Grid("c", ("h",), (("a|b\n# x <script>",),))
    text = markdown("T", [Section("S", ("<b>",), (grid,))])
    assert "| a\\|b # x &lt;script> |" in text
    assert "<b>" not in text


AGREEMENT = {
    "measure": "volume", "stratum_by": "all", "n": 331, "n_participants": 160.0, "bias": -1.25, "loa_lower": -4.5,
    "loa_upper": 2.0, "icc_a1": 0.9912, "icc_a1_ci_low": 0.98, "icc_a1_ci_high": 0.995, "margin": 5.0,
    "margin_rule": "5 % of the reference mean", "tost_p": 0.0004, "is_equivalent": True,
}  # fmt: skip


def test_margins_and_agreement_are_told_where_a_comparison_was_made(tmp_path: Path) -> None:
    root = empty_results(tmp_path)
    assert "Agreement with a reference" not in sections(root)
    (root / "agreement").mkdir()
    path = root / "agreement" / "agreement.parquet"
    divided = {**AGREEMENT, "stratum_by": "sex", "is_equivalent": None, "tost_p": None}
    pd.DataFrame([AGREEMENT, divided]).to_parquet(path)
    found = sections(root)["Agreement with a reference"]
    assert "1 measure was compared" in words(found)
    assert "these margins: 5 % of the reference mean." in words(found)
    assert found.grids[0].rows == (
        ("volume", "331", "160", "-1.25", "-4.5 to 2", "0.9912 (0.98 to 0.995)", "5", "0.0004", "yes"),
    )
    path.write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        sections(root)


# The checklist


def test_checklist_has_44_items_in_order_and_closed_answers(rich: Path) -> None:
    items = checklist(rich, ())
    assert [item.number for item in items] == list(range(1, 45))
    assert {item.answered_by for item in items} == set(ANSWERS)
    assert all(item.topic and item.section for item in items)
    for line in CHECKLIST.read_text().splitlines():
        assert line.count("\t") == 5


def test_every_file_the_checklist_points_at_exists(rich: Path) -> None:
    cohort = read_cohort(rich)
    entry = next(e for e in list_models() if e.task == "muscles")
    cohort.scans.loc[cohort.scans["model"] == "muscles@0.2.0", "model_sha256"] = entry.sha256
    items = checklist(rich, gather(cohort, rich, RESOURCES).models)
    cited = [name for item in items for name in item.files]
    assert len(cited) > 40
    assert "" not in cited
    for name in cited:
        path = name.removesuffix(" (repository)").split(": ")[0]
        assert ((PROJECT if name.endswith("(repository)") else rich) / path).exists(), name
    for item in items:
        assert item.files or item.answered_by == "authors" or item.number == 29, item.number


def test_a_comparison_with_a_reference_is_cited_where_there_is_one(tmp_path: Path) -> None:
    root = empty_results(tmp_path)
    before = {i.number for i in checklist(root, ()) if i.files}
    (root / "agreement").mkdir()
    pd.DataFrame([AGREEMENT]).to_parquet(root / "agreement" / "agreement.parquet")
    after = {i.number: i.files for i in checklist(root, ()) if i.files}
    assert set(after) - before == {14, 29, 32, 33, 37, 28}
    assert after[29] == ("agreement/agreement.parquet",)
