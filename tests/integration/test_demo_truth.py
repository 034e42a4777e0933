"""The demo as a whole against what is known of its people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from paraspinal.core.identity import Identity
from paraspinal.phantom.cohort import PLANS, demo_truth

pytestmark = pytest.mark.workflow

KEYS = ["subject", "session", "muscle", "side", "level", "level_scheme"]
SIX_LUMBAR = "DEMO006"
"""Counting upward from the sacrum names the sixth lumbar vertebra L5; only ribs, out of view here, could tell."""


@pytest.fixture(scope="module")
def truth(demo: Path) -> pd.DataFrame:
    """The truth under the pseudonyms of this run."""
    identity = Identity.load(demo / "demo" / "private")
    found = demo_truth(step_mm=2.0)
    people = [identity.subject(p) for p in found.patient_id]
    visits = [identity.session(p, d) for p, d in zip(found.patient_id, found.study_date, strict=True)]
    return found.assign(subject=people, session=visits)


@pytest.fixture(scope="module")
def joined(demo: Path, truth: pd.DataFrame) -> pd.DataFrame:
    metrics = pd.read_parquet(demo / "out" / "tables" / "metrics.parquet")
    return metrics.merge(truth[truth.patient_id != SIX_LUMBAR], on=KEYS, suffixes=("", "_true"))


def test_every_file_and_person_is_accounted_for(demo: Path) -> None:
    inventory = pd.read_parquet(demo / "out" / "tables" / "inventory.parquet")
    files = sum(1 for p in (demo / "demo" / "dicom").rglob("*") if p.is_file())
    assert inventory.n_files.sum() == files
    assert inventory.subject.nunique() == len({p.patient_id for p in PLANS}) == 8
    assert inventory.session.nunique() == len(PLANS) == 9
    assert inventory.site.nunique() == 3
    assert inventory.manufacturer.nunique() == 5
    reasons = inventory.reason_code.value_counts().to_dict()
    assert reasons == {"LOCALIZER": 6, "NOT_AN_IMAGE": 3, "DICOM_TRUNCATED": 1}


def test_trouble_is_recorded_where_it_was_made(demo: Path) -> None:
    identity = Identity.load(demo / "demo" / "private")
    scans = pd.read_parquet(demo / "out" / "tables" / "scans.parquet")
    lone = scans[(scans.subject == identity.subject("DEMO005")) & (scans.sequence == "dixon")]
    assert lone.fi_reason_code.tolist() == ["DIXON_INCOMPLETE"]
    assert lone.status.tolist() == ["warn"]
    twice = scans[scans.subject == identity.subject("DEMO002")]
    assert twice.groupby("visit").days_from_first_visit.first().to_dict() == {1: 0, 2: 370}
    assert set(scans.status) == {"ok", "warn"}


def test_levels_are_those_of_the_anatomy(joined: pd.DataFrame) -> None:
    """Every scan of a person with five lumbar vertebrae has all five levels, at the size the anatomy has there."""
    slabs = joined[joined.level_scheme == "vertebra_slab"]
    assert set(slabs.level) == {"L1", "L2", "L3", "L4", "L5"}
    assert set(slabs.level_source) == {"sagittal_transfer"}
    assert set(slabs.level_numbering) == {"counted_from_sacrum"}
    per_scan = slabs.groupby("scan_id")["level"].nunique()
    assert (per_scan == 5).all()
    # Levels off by one vertebra would show in the psoas, which grows by a quarter to double from each to the next.
    psoas = slabs[(slabs.muscle == "psoas_major") & slabs.level.isin(["L2", "L3", "L4"])]
    error = (psoas.acsa_mm2 / psoas.acsa_mm2_true - 1).groupby(psoas.scan_id).median()
    assert error.abs().max() < 0.15


@pytest.mark.parametrize("muscle", ["multifidus", "erector_spinae", "psoas_major", "quadratus_lumborum"])
def test_sizes(joined: pd.DataFrame, muscle: str) -> None:
    """The first model draws its outlines a little too small; these bounds hold what it does, see its card."""
    slabs = joined[(joined.level_scheme == "vertebra_slab") & (joined.muscle == muscle) & joined.volume_mm3.notna()]
    slabs = slabs.drop_duplicates(["scan_id", "side", "level"])
    error = slabs.volume_mm3 / slabs.volume_mm3_true - 1
    assert len(slabs) > 100
    assert error.median() == pytest.approx(-0.06, abs=0.08)
    assert error.abs().quantile(0.9) < 0.30
    assert slabs.acsa_mm2.corr(slabs.acsa_mm2_true) > 0.9


def test_sides_are_the_patients(joined: pd.DataFrame) -> None:
    """Asymmetry of the anatomy comes back with its sign."""
    slabs = joined[(joined.level_scheme == "vertebra_slab") & joined.volume_mm3.notna()]
    slabs = slabs.drop_duplicates(["scan_id", "muscle", "side", "level"])
    both = slabs.pivot_table(index=["scan_id", "muscle", "level"], columns="side", values=["acsa_mm2", "acsa_mm2_true"])
    measured = both["acsa_mm2"]["left"] / both["acsa_mm2"]["right"] - 1
    true = both["acsa_mm2_true"]["left"] / both["acsa_mm2_true"]["right"] - 1
    clear = true.abs() > 0.15
    assert clear.sum() > 20
    assert ((measured > 0) == (true > 0))[clear].mean() > 0.9


def test_fat_fractions(joined: pd.DataFrame) -> None:
    """Dixon fat follows the truth; partial volume at the surface of small muscles adds a few points."""
    rows = joined[(joined.fi_method == "dixon_ff_ratio_of_sums") & (joined.level_scheme == "vertebra_slab")]
    rows = rows[rows.fi.notna()]
    assert rows.fi.corr(rows.fat_fraction_frac) > 0.85
    error = rows.fi - rows.fat_fraction_frac
    for muscle, limit in (
        ("erector_spinae", 0.06),
        ("multifidus", 0.09),
        ("psoas_major", 0.08),
        ("quadratus_lumborum", 0.11),
    ):
        assert 0 <= error[rows.muscle == muscle].median() < limit, muscle


def test_the_second_visit_has_less_muscle_and_more_fat(demo: Path) -> None:
    identity = Identity.load(demo / "demo" / "private")
    metrics = pd.read_parquet(demo / "out" / "tables" / "metrics.parquet")
    scans = pd.read_parquet(demo / "out" / "tables" / "scans.parquet")[["scan_id", "visit"]]
    rows = metrics[(metrics.subject == identity.subject("DEMO002")) & (metrics.level == "L1_L5")].merge(
        scans, on="scan_id"
    )
    rows = rows[rows.fi_method == "dixon_ff_ratio_of_sums"]
    change = rows.pivot_table(index=["muscle", "side"], columns="visit", values=["volume_mm3", "fi"])
    assert ((change["volume_mm3"][2] / change["volume_mm3"][1]) < 1).all()
    assert (change["fi"][2] > change["fi"][1]).all()
