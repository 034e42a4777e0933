"""From a name as it stands in a table or a folder to the visit, the scans and the stacks it means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq

from paraspinal.cohort.running.plan import scan_sources
from paraspinal.core.errors import InputError
from paraspinal.core.identity import BidsName
from paraspinal.core.records.registry import INVENTORY_PATH, Registry, Session
from paraspinal.core.records.schemas import HARMONIZE
from paraspinal.core.records.stage import session_unit
from paraspinal.core.records.tables import Row
from paraspinal.core.records.views import is_readable, read_rows

N_NEAR = 3
NAMES = ("stack_id", "series_id", "protocol_id", "subject", "session")
"""Columns of the inventory whose values one may ask for."""


@dataclass(frozen=True)
class Found:
    """What a name means. ``session`` is None for files that belong to nobody."""

    name: str
    session: Session | None
    shard: int | None
    scans: frozenset[str]
    stacks: frozenset[str]


def find(results: Path, item: str) -> Found:
    """Find a visit, scan, stack, series or artifact; raises InputError if nothing, or several visits, bear the name."""
    path = results / INVENTORY_PATH
    if not path.exists():
        raise InputError("nothing has been run in this results folder", hint="start with: paraspinal run")
    word = _stem(item)
    rows = pq.read_table(path, columns=list(NAMES)).to_pylist()
    session = _session_in(word)
    if session:
        chosen = [row for row in rows if (row["subject"], row["session"]) == session]
    else:
        chosen = [row for row in rows if word in {row[name] for name in NAMES}]
    visits = {(row["subject"], row["session"]) for row in chosen}
    if not chosen:
        raise _unknown(word, rows)
    if len(visits) > 1:
        names = ", ".join(f"sub-{subject}/ses-{name}" for subject, name in sorted(visits)[:N_NEAR])
        raise InputError(f"{len(visits)} visits bear that name", hint=f"name one: {names}")
    return _found(results, word, visits.pop(), chosen)


def _found(results: Path, word: str, visit: tuple[str | None, str | None], chosen: list[Row]) -> Found:
    stacks = frozenset(row["stack_id"] for row in chosen)
    subject, session = visit
    if subject is None or session is None:
        return Found(word, None, None, frozenset(), stacks)
    key = (subject, session)
    shard = Registry.read(results).shards.get(key)
    scans = _scans(results, shard, key) if shard is not None else {}
    is_whole = word in (subject, session, session_unit(key))
    if is_whole:
        return Found(session_unit(key), key, shard, frozenset(scans), stacks)
    if _session_in(word):
        named = {scan: members for scan, members in scans.items() if word in members.names}
        direct = {row["stack_id"] for row in chosen if _is_of(word, row["stack_id"])}
        if not named and not direct:
            near = difflib.get_close_matches(word, [*scans, *stacks], N_NEAR)
            raise InputError("the visit has nothing of that name", hint=_nearest(near))
        members = frozenset(stack for scan in named.values() for stack in scan.stacks) | direct
        return Found(word, key, shard, frozenset(named), members)
    of_stacks = {scan for scan, members in scans.items() if stacks & members.stacks}
    return Found(word, key, shard, frozenset(of_stacks), stacks)


@dataclass(frozen=True)
class _Scan:
    names: frozenset[str]
    """Stems of everything that was made of it."""
    stacks: frozenset[str]


def _scans(results: Path, shard: int, session: Session) -> dict[str, _Scan]:
    """The scans of a visit with what they are made of and what was made of them, by the furthest stage that is done."""
    done = [source for source in scan_sources() if is_readable(results, source, shard)]
    names = [name for source in done for name in source.table.names if name.endswith("_path")]
    found: dict[str, _Scan] = {}
    for row in read_rows(results, done, shard, (*HARMONIZE.key, "stack_ids", *names)) if done else []:
        if (row["subject"], row["session"]) == session:
            stems = {_stem(row[name]) for name in names if row[name]}
            found[row["scan_id"]] = _Scan(frozenset({row["scan_id"], *stems}), frozenset(row["stack_ids"]))
    return found


def _is_of(stem: str, stack: str) -> bool:
    """Whether an image is that of a stack: its acquisition label ends with the stack."""
    try:
        return BidsName.parse(stem).acquisition.endswith(stack)
    except (TypeError, ValueError):
        return False


def _stem(item: str) -> str:
    """A name without folders and extensions; a visit written as a path becomes ``sub-x_ses-y``."""
    parts = PurePosixPath(item.strip().strip("/")).parts
    name = parts[-1].split(".")[0] if parts else ""
    if len(parts) > 1 and name.startswith("ses-") and parts[-2].startswith("sub-"):
        return f"{parts[-2]}_{name}"
    if len(parts) == 2 and not name.startswith("sub-"):
        return session_unit((parts[0], name))
    return name.removeprefix("sub-") if name.count("-") == 1 and name.startswith("sub-") else name


def _session_in(stem: str) -> Session | None:
    """The visit that a name made here begins with."""
    words = stem.split("_")
    if len(words) > 1 and words[0].startswith("sub-") and words[1].startswith("ses-"):
        return words[0].removeprefix("sub-"), words[1].removeprefix("ses-")
    return None


def _unknown(word: str, rows: list[Row]) -> InputError:
    visits = {session_unit((row["subject"], row["session"])) for row in rows if row["session"]}
    known = visits | {row[name] for row in rows for name in NAMES if row[name]}
    return InputError("the results know nothing of that name", hint=_nearest(_near(word, known)))


def _near(word: str, known: set[str]) -> list[str]:
    session = _session_in(word)
    if session:
        word = session_unit(session)
    return difflib.get_close_matches(word, [name for name in known if abs(len(name) - len(word)) < N_NEAR], N_NEAR)


def _nearest(near: list[str]) -> str:
    return f"near it: {', '.join(near)}" if near else "names are those of the tables: a visit, scan_id or stack_id"
