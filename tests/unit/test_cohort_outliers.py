"""Values far from those of comparable scans, judged over the cohort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from paraspinal.cohort.tables.outliers import Limits, outliers, with_outliers
from paraspinal.core.records.schemas import FLAG, METRIC

LIMITS = Limits(max_robust_z=3.5, min_peers=20)


def metric(value: float | None, fi: float | None = None, **over: Any) -> dict[str, Any]:
    return {
        "muscle": "multifidus", "side": "left", "level": "L4", "level_scheme": "vertebra_slab", "sequence": "T2w",
        "acsa_mm2": value, "fi_method": "t1t2_sat_anchored", "fi": fi, **over,
    }  # fmt: skip


def shard(metrics: list[list[dict[str, Any]] | None], sexes: list[str | None], start: int = 0) -> pa.Table:
    """Measure table of a shard: one scan per list of metrics."""
    return pa.table({
        "scan_id": [f"scan{start + n}" for n in range(len(metrics))],
        "sex": pa.array(sexes, pa.string()),
        "metrics": pa.array(metrics, pa.list_(METRIC)),
    })  # fmt: skip


def cohort(values: np.ndarray, sex: str | None = "F", **over: Any) -> pa.Table:
    return shard([[metric(float(v), **over)] for v in values], [sex] * len(values))


def test_the_robust_z_is_that_of_the_textbook() -> None:
    values = np.append(np.linspace(900, 1100, 41), 1500.0)
    median = np.median(values)
    z = (1500.0 - median) / (1.4826 * np.median(np.abs(values - median)))
    (flags,) = outliers([cohort(values)], LIMITS).items()
    assert flags[0] == "scan41"
    assert flags[1] == [
        {
            "muscle": "multifidus", "side": "left", "level": "L4", "light": "amber", "reason_code": "OUTLIER",
            "detail": f"acsa_mm2 1500 mm2, robust z {z:+.1f} from {median:.0f} mm2 among 42 alike, limit 3.5",
        }
    ]  # fmt: skip


def test_shards_are_judged_together() -> None:
    values = np.append(np.linspace(900, 1100, 41), 300.0)
    parts = [shard([[metric(float(v))] for v in values[a:b]], ["F"] * (b - a), a) for a, b in ((0, 20), (20, 42))]
    assert set(outliers(parts, LIMITS)) == {"scan41"}


@pytest.mark.parametrize(
    "over",
    [{"muscle": "psoas_major"}, {"side": "right"}, {"level": "L5"}, {"sequence": "T1w"}, {"sex": "M"}, {"sex": None}],
)
def test_others_are_not_alike(over: dict[str, Any]) -> None:
    """A value that is usual in its own group is not measured by another's."""
    sex = over.pop("sex", "F") if "sex" in over else "F"
    usual, others = cohort(np.linspace(900, 1100, 40)), np.linspace(300, 400, 40)
    group = shard([[metric(float(v), **over)] for v in others], [sex] * 40, start=100)
    assert outliers([usual, group], LIMITS) == {}


def test_a_small_group_judges_nobody() -> None:
    values = np.append(np.linspace(900, 1100, 18), 5000.0)
    assert outliers([cohort(values)], LIMITS) == {}
    assert set(outliers([cohort(np.append(values, 1000.0))], LIMITS)) == {"scan18"}


def test_a_group_without_spread_judges_nobody() -> None:
    assert outliers([cohort(np.append(np.full(40, 1000.0), 5000.0))], LIMITS) == {}


def test_every_fat_method_is_judged_apart_and_size_once() -> None:
    rng = np.random.default_rng(0)
    rows = [[metric(1000.0 + a, 0.2 + b), metric(1000.0 + a, 0.1 + b, fi_method="t1t2_gmm3_musclemap")]
            for a, b in zip(rng.normal(0, 50, 40), rng.normal(0, 0.02, 40), strict=True)]  # fmt: skip
    rows[7][1]["fi"] = 0.6
    found = outliers([shard(rows, ["M"] * 40)], LIMITS)
    assert list(found) == ["scan7"]
    assert [f["detail"].split()[0] for f in found["scan7"]] == ["t1t2_gmm3_musclemap"]


def test_nulls_and_unmeasured_scans_are_not_compared() -> None:
    rows: list[list[dict[str, Any]] | None] = [[metric(float(v))] for v in np.linspace(900, 1100, 19)]
    rows += [[metric(None)], None, [metric(9999.0)]]
    assert set(outliers([shard(rows, ["F"] * 22)], LIMITS)) == {"scan21"}
    assert outliers([], LIMITS) == {}
    assert outliers([shard([None], ["F"])], LIMITS) == {}


def test_flags_are_added_and_never_lighten() -> None:
    flag = {"light": "amber", "reason_code": "OUTLIER", "detail": "far"}
    quality = pa.table({
        "scan_id": ["a", "b", "c"],
        "light": ["green", "red", "green"],
        "flags": pa.array([[], [{"light": "red", "reason_code": "SEG_EMPTY"}], None], pa.list_(FLAG)),
    })  # fmt: skip
    done = with_outliers(quality, {"a": [flag], "b": [flag]}).to_pylist()
    assert [row["light"] for row in done] == ["amber", "red", "green"]
    assert [len(row["flags"] or []) for row in done] == [1, 2, 0]
