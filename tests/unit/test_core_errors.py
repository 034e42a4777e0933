"""Errors say what broke without saying on whom."""

from __future__ import annotations

import errno

import pytest

from paraspinal.cli import commands, follow, main
from paraspinal.core.errors import error_line, find_error, trace

NAME = "/data/Jane Doe"


def broken(path: str) -> None:
    try:
        raise ValueError(f"cannot read {path}")
    except ValueError as error:
        raise OSError(5, "Input/output error", path) from error


def test_a_trace_names_places_and_kinds_and_no_more() -> None:
    with pytest.raises(OSError, match="Jane") as caught:
        broken(NAME)
    text = trace(caught.value)
    assert "Jane" not in text
    assert "in broken" in text
    assert text.index("ValueError") < text.index("OSError: Input/output error")
    assert find_error(text) is None


def test_an_unexpected_error_of_a_command_is_printed_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(arguments: object) -> None:
        broken(NAME)

    monkeypatch.setattr(follow, "status", fails)
    assert main.main(["status"]) == main.UNEXPECTED_EXIT
    said = capsys.readouterr()
    assert "Jane" not in said.out + said.err
    assert "OSError: Input/output error" in said.err


def test_an_error_line_is_read_back() -> None:
    found = find_error("noise\n" + error_line(7, "in use", "wait") + "\nmore")
    assert found is not None
    assert (found.exit_code, found.message, found.hint) == (7, "in use", "wait")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EIO, "")],
)
def test_trouble_with_a_drive_that_people_can_mend_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, words: str
) -> None:
    def fail(arguments: object) -> None:
        raise OSError(number, "some words", NAME)

    monkeypatch.setattr(commands, "export", fail)
    assert main.main(["export", "x.csv"]) == (7 if words else 1)
    said = capsys.readouterr().err
    found = find_error(said)
    assert (found is not None) == bool(words)
    assert words in said
    assert "Jane" not in said
