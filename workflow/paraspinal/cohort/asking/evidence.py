"""What a shard's receipts say of a stage, held against what the stage would do now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from paraspinal.cohort.running.plan import sources
from paraspinal.core.records.receipts import (
    UNITS,
    Activity,
    Receipt,
    artifacts_of,
    receipt_path,
    recipe_digest,
    unit_row,
    units_path,
)
from paraspinal.core.records.registry import Session
from paraspinal.core.records.shards import tables_digest
from paraspinal.core.records.stage import Stage, session_of, session_unit
from paraspinal.core.records.tables import Row
from paraspinal.core.records.views import LATEST, Source, read_rows
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import Status

NEW = "new input"
CHANGED = "changed input"
FOLLOWS = "an earlier stage computes it again"
CODE = "code changed"
MODEL = "model changed"
DAMAGED = "a file is gone or damaged"
RETRY = "a software error is tried again"
LEFT = "what left the input is taken out"
UNFINISHED = "the shard was not finished"
BRIEF = ("read_sha256", "recipe_sha256", "is_final")
WEIGHTS = "model_sha256"
"""The column that other weights change for certain."""


@dataclass(frozen=True)
class Unit:
    """A unit of work of a stage; ``reason`` is why it is computed again, None if it is not."""

    rows: list[Row]
    reason: str | None = None
    is_certain: bool = True
    is_new: bool = False

    @property
    def sessions(self) -> set[Session]:
        """The sessions it belongs to."""
        return {(row["subject"], row["session"]) for row in self.rows}


class Evidence:
    """One stage of one shard as it stands in the results.

    Artifacts are known by size and time, with ``must_hash`` by their content, and not looked at where it is None.
    ``is_readable`` tells of a table of this shard whether it is as it was written, and of this version.
    """

    seen: list[Row] | None = None
    """Rows that ingest would write, where these are not what stands in the results."""
    has_left: bool = False
    """Whether the shard's table holds units that are no longer in the input."""

    def __init__(
        self,
        stage: Stage,
        results: Path,
        settings: Settings,
        shard: int,
        must_hash: bool | None,
        is_readable: Callable[[Source], bool],
    ) -> None:
        self._stage, self._results, self._settings, self._shard = stage, results, settings, shard
        self._sources, self._must_hash, self._is_readable = sources(stage.name), must_hash, is_readable

    @cached_property
    def is_finished(self) -> bool:
        """Whether table and units of the shard are there and as they were written."""
        return self._is_readable(Source(self._stage.name, self._stage.makes))

    def unseen(self, members: set[Session]) -> set[Session]:
        """Of the sessions of the shard those of which the stages before have nothing yet."""
        if self.seen is not None or self._readable:
            return set()
        return members

    def known_units(self, sessions: set[Session]) -> Counter[str]:
        """Units of these sessions that were done before, by session; they may be reused yet."""
        names = {session_unit(session) for session in sessions}
        return Counter(session for unit in self._known if (session := session_of(unit)) in names)

    def units(self, recipe: Activity, made: Mapping[str, bool]) -> list[Unit]:
        """The units of work and what becomes of them, as far as rows of the stages before are known.

        ``made`` are the rows that stages before make again, by name, and whether weights in them differ for certain.
        """
        is_same = self.seen is None and not made and self.is_finished and self._is_as_read
        if is_same and self._said("recipe_sha256") <= {recipe_digest(recipe)}:
            if self._must_hash is None and self._said("is_final") <= {True}:
                return [Unit([])] * self._brief.num_rows
            return [Unit([], self._harm(was)) for was in self._known.values()]
        units = self._stage.units(self._rows())
        self.has_left = bool(set(self._known) - {name for name, _ in units}) and self.is_finished
        return [self._assess(self._known.get(name), members, recipe, made) for name, members in units]

    def _assess(self, was: Row | None, rows: list[Row], recipe: Activity, made: Mapping[str, bool]) -> Unit:
        if was is None:
            return Unit(rows, NEW, is_new=True)
        if reasons := _differences(was, self._stage.narrow(recipe, rows, self._settings)):
            return Unit(rows, "; ".join(reasons))
        if harm := self._harm(was):
            return Unit(rows, harm)
        again = [made[name] for row in rows if (name := self._name(row)) in made]
        if again:
            return Unit(rows, FOLLOWS, is_certain=any(again) and WEIGHTS in self._stage.uses)
        if len(self._readable) < len(self._sources) and self.seen is None:
            return Unit(rows, FOLLOWS, is_certain=False)
        is_same = self.seen is None and self._is_as_read
        if not is_same and self._stage.applied(recipe, rows, self._settings).inputs_sha256 != was["inputs_sha256"]:
            return Unit(rows, CHANGED)
        return Unit(rows)

    def _harm(self, was: Row) -> str | None:
        """Why a unit that nothing has changed for is computed again all the same."""
        if not was["is_final"]:
            return RETRY
        if self._must_hash is None:
            return None
        there = (a.is_there(self._results, was["finished_utc"], must_hash=self._must_hash) for a in artifacts_of(was))
        return None if all(there) else DAMAGED

    def rows_after(self, changing: Sequence[Unit], made: Mapping[str, bool]) -> dict[str, bool]:
        """Rows that stages before the next one make again, and whether weights in them will differ for certain."""
        old = [unit for unit in changing if not unit.is_new]
        if not old:
            return dict(made) if self._stage.key == self._stage.makes.key else {}
        if self._stage.key != self._stage.makes.key:
            sessions = {session for unit in old for session in unit.sessions}
            return {row["scan_id"]: False for row in self._done if (row["subject"], row["session"]) in sessions}
        usable = {self._name(row) for row in self._done if Status(row["status"]).is_usable}
        after = dict(made)
        for unit in old:
            for row in unit.rows:
                name = self._name(row)
                after[name] = after.get(name, False) or (MODEL in (unit.reason or "") and name in usable)
        return after

    def _name(self, row: Row) -> str:
        name: str = row[self._stage.key[-1]]
        return name

    @cached_property
    def _known(self) -> dict[str, Row]:
        """What receipts say, by unit: summed up, or one by one for a shard that was never finished."""
        if self.is_finished:
            return {row["unit"]: row for row in UNITS.read(units_path(self._results, self._stage.name, self._shard))}
        return {name: unit_row(name, receipt, "", "", "") for name, receipt in self._receipts.items()}

    @cached_property
    def _brief(self) -> pa.Table:
        """Of a finished shard the few columns that tell whether anything may have changed at all."""
        return UNITS.read_arrow(units_path(self._results, self._stage.name, self._shard), BRIEF)

    def _said(self, column: str) -> set[Any]:
        """The values of a column of the units of a shard, each once."""
        return set(self._brief[column].unique().to_pylist()) if self.is_finished else set()

    @cached_property
    def _receipts(self) -> dict[str, Receipt]:
        """Receipts by unit, read one by one."""
        if not self._readable and self.seen is None:
            return {}
        names = [name for name, _ in self._stage.units(self._rows())]
        found = {name: Receipt.read(receipt_path(self._results, self._stage.name, name)) for name in names}
        return {name: receipt for name, receipt in found.items() if receipt}

    @cached_property
    def _is_as_read(self) -> bool:
        """Whether the units were made from the tables that stand there now, and those are as they were written."""
        now = tables_digest(self._results, self._sources, self._shard)
        is_whole = self.is_finished and len(self._readable) == len(self._sources)
        return is_whole and self._said("read_sha256") <= {now}

    @cached_property
    def _readable(self) -> list[Source]:
        """The tables it reads that are there and as they were written, up to the first that is not."""
        found = []
        for source in self._sources:
            if not self._is_readable(source):
                break
            found.append(source)
        return found

    def _rows(self) -> list[Row]:
        """The rows it reads, as far as they are known: those of the first table; what no other holds yet is null."""
        if self.seen is not None:
            return self.seen
        rows: dict[str, Row] = {}
        for source in self._readable:
            columns = [name for name in self._stage.reads if name in source.table.names]
            for row in read_rows(self._results, [source], self._shard, columns):
                if source is self._readable[0] or self._name(row) in rows:
                    known = {name: value for name, value in row.items() if value is not None or name in LATEST}
                    rows.setdefault(self._name(row), dict.fromkeys(self._stage.reads)).update(known)
        return list(rows.values())

    @cached_property
    def _done(self) -> list[Row]:
        """Keys and status of the rows that the stage has written."""
        columns = [*self._stage.makes.key, "status"]
        if self.is_finished:
            return read_rows(self._results, [Source(self._stage.name, self._stage.makes)], self._shard, columns)
        return [{name: row[name] for name in columns} for receipt in self._receipts.values() for row in receipt.rows]


def _differences(was: Row, now: Activity) -> list[str]:
    """Say in what a recipe differs from that of a receipt."""
    found = [CODE] if was["code_digest"] != now.code_digest else []
    for name, old, new in _changed(was["parameters"], now.parameters):
        is_digest = isinstance(new, str) and isinstance(old, str) and len(old) == len(new) == 64
        found.append(f"{name} changed" if is_digest else f"{name} {_short(old)} -> {_short(new)}")
    found += [f"{MODEL}: {role}" for role, _, _ in _changed(was["models"], now.models)]
    # A tool that is not installed here, as on the node a cluster is driven from, is what it was.
    tools = {name: version for name, version in now.tools.items() if version}
    found += [
        f"version of {tool} {_short(old)} -> {_short(new)}"
        for tool, old, new in _changed(was["tools"], tools)
        if tool in tools or tool not in now.tools
    ]
    return found


def _changed(was: str, now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    old = json.loads(was)
    return [(name, old.get(name), now.get(name)) for name in sorted({*old, *now}) if old.get(name) != now.get(name)]


def _short(value: Any) -> str:
    return "none" if value is None else str(value)
