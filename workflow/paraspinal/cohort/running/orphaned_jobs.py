"""Jobs of a killed run that still wait or run on a cluster, where they would compute beside the next run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

JOB_PREFIX = "paraspinal_"
"""How the names of our jobs begin; both cluster profiles see to it."""
PATIENCE_SECONDS = 60


def cancel_leftovers(results: Path) -> int:
    """Cancel the user's Slurm jobs that belong to a results folder; returns how many there were.

    To be called by whoever holds the folder: what is found then was left by a run that is no more. Does nothing where
    there is no Slurm, or none that answers.
    """
    if not shutil.which("squeue"):
        return 0
    try:
        listed = subprocess.run(
            ["squeue", "--me", "--noheader", "--format=%i|%j|%Z"],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_SECONDS,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    found = [
        number
        for number, name, folder in (line.split("|", 2) for line in listed.splitlines() if line.count("|") >= 2)
        if name.startswith(JOB_PREFIX) and Path(folder).resolve() == results.resolve()
    ]
    if found:
        subprocess.run(["scancel", *found], capture_output=True, check=False, timeout=PATIENCE_SECONDS)
    return len(found)
