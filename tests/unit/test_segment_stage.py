"""What the segment stage records of muscles: disagreement beside the outlines, refusals instead of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from label_factory import NINTH_CODE, nine_labels

from paraspinal.core.errors import DataError
from paraspinal.core.identity import BidsName
from paraspinal.core.labels import muscle_labels
from paraspinal.core.records.schemas import LABEL_DISAGREEMENT
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason, Status
from paraspinal.models.inference import SegmentationResult
from paraspinal.stages.segment import stage as segment

CODES = tuple(muscle_labels().values())


class FakeWork:
    """A shard's services with a segmenter that answers what it was given."""

    def __init__(self, image_path: Path, result: SegmentationResult, drawn: tuple[int, ...]) -> None:
        self.settings = None
        self.image = image_path
        self.segmenter = SimpleNamespace(
            segment=lambda image: result,
            model=SimpleNamespace(identifier="toy@1.0.0", sha256="0" * 64, card=SimpleNamespace(muscle_codes=drawn)),
        )
        self.saved: list[str] = []

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        return self.segmenter

    def image_path(self, path: str) -> Path:
        return self.image

    def save_image(self, image: sitk.Image, path: str) -> str:
        self.saved.append(path)
        return "1" * 64


@pytest.fixture
def row() -> Row:
    name = BidsName(subject="01", session="01", acquisition="x", suffix="T2w")
    known = {"role": "muscles", "scan_id": name.stem, "image_path": "x", "status": Status.OK.value}
    return {**known, "levels_from_same_image": None}


def result_with(codes: tuple[int, ...], objection: str | None = None) -> SegmentationResult:
    labels = np.zeros((2, 4, 8), dtype=np.uint16)
    labels.reshape(-1)[: len(codes)] = codes
    each = dict.fromkeys(codes, 0.1)
    slices: dict[int, list[float | None]] = {code: [0.1, None] for code in codes}
    return SegmentationResult(sitk.GetImageFromArray(labels), each, each, slices, objection)


def work_for(tmp_path: Path, result: SegmentationResult, drawn: tuple[int, ...] = CODES) -> FakeWork:
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(result.label_map, path)
    return FakeWork(path, result, drawn)


def test_disagreement_is_recorded_per_muscle_and_slice(tmp_path: Path, row: Row) -> None:
    work = work_for(tmp_path, result_with(CODES))
    found = segment._muscles(row, work)  # type: ignore[arg-type]
    assert len(work.saved) == 1
    assert [u["label"] for u in found["label_disagreement"]] == sorted(CODES)
    names = {LABEL_DISAGREEMENT.field(i).name for i in range(LABEL_DISAGREEMENT.num_fields)}
    for one in found["label_disagreement"]:
        assert set(one) == names
        assert (one["flip_disagreement"], one["slice_disagreement"]) == (0.1, [0.1, None])


def test_what_is_no_back_is_refused_and_nothing_is_saved(tmp_path: Path, row: Row) -> None:
    work = work_for(tmp_path, result_with(CODES, "outlines of image and mirror image disagree"))
    with pytest.raises(DataError) as refusal:
        segment._muscles(row, work)  # type: ignore[arg-type]
    assert refusal.value.reason is Reason.SEG_IMPLAUSIBLE
    assert not work.saved


def test_an_image_without_any_muscle_is_empty(tmp_path: Path, row: Row) -> None:
    with pytest.raises(DataError) as refusal:
        segment._muscles(row, work_for(tmp_path, result_with(())))  # type: ignore[arg-type]
    assert refusal.value.reason is Reason.SEG_EMPTY


def test_missing_muscles_are_a_warning(tmp_path: Path, row: Row) -> None:
    found = segment._muscles(row, work_for(tmp_path, result_with(CODES[:5])))  # type: ignore[arg-type]
    assert (found["status"], found["reason_code"]) == (Status.WARN.value, Reason.SEG_PARTIAL.value)
    assert "3 of 8" in found["detail"]


def test_a_model_is_judged_by_the_muscles_of_its_card(tmp_path: Path, row: Row) -> None:
    six = CODES[:6]
    found = segment._muscles(row, work_for(tmp_path, result_with(six), six))  # type: ignore[arg-type]
    assert found["status"] == Status.OK.value
    assert found["model_labels"] == list(six)
    found = segment._muscles(row, work_for(tmp_path, result_with(six[:5]), six))  # type: ignore[arg-type]
    assert (found["reason_code"], found["detail"]) == ("SEG_PARTIAL", "1 of 6 muscles not found")
    with pytest.raises(DataError, match="SEG_EMPTY"):
        segment._muscles(row, work_for(tmp_path, result_with(()), six))  # type: ignore[arg-type]


def test_a_ninth_label_makes_no_model_of_today_incomplete(tmp_path: Path, row: Row) -> None:
    with nine_labels(tmp_path):
        found = segment._muscles(row, work_for(tmp_path, result_with(CODES)))  # type: ignore[arg-type]
        assert found["status"] == Status.OK.value
        nine = (*CODES, NINTH_CODE)
        found = segment._muscles(row, work_for(tmp_path, result_with(CODES), nine))  # type: ignore[arg-type]
        assert found["detail"] == "1 of 9 muscles not found"
