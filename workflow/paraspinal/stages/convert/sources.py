"""Find the files of a stack again, through the private index that ingest left."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from paraspinal.core.errors import INPUT_HINT, MachineError, ResultsError
from paraspinal.core.files import sha256_file, sha256_json
from paraspinal.core.records.registry import shard_name


@dataclass(frozen=True)
class StackFiles:
    """Path and frame (None: the whole file) of every slice of a stack, in the order of its grid."""

    source: str
    slices: tuple[tuple[str, int | None], ...]

    @property
    def paths(self) -> list[str]:
        """The files, each once, in order."""
        return list(dict.fromkeys(path for path, _ in self.slices))

    def sha256(self) -> str:
        """Hash the files: sha256 over the sha256 of each, in order; raises MachineError if one is gone."""
        try:
            return sha256_json([sha256_file(Path(path)) for path in self.paths])
        except FileNotFoundError:
            raise MachineError("an input file is gone", hint=INPUT_HINT) from None

    @property
    def has_frames(self) -> bool:
        """Whether the slices are frames of multi-frame files."""
        return any(frame is not None for _, frame in self.slices)


def read_index(results: Path, private: Path, shard: int) -> dict[str, StackFiles]:
    """Read the index of a shard: stack id to files.

    Raises ResultsError when it is not there, which running ingest again repairs.
    """
    try:
        cohort = json.loads((results / "registry" / "cohort.json").read_text(encoding="utf-8"))["cohort_id"]
        table = pq.read_table(private / "cohorts" / cohort / f"{shard_name(shard)}.parquet")
    except (OSError, ValueError, KeyError, TypeError):
        raise ResultsError("the private index of input files is missing", hint="run ingest again") from None
    return {
        row["stack_id"]: StackFiles(
            row["source"],
            tuple(
                (os.fsdecode(path), None if frame < 0 else frame)
                for path, frame in zip(row["paths"], row["frames"], strict=True)
            ),
        )
        for row in table.to_pylist()
    }
