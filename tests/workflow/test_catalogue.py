"""Every bad input there is a rule for, through the whole workflow: what became of it, and of everything else."""

from __future__ import annotations

import ast
import os
import resource
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from paraspinal.core.errors import MachineError
from paraspinal.core.records.registry import Registry, shard_path
from paraspinal.core.vocab import Reason, Status
from paraspinal.stages.convert.sources import read_index

from .catalogue_cases import NAMES, ROWS, Catalogue, Scan, write_bystander, write_catalogue
from .conftest import TABLES, Study, make_study

pytestmark = [pytest.mark.workflow, pytest.mark.filterwarnings("ignore:.*:UserWarning")]

UNIT, HERE = "unit/test_ingest_catalogue.py::test_disposition", "workflow/test_catalogue.py::test_"
EVERYBODY = (UNIT, f"{HERE}stacks", f"{HERE}scans")
COVERED_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(ROWS, EVERYBODY),
    "empty folder; only garbage; README/DICOMDIR/hidden files among slices": (
        *EVERYBODY, "workflow/test_bad_input.py::test_empty_folder", f"{HERE}nothing_but_garbage",
        "unit/test_ingest_run.py::test_links_loops_and_pipes_survive",
        "unit/test_ingest_run.py::test_unreadable_files_and_folders_are_rows_and_asked_again",
    ),
    "truncated slice; 10 bytes short; zero-byte slice; header cut": (
        *EVERYBODY, f"{HERE}a_file_that_was_still_growing_heals",
    ),
    "RLE, J2K, JPEG-LS, deflated, big-endian": (
        *EVERYBODY, "unit/test_convert_stage.py::test_compressions_of_other_encoders_are_read",
    ),
    "PatientID `../../evil`, `a;rm`, unicode, 200 characters, empty": (
        *EVERYBODY, "unit/test_ingest_run.py::test_hostile_ids_become_plain_pseudonyms",
        f"{HERE}nothing_else_was_written",
    ),
    "cervical spine, knee, scoliosis, transitional vertebra, metal, cropped field of view": (
        *EVERYBODY, "unit/test_vertebrae_numbering.py::test_a_second_possible_junction_raises_the_suspicion",
        "unit/test_quality_stage.py::test_suspected_transitional_vertebra_is_amber",
    ),
    "canary PHI in every text element, nested sequences, private tags, paths": (
        "workflow/test_canary.py::test_a_finished_run_lets_nothing_slip",
        "workflow/test_canary.py::test_what_was_killed_let_nothing_slip",
        "workflow/test_canary.py::test_the_engine_and_faults_of_ours_let_nothing_slip",
        "workflow/test_canary.py::test_a_fault_in_the_header_pass_lets_nothing_slip",
    ),
    "model with wrong sha256; pickle payload; labels reordered; content changed with mtime kept": (
        "workflow/test_bad_input.py::test_models_that_cannot_be_trusted",
        "workflow/test_runs.py::test_replaced_weights_segment_again_and_what_follows",
    ),
    "SIGKILL": ("workflow/test_runs.py::test_killed_in_the_middle_of_a_shard_it_resumes_and_ends_the_same",),
    "out of memory": (f"{HERE}trouble_of_the_machine_leaves_nothing_half_done",),
    "disk full": (
        f"{HERE}trouble_of_the_machine_leaves_nothing_half_done",
        "unit/test_core_images.py::test_a_full_disk_is_an_error_and_leaves_nothing",
        "unit/test_convert_tool.py::test_a_tool_that_fails_on_a_full_disk_is_the_machines",
    ),
    "network-drive delay": (f"{HERE}trouble_of_the_machine_leaves_nothing_half_done",),
    "two runs at once": (
        "workflow/test_bad_input.py::test_a_results_folder_in_use_is_refused", f"{HERE}two_runs_at_once",
    ),
}  # fmt: skip
"""Which tests hold each row of the table of bad inputs."""


@dataclass
class Done:
    """The catalogue after its run, with whose each stack and scan is."""

    study: Study
    catalogue: Catalogue
    tables: dict[str, pd.DataFrame]
    owner_of_stack: dict[str, str]

    def rows(self, table: str, name: str) -> pd.DataFrame:
        """Rows of one person."""
        found = self.tables[table]
        if table == "inventory":
            return found[found.stack_id.map(self.owner_of_stack) == name]
        sessions = set(self.rows("inventory", name).session)
        return found[found.session.isin(sessions)]

    def shard_tables(self, stage: str) -> list[dict[str, object]]:
        """Rows of a stage over all shards."""
        shards = Registry.read(self.study.results).shard_numbers
        return [row for k in shards for row in pq.read_table(shard_path(self.study.results, stage, k)).to_pylist()]


def owner_of_file(path: str) -> str:
    """Whose file it is: names of files begin with the person's and end in a number."""
    return Path(path).stem.removeprefix("copy of ")[:-4]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    study = make_study(tmp_path_factory.mktemp("catalogue"), ())
    catalogue = write_catalogue(study.dicom)
    study.run("--set", "shard_size=24", "--set", "failure_limit.max_failed_frac=1.0")
    owners: dict[str, set[str]] = {}
    for shard in Registry.read(study.results).shard_numbers:
        for stack_id, files in read_index(study.results, study.root / "private", shard).items():
            owners[stack_id] = {owner_of_file(path) for path in files.paths}
    assert all(len(names) == 1 for names in owners.values()), "a stack holds images of two people"
    content = {name: table.astype(object).where(table.notna(), None) for name, table in study.content().items()}
    return Done(study, catalogue, content, {stack_id: next(iter(names)) for stack_id, names in owners.items()})


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, done: Done) -> Study:
    """The bystander without all the others, under the same key."""
    study = make_study(tmp_path_factory.mktemp("alone"), ())
    write_bystander(study.dicom)
    (study.root / "private").mkdir(mode=0o700)
    shutil.copy2(done.study.root / "private" / "identity.key", study.root / "private")
    study.run()
    return study


def in_order(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted(rows, key=str)


@pytest.mark.parametrize("name", NAMES)
def test_stacks(done: Done, name: str) -> None:
    rows = done.rows("inventory", name)
    found = list(rows[["status", "reason_code", "n_files"]].itertuples(index=False, name=None))
    assert in_order(found) == in_order(done.catalogue.people[name][1].stacks), list(rows.detail)
    assert rows.subject.nunique() <= 1


def outcome(done: Done, scan: object) -> Scan:
    """What became of a scan, in the words of the catalogue."""
    metrics = done.tables["metrics"].query("scan_id == @scan.scan_id")
    flags = done.tables["quality"].query("scan_id == @scan.scan_id").reason_code.dropna()
    measured = {name: bool(metrics[column].notna().any()) for name, column in VALUES.items()}
    state = (scan.sequence, scan.role, scan.status, scan.reason_code, scan.fi_reason_code)  # type: ignore[attr-defined]
    return Scan(*state, **measured, flags=frozenset(flags))


VALUES = {"area": "acsa_mm2", "volume": "volume_mm3", "fi": "fi"}


@pytest.mark.parametrize("name", NAMES)
def test_scans(done: Done, name: str) -> None:
    expected = done.catalogue.people[name][1].scans
    found = [outcome(done, scan) for scan in done.rows("scans", name).itertuples()]

    def bare(scans: list[Scan]) -> list[Scan]:
        return sorted((replace(scan, flags=frozenset()) for scan in scans), key=repr)

    assert bare(found) == bare(expected)
    for scan in expected:
        flags = [
            other.flags for other in found if replace(other, flags=frozenset()) == replace(scan, flags=frozenset())
        ]
        assert any(scan.flags <= those for those in flags), flags


def test_what_is_not_measured_says_why(done: Done) -> None:
    """Null has a reason beside it, and what was not measured is not green."""
    metrics = done.tables["metrics"]
    assert metrics[metrics.fi.isna()].fi_reason_code.notna().all()
    assert metrics[metrics.acsa_mm2.isna()].reason_code.notna().all()
    assert not (metrics[["acsa_mm2", "volume_mm3"]] == 0).any(axis=None)
    for table in ("inventory", "scans"):
        bad = done.tables[table].query("status != 'ok'")
        assert bad.reason_code.isin({reason.value for reason in Reason}).all()
    assert (done.tables["scans"].query("status != 'ok'").light != "green").all()


def test_disc_stacks_are_measured_at_their_discs(done: Done) -> None:
    for name, discs in (("five_discs", {"L1_L2", "L2_L3", "L3_L4", "L4_L5", "L5_S1"}), ("parallel_groups", None)):
        metrics = done.rows("metrics", name)
        assert set(metrics.level_scheme) == {"disc_stack", "disc_mid", "slice_block"}
        found = metrics[(metrics.level_scheme == "disc_stack") & metrics.acsa_mm2.notna()]
        assert set(found.level) == (discs or {"L2_L3", "L3_L4", "L4_L5"})
        assert metrics.volume_mm3.isna().all()


def test_levels_say_how_they_were_counted(done: Done) -> None:
    """Six lumbar vertebrae look like five and a T12: they are counted from the sacrum, and the table says so."""
    assert {"L3", "L2_L3", "stack"} <= set(done.rows("metrics", "clean").dropna(subset=["acsa_mm2"]).level)
    assert set(done.rows("metrics", "transitional").level_numbering) == {"counted_from_sacrum"}


def test_every_file_is_in_exactly_one_row(done: Done) -> None:
    files = [Path(base) / name for base, _, names in os.walk(done.study.dicom) for name in names]
    regular = [path for path in files if path.is_file() or (path.is_symlink() and not path.exists())]
    assert len(files) - len(regular) == 1, "the pipe is no file"
    assert done.tables["inventory"].n_files.sum() == len(regular)


def test_rows_of_nobody(done: Done) -> None:
    rows = done.tables["inventory"]
    loose = rows[~rows.stack_id.isin(done.owner_of_stack)]
    found = list(loose[["status", "reason_code", "n_files"]].itertuples(index=False, name=None))
    assert in_order(found) == in_order(
        [row for _, expected in done.catalogue.people.values() for row in expected.loose]
    )
    assert loose.subject.isna().all()


def test_counts_add_up_at_every_stage(done: Done) -> None:
    """Expected = ok + warn + failed + excluded, from the first table to the last."""
    inventory = done.tables["inventory"]
    ours = inventory[inventory.session.notna()]
    n_stacks = {"ingest": len(done.shard_tables("ingest")), "convert": len(done.shard_tables("convert"))}
    assert set(n_stacks.values()) == {len(ours)}
    usable = [row for row in done.shard_tables("convert") if Status(str(row["status"])).is_usable]
    in_scans = Counter(stack for row in done.shard_tables("harmonize") for stack in row["stack_ids"])  # type: ignore[attr-defined]
    assert in_scans == Counter(row["stack_id"] for row in usable)
    scans = {stage: done.shard_tables(stage) for stage in ("harmonize", "segment", "levels", "measure", "quality")}
    expected = {row["scan_id"] for row in scans["harmonize"]}
    for stage, rows in scans.items():
        assert len(rows) == len(expected), stage
        assert {row["scan_id"] for row in rows} == expected, stage
    for rows in (*scans.values(), done.tables["scans"].to_dict("records"), inventory.to_dict("records")):
        by_status = Counter(Status(str(row["status"])) for row in rows)
        assert sum(by_status[status] for status in Status) == len(rows)
    assert set(done.tables["scans"].scan_id) == expected
    assert set(done.tables["quality"].scan_id) == expected
    measured = {row["scan_id"] for row in scans["measure"] if row["metrics"]}
    assert set(done.tables["metrics"].scan_id) == measured


def test_nothing_else_was_written(done: Done) -> None:
    """Exactly the images the tables name, under plain names, and nothing outside results and private folder."""
    named: set[str] = set()
    for row in done.shard_tables("convert"):
        if row["image_path"]:
            named |= {str(row["image_path"]), str(row["image_path"]).replace(".nii.gz", ".json")}
    for row in (row for stage in ("segment", "levels", "quality") for row in done.shard_tables(stage)):
        named |= {str(row[column]) for column in ("dseg_path", "probseg_path", "overlay_path") if row.get(column)}
    results = done.study.results
    images = {str(path.relative_to(results)) for path in (results / "images").rglob("*") if path.is_file()}
    assert images == named
    assert not [path for path in images if "_Eq" in path]
    plain = set("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./")
    assert all(set(path) <= plain for path in images)
    assert {path.name for path in done.study.root.iterdir()} == {
        "results", "private", "project", "dicom", "stored elsewhere",
    }  # fmt: skip


def test_the_bystander_is_none_the_wiser(done: Done, alone: Study) -> None:
    """The same rows, to the last digit, with and without forty people who are in trouble."""
    (session,) = done.rows("inventory", "clean").session.unique()
    here_tables, there_tables = done.study.content(), alone.content()
    for name in TABLES:
        here, there = (tables[name][tables[name].session == session] for tables in (here_tables, there_tables))
        assert len(there) > 0
        drop = ["shard"] if name == "inventory" else []
        pd.testing.assert_frame_equal(
            here.drop(columns=drop).reset_index(drop=True), there.drop(columns=drop).reset_index(drop=True),
            check_exact=True, check_dtype=False, obj=name,
        )  # fmt: skip


def test_nothing_but_garbage(alone: Study, tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.project.symlink_to(alone.project)
    study.dicom.mkdir()
    (study.dicom / "README.txt").write_text("hello")
    (study.dicom / "broken.dcm").write_bytes(b"nothing of the kind")
    (study.dicom / ".hidden").write_bytes(b"x")
    study.run()
    tables = study.content()
    assert sorted(tables["inventory"].status) == ["excluded", "excluded", "failed"]
    assert [len(tables[name]) for name in TABLES] == [3, 0, 0, 0, 0]
    assert (study.results / "report" / "index.html").stat().st_size > 0


def test_a_file_that_was_still_growing_heals(alone: Study, tmp_path: Path) -> None:
    study = bystander(alone, tmp_path)
    growing = sorted((study.dicom / "clean" / "ax").iterdir())[2]
    whole = growing.read_bytes()
    growing.write_bytes(whole[: len(whole) // 2])
    study.run()
    rows = study.content()["inventory"].query("plane == 'axial'")
    assert list(rows.reason_code) == ["DICOM_TRUNCATED"]
    growing.write_bytes(whole)
    study.run()
    assert_logically_equal(study, alone)


SHORT_OF_MEMORY = """
import os as _os
from dataclasses import replace as _replace

_sound = STAGE.process


def _short(rows, work):
    if _os.environ.get("TROUBLE"):
        raise MemoryError
    return _sound(rows, work)


STAGE = _replace(STAGE, process=_short)
"""
FAILING_DRIVE = """
import os as _os

_sound = read_index


def read_index(*place):
    if _os.environ.get("TROUBLE"):
        raise OSError(5, "Input/output error", "a file of the index")
    return _sound(*place)
"""
SMALL_FILE = 150_000
"""Bytes: less than an image takes, more than any log or table of so small a study."""


def bystander(alone: Study, root: Path) -> Study:
    """The bystander's input and key, and no results yet."""
    study = Study(root)
    for name in ("project", "dicom", "private"):
        shutil.copytree(alone.root / name, root / name)
    return study


def assert_logically_equal(one: Study, other: Study) -> None:
    """The same tables but for the ids of computations, the same images, nothing unfinished."""
    for name in TABLES:
        here, there = (study.content()[name].drop(columns="activity_id", errors="ignore") for study in (one, other))
        pd.testing.assert_frame_equal(here, there, check_exact=True, obj=name)
    images = [
        {path.relative_to(study.results): path.read_bytes() for path in (study.results / "images").rglob("*.*")}
        for study in (one, other)
    ]
    assert images[0] == images[1]
    assert not list(one.results.rglob(".partial-*"))


def failing(study: Study, **limits: object) -> subprocess.CompletedProcess[str]:
    """Run into trouble."""
    environment = {**study.environment, "TROUBLE": "yes"}
    return subprocess.run(
        [*study.command, *study.options], env=environment, cwd=study.root, capture_output=True, text=True, check=False,
        **limits,  # type: ignore[call-overload]
    )  # fmt: skip


@pytest.mark.parametrize("trouble", ["out of memory", "disk full", "network-drive delay"])
def test_trouble_of_the_machine_leaves_nothing_half_done(alone: Study, tmp_path: Path, trouble: str) -> None:
    """The run fails, no row blames the data, and the next run ends where an undisturbed one does."""
    study = bystander(alone, tmp_path)
    stages = study.project / "workflow" / "paraspinal" / "stages"
    limits: dict[str, object] = {}
    if trouble == "out of memory":
        append(stages / "segment" / "__init__.py", SHORT_OF_MEMORY)
    elif trouble == "network-drive delay":
        append(stages / "convert" / "sources.py", FAILING_DRIVE)
    else:
        limits["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE, SMALL_FILE))
    done = failing(study, **limits)
    assert done.returncode == MachineError.exit_code, done.stderr
    assert done.stderr.count("\n") == 1
    assert not (study.results / "tables").exists()
    statuses = [
        status
        for path in (study.results / "shards").rglob("shard-*.parquet")
        for status in pq.read_table(path, columns=["status"])["status"].to_pylist()
    ]
    assert set(statuses) == {"ok"}
    study.run()
    assert_logically_equal(study, alone)


def append(path: Path, code: str) -> None:
    path.write_text(path.read_text() + code)


def test_two_runs_at_once(alone: Study, tmp_path: Path) -> None:
    """One does the work, the other is told who does."""
    study = bystander(alone, tmp_path)
    command = [*study.command, *study.options]
    first, second = (
        subprocess.Popen(
            command, env=study.environment, cwd=study.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    )
    said = [process.communicate()[1] for process in (first, second)]
    codes = sorted((first.returncode, second.returncode))
    assert codes == [0, 7], said
    assert any("in use" in text for text in said)
    assert_logically_equal(study, alone)


TESTS = Path(__file__).resolve().parents[1]


def test_every_row_of_the_table_is_tested_by_something_that_exists() -> None:
    assert set(ROWS) <= set(COVERED_BY)
    assert all(cases for cases in ROWS.values())
    for row, names in COVERED_BY.items():
        assert names, row
        for name in names:
            path, _, function = name.partition("::")
            tree = ast.parse((TESTS / path).read_text())
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert function in functions, f"{row}: {name}"
