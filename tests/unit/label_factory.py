"""A registry of labels with one more muscle than ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import pytest

from paraspinal.core import labels
from paraspinal.core.vocab import Muscle


class NinthMuscle(StrEnum):
    """A muscle that no model of today draws."""

    ROTATORES = "rotatores"


NINTH_CODE = max(labels.muscle_labels().values()) + 1


@contextmanager
def nine_labels(folder: Path) -> Iterator[None]:
    """Let the registry have a ninth label while the block runs; ``folder`` is for its file."""
    text = (labels.RESOURCES / "labels.tsv").read_text()
    (folder / "labels.tsv").write_text(f"{text}{NINTH_CODE}\trotatores_left\tmuscle\trotatores\tleft\t\n")

    def muscle(name: str) -> Muscle | NinthMuscle:
        return NinthMuscle(name) if name == NinthMuscle.ROTATORES else Muscle(name)

    def forget() -> None:
        for cached in (labels.all_labels, labels.muscle_labels, labels.label_by_name):
            cached.cache_clear()

    n_labels = len(labels.muscle_labels())
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(labels, "RESOURCES", folder)
            patched.setattr(labels, "Muscle", muscle)
            forget()
            assert len(labels.muscle_labels()) == n_labels + 1
            yield
    finally:
        forget()
