"""What a shard's receipts say of a stage, held against what the stage would do now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paraspinal.cohort.running.plan import stage_before
from paraspinal.core.files import sha256_file
from paraspinal.core.records.receipts import UNITS, Activity, Receipt, receipt_path, recipe_digest, unit_row, units_path
from paraspinal.core.records.registry import Session, shard_path
from paraspinal.core.records.shards import Stage, applied, session_of, session_unit, units_of
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import Status

NEW = "new input"
CHANGED = "changed input"
FOLLOWS = "an earlier stage computes it again"
CODE = "code changed"
MODEL = "model changed"
VERSION = "version"


@dataclass(frozen=True)
class Unit:
    """A unit of work of a stage; ``reason`` is why it is computed again, None if it is not."""

    rows: list[Row]
    reason: str | None = None
    is_certain: bool = True
    starts_job: bool = False
    """Whether the engine sees the reason; what only the receipts know waits for a job that has another."""
    is_new: bool = False

    @property
    def sessions(self) -> set[Session]:
        """The sessions it belongs to."""
        return {(row["subject"], row["session"]) for row in self.rows}


class Evidence:
    """One stage of one shard as it stands in the results."""

    seen: list[Row] | None = None
    """Rows the stage would read, where these are not what stands in the results."""

    def __init__(self, stage: Stage, results: Path, settings: Settings, shard: int, before: Evidence | None) -> None:
        self._stage, self._results, self._settings, self._shard = stage, results, settings, shard
        self._before = before
        self._source = shard_path(results, stage_before(stage.name), shard)
        self._table = shard_path(results, stage.name, shard)

    @property
    def must_run(self) -> bool:
        """Whether the stage has not finished this shard."""
        return not self._table.exists()

    def unseen(self, members: set[Session]) -> set[Session]:
        """Of the sessions of the shard those of which the stage before has nothing yet."""
        if self.seen is not None or self._source.exists() or self._before is None:
            return set()
        begun = {session_of(unit) for unit in self._before.receipts}
        return {session for session in members if session_unit(session) not in begun}

    def known_units(self, sessions: set[Session]) -> Counter[str]:
        """Units of these sessions that were done before, by session; they may be reused yet."""
        names = {session_unit(session) for session in sessions}
        return Counter(session for unit in self._known if (session := session_of(unit)) in names)

    def units(self, recipe: Activity, made: Mapping[str, bool]) -> list[Unit]:
        """The units of work and what becomes of them, as far as rows of the stage before are known.

        ``made`` are the rows that the stage before makes again, by name, and whether they will differ for certain.
        """
        known = self._known
        is_same_table = self.seen is None and self._is_as_read(known)
        digest = recipe_digest(recipe)
        if is_same_table and not made and all(row["recipe_sha256"] == digest for row in known.values()):
            return [Unit([]) for _ in known]
        rows = self._rows_before(whole=not is_same_table)
        return [
            self._judge(known.get(name), members, recipe, made, is_same_table)
            for name, members in units_of(self._stage, rows)
        ]

    def _judge(
        self, was: Row | None, rows: list[Row], recipe: Activity, made: Mapping[str, bool], is_same_table: bool
    ) -> Unit:
        if was is None:
            return Unit(rows, NEW, starts_job=True, is_new=True)
        now = self._stage.narrow(recipe, rows, self._settings)
        if reasons := _differences(was, now):
            return Unit(rows, "; ".join(reasons), starts_job=any(not r.startswith(VERSION) for r in reasons))
        again = [made[name] for row in rows if (name := self._name(row)) in made]
        if any(again):
            return Unit(rows, FOLLOWS, starts_job=True)
        if again:
            return Unit(rows, FOLLOWS, is_certain=False, starts_job=True)
        if not is_same_table and applied(now, rows).inputs_sha256 != was["inputs_sha256"]:
            return Unit(rows, CHANGED, starts_job=True)
        return Unit(rows)

    def rows_after(self, changing: list[Unit], made: Mapping[str, bool]) -> dict[str, bool]:
        """Rows this stage makes again when it computes these units, and whether they will differ for certain.

        A row that goes through the stage takes its difference along, and other weights leave their sha256 in it. Of
        everything else nobody knows.
        """
        old = [unit for unit in changing if not unit.is_new]
        if not old:
            return {}
        if self._stage.reads.key != self._stage.writes.key:
            sessions = {session for unit in old for session in unit.sessions}
            return {row["scan_id"]: False for row in self._done if (row["subject"], row["session"]) in sessions}
        usable = {self._name(row) for row in self._done if Status(row["status"]).is_usable}
        after = {}
        for unit in old:
            is_other = unit.reason == CHANGED or MODEL in (unit.reason or "")
            for row in unit.rows:
                name = self._name(row)
                after[name] = bool(made.get(name)) or (is_other and name in usable)
        return after

    def _name(self, row: Row) -> str:
        name: str = row[self._stage.reads.key[-1]]
        return name

    @cached_property
    def _known(self) -> dict[str, Row]:
        """What receipts say, by unit: summed up, or one by one for a shard that was never finished."""
        path = units_path(self._results, self._stage.name, self._shard)
        if path.exists() and not self.must_run:
            return {row["unit"]: row for row in UNITS.read(path)}
        return {name: unit_row(name, receipt, "", "") for name, receipt in self.receipts.items()}

    @cached_property
    def receipts(self) -> dict[str, Receipt]:
        """Receipts by unit, read one by one."""
        names = [name for name, _ in units_of(self._stage, self._rows_before(whole=False))]
        found = {name: Receipt.read(receipt_path(self._results, self._stage.name, name)) for name in names}
        return {name: receipt for name, receipt in found.items() if receipt}

    def _is_as_read(self, known: Mapping[str, Row]) -> bool:
        read = {row["read_sha256"] for row in known.values()}
        return self._source.exists() and read == {sha256_file(self._source)}

    def _rows_before(self, *, whole: bool) -> list[Row]:
        """Rows of the stage before; without what only a digest needs unless ``whole``."""
        if self.seen is not None:
            return self.seen
        if not self._source.exists():
            return [row for receipt in self._before.receipts.values() for row in receipt.rows] if self._before else []
        return _read(self._source, None if whole else [f.name for f in self._stage.reads.schema if _is_plain(f.type)])

    @cached_property
    def _done(self) -> list[Row]:
        """Keys and status of the rows that the stage has written."""
        columns = [*self._stage.writes.key, "status"]
        if not self.must_run:
            return _read(self._table, columns)
        return [{name: row[name] for name in columns} for receipt in self.receipts.values() for row in receipt.rows]


def _read(path: Path, columns: list[str] | None) -> list[Row]:
    with pq.ParquetFile(path) as file:
        rows: list[Row] = file.read(columns, use_threads=False).to_pylist()
    return rows


def _is_plain(kind: pa.DataType) -> bool:
    return not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type))


def _differences(was: Row, now: Activity) -> list[str]:
    """Say in what a recipe differs from that of a receipt."""
    found = [CODE] if was["code_digest"] != now.code_digest else []
    for name, old, new in _changed(was["parameters"], now.parameters):
        is_digest = isinstance(new, str) and isinstance(old, str) and len(old) == len(new) == 64
        found.append(f"{name} changed" if is_digest else f"{name} {_short(old)} -> {_short(new)}")
    found += [f"{MODEL}: {role}" for role, _, _ in _changed(was["models"], now.models)]
    found += [
        f"version of {tool} {_short(old)} -> {_short(new)}" for tool, old, new in _changed(was["tools"], now.tools)
    ]
    return found


def _changed(was: str, now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    old = json.loads(was)
    return [(name, old.get(name), now.get(name)) for name in sorted({*old, *now}) if old.get(name) != now.get(name)]


def _short(value: Any) -> str:
    return "none" if value is None else str(value)
