"""Errors say what broke without saying on whom."""

from __future__ import annotations

import pytest

from paraspinal.cli import commands, main
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

    monkeypatch.setattr(commands, "status", fails)
    assert main.main(["status"]) == main.UNEXPECTED_EXIT
    said = capsys.readouterr()
    assert "Jane" not in said.out + said.err
    assert "OSError: Input/output error" in said.err


def test_an_error_line_is_read_back() -> None:
    found = find_error("noise\n" + error_line(7, "in use", "wait") + "\nmore")
    assert found is not None
    assert (found.exit_code, found.message, found.hint) == (7, "in use", "wait")
