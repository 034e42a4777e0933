"""Errors as classes: a sentence, a hint and an exit code of their own.

A :class:`ParaspinalError` stops a command with one line and its exit code. A :class:`DataError` is
different: it says that one input cannot be processed, and the shard loop records it as a row.
"""

from __future__ import annotations

import errno
import re
import traceback

from paraspinal.core.vocab import Reason


class ParaspinalError(Exception):
    """Stop the command: one sentence what is wrong, one hint what to do.

    Messages must not contain identifiers from DICOM headers or input paths.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(ParaspinalError):
    """The configuration or a sheet is not valid."""

    exit_code = 3


class InputError(ParaspinalError):
    """The input folder or image is missing, unreadable or holds nothing usable."""

    exit_code = 4


class ModelError(ParaspinalError):
    """A model is missing, has the wrong sha256, or does not say what it should."""

    exit_code = 5


class IdentityError(ParaspinalError):
    """The identity key is unsafe or missing."""

    exit_code = 6


class ResultsError(ParaspinalError):
    """The results folder is held by another run or belongs to another cohort."""

    exit_code = 7


class CircuitBreakerError(ParaspinalError):
    """So many items failed that the cohort cannot be trusted."""

    exit_code = 8


class WorkflowError(ParaspinalError):
    """The workflow engine ended with an error."""

    exit_code = 9


_DRIVE_TROUBLE = {
    errno.ENOSPC: ("the disk is full", "make room and run again: what is finished is kept"),
    errno.EDQUOT: ("the disk quota is used up", "make room and run again: what is finished is kept"),
    errno.EROFS: ("the drive is read-only", "choose another OUT or private_dir, or mount it for writing"),
}


def drive_trouble(error: BaseException) -> ResultsError | None:
    """Name the trouble with a drive that people can mend, if that is what an error is about."""
    found = _DRIVE_TROUBLE.get(error.errno or 0) if isinstance(error, OSError) else None
    return ResultsError(*found) if found else None


_ERROR_LINE = re.compile(r"^paraspinal: error (\d+): (.*?)(?: - hint: (.*))?$", re.MULTILINE)


def error_line(code: int, message: str, hint: str) -> str:
    """Write an error as one line that people and :func:`find_error` can read."""
    return f"paraspinal: error {code}: {message}" + (f" - hint: {hint}" if hint else "")


def find_error(text: str) -> ParaspinalError | None:
    """Read back the first error line of a job's log, with its exit code; None if there is none."""
    found = _ERROR_LINE.search(text)
    if not found:
        return None
    error = ParaspinalError(found[2], hint=found[3] or "")
    error.exit_code = int(found[1])
    return error


def trace(error: BaseException) -> str:
    """Say what broke and where, without any message: messages quote header values and paths, and logs are kept.

    Of trouble with a file or a device the system's own words are given, which name nothing.
    """
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        words = f": {seen.strerror}" if isinstance(seen, OSError) and seen.strerror else ""
        lines = [*traceback.format_tb(seen.__traceback__), f"{type(seen).__name__}{words}\n", *lines]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "Traceback (messages are left out, for they may name people):\n" + "".join(lines)


class DataError(Exception):
    """This input cannot be processed: deterministic, recorded as a row, never retried.

    ``detail`` is short, free of identifiers, and ends up in the tables.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
