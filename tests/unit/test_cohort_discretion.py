"""What the workflow engine may write about how it was called."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from dicom_factory import settings_for

from paraspinal.cohort.running.log_redaction import Discretion, passed_on


@pytest.fixture
def settings(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "real Jane Doe").mkdir()
    (tmp_path / "Jane Doe").symlink_to(tmp_path / "real Jane Doe")
    sheets = {"workers": 1, "people_sheet": str(tmp_path / "who is Jane.tsv")}
    return settings_for(tmp_path, input=str(tmp_path / "Jane Doe"), ingest=sheets)


def written(settings, message: str, *arguments: object, **extra: object) -> str:  # type: ignore[no-untyped-def]
    record = logging.LogRecord("engine", logging.INFO, "", 0, message, arguments, None)
    vars(record).update(extra)
    assert Discretion(settings).filter(record)
    return record.getMessage() + repr(vars(record))


def test_paths_are_left_out_of_every_message(settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = written(settings, f"no {tmp_path}/Jane Doe/IM1 and %s", f"{tmp_path}/who is Jane.tsv", more=[settings.input])
    assert "Jane" not in text
    assert "no (private)/IM1 and (private)" in text
    assert "Jane" not in written(settings, f"{tmp_path}/real Jane Doe/IM1")
    assert "8 of 9 steps" in written(settings, "%d of %d steps", 8, 9)


def test_how_the_engine_was_called_is_left_out(settings) -> None:  # type: ignore[no-untyped-def]
    text = written(settings, "started", cmd="snakemake --config input=Jane", rundir="/data/Jane", config_md5="abc")
    assert "Jane" not in text
    assert "abc" not in text


def test_jobs_are_not_given_private_paths(settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = ["input='Jane'", "ingest={'people_sheet': 'Jane'}", "shard_size=3", "input_of=x"]
    assert passed_on(words, settings) == ["shard_size=3", "input_of=x"]
    assert passed_on(words, settings_for(tmp_path)) == words[1:]


def test_without_an_input_nothing_is_replaced(tmp_path: Path) -> None:
    assert "plain words" in written(settings_for(tmp_path, input=""), "plain words")
