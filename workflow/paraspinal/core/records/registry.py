"""The append-only registry that deals sessions to shards.

New sessions fill the last open shard, none ever moves, and a shard's file is rewritten only when its content changes.
So adding a person touches one shard, where hash buckets would touch nearly all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paraspinal.core.errors import ResultsError
from paraspinal.core.files import write_text_if_changed

Session = tuple[str, str]
"""(subject, session)"""

REGISTRY = "registry/sessions.tsv"

INVENTORY_PATH = "shards/inventory.parquet"
"""The inventory as ingest leaves it, relative to the results."""
SHEET_FACTS_PATH = "shards/participants.parquet"
"""What the participants sheet says of the people of the cohort, under their pseudonyms, relative to the results."""
INGEST_PROGRESS = "shards/ingest.progress.json"
"""How far the header pass is, relative to the results: files found, files read, seconds."""


@dataclass(frozen=True)
class Registry:
    """Sessions and the number of the shard (from 1) each was dealt to."""

    shards: dict[Session, int]

    @classmethod
    def read(cls, results: Path) -> Registry:
        """Read the registry; an absent file is an empty registry, a damaged one raises ResultsError."""
        path = results / REGISTRY
        if not path.exists():
            return cls({})
        try:
            with path.open(newline="", encoding="utf-8") as handle:
                rows = list(csv.DictReader(handle, delimiter="\t"))
            return cls({(r["subject"], r["session"]): int(r["shard"]) for r in rows})
        except (KeyError, ValueError, TypeError):
            raise ResultsError("the session registry is damaged", hint="restore registry/sessions.tsv") from None

    def deal(self, sessions: Iterable[Session], shard_size: int) -> Registry:
        """Deal new sessions, in sorted order, to the last open shard; those known stay where they are."""
        shards = dict(self.shards)
        last = max(shards.values(), default=1)
        filled = sum(1 for shard in shards.values() if shard == last)
        for session in sorted(set(sessions) - set(shards)):
            if filled >= shard_size:
                last, filled = last + 1, 0
            shards[session] = last
            filled += 1
        return Registry(shards)

    def write(self, results: Path) -> bool:
        """Write the registry if it changed; returns whether it did."""
        text = io.StringIO()
        writer = csv.writer(text, delimiter="\t", lineterminator="\n")
        writer.writerow(("subject", "session", "shard"))
        for (subject, session), shard in sorted(self.shards.items(), key=lambda item: (item[1], item[0])):
            writer.writerow((subject, session, shard))
        return write_text_if_changed(results / REGISTRY, text.getvalue())

    @property
    def shard_numbers(self) -> list[int]:
        """The numbers of all shards."""
        return sorted(set(self.shards.values()))


def shard_name(shard: int) -> str:
    """File stem of a shard."""
    return f"shard-{shard:05d}"


def shard_path(results: Path, stage: str, shard: int) -> Path:
    """Shard table of a stage."""
    return results / "shards" / stage / f"{shard_name(shard)}.parquet"
