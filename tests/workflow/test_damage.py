"""What was damaged since it was written is never carried on: it is made anew, or refused."""

from __future__ import annotations

import gzip
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from paraspinal.cli.main import main
from paraspinal.cohort.asking.run_plan import what_if
from paraspinal.cohort.asking.status import status
from paraspinal.cohort.running.jobs import run_job
from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.cohort.running.runs import settings_of
from paraspinal.cohort.running.staleness import Due, due
from paraspinal.core.errors import DamagedError
from paraspinal.core.records.manifest import read_manifest
from paraspinal.core.records.receipts import UNITS, Receipt, artifacts_of, receipt_path, units_path
from paraspinal.core.records.registry import Registry
from paraspinal.core.records.seals import read_seal, seal_path

from .conftest import run_what_is_due

pytestmark = pytest.mark.workflow

FLIPS, ROUNDS = 200, 6
KINDS = {
    "receipts": ("receipts/*/sub-*.json.gz", 52),
    "units": ("receipts/*/shard-*.parquet", 20),
    "seals": ("receipts/*/*.sha256", 20),
    "shard tables": ("shards/**/*.parquet", 30),
    "cohort tables": ("tables/*.parquet", 30),
    "manifests": ("*/manifest.json", 10),
    "report": ("report/*.*", 10),
    "images": ("images/**/*w.nii.gz", 10),
    "label maps": ("images/**/*_dseg.nii.gz", 6),
    "answers of networks": ("images/**/*_probseg.nii.gz", 6),
    "pictures": ("images/**/*.png", 6),
}
"""Files that are damaged, and how many flips each kind gets."""
TIMES = ["environment", "finished_utc", "wall_seconds", "read_sha256"]
"""Columns of the activities that tell one computation of the same from another."""


def content(results: Path) -> dict[str, pd.DataFrame]:
    found = {path.stem: pd.read_parquet(path) for path in sorted((results / "tables").glob("*.parquet"))}
    found["activities"] = found["activities"].drop(columns=TIMES)
    return found


def assert_same(before: dict[str, pd.DataFrame], results: Path) -> None:
    now = content(results)
    assert now.keys() == before.keys()
    for name, table in before.items():
        pd.testing.assert_frame_equal(now[name], table, check_exact=True, obj=name)


def flip(path: Path, chance: random.Random) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    path.write_bytes(damaged)
    os.utime(path, (time.time() + 60,) * 2)  # a computer too fast for the clock of its drive is not what is tested


def owners(results: Path) -> dict[str, tuple[str, int]]:
    """Stage and shard of every artifact, by path."""
    return {
        artifact.path: (stage, shard)
        for stage in SHARD_STAGES
        for shard in Registry.read(results).shard_numbers
        for unit in UNITS.read(units_path(results, stage, shard))
        for artifact in artifacts_of(unit)
    }


def is_in_jobs(what: Due, stage: str, shard: int) -> bool:
    """Whether a job of this shard runs: that of its own stage, or of one before it."""
    return any(shard in what.shards[name] for name in SHARD_STAGES[: SHARD_STAGES.index(stage) + 1])


def rounds(results: Path, chance: random.Random) -> Iterator[list[Path]]:
    """Files to damage, round by round, none of them twice in a round."""
    chosen: list[list[Path]] = [[] for _ in range(ROUNDS)]
    for pattern, count in KINDS.values():
        files = sorted(results.glob(pattern))
        assert files, pattern
        for n in range(count):
            into = chosen[n % ROUNDS]
            into.append(chance.choice([path for path in files if path not in into] or files))
    yield from chosen


def test_no_flipped_bit_is_ever_carried_into_a_table(results: Path) -> None:
    assert sum(count for _, count in KINDS.values()) == FLIPS
    chance = random.Random(7)
    run_what_is_due(results)
    before, settings, made_by = content(results), settings_of(results), owners(results)
    for files in rounds(results, chance):
        seals = {path: read_seal(results, path.parent.name, number_of(path)) for path in files if is_seal(path)}
        receipts = {path: Receipt.read(path) for path in files if path.name.startswith("sub-")}
        for path in files:
            flip(path, chance)
        status(results)
        what_if(results, None, {}, {}, look=False)
        what = due(results, settings)
        for path in files:
            place = path.relative_to(results).as_posix()
            folder, stage = path.relative_to(results).parts[:2]
            if path in receipts:
                assert Receipt.read(path) in (None, receipts[path]), place
            elif path in seals and read_seal(results, stage, number_of(path)) == seals[path]:
                continue  # one line break for another
            elif place in made_by:
                assert is_in_jobs(what, *made_by[place]), place
            elif folder in ("tables", "report"):
                assert {"tables": what.tables, "report": what.report}[folder], place
            elif stage in SHARD_STAGES:
                assert is_in_jobs(what, stage, number_of(path)), place
            else:
                assert stage == "ingest" or folder == "shards", place
        run_job("ingest", results, None)
        run_what_is_due(results)
        assert_same(before, results)
        assert due(results, settings, must_hash=True).outputs() == []


def is_seal(path: Path) -> bool:
    return path.suffix == ".sha256"


def number_of(path: Path) -> int:
    """Number of the shard in a name; 0 for the cohort."""
    return int(path.stem.removeprefix("shard-")) if path.stem.startswith("shard-") else 0


def test_a_doubled_value_in_a_receipt_is_not_reused(results: Path) -> None:
    before = content(results)
    unit = next(row.scan_id for row in before["metrics"].itertuples() if row.volume_mm3 > 0)
    path = receipt_path(results, "measure", unit)
    said = json.loads(gzip.decompress(path.read_bytes()))
    given = next(row for row in said["rows"][0]["metrics"] if row["volume_mm3"])
    given["volume_mm3"] *= 2
    path.write_bytes(gzip.compress(json.dumps(said).encode()))
    shard = next(n for n in (1, 2) if unit in {u["unit"] for u in UNITS.read(units_path(results, "measure", n))})
    seal_path(results, "measure", shard).unlink()
    assert run_job("measure", results, shard).startswith(f"measure shard {shard}: 1 computed")
    run_what_is_due(results)
    assert_same(before, results)


@pytest.mark.parametrize(
    ("made_by", "ending", "readers"),
    [
        ("convert", "w.nii.gz", ("segment", "levels", "measure", "quality")),
        ("segment", "_dseg.nii.gz", ("measure", "quality")),
        ("segment", "_probseg.nii.gz", ("levels",)),
    ],
)
def test_damage_that_kept_the_time_is_found_by_check_and_refused_by_who_reads_it(
    results: Path, made_by: str, ending: str, readers: tuple[str, ...]
) -> None:
    settings = settings_of(results)
    artifacts = [a for u in UNITS.read(units_path(results, made_by, 1)) for a in artifacts_of(u)]
    for path in (results / a.path for a in artifacts if a.path.endswith(ending)):
        times = path.stat()
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert due(results, settings).outputs() == []
    assert due(results, settings, must_hash=True).shards[made_by] == {1: "a file is gone or damaged"}
    for reader in readers:
        for unit in UNITS.read(units_path(results, reader, 1)):
            receipt_path(results, reader, unit["unit"]).unlink()
        with pytest.raises(DamagedError, match="an image is gone or not as it was written"):
            run_job(reader, results, 1)
    assert main(["stage", readers[0], "--shard", "1", "--out", str(results)]) == 11


def test_every_word_of_a_manifest_counts(results: Path) -> None:
    path = results / "tables" / "manifest.json"
    text = path.read_text()
    for name in ("environment", "finished_utc", "reads_sha256"):
        was = json.loads(text)[name]
        path.write_text(text.replace(was, was[::-1]))
        assert read_manifest(results / "tables") is None
    path.write_text(text)
    assert read_manifest(results / "tables") is not None
