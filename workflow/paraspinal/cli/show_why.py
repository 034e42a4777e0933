"""The story of one item as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paraspinal.cohort.asking.why import Decision, Why
from paraspinal.core.reasons import reason_text
from paraspinal.core.records.tables import Row

SHORT = 12
"""Characters of a digest that people compare."""


def lines(found: Why) -> Iterator[str]:
    """What the item is, what ingest saw of it, what every stage decided, flags and log lines."""
    yield f"{found.item}" + (f" (shard {found.shard})" if found.shard is not None else " (belongs to no visit)")
    yield "\nWhat came in"
    for row in found.series:
        yield from _series(row)
    if found.decisions or found.missing:
        yield "\nWhat the stages decided"
    said: dict[str, str] = {}
    for decision in found.decisions:
        state = _state(decision.status, decision.reason_code, decision.detail)
        yield f"  {decision.stage:<10} {decision.item}: {state}"
        if decision.what_to_do:
            yield f"{'':14}what to do: {decision.what_to_do}"
        if decision.activity_id and said.get(decision.stage) != decision.activity_id:
            said[decision.stage] = decision.activity_id
            yield from _origin(decision)
    for name in found.missing:
        yield f"  {name:<10} not done yet"
    if found.flags:
        yield "\nFlags"
    for flag in found.flags:
        where = " ".join(str(flag[name]) for name in ("muscle", "side", "level") if flag.get(name))
        yield f"  {flag['light']:<6} {flag['scan_id']} {where}: {_reason(flag['reason_code'], flag.get('detail'))}"
    if found.log:
        yield "\nLogs of the last jobs"
    yield from (f"  {line}" for line in found.log)


def _series(row: Row) -> Iterator[str]:
    what = " ".join(str(row[name]) for name in ("plane", "sequence", "dixon_part") if row[name])
    slices = f", {row['n_slices']} slices" if row["n_slices"] else ""
    yield f"  stack {row['stack_id']} of series {row['series_id'] or 'unknown'}: {what}{slices}"
    yield f"{'':14}{_state(row['status'], row['reason_code'], row['detail'])}"
    if row["what_to_do"]:
        yield f"{'':14}what to do: {row['what_to_do']}"
    for name, words in (("sequence", "sequence"), ("body_region", "body region")):
        if row[f"{name}_evidence"]:
            trust = row[f"{name}_confidence"]
            yield f"{'':14}{words} {row[name]}: {row[f'{name}_evidence']}" + (f" (trust {trust:g})" if trust else "")


def _state(status: str, reason: str | None, detail: str | None) -> str:
    return status + (f", {_reason(reason, detail)}" if reason else "")


def _reason(reason: str | None, detail: str | None) -> str:
    return f"{reason} - {reason_text(reason)}" + (f" ({detail})" if detail else "")


def _origin(decision: Decision) -> Iterator[str]:
    """By what and from what it was made."""
    with_ = decision.made_with
    if not with_:
        yield f"{'':14}activity {decision.activity_id}; its receipt is gone or of another activity"
        return
    yield (
        f"{'':14}activity {decision.activity_id}, code {with_['code_digest']}, "
        f"from rows {with_['inputs_sha256'][:SHORT]}, {with_['seconds']} s"
    )
    for kind in ("parameters", "models", "tools"):
        if with_.get(kind):
            yield f"{'':14}{kind}: {', '.join(f'{k} {_short(v)}' for k, v in with_[kind].items())}"
    for path, sha256 in decision.outputs.items():
        yield f"{'':14}wrote {path} ({sha256[:SHORT]})"


def _short(value: Any) -> str:
    text = str(value)
    return text[:SHORT] if len(text) == 64 else text
