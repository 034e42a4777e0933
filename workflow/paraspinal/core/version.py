"""Which state of the code runs: the version, and from a git checkout the commit and whether files were changed since.

The commit is read from the checkout's own files: no git program is needed, and a job pays well under a millisecond.
Whether files were changed only git can say; it is asked once per run, and the engine hands the answer on to its jobs.
"""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from paraspinal import __version__
from paraspinal.core.paths import PROJECT

CODE_STATE_VARIABLE = "PARASPINAL_CODE_STATE"
"""Environment variable by which the engine tells its jobs `<commit> <dirty|clean>`."""
CODE_PATHS = ("Snakefile", "workflow", "resources")
"""What decides results; a changed test or page of text does not make a checkout dirty."""
ARCHIVE_NOTE = ".git_archival.txt"
"""Where `git archive` writes the commit (see .gitattributes), for downloads and containers without `.git`."""
GIT_TIMEOUT_S = 10
SHORT = 12
"""Characters of the commit in a version."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@cache
def version() -> str:
    """The version; with the commit where it is known, as `0.1.0+g<commit>`, and `.dirty` if files were changed."""
    found = commit()
    if found is None:
        return __version__
    return f"{__version__}+g{found[:SHORT]}" + (".dirty" if is_dirty() else "")


@cache
def commit() -> str | None:
    """The full commit the package runs from; None where it was installed without one."""
    return commit_of(PROJECT)


@cache
def is_dirty() -> bool | None:
    """Tell whether code or resources differ from the commit; None where nobody can say."""
    told = os.environ.get(CODE_STATE_VARIABLE, "").split()
    if len(told) == 2 and told[0] == commit():
        return told[1] == "dirty"
    return is_dirty_checkout(PROJECT)


def code_state() -> str:
    """The value of the variable the engine sets for its jobs; empty where the state is unknown."""
    dirty = is_dirty()
    return "" if dirty is None else f"{commit()} {'dirty' if dirty else 'clean'}"


def commit_of(project: Path) -> str | None:
    """Read the commit checked out at ``project``, or the one an archive of it was made from; None if there is none."""
    try:
        found = _head(project)
    except (OSError, ValueError):
        return None
    return found if found and _COMMIT.fullmatch(found) else None


def is_dirty_checkout(project: Path) -> bool | None:
    """Ask git whether tracked files of CODE_PATHS differ from the commit; None without a checkout or without git."""
    if not (project / ".git").exists():
        return None
    command = ["git", "-C", str(project), "status", "--porcelain", "--untracked-files=no", "--", *CODE_PATHS]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(done.stdout)


def _head(project: Path) -> str | None:
    """What HEAD points to, as text; branches may stand in files of their own or packed into one."""
    folder = project / ".git"
    if folder.is_file():  # a worktree or a submodule
        folder = project / folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    if not folder.is_dir():
        return _archived(project / ARCHIVE_NOTE)
    head = (folder / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head
    name = head.removeprefix("ref:").strip()
    note = folder / "commondir"
    shared = folder / note.read_text(encoding="utf-8").strip() if note.is_file() else folder
    for place in (folder / name, shared / name):
        if place.is_file():
            return place.read_text(encoding="utf-8").strip()
    for line in (shared / "packed-refs").read_text(encoding="utf-8").splitlines():
        if line.endswith(f" {name}"):
            return line.split()[0]
    return None


def _archived(note: Path) -> str | None:
    return note.read_text(encoding="utf-8").removeprefix("node:").strip() if note.is_file() else None
