"""The front door as a whole: people and visits, shards, incremental runs, hostile trees, and no name anywhere."""

from __future__ import annotations

import base64
import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from dicom_factory import instance, run, save, series, settings_for, shard_rows, uid
from stage_runs import rows_after, run_stage

from paraspinal.core.errors import InputError, ParaspinalError, ResultsError
from paraspinal.core.records.registry import Registry
from paraspinal.stages import convert, harmonize
from paraspinal.stages.ingest import ingest
from paraspinal.stages.ingest.reading.walk import walk


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_people_visits_and_days(tmp_path: Path) -> None:
    save(series(PatientID="A"), tmp_path / "in" / "1")
    save(series(PatientID="A", StudyDate="20210301"), tmp_path / "in" / "2")
    save(series(PatientID=" A ", StudyDate="20200301", SeriesNumber=6), tmp_path / "in" / "3")
    save(series(PatientID="B"), tmp_path / "in" / "4")
    summary, rows = run(tmp_path)
    assert (summary.n_sessions, summary.n_new_sessions) == (3, 3)
    assert len({row["subject"] for row in rows}) == 2
    assert sorted(row["days_from_first_visit"] for row in rows) == [0, 0, 0, 365]
    assert {(row["sex"], row["age_years"] > 50) for row in rows} == {("F", True)}


def test_without_an_id_name_and_birth_date_tell_people_apart(tmp_path: Path) -> None:
    for number, (name, born) in enumerate([("Doe^J", "19700101"), ("Doe^J", "19710101"), ("Roe^R", "19700101")]):
        made = series(PatientID="", PatientName=name, PatientBirthDate=born, SeriesNumber=number)
        for ds in made:
            ds.StudyInstanceUID = uid("study", name, born)
        save(made, tmp_path / "in" / str(number))
    _, rows = run(tmp_path)
    assert len({row["subject"] for row in rows}) == 3


@pytest.mark.parametrize(
    ("age", "born", "expected"), [("030Y", "", 30.0), ("095Y", "", 90.0), ("", "19000101", 90.0), ("", "", None)]
)
def test_age(tmp_path: Path, age: str, born: str, expected: float | None) -> None:
    save(series(PatientAge=age, PatientBirthDate=born), tmp_path / "in")
    _, (row,) = run(tmp_path)
    assert row["age_years"] == expected


@pytest.mark.parametrize("person", ["../../evil", "a;rm -rf", "x" * 64, "Zoë", "%s%n", "'\"`$(id)"])
def test_hostile_ids_become_plain_pseudonyms(tmp_path: Path, person: str) -> None:
    save(series(PatientID=person, SpecificCharacterSet="ISO_IR 192"), tmp_path / "in")
    _, (row,) = run(tmp_path)
    assert row["subject"].isalnum()
    assert {p.name for p in tmp_path.iterdir()} == {"in", "results", "private"}


def test_second_run_reads_nothing_and_rewrites_nothing(tmp_path: Path) -> None:
    paths = save(series(), tmp_path / "in")
    first, _ = run(tmp_path)
    before = _files(tmp_path / "results")
    again, _ = run(tmp_path)
    assert (first.n_read, again.n_read) == (6, 0)
    assert (first.rewritten_shards, again.rewritten_shards) == ((1,), ())
    for path in paths:
        path.touch()
    touched, _ = run(tmp_path)
    assert (touched.n_read, touched.rewritten_shards) == (6, ())
    assert _files(tmp_path / "results") == before


def test_moving_files_changes_no_id(tmp_path: Path) -> None:
    save(series(), tmp_path / "in" / "a")
    _, before = run(tmp_path)
    (tmp_path / "in" / "a").rename(tmp_path / "in" / "elsewhere")
    summary, after = run(tmp_path)
    assert before == after
    assert summary.rewritten_shards == ()


def test_changed_pixels_change_the_digest(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    _, (before,) = run(tmp_path)
    save(series(seed="x"), tmp_path / "in")
    summary, (after,) = run(tmp_path)
    assert before["stack_id"] == after["stack_id"]
    assert before["content_digest"] != after["content_digest"]
    assert summary.rewritten_shards == (1,)


def test_adding_a_person_touches_one_shard(tmp_path: Path) -> None:
    for k in range(5):
        save(series(3, PatientID=f"P{k}"), tmp_path / "in" / str(k))
    run(tmp_path, shard_size=2)
    first = Registry.read(tmp_path / "results").shards
    save(series(3, PatientID="new"), tmp_path / "in" / "new")
    summary, _ = run(tmp_path, shard_size=2)
    assert summary.rewritten_shards == (3,)
    now = Registry.read(tmp_path / "results").shards
    assert {key: now[key] for key in first} == first
    settings = settings_for(tmp_path, shard_size=2)
    assert [len({r["session"] for r in shard_rows(settings, k)}) for k in (1, 2, 3)] == [2, 2, 2]


def test_another_cohort_is_refused(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    run(tmp_path)
    save(series(PatientID="stranger"), tmp_path / "other")
    before = _files(tmp_path / "results")
    with pytest.raises(ResultsError, match="another cohort"):
        ingest(settings_for(tmp_path, input=str(tmp_path / "other")))
    assert _files(tmp_path / "results") == before


def test_people_may_leave_but_not_most_of_them(tmp_path: Path) -> None:
    for k in range(4):
        save(series(3, PatientID=f"P{k}"), tmp_path / "in" / str(k))
    run(tmp_path)
    for k in (0, 1):
        (tmp_path / "in" / str(k)).rename(tmp_path / f"away {k}")
    summary, _ = run(tmp_path)
    assert summary.n_sessions == 2
    before = _files(tmp_path / "results")
    (tmp_path / "in" / "2").rename(tmp_path / "away 2")
    with pytest.raises(ResultsError, match="3 of the 4 visits"):
        ingest(settings_for(tmp_path))
    assert _files(tmp_path / "results") == before
    for k in (0, 1, 2):
        (tmp_path / (f"away {k}")).rename(tmp_path / "in" / str(k))
    assert run(tmp_path)[0].n_sessions == 4


def test_same_content_through_many_processes(tmp_path: Path) -> None:
    save([ds for k in range(110) for ds in series(4, PatientID=f"P{k % 9}", SeriesNumber=k)], tmp_path / "in")
    run(tmp_path, ingest={"workers": 2, "max_series_files": 100})
    parallel = _files(tmp_path / "results")
    for path in (tmp_path / "private" / "headers").glob("*.sqlite"):
        path.unlink()
    summary, _ = run(tmp_path)
    assert summary.n_read == 440
    assert _files(tmp_path / "results") == parallel


@pytest.mark.parametrize("kind", ["unset", "missing", "file", "empty"])
def test_no_input_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError) as caught:
        ingest(settings_for(tmp_path, input="" if kind == "unset" else str(tmp_path / kind)))
    assert caught.value.hint
    assert str(tmp_path) not in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_input_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(series(), tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    assert ingest(settings_for(tmp_path, input="in")).n_files == 6


def test_links_loops_and_pipes_survive(tmp_path: Path) -> None:
    root = tmp_path / "in"
    save(series(), root / "a")
    (root / "a" / "loop").symlink_to(root)
    (root / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "pipe")
    found = list(walk(os.fsencode(root)))
    assert len(found) == 7
    assert [Path(os.fsdecode(f.path)).name for f in found if not f.is_readable] == ["gone"]
    _, rows = run(tmp_path)
    assert sorted((r["status"], r["n_files"]) for r in rows) == [("failed", 1), ("ok", 6)]


def test_unreadable_files_and_folders_are_rows_and_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = save(series(), tmp_path / "in" / "a")
    from paraspinal.stages.ingest.reading import header_pass

    whole = header_pass.read_dicom

    def denied(path: bytes, *more: Any) -> Any:
        if path == os.fsencode(paths[-1]):
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return whole(path, *more)

    monkeypatch.setattr(header_pass, "read_dicom", denied)
    _, rows = run(tmp_path)
    assert sorted((r["status"], r["reason_code"], r["n_files"]) for r in rows) == [
        ("failed", "DICOM_UNREADABLE", 1),
        ("warn", "DICOM_TRUNCATED", 5),
    ]
    monkeypatch.undo()
    summary, (row,) = run(tmp_path)
    assert (summary.n_read, row["status"], row["n_files"]) == (1, "ok", 6)


class Flaky:
    """Reads a header as usual, but the drive fails a number of times first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
        from paraspinal.stages.ingest.reading import header_pass

        self._whole, self._failures = header_pass.read_dicom, failures
        monkeypatch.setattr(header_pass, "PAUSES_SECONDS", (0.0, 0.0))
        monkeypatch.setattr(header_pass, "read_dicom", self)

    def __call__(self, path: bytes, *more: Any) -> Any:
        if self._failures:
            self._failures -= 1
            raise OSError(errno.EIO, "Input/output error", os.fsdecode(path))
        return self._whole(path, *more)


def test_a_drive_that_stumbles_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(series(), tmp_path / "in")
    Flaky(monkeypatch, 2)
    _, (row,) = run(tmp_path)
    assert (row["status"], row["n_files"]) == ("ok", 6)


def test_a_bad_place_on_a_disk_is_one_row_and_asked_again_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(series(), tmp_path / "in")
    Flaky(monkeypatch, 3)
    _, rows = run(tmp_path)
    assert ("failed", "DICOM_UNREADABLE", 1) in [(r["status"], r["reason_code"], r["n_files"]) for r in rows]
    summary, (row,) = run(tmp_path)
    assert (summary.n_read, row["status"], row["n_files"]) == (1, "ok", 6)


def test_a_drive_that_goes_away_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(series(25), tmp_path / "in" / "1")
    run(tmp_path)
    before = _files(tmp_path / "results")
    save(series(25, PatientID="P2"), tmp_path / "in" / "2")
    Flaky(monkeypatch, 10_000)
    with pytest.raises(InputError, match="drive of the input failed on 25 files") as caught:
        ingest(settings_for(tmp_path))
    assert str(tmp_path) not in str(caught.value)
    assert _files(tmp_path / "results") == before
    monkeypatch.undo()
    assert run(tmp_path)[0].n_sessions == 2


def test_a_file_that_grows_while_it_is_read_is_read_again_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paraspinal.stages.ingest.reading import header_pass

    paths = save(series(), tmp_path / "in")
    content = paths[-1].read_bytes()
    paths[-1].write_bytes(content[:-100])
    whole = header_pass.read_dicom

    def while_growing(path: bytes, *more: Any) -> Any:
        if path == os.fsencode(paths[-1]):
            with paths[-1].open("ab") as handle:
                handle.write(content[-100:])
        return whole(path, *more)

    monkeypatch.setattr(header_pass, "read_dicom", while_growing)
    _, (row,) = run(tmp_path)
    assert (row["status"], row["reason_code"], row["n_files"]) == ("failed", "DICOM_TRUNCATED", 6)
    monkeypatch.undo()
    summary, (row,) = run(tmp_path)
    assert (summary.n_read, row["status"]) == (1, "ok")


def test_results_inside_the_input_are_not_input(tmp_path: Path) -> None:
    save(series(), tmp_path)
    where = {"input": str(tmp_path), "out": str(tmp_path / "results"), "private_dir": str(tmp_path / "private")}
    assert run(tmp_path, **where)[0].n_files == 6
    assert run(tmp_path, **where)[0].n_files == 6


def test_private_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    run(tmp_path)
    for path in (tmp_path / "private").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path.name


def test_damaged_cache_is_rebuilt(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    _, before = run(tmp_path)
    (cache,) = (tmp_path / "private" / "headers").glob("*.sqlite")
    cache.write_bytes(b"no database" * 100)
    summary, after = run(tmp_path)
    assert summary.n_read == 6
    assert after == before


CANARY = ("Xanthippe", "Quagmire", "8675309", "19331224", "Zyzzyva", "Ostrobothnia")
TEXTS = {
    "PatientName": "Xanthippe^Quagmire",
    "PatientID": "8675309",
    "PatientBirthDate": "19331224",
    "StudyDate": "19871225",
    "SeriesDate": "19871225",
    "StudyDescription": "Zyzzyva lumbar",
    "SeriesDescription": "t2 Zyzzyva",
    "ProtocolName": "t2 Zyzzyva",
    "InstitutionName": "Ostrobothnia",
    "InstitutionAddress": "Ostrobothnia",
    "StationName": "Zyzzyva",
    "ManufacturerModelName": "Zyzzyva",
    "Manufacturer": "Zyzzyva",
    "ReferringPhysicianName": "Quagmire",
    "OperatorsName": "Quagmire",
    "ImageComments": "Xanthippe",
    "PatientComments": "Xanthippe",
    "DeviceSerialNumber": "8675309",
    "SequenceName": "Zyzzyva",
    "BodyPartExamined": "ZYZZYVA",
    "SoftwareVersions": "Zyzzyva",
    "ScanOptions": "ZYZZYVA",
    "PatientSex": "ZYZZYVA",
    "PatientAge": "8675309"[:4],
    "AccessionNumber": "8675309",
    "StudyID": "8675309",
    "ImageType": ["ORIGINAL", "PRIMARY", "ZYZZYVA"],
}


def _spoil(ds: Any) -> Any:
    block = ds.private_block(0x0029, "Zyzzyva", create=True)
    block.add_new(0x10, "LO", "Xanthippe Quagmire")
    return ds


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_no_name_reaches_any_output_or_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "in" / "Xanthippe Quagmire 8675309"
    caplog.set_level("DEBUG")
    save([_spoil(ds) for ds in series(5, **TEXTS)], root / "good")
    save([_spoil(ds) for ds in series(5, **{**TEXTS, "SeriesNumber": 6})][:1], root / "single")
    cut = save(series(5, **{**TEXTS, "SeriesNumber": 7}), root / "Zyzzyva cut")
    cut[2].write_bytes(cut[2].read_bytes()[:-50])
    save(series(5, **{**TEXTS, "SeriesNumber": 8}, pixel_array=instance("c").pixel_array * 0), root / "flat")
    (root / "Quagmire.txt").write_text("Xanthippe")
    (root / "Quagmire.dcm").write_text("Xanthippe")
    run(tmp_path)
    settings = settings_for(tmp_path)
    run_stage(convert.STAGE, settings)
    run_stage(harmonize.STAGE, settings)
    assert len(rows_after("harmonize", settings)) == 1
    assert {row["reason_code"] for row in rows_after("convert", settings)} >= {
        "CONSTANT_IMAGE",
        "DICOM_TRUNCATED",
        "TOO_FEW_SLICES",
    }
    found = _files(tmp_path / "results")
    import gzip

    found |= {f"{name} unpacked": gzip.decompress(raw) for name, raw in found.items() if name.endswith(".gz")}
    found["the log"] = caplog.text.encode()
    for word in (*CANARY, "19871225", str(tmp_path / "in")):
        plain = word.encode()
        forms = {plain, plain.lower(), plain.upper(), plain.hex().encode(), base64.b64encode(plain)[:-4]}
        for name, raw in found.items():
            assert not [form for form in forms if len(form) > 5 and form in raw], (word, name)
            assert word.lower() not in name.lower()


def test_errors_name_no_path(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    run(tmp_path)
    (tmp_path / "private" / "identity.key").chmod(0o644)
    with pytest.raises(ParaspinalError) as caught:
        ingest(settings_for(tmp_path))
    assert str(tmp_path) not in str(caught.value)


def test_progress_is_shown_while_headers_are_read_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paraspinal.cohort.asking.status import header_pass
    from paraspinal.stages.ingest import progress

    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    (tmp_path / "results").mkdir()
    with progress.shown_in(tmp_path / "results") as report:
        assert header_pass(tmp_path / "results") == ""
        report(progress.PassTally(12_345, 6_000))
        assert header_pass(tmp_path / "results").startswith("12,345 files found, 6,000 read, 6,000 a second")
    assert header_pass(tmp_path / "results") == ""
    assert list((tmp_path / "results").rglob("*.json")) == []
