"""One item after the other: what a fault in one does to it, and what stops the job instead."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from paraspinal.core.errors import DataError, ParaspinalError, raise_machine_trouble
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.vocab import Reason, Status

log = logging.getLogger(__name__)


def failed(row: Row, reason: Reason, detail: str = "") -> Row:
    """Mark a row as failed for a reason in the data."""
    return {**row, "status": Status.FAILED.value, "reason_code": reason.value, "detail": detail or None}


def per_item(function: Callable[[Row, Work], Row]) -> Callable[[list[Row], Work], list[Row]]:
    """Turn a function on one row into one on a session's rows.

    Rows that are not usable pass through untouched; a DataError becomes a failed row; a software error becomes one
    with UNEXPECTED_ERROR, so that one scan never stops the batch. Trouble of the machine (memory, disk, device) becomes
    MachineError and is passed on, as is that of the set-up (a wrong model): the job ends and is tried again.
    """

    def process(rows: list[Row], work: Work) -> list[Row]:
        done = []
        for row in rows:
            usable = Status(row["status"]).is_usable
            done += guarded(partial(_one, function, row, work), [row]) if usable else [dict(row)]
        return done

    return process


def _one(function: Callable[[Row, Work], Row], row: Row, work: Work) -> list[Row]:
    return [function(row, work)]


def guarded(function: Callable[[], list[Row]], rows: list[Row]) -> list[Row]:
    """Call ``function``; on a fault in the data or a software error return ``rows`` marked as failed.

    Raises MachineError for trouble of the machine, which says nothing about these rows.
    """
    try:
        return function()
    except DataError as error:
        return [failed(row, error.reason, error.detail) for row in rows]
    except ParaspinalError:
        raise
    except Exception as error:
        raise_machine_trouble(error)
        where = traceback.extract_tb(error.__traceback__)[-1]
        # The message may quote data, so only the kind of fault and its place are kept.
        detail = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
        item = next((rows[0][key] for key in ("scan_id", "stack_id", "session") if rows[0].get(key)), "an item")
        log.error("fault while processing %s: %s", item, detail)
        return [failed(row, Reason.UNEXPECTED_ERROR, detail) for row in rows]
