"""What a run remembers, in the results and in private."""

from __future__ import annotations

import errno
import fcntl
import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import yaml
from dicom_factory import settings_for

from paraspinal.cohort.running import runs
from paraspinal.cohort.running.runs import (
    RUN_CONFIG,
    RUNS,
    begin_run,
    check_key,
    check_writable,
    holder,
    private_run_file,
    remember_key,
    run_lock,
    settings_of,
)
from paraspinal.core.errors import ConfigError, IdentityError, ResultsError
from paraspinal.core.files import sha256_file
from paraspinal.core.identity import Identity

SHEETS = {
    "workers": 1,
    "people_sheet": "/data/Jane Doe.tsv",
    "override_sheet": "/data/Jane Doe/fix.tsv",
    "participants_sheet": "/data/Jane Doe/facts.tsv",
}


@pytest.fixture(autouse=True)
def released(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A results folder is held for the life of a process; here, for one test."""
    held: list[IO[str]] = []
    monkeypatch.setattr(runs, "_held", held)
    yield
    for handle in held:
        handle.close()


def test_settings_come_back_whole_and_the_results_name_nobody(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ingest=SHEETS)
    begin_run(settings)
    assert settings_of(settings.out_path) == settings
    assert "Jane" not in (settings.out_path / RUN_CONFIG).read_text()
    record = private_run_file(settings.private_path, settings.out_path, ".json")
    assert stat.S_IMODE(record.stat().st_mode) == 0o600


def test_every_run_is_recorded_with_the_digests_of_its_sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = tmp_path / "Jane Doe.tsv"
    sheet.write_text("old_id\tsubject\n")
    settings = settings_for(tmp_path, ingest={**SHEETS, "people_sheet": str(sheet)})
    real = time.strftime
    for since in ("2026-01-02 03:04:05 +0200", "2026-01-02 03:04:06 +0200"):
        monkeypatch.setattr(time, "strftime", lambda form, *at, now=since: real(form, *at) if at else now)
        begin_run(settings)
        monkeypatch.setenv(runs.LOCK_VARIABLE, str(runs._held[-1].fileno()))
        begin_run(settings)  # the engine is started twice in a run
        runs._held.pop().close()
    found = sorted((settings.out_path / RUNS).iterdir())
    assert [path.name for path in found] == ["20260102T010405Z.yaml", "20260102T010406Z.yaml"]
    told = yaml.safe_load(found[0].read_text())
    assert told["configuration"] == yaml.safe_load((settings.out_path / RUN_CONFIG).read_text())
    assert told["sheets_sha256"] == {"people_sheet": sha256_file(sheet)}
    assert "Jane" not in found[0].read_text()


def test_another_key_is_named_as_the_cause(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    begin_run(settings)
    remember_key(settings)
    check_key(settings)
    other = settings.model_copy(update={"private_dir": str(tmp_path / "other")})
    with pytest.raises(IdentityError, match="another identity key"):
        check_key(other)
    assert Identity.load(settings.private_path).key_id not in (tmp_path / "private" / "identity.key").read_text()


def test_results_of_another_user_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    (results / "shards").mkdir(parents=True)
    check_writable(results)
    monkeypatch.setattr(runs.os, "access", lambda path, mode: Path(path).name != "shards")
    with pytest.raises(ResultsError, match="cannot be written by this user"):
        check_writable(results)
    assert [path.name for path in results.iterdir()] == ["shards"]
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="is a file"):
        check_writable(tmp_path / "file" / "results")


def test_a_record_of_before_the_sheets_is_still_read(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    begin_run(settings)
    config = yaml.safe_load((settings.out_path / RUN_CONFIG).read_text())
    for name in ("people_sheet", "override_sheet", "participants_sheet", "max_archive_gib"):
        del config["ingest"][name]
    (settings.out_path / RUN_CONFIG).write_text(yaml.safe_dump(config))
    record = private_run_file(settings.private_path, settings.out_path, ".json")
    record.write_text(json.dumps({"input": settings.input}))
    assert settings_of(settings.out_path) == settings
    record.unlink()
    assert settings_of(settings.out_path).input == ""


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        settings_of(tmp_path)


def test_a_run_takes_the_folder_it_was_handed_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, other = settings_for(tmp_path), settings_for(tmp_path, out=str(tmp_path / "other"))
    settings.out_path.mkdir()
    with run_lock(settings.out_path) as descriptor:
        with pytest.raises(ResultsError, match="in use by process"):
            begin_run(settings)
        monkeypatch.setenv(runs.LOCK_VARIABLE, str(descriptor))
        begin_run(settings)
        begin_run(other)
        with pytest.raises(ResultsError):
            begin_run(other)
    monkeypatch.delenv(runs.LOCK_VARIABLE)
    with run_lock(settings.out_path), pytest.raises(ResultsError):
        begin_run(settings)


def test_a_drive_without_locks_is_refused_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(handle: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(runs.fcntl, "flock", no_locks)
    with pytest.raises(ResultsError, match="no file locks"), run_lock(tmp_path):
        pass


def test_somebody_who_only_looks_keeps_no_run_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_lock(tmp_path):
        pass
    looking = (tmp_path / runs.LOCK_FILE).open(encoding="utf-8")
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(runs.time, "sleep", lambda seconds: looking.close())
    with run_lock(tmp_path):
        assert holder(tmp_path) is not None
