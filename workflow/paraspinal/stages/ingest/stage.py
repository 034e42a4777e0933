"""The front door: any tree in, an inventory and one table per shard out, nobody named."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from paraspinal.core.errors import ResultsError
from paraspinal.core.identity import Identity
from paraspinal.core.records.people_schemas import COVARIATES
from paraspinal.core.records.registry import INVENTORY_PATH, SHEET_FACTS_PATH, Registry, Session, shard_path
from paraspinal.core.records.schemas import INVENTORY, SESSION_STACKS
from paraspinal.core.records.seals import COHORT, write_seal
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import Settings
from paraspinal.stages.ingest.identity.participants import facts_of, load_participants
from paraspinal.stages.ingest.inventory import short_stacks
from paraspinal.stages.ingest.output import cohort_id, private_folder, write_if_changed, write_index
from paraspinal.stages.ingest.progress import shown_in
from paraspinal.stages.ingest.reading.header_pass import Report
from paraspinal.stages.ingest.stacking.collect_stacks import collect_stacks
from paraspinal.stages.ingest.stacking.stack_store import StackStore

log = logging.getLogger(__name__)

BATCH_ROWS = 10_000
"""Rows of the inventory in memory at a time."""

MAX_GONE_FRAC = 0.5
"""More of the visits than this do not leave a study; their drive has gone."""


@dataclass(frozen=True)
class IngestSummary:
    """What ingest found and changed."""

    n_files: int
    n_read: int
    n_stacks: int
    n_sessions: int
    n_new_sessions: int
    shards: tuple[int, ...]
    rewritten_shards: tuple[int, ...]
    statuses: Mapping[str, int]
    seconds: float


def ingest(settings: Settings) -> IngestSummary:
    """Read the input, account for every file, and write inventory, shard tables and private index.

    Raises InputError when there is no input, IdentityError when the key is unsafe, ResultsError when the results
    belong to another cohort.
    """
    started = time.monotonic()
    results = settings.out_path
    with shown_in(results) as report, collect_stacks(settings, report) as (store, tally):
        registry = Registry.read(results)
        sessions = store.sessions()
        _check_same_cohort(set(registry.shards), sessions)
        dealt = registry.deal(sessions, settings.shard_size)
        rewritten = _write(settings, store, dealt, sessions)
        _write_facts(settings, {subject for subject, _ in dealt.shards})
        write_seal(results, "ingest", COHORT, [results / INVENTORY_PATH, results / SHEET_FACTS_PATH])
        dealt.write(results)
        statuses = store.statuses()
    summary = IngestSummary(
        n_files=tally.n_files,
        n_read=tally.n_read,
        n_stacks=sum(statuses.values()),
        n_sessions=len(sessions),
        n_new_sessions=len(sessions - set(registry.shards)),
        shards=tuple(dealt.shard_numbers),
        rewritten_shards=rewritten,
        statuses=statuses,
        seconds=time.monotonic() - started,
    )
    log.info("ingest: %d files, %d read, %d stacks", summary.n_files, summary.n_read, summary.n_stacks)
    return summary


def take_inventory(settings: Settings, report: Report) -> list[Row]:
    """List what the input holds, in the columns of the inventory, without running or writing anything.

    What is read is kept in the private folder, so that a run which follows does not read it again.
    """
    with collect_stacks(settings, report) as (store, _):
        return list(_inventory(store, {}))


def _check_same_cohort(known: set[Session], found: set[Session]) -> None:
    """Refuse to replace what a cohort has by what is mostly not it: another input, or a drive that is not mounted."""
    gone = len(known - found)
    if known and found and gone == len(known):
        hint = "is it another input, or another people sheet? Choose another out, or empty it"
        raise ResultsError("the results folder belongs to another cohort", hint=hint)
    if gone > MAX_GONE_FRAC * len(known):
        raise ResultsError(
            f"{gone} of the {len(known)} visits of the results are gone from the input",
            hint="is a drive not mounted? To go on without them choose another out, or empty it",
        )


def _inventory(store: StackStore, shards: Mapping[Session, int]) -> Iterator[Row]:
    """Yield the rows of the inventory; what only the whole cohort shows is noted here and not in the shards."""
    short = short_stacks(store.rows())
    for row in store.rows():
        shard = shards.get((row["subject"], row["session"]))
        yield {**row, **short.get(row["stack_id"], {}), "shard": shard, "decided_by": "ingest"}


def _write_facts(settings: Settings, subjects: set[str]) -> None:
    """Write what the participants sheet says of the people of the cohort; other people's rows stay where they are."""
    rows = load_participants(settings.ingest.participants_sheet)
    identity = Identity.load(settings.private_path)
    facts = [fact for row in rows for fact in facts_of(row, identity) if fact["subject"] in subjects]
    n_strangers = len(rows) - len({fact["subject"] for fact in facts})
    if n_strangers:
        log.warning("rows of the participants sheet that match nobody, or say nothing: %d", n_strangers)
    write_if_changed(settings.out_path / SHEET_FACTS_PATH, COVARIATES, [facts])


def _write(settings: Settings, store: StackStore, registry: Registry, sessions: set[Session]) -> tuple[int, ...]:
    results = settings.out_path
    private = private_folder(settings.private_path, cohort_id(results))
    by_shard: dict[int, list[Session]] = {shard: [] for shard in registry.shard_numbers}
    for session in sorted(sessions):
        by_shard[registry.shards[session]].append(session)
    rewritten = []
    for shard, members in by_shard.items():
        rows = [row for session in members for row in store.rows(session)]
        index = sorted((row["stack_id"], row["source"], store.slices(row["stack_id"])) for row in rows)
        write_index(private, shard, index)
        plain = [{name: row.get(name) for name in SESSION_STACKS.names} for row in rows]
        path = shard_path(results, "ingest", shard)
        if write_if_changed(path, SESSION_STACKS, [plain]):
            rewritten.append(shard)
        write_seal(results, "ingest", shard, [path])
    inventory = _inventory(store, registry.shards)
    write_if_changed(results / INVENTORY_PATH, INVENTORY, iter(lambda: list(islice(inventory, BATCH_ROWS)), []))
    return tuple(rewritten)
