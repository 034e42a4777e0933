"""Keep paths that may name people out of what the workflow engine writes: it logs its command line and hands it on."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any

from paraspinal.core.settings import PRIVATE as PRIVATE_KEYS
from paraspinal.core.settings import Settings

PRIVATE = "(private)"
ABOUT_THE_CALL = ("cmd", "rundir", "cwd", "configfiles", "config_md5")
"""What the engine says of how it was called: any of it may hold the input's path, or a part of it."""


def hidden_paths(settings: Settings) -> list[str]:
    """The input and the sheets of a run as the file system knows them, longest first."""
    named = settings.private_paths()
    paths = [path for path in (named["input"], *(p for group in PRIVATE_KEYS for p in named[group].values())) if path]
    return sorted({form for path in paths for form in (path, os.path.realpath(path))}, key=len, reverse=True)


class Discretion(logging.Filter):
    """Lets every record of the engine's log pass, without the paths that ``settings`` keep private."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._paths = hidden_paths(settings)

    def filter(self, record: logging.LogRecord) -> bool:
        """Strip a record; always True."""
        for name, value in vars(record).items():
            setattr(record, name, PRIVATE if name in ABOUT_THE_CALL else self._without(value))
        return True

    def _without(self, value: Any) -> Any:
        if isinstance(value, str):
            for path in self._paths:
                value = value.replace(path, PRIVATE)
        elif isinstance(value, list | tuple):
            return type(value)(self._without(part) for part in value)
        return value


def passed_on(assignments: Iterable[str], settings: Settings) -> list[str]:
    """Those of the ``key=value`` words of a command line that jobs on a cluster may be given.

    Jobs take the input and the sheets from the private folder, where the run has put them.
    """
    private = {"input"} | {group for group in PRIVATE_KEYS if any(settings.private_paths()[group].values())}
    return [word for word in assignments if word.partition("=")[0] not in private]
