"""What must hold before a cohort's tables are written: nothing got lost, and not too much failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from paraspinal.core.errors import CircuitBreakerError, ResultsError
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import FailureLimitSettings
from paraspinal.core.vocab import Status

State = tuple[str, str | None]
"""Status and reason code."""


@dataclass
class Tallies:
    """What is counted while the shards pass by, for the checks afterwards."""

    usable: set[str] = field(default_factory=set)
    """Stacks of a visit that the stages may work on."""
    in_scans: Counter[str] = field(default_factory=Counter)
    """How often each stack is part of a scan."""
    warned: dict[str, Row] = field(default_factory=dict)
    """Status, reason code and detail of every stack with a warning."""
    states: dict[str, Counter[State]] = field(default_factory=lambda: {"stacks": Counter(), "scans": Counter()})

    def add_stacks(self, inventory: pa.Table) -> None:
        """Count a part of the inventory; stacks that belong to no visit are not judged."""
        found = inventory.select(["stack_id", "status", "reason_code", "detail"]).filter(
            pc.is_valid(inventory["session"])
        )
        for row in found.to_pylist():
            stack = row.pop("stack_id")
            self.states["stacks"][row["status"], row["reason_code"]] += 1
            if Status(row["status"]).is_usable:
                self.usable.add(stack)
            if row["status"] == Status.WARN.value:
                self.warned[stack] = row

    def add_scans(self, scans: pa.Table) -> None:
        """Count the scans of a shard."""
        self.in_scans.update(pc.list_flatten(scans["stack_ids"]).to_pylist())
        self.states["scans"].update(zip(scans["status"].to_pylist(), scans["reason_code"].to_pylist(), strict=True))


def check_counts(tallies: Tallies) -> None:
    """Every usable stack is in exactly one scan; raises ResultsError."""
    if set(tallies.in_scans) != tallies.usable or any(n != 1 for n in tallies.in_scans.values()):
        raise ResultsError(
            f"{len(tallies.usable)} usable stacks, but {len(tallies.in_scans)} in scans",
            hint="this is a bug, report it",
        )


def check_failure_limit(tallies: Tallies, failure_limit: FailureLimitSettings) -> None:
    """Stop when so much failed, or failed for one reason, that what is left would mislead."""
    for what, states in tallies.states.items():
        counted = sum(n for (status, _), n in states.items() if status != Status.EXCLUDED.value)
        bad: Counter[str | None] = Counter()
        for (status, reason), n in states.items():
            if Status(status).is_failure:
                bad[reason] += n
        if counted >= failure_limit.min_items and bad.total() > failure_limit.max_failed_frac * counted:
            reasons = ", ".join(f"{reason} {n}" for reason, n in bad.most_common(3))
            raise CircuitBreakerError(
                f"{bad.total()} of {counted} {what} failed ({reasons})",
                hint="see `paraspinal status`; failure_limit.max_failed_frac sets the limit",
            )
