"""What became of one visit, scan or series: every decision on its way, and what the logs say of it.

Everything is read from tables, receipts and logs of the results, which name nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from paraspinal.cohort.asking.find import Found, find
from paraspinal.cohort.running.plan import SHARD_STAGES, stage
from paraspinal.core.identity import BidsName
from paraspinal.core.reasons import what_to_do
from paraspinal.core.records.receipts import Receipt, receipt_path
from paraspinal.core.records.registry import INVENTORY_PATH, shard_name, shard_path
from paraspinal.core.records.stage import session_unit
from paraspinal.core.records.tables import Row

OVERVIEW = (
    *("stack_id", "series_id", "series_number", "plane", "sequence", "dixon_part", "n_slices", "source"),
    *("sequence_evidence", "sequence_confidence", "body_region", "body_region_evidence", "body_region_confidence"),
)
"""What the inventory says of a stack beside its disposition."""
STATE = ("status", "reason_code", "detail")


@dataclass(frozen=True)
class Decision:
    """What a stage decided on one item, by its table and its receipt."""

    stage: str
    item: str
    status: str
    reason_code: str | None
    detail: str | None
    what_to_do: str
    activity_id: str | None
    made_with: dict[str, Any] = field(default_factory=dict)
    """Code, parameters, models, tools and digest of the input of the activity, and how long it took."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Artifacts of the item and their sha256."""


@dataclass(frozen=True)
class Why:
    """The answer: what the item is, what ingest saw, what each stage decided, flags, and log lines."""

    item: str
    shard: int | None
    series: list[Row]
    decisions: list[Decision]
    missing: list[str]
    """Stages that have not finished this shard."""
    flags: list[Row]
    log: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def why(results: Path, item: str) -> Why:
    """Tell the story of a visit (`sub-x/ses-y`), a scan, a stack, a series or an artifact.

    Raises InputError, with names that are near, if the results know nothing of that name.
    """
    found = find(results, item)
    series = [_series(row) for row in _of(_read(results / INVENTORY_PATH, found, "stack_id"), "stack_id", found.stacks)]
    decisions: list[Decision] = []
    missing: list[str] = []
    if found.shard is not None:
        for name in SHARD_STAGES:
            path = shard_path(results, name, found.shard)
            if path.exists():
                decisions += _decisions(results, name, path, found)
            else:
                missing.append(name)
    names = {*found.stacks, *found.scans} | ({session_unit(found.session)} if found.session else set())
    log = _log(results, found.shard, names) if found.shard is not None else []
    return Why(found.name, found.shard, series, decisions, missing, _flags(results, found), log)


def _series(row: Row) -> Row:
    return {name: row[name] for name in (*OVERVIEW, *STATE)} | {"what_to_do": what_to_do(row["reason_code"])}


def _decisions(results: Path, name: str, path: Path, found: Found) -> list[Decision]:
    key = stage(name).makes.key[-1]
    rows = _of(_read(path, found, key), key, found.stacks if key == "stack_id" else found.scans)
    return [_decision(results, name, row[key], row) for row in rows]


def _decision(results: Path, name: str, item: str, row: Row) -> Decision:
    unit = item if stage(name).is_per_row else session_unit((row["subject"], row["session"]))
    receipt = Receipt.read(receipt_path(results, name, unit))
    made_with: dict[str, Any] = {}
    if receipt and receipt.activity.id == row["activity_id"]:
        made_with = {k: v for k, v in asdict(receipt.activity).items() if k != "stage" and v}
        made_with["seconds"] = round(receipt.wall_seconds, 2)
    token = item if stage(name).makes.key[-1] == "stack_id" else BidsName.parse(item).acquisition
    written = receipt.outputs if receipt and made_with else []
    outputs = {artifact.path: artifact.sha256 for artifact in written if token in artifact.path}
    state = {k: row[k] for k in STATE}
    return Decision(name, item, **state, what_to_do=what_to_do(row["reason_code"]), activity_id=row["activity_id"],
                    made_with=made_with, outputs=outputs)  # fmt: skip


def _read(path: Path, found: Found, key: str) -> list[Row]:
    """Rows of the visit in a table; of files that belong to no visit, the rows of the stacks."""
    table = pq.read_table(path)
    if found.session:
        subject, session = found.session
        chosen = pc.and_(pc.equal(table["subject"], subject), pc.equal(table["session"], session))
    else:
        chosen = pc.is_in(table[key], pc.cast(sorted(found.stacks), "string"))
    rows: list[Row] = table.filter(chosen).to_pylist()
    return rows


def _of(rows: Iterable[Row], key: str, names: frozenset[str]) -> list[Row]:
    return [row for row in rows if row[key] in names]


def _flags(results: Path, found: Found) -> list[Row]:
    """Flags of the scans: the cohort table has those that only the cohort shows, too."""
    whole = results / "tables" / "quality.parquet"
    if not found.session:
        return []
    if whole.exists():
        return [row for row in _of(_read(whole, found, "scan_id"), "scan_id", found.scans) if row["reason_code"]]
    path = shard_path(results, "quality", found.shard or 0)
    rows = _of(_read(path, found, "scan_id"), "scan_id", found.scans) if path.exists() else []
    return [{"scan_id": row["scan_id"], **flag} for row in rows for flag in row["flags"] or []]


def _log(results: Path, shard: int, names: set[str]) -> list[str]:
    """Lines of the logs of the last jobs that name the item, and not just something whose name begins alike."""
    words = re.compile(r"\b(" + "|".join(map(re.escape, sorted(names))) + r")\b")
    found = []
    for name in SHARD_STAGES:
        path = results / "logs" / name / f"{shard_name(shard)}.log"
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [f"{name}: {line}" for line in lines if words.search(line)]
    return found
