"""Logs of earlier runs, which the jobs of the next one write over: packed, a file per run, the last of them kept."""

from __future__ import annotations

import tarfile
import time
from pathlib import Path

from paraspinal.core.files import atomic_path

LOGS = "logs"
EARLIER = "earlier"
MAX_KEPT = 20
"""Runs whose logs are kept; those of the oldest go."""


def keep_logs(results: Path) -> None:
    """Pack the logs written since logs were last packed into ``logs/earlier/<when the last of them ended>.tar.gz``.

    To be called before a run writes its first log. The logs stay where they are as well, until a job writes over them.
    """
    folder = results / LOGS / EARLIER
    kept = sorted(folder.glob("[0-9]*.tar.gz"))
    since_ns = kept[-1].stat().st_mtime_ns if kept else 0
    new = [path for path in sorted((results / LOGS).rglob("*.log")) if path.stat().st_mtime_ns >= since_ns]
    if not new:
        return
    ended = time.gmtime(max(path.stat().st_mtime for path in new))
    name = time.strftime("%Y%m%dT%H%M%SZ", ended)
    with atomic_path(folder / f"{name}.tar.gz") as temporary, tarfile.open(temporary, "w:gz") as archive:
        for path in new:
            archive.add(path, path.relative_to(results / LOGS), filter=_nameless)
    for old in kept[: max(0, len(kept) + 1 - MAX_KEPT)]:
        old.unlink(missing_ok=True)


def _nameless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out whose account wrote a log."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
