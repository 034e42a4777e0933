"""Flags from what the stages before recorded: states, levels, measures and disagreement."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from functools import cache

import numpy as np

from paraspinal.core.labels import all_labels
from paraspinal.core.levels import STACK, level_by_name
from paraspinal.core.paths import RESOURCES
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import QualitySettings
from paraspinal.core.vocab import LevelScheme, Light, Muscle, Reason, Side, Status
from paraspinal.stages.quality.flags import Flag

PLAUSIBILITY = RESOURCES / "plausibility.tsv"
"""Plausible cross-sections of one side at a disc, mm2, and published mean fat infiltration."""

FI_SCATTER_FRAC = 0.25
"""Single persons scatter around published means of fat infiltration by this much; farther off is worth a look."""

MAX_ENTROPY = 0.5
"""Mean entropy of a label (0 sure .. 1 no idea) above which its outline is doubtful."""
MAX_FLIP_DISAGREEMENT = 0.25
"""Doubtful when the outline of the mirrored image overlaps less than this (1 - Dice)."""

MAX_LATERAL_CURVE_DEG = 15.0
"""Angle between the most tilted lumbar vertebrae, seen from the front, from which on a spine is flagged: a scoliosis
begins at 10 degrees (Cobb), and vertebrae of straight spines differ by up to 5 as the model finds them."""

ANY = (-math.inf, math.inf)
"""What is plausible of a muscle of which nothing is published."""

_LIGHT_OF_STATUS = {
    Status.OK: Light.GREEN,
    Status.WARN: Light.AMBER,
    Status.FAILED: Light.RED,
    Status.EXCLUDED: Light.AMBER,
}
"""What was not measured is never green."""


@cache
def _reference(least: str, greatest: str) -> dict[Muscle, tuple[float, float]]:
    with PLAUSIBILITY.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    return {Muscle(row["muscle"]): (float(row[least]), float(row[greatest])) for row in rows}


def plausible_csa_mm2() -> dict[Muscle, tuple[float, float]]:
    """Least and greatest plausible cross-section of each muscle, one side at a disc, mm2."""
    return _reference("csa_min_mm2", "csa_max_mm2")


def plausible_fi() -> dict[Muscle, tuple[float, float]]:
    """Least and greatest plausible fat infiltration of each muscle: published means and the scatter around them."""
    published = _reference("fi_mean_min", "fi_mean_max")
    return {m: (max(0.0, low - FI_SCATTER_FRAC), high + FI_SCATTER_FRAC) for m, (low, high) in published.items()}


def flags_of_state(row: Row) -> Iterator[Flag]:
    """Flag what an earlier stage warned of, failed on or left out."""
    status = Status(row["status"])
    reason = None if row["reason_code"] is None else Reason(row["reason_code"])
    light = _LIGHT_OF_STATUS[status]
    if light is not Light.GREEN:
        yield Flag(light, reason, row["detail"] or f"status {status.value}")
    elif row["role"] == "none":
        yield Flag(Light.AMBER, reason, "not measured")


def flags_of_levels(row: Row, max_shift_mm: float) -> Iterator[Flag]:
    """Flag missing levels, a suspected transitional vertebra, a patient who moved, and Dixon images amiss."""
    if row["role"] == "spine" and not row["vertebrae"]:
        yield Flag(Light.AMBER, Reason.LEVEL_UNRESOLVED, "no vertebra found")
    if row["level_reason_code"] is not None:
        yield Flag(Light.AMBER, Reason(row["level_reason_code"]), row["level_detail"])
    if row["lstv_suspected"]:
        yield Flag(Light.AMBER, Reason.LSTV_SUSPECTED, "numbering may be off by one")
    shift_mm = float(np.linalg.norm(row["level_shift_mm"] or 0.0))
    if shift_mm > max_shift_mm:
        along_mm = abs(row["level_shift_mm"][2])
        detail = f"moved by {shift_mm:.0f} mm since the sagittal scan, {along_mm:.0f} along the body"
        yield Flag(Light.AMBER, Reason.PATIENT_MOVED, f"{detail}; limit {max_shift_mm:g}")
    if (row["fi_reason_code"] or "").startswith("DIXON"):
        yield Flag(Light.AMBER, Reason(row["fi_reason_code"]), "no fat infiltration")


def lateral_curve_deg(vertebrae: list[Row]) -> float | None:
    """Angle between the most tilted lumbar vertebrae, seen from the front (like a Cobb angle), in degrees.

    A vertebra's tilt is that of the mean normal of its two end plates; None with fewer than two such vertebrae.
    """
    tilts = []
    for vertebra in vertebrae:
        normals = [np.asarray(vertebra[f"{end}_normal"] or (0.0, 0.0, 0.0)) for end in ("superior", "inferior")]
        level = level_by_name(vertebra["level"]) if vertebra["level"] else None
        if all(normal.any() for normal in normals) and (level is None or level.name.startswith("L")):
            x, _, z = np.sum([normal if normal[2] >= 0 else -normal for normal in normals], axis=0)
            tilts.append(float(np.degrees(np.arctan2(x, z))))
    return max(tilts) - min(tilts) if len(tilts) > 1 else None


def flags_of_curve(spine: Row) -> Iterator[Flag]:
    """Flag a spine that curves sideways: slices cut its two sides at different heights. ``spine`` is a spine scan."""
    curve = lateral_curve_deg(spine["vertebrae"] or [])
    if curve is not None and curve > MAX_LATERAL_CURVE_DEG:
        detail = f"the lumbar spine curves sideways by {curve:.0f} degrees, limit {MAX_LATERAL_CURVE_DEG:g}"
        yield Flag(Light.AMBER, Reason.OUTLIER, detail)


def flags_of_measures(row: Row, settings: QualitySettings) -> Iterator[Flag]:
    """Flag implausible cross-sections and fat, and unequal sides."""
    metrics = _without_methods(row["metrics"] or [])
    whole = [m for m in metrics if m["level"] == STACK]
    for metric in [m for m in metrics if _is_at_lumbar_disc(m)] or whole:
        yield from _implausible(metric)
    for metric in row["metrics"] or []:
        if metric["level"] == STACK and metric["fi"] is not None:
            yield from _implausible_fat(metric)
    for muscle in Muscle:
        sides = {m["side"]: m["acsa_mm2"] for m in whole if m["muscle"] == muscle.value}
        left, right = (sides.get(side.value) for side in (Side.LEFT, Side.RIGHT))
        if not left or not right:
            continue
        ratio = left / right
        if not 1 / settings.max_side_ratio <= ratio <= settings.max_side_ratio:
            detail = f"left/right {ratio:.2f}, limit {settings.max_side_ratio:g}"
            yield Flag(Light.AMBER, Reason.OUTLIER, detail, muscle)


def _is_at_lumbar_disc(metric: Row) -> bool:
    """Whether the plausible range is about this row: at a disc below L1, where the muscle does not end."""
    return (
        metric["level_scheme"] in (LevelScheme.DISC_MID, LevelScheme.DISC_STACK)
        and level_by_name(metric["level"]).order > level_by_name("L1").order
        and metric["acsa_mm2"] is not None
        and metric["reason_code"] != Reason.SEG_PARTIAL
    )


def _implausible(metric: Row) -> Iterator[Flag]:
    muscle, area = Muscle(metric["muscle"]), metric["acsa_mm2"]
    low, high = plausible_csa_mm2().get(muscle, ANY)
    if area is not None and not low <= area <= high:
        detail = f"cross-section {area:.0f} mm2, plausible {low:.0f} to {high:.0f}"
        yield Flag(Light.AMBER, Reason.SEG_IMPLAUSIBLE, detail, muscle, Side(metric["side"]), metric["level"])


def _implausible_fat(metric: Row) -> Iterator[Flag]:
    muscle, fi = Muscle(metric["muscle"]), metric["fi"]
    low, high = plausible_fi().get(muscle, ANY)
    if not low <= fi <= high:
        detail = f"{metric['fi_method']} {fi:.2f}, plausible {low:.2f} to {high:.2f}"
        yield Flag(Light.AMBER, Reason.OUTLIER, detail, muscle, Side(metric["side"]), metric["level"])


def flags_of_disagreement(row: Row) -> Iterator[Flag]:
    """Flag muscles whose outline the model itself is unsure of."""
    labels = {label.code: label for label in all_labels()}
    for found in row["label_disagreement"] or []:
        label = labels[found["label"]]
        beyond = []
        if (found["entropy"] or 0.0) > MAX_ENTROPY:
            beyond.append(f"entropy {found['entropy']:.2f}, limit {MAX_ENTROPY:g}")
        if (found["flip_disagreement"] or 0.0) > MAX_FLIP_DISAGREEMENT:
            beyond.append(f"mirrored disagreement {found['flip_disagreement']:.2f}, limit {MAX_FLIP_DISAGREEMENT:g}")
        if beyond:
            where = label.level if label.muscle is None else None
            yield Flag(Light.AMBER, Reason.SEG_IMPLAUSIBLE, "; ".join(beyond), label.muscle, label.side, where)


def _without_methods(metrics: list[Row]) -> list[Row]:
    """One row per muscle, side, level and scheme: sizes repeat over the fat methods."""
    first: dict[tuple[str, str, str, str], Row] = {}
    for metric in metrics:
        first.setdefault((metric["muscle"], metric["side"], metric["level"], metric["level_scheme"]), metric)
    return list(first.values())
