"""In- and opposed-phase pairs told by echo time and field, where no word does or the words are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import run, save, series

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart, Sequence
from paraspinal.stages.ingest.kinds.echoes import EchoImage, by_echo
from paraspinal.stages.ingest.kinds.sequence import contrast_of
from paraspinal.stages.ingest.kinds.timing import FAT_CYCLES_PER_MS_AND_T, phase_by_echo

IN, OPP = DixonPart.IN_PHASE, DixonPart.OPPOSED_PHASE
GRID = Grid((16, 12, 6), (1.0, 1.0, 4.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))


@pytest.mark.parametrize(
    ("te_ms", "field_t", "part"),
    [
        (2.3, 1.5, OPP), (4.6, 1.5, IN), (6.9, 1.5, OPP), (9.2, 1.5, IN),
        (1.15, 3.0, OPP), (2.3, 3.0, IN), (3.45, 3.0, OPP), (4.6, 3.0, IN), (5.75, 3.0, OPP),
        (2.39, 1.5, OPP), (4.77, 1.5, IN), (2.46, 3.0, IN), (1.23, 3.0, OPP), (3.69, 3.0, OPP),  # UK Biobank, Siemens
        (1.1, 3.0, OPP), (2.2, 3.0, IN), (1.3, 3.0, OPP), (2.6, 3.0, IN),  # GE, at the edges
        (23.0, 0.3, IN), (11.5, 0.3, OPP),
        (1.7, 3.0, None), (3.4, 1.5, None), (0.1, 3.0, None), (0.6, 3.0, None), (10.0, 3.0, None), (7.38, 3.0, None),
    ],
)  # fmt: skip
def test_phase(te_ms: float, field_t: float, part: DixonPart | None) -> None:
    assert phase_by_echo(te_ms, field_t) is part


def test_one_turn_takes_4_6_ms_at_1_5_t() -> None:
    assert pytest.approx(4.605, abs=0.01) == 1 / (FAT_CYCLES_PER_MS_AND_T * 1.5)


def echo(te_ms: float, grid: Grid | None = GRID, **more: Any) -> EchoImage:
    values = {
        "scanning_sequence": ["GR"], "sequence_variant": ["SP"], "tr_ms": 140.0, "flip_deg": 70.0, "field_t": 1.5,
        "te_ms": te_ms, **more,
    }  # fmt: skip
    return EchoImage(values, grid, contrast_of(values))


def parts(*images: EchoImage) -> list[DixonPart | None]:
    return [contrast.part for contrast in by_echo(images)]


def test_a_pair_is_named_whatever_its_order() -> None:
    assert parts(echo(4.77), echo(2.39)) == [IN, OPP]
    assert parts(echo(2.39), echo(4.77)) == [OPP, IN]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (echo(4.77), echo(9.54)),  # both in phase: a field map's two echoes
        (echo(4.77), echo(2.39, tr_ms=180.0)),
        (echo(4.77), echo(2.39, flip_deg=60.0)),
        (echo(4.77), echo(2.39, Grid((16, 12, 6), (1.0, 1.0, 4.0), (0.0, 0.0, 4.0), tuple(np.eye(3).ravel())))),
        (echo(4.77), echo(2.39, None)),
        (echo(4.77, field_t=None), echo(2.39, field_t=None)),
        (echo(4.77, field_t=0.0), echo(2.39, field_t=0.0)),
        (echo(4.77), echo(3.4)),
        (echo(4.77), echo(4.77)),
        (echo(4.77, scanning_sequence=["SE"]), echo(2.39, scanning_sequence=["SE"])),
        (echo(4.77), echo(2.39, image_type=["ORIGINAL", "PRIMARY", "P"])),
        (echo(7.001, field_t=3.0), echo(10.0, field_t=3.0)),  # dcm_qa_table, Philips dual echo
        (echo(4.92, field_t=3.0), echo(7.38, field_t=3.0)),  # Siemens gre_field_mapping
        (echo(16.1), echo(13.8)),
    ],
    ids=range(14),
)  # fmt: skip
def test_no_pair(first: EchoImage, second: EchoImage) -> None:
    assert parts(first, second) == [None, None]


def test_times_go_before_a_name_that_both_echoes_share() -> None:
    contrasts = by_echo([echo(4.77, series_description="t1 in phase"), echo(2.39, series_description="t1 in phase")])
    assert [c.part for c in contrasts] == [IN, OPP]
    assert contrasts[0].evidence.endswith("text agrees")
    assert contrasts[0].confidence > contrasts[1].confidence


def test_a_coded_part_stays() -> None:
    coded = ["DERIVED", "PRIMARY", "DIXON", "OPP_PHASE"]
    assert parts(echo(4.77, image_type=coded), echo(2.39)) == [OPP, None]


def test_echo_trains_are_the_source_of_a_fit_and_no_contrast() -> None:
    contrasts = by_echo([echo(te, field_t=3.0) for te in (1.15, 2.3, 3.45, 4.6, 5.75, 6.9)])
    assert {(c.sequence, c.part, c.is_anatomical) for c in contrasts} == {(Sequence.OTHER, None, True)}
    assert contrasts[0].evidence == "one of 6 echoes of a gradient echo train"


def test_two_pairs_in_one_series_are_two_acquisitions() -> None:
    moved = Grid((16, 12, 6), (1.0, 1.0, 4.0), (0.0, 0.0, 24.0), tuple(np.eye(3).ravel()))
    assert parts(echo(4.77), echo(4.77, moved), echo(2.39), echo(2.39, moved)) == [IN, IN, OPP, OPP]


def test_ge_dual_echo_in_one_series_through_ingest(tmp_path: Path) -> None:
    # GE writes both echoes of a dual-echo FSPGR under one name: MGB abdominal series are split by echo time alone.
    common = {
        "Manufacturer": "GE MEDICAL SYSTEMS", "SeriesDescription": "Ax T1 In/Out Phase", "ScanningSequence": "GR",
        "SequenceVariant": ["SS", "SP", "SK"], "RepetitionTime": 180.0, "FlipAngle": 80.0, "MagneticFieldStrength": 1.5,
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"], "BodyPartExamined": "ABDOMEN",
    }  # fmt: skip
    save([*series(6, seed="in", EchoTime=4.4, **common), *series(6, seed="out", EchoTime=2.2, first=7, **common)],
         tmp_path / "in")  # fmt: skip
    _, rows = run(tmp_path)
    assert {(row["dixon_part"], row["echo_time_ms"]) for row in rows} == {("inphase", 4.4), ("oppphase", 2.2)}
    assert {row["body_region"] for row in rows} == {"abdomen"}
