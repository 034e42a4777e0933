"""How far the header pass is, for people watching; nothing depends on it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paraspinal.core.files import write_text
from paraspinal.core.records.registry import INGEST_PROGRESS
from paraspinal.stages.ingest.reading.header_pass import PassTally, Report

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
LOG_EVERY_SECONDS = 30.0


@contextmanager
def shown_in(results: Path) -> Iterator[Report]:
    """Yield a report that notes counts in the results folder every second while the block runs, and logs some."""
    began = time.monotonic()
    noted, logged = 0.0, 0.0

    def report(tally: PassTally) -> None:
        nonlocal noted, logged
        passed = time.monotonic() - began
        if passed - noted >= EVERY_SECONDS:
            noted = passed
            counts = {"files": tally.n_files, "read": tally.n_read, "seconds": round(passed, 1)}
            write_text(results / INGEST_PROGRESS, json.dumps(counts))
        if passed - logged >= LOG_EVERY_SECONDS:
            logged = passed
            log.info("headers: %d files found, %d read in %.0f s", tally.n_files, tally.n_read, passed)

    try:
        yield report
    finally:
        (results / INGEST_PROGRESS).unlink(missing_ok=True)
