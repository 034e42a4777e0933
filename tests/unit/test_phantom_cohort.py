"""The demo cohort: what it promises is in it, and its truth follows from the same seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from paraspinal.core.vocab import DixonPart
from paraspinal.phantom import cohort
from paraspinal.phantom.anatomy import Anatomy
from paraspinal.phantom.cohort import PLANS, TRUTH_COLUMNS, Trouble, demo_truth, plan_parameters, write_visit
from paraspinal.phantom.vendors import Vendor


def coarse(**changes: object) -> cohort.Plan:
    """The first plan with few, coarse slices: seconds instead of tens of seconds."""
    return replace(PLANS[0], pixel_mm=4.0, spacing_mm=20.0, **changes)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def coarse_sagittal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort, "_SAGITTAL_PIXEL_MM", 4.0)
    monkeypatch.setattr(cohort, "_SAGITTAL_SLICES", 3)
    monkeypatch.setattr(cohort, "_LOCALIZER_PIXELS", 32)


def test_the_plan_keeps_its_promises() -> None:
    assert len({p.patient_id for p in PLANS}) == 8
    assert len(PLANS) == 9
    assert len({p.institution for p in PLANS}) == 3
    assert {p.vendor for p in PLANS} == set(Vendor)
    assert {p.trouble for p in PLANS} == set(Trouble)
    assert [p.n_lumbar for p in PLANS].count(6) == 1
    assert len({p.folder for p in PLANS}) == len(PLANS)
    assert all(p.sagittal and p.axial for p in PLANS)


def test_follow_up_is_the_same_person_with_less_muscle_and_more_fat() -> None:
    follow_up = next(p for p in PLANS if p.is_follow_up)
    first = next(p for p in PLANS if p.patient_id == follow_up.patient_id and not p.is_follow_up)
    before, after = plan_parameters(first, 0), plan_parameters(follow_up, 0)
    assert before.vertebra_height_mm == after.vertebra_height_mm
    for key, value in before.muscle_bulk.items():
        assert after.muscle_bulk[key] == pytest.approx(0.93 * value)
        assert after.intramuscular_fat_frac[key] > before.intramuscular_fat_frac[key]


def headers(paths: list[Path]) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(p, stop_before_pixels=True) for p in paths]


def test_a_visit_shares_one_frame_of_reference_and_covers_l1_to_s1(tmp_path: Path) -> None:
    plan = coarse()
    found = headers(write_visit(plan, tmp_path))
    assert len({ds.FrameOfReferenceUID for ds in found}) == 1
    assert len({ds.StudyInstanceUID for ds in found}) == 1
    assert {ds.PatientID for ds in found} == {plan.patient_id}
    assert {ds.SeriesNumber for ds in found} == {1, 2, 3, 5, 6, 10}
    axial = [float(ds.ImagePositionPatient[2]) for ds in found if ds.SeriesNumber == 10]
    planes = Anatomy(plan_parameters(plan, 0)).level_planes()
    span = planes["L1"].superior_point_mm[2] - planes["L5"].inferior_point_mm[2]
    assert max(axial) - min(axial) > span - 10


@pytest.mark.parametrize(
    ("vendor", "trouble", "n_dixon_series", "n_parts"),
    [
        (Vendor.SIEMENS, Trouble.NONE, 2, 2),
        (Vendor.GE, Trouble.FAT_MISSING, 1, 1),
        (Vendor.PHILIPS, Trouble.NONE, 1, 4),
    ],
)
def test_dixon_comes_as_the_vendor_sends_it(
    tmp_path: Path, vendor: Vendor, trouble: Trouble, n_dixon_series: int, n_parts: int
) -> None:
    found = headers(write_visit(coarse(vendor=vendor, trouble=trouble, has_localizer=False), tmp_path))
    sets = [ds for ds in found if 5 <= ds.SeriesNumber < 10]
    assert len({ds.SeriesInstanceUID for ds in sets}) == n_dixon_series
    assert len({tuple(ds.ImageType) for ds in sets}) == n_parts


def test_corrupt_visit_spoils_only_its_last_axial_series(tmp_path: Path) -> None:
    plan = coarse(trouble=Trouble.CORRUPT, axial=PLANS[8].axial)
    plan = replace(plan, spacing_mm=12.0)
    write_visit(plan, tmp_path / "bad")
    write_visit(replace(plan, trouble=Trouble.NONE), tmp_path / "good")
    shorter = {
        path.relative_to(tmp_path / "bad").parts[0]
        for path in (tmp_path / "bad").rglob("*.dcm")
        if path.stat().st_size < (tmp_path / "good" / path.relative_to(tmp_path / "bad")).stat().st_size
    }
    assert shorter == {"S011"}


def test_whole_cohort_is_nested_and_has_stray_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort, "PLANS", tuple(replace(p, pixel_mm=8.0, spacing_mm=30.0) for p in (PLANS[0], PLANS[4])))
    cohort.write_demo_cohort(tmp_path)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.name for p in files if p.suffix != ".dcm"} == {"README.txt", "DICOMDIR", ".DS_Store"}
    assert not any("truth" in p.name for p in files)
    assert max(len(p.relative_to(tmp_path).parts) for p in files) >= 5


def test_truth_covers_every_visit_and_level(monkeypatch: pytest.MonkeyPatch) -> None:
    six = next(p for p in PLANS if p.n_lumbar == 6)
    monkeypatch.setattr(cohort, "PLANS", (PLANS[0], six))
    table = demo_truth(step_mm=4.0)
    assert tuple(table.columns) == TRUTH_COLUMNS
    counts = table.groupby("patient_id").size()
    assert counts[PLANS[0].patient_id] == 8 * (5 * 2 + 5)
    assert counts[six.patient_id] == 8 * (6 * 2 + 6)
    assert set(table[table.patient_id == six.patient_id].level) >= {"L6", "L5_L6", "L6_S1"}
    slabs = table[table.level_scheme == "vertebra_slab"]
    assert slabs.volume_mm3.notna().all()
    assert (slabs.volume_mm3 > 0).all()
    assert np.all(table.fat_fraction_frac.dropna().between(0, 1))


def test_parts_kept_depend_on_the_vendor() -> None:
    by_vendor = {p.vendor: p.parts for p in PLANS}
    assert by_vendor[Vendor.SIEMENS] == {DixonPart.WATER, DixonPart.FAT}
    assert len(by_vendor[Vendor.PHILIPS]) == 4
