"""What a run remembers, in the results and in private."""

from __future__ import annotations

import errno
import fcntl
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import yaml
from dicom_factory import settings_for

from paraspinal.cohort.running import runs
from paraspinal.cohort.running.runs import RUN_CONFIG, begin_run, holder, private_run_file, run_lock, settings_of
from paraspinal.core.errors import ConfigError, ResultsError

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
