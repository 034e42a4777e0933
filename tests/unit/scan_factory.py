"""Analytic scans for the tests of levels, measure and quality: grids, table rows and label maps with known truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.imaging.images import write_image
from paraspinal.core.labels import muscle_labels
from paraspinal.core.records.schemas import HARMONIZE, LEVELS_SHARD, MEASURE, SEGMENT
from paraspinal.core.records.stage import Stage
from paraspinal.core.records.tables import Row
from paraspinal.core.records.views import LATEST
from paraspinal.core.records.work import Work
from paraspinal.core.settings import load_settings, read_config
from paraspinal.core.vocab import Muscle, Side

SCAN_ID = "sub-abcdefghijkl_ses-abcdefghij_acq-one_T1w"
FRAME = "frame"
MUSCLE_XY_MM = {
    Muscle.MULTIFIDUS: (13.83, 30.27),
    Muscle.ERECTOR_SPINAE: (41.83, 30.27),
    Muscle.PSOAS_MAJOR: (40.13, -25.41),
    Muscle.QUADRATUS_LUMBORUM: (65.77, -5.19),
}
"""Centres of the left muscles, LPS x and y, mm, on no pixel's corner; the right ones have the opposite x."""


def grid_of(
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 4.0),
    extent_mm: tuple[float, float, float] = (190.0, 130.0, 200.0),
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    flips: tuple[int, int, int] = (1, 1, 1),
) -> Grid:
    """A grid centred on the origin; ``flips`` of -1 store an axis the other way round."""
    axes = Rotation.from_euler("xyz", rotation_deg, degrees=True).as_matrix() * np.asarray(flips)
    size = tuple(round(e / s) for e, s in zip(extent_mm, spacing_mm, strict=True))
    middle = (np.asarray(size) - 1) / 2 * np.asarray(spacing_mm)
    return Grid(size, spacing_mm, tuple(-(axes @ middle)), tuple(axes.ravel()))


def world(grid: Grid) -> np.ndarray:
    """LPS coordinates of every voxel centre, (z, y, x, 3)."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.size[::-1]), indexing="ij")
    return grid.to_world(np.stack([i, j, k], axis=-1))


def rods(
    grid: Grid,
    radius_mm: Mapping[Side, float],
    slope: float = 0.0,
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0),
    muscles: tuple[Muscle, ...] = (Muscle.ERECTOR_SPINAE,),
) -> np.ndarray:
    """Label map (z, y, x) of round muscles along ``axis``; the radius grows by ``slope`` mm per mm along it."""
    direction = np.asarray(axis) / np.linalg.norm(axis)
    half_mm = float(np.linalg.norm(np.asarray(grid.size) * grid.spacing_mm)) / 2
    labels = np.zeros(grid.size[::-1], dtype=np.uint16)
    for muscle in muscles:
        for side, sign in ((Side.LEFT, 1), (Side.RIGHT, -1)):
            x, y = MUSCLE_XY_MM[muscle]
            centre = np.array([sign * x, y, 0.0])
            reach_mm = max(radius_mm[side], 0.0) + abs(slope) * half_mm
            box = _box(grid, centre, direction * half_mm, reach_mm)
            k, j, i = np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij")
            offset = grid.to_world(np.stack([i, j, k], axis=-1)) - centre
            along = offset @ direction
            across = np.linalg.norm(offset - along[..., None] * direction, axis=-1)
            labels[box][across <= radius_mm[side] + slope * along] = muscle_labels()[muscle, side]
    return labels


def _box(grid: Grid, centre: np.ndarray, half_axis: np.ndarray, reach_mm: float) -> tuple[slice, ...]:
    """Array slices (z, y, x) that hold a rod around a line from centre - half_axis to centre + half_axis."""
    ends = grid.to_index(np.stack([centre - half_axis, centre + half_axis]))
    reach = reach_mm / np.asarray(grid.spacing_mm)
    low = np.floor(ends.min(axis=0) - reach).astype(int)
    high = np.ceil(ends.max(axis=0) + reach).astype(int) + 1
    return tuple(slice(min(max(a, 0), n), min(max(b, 0), n)) for a, b, n in zip(low, high, grid.size, strict=True))[
        ::-1
    ]


def vertebra(
    level: str,
    z_mm: float,
    height_mm: float = 27.0,
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0),
    confidence: float = 0.9,
    y_mm: float = 0.0,
    wedge_deg: float = 0.0,
) -> dict[str, Any]:
    """A vertebra centred at (0, y, z) with end plates across ``axis``, the upper one leaning by ``wedge_deg``."""
    normal = np.asarray(axis) / np.linalg.norm(axis)
    centre = np.array([0.0, y_mm, z_mm])
    leaning = Rotation.from_euler("x", wedge_deg, degrees=True).apply(normal)
    return {
        "level": level,
        "centre_mm": centre.tolist(),
        "superior_point_mm": (centre + normal * height_mm / 2).tolist(),
        "superior_normal": leaning.tolist(),
        "inferior_point_mm": (centre - normal * height_mm / 2).tolist(),
        "inferior_normal": normal.tolist(),
        "body_area_mm2": 1500.0,
        "disc_area_mm2": 1700.0,
        "confidence": confidence,
    }


LUMBAR_Z_MM = {"L1": 76.0, "L2": 38.0, "L3": 0.0, "L4": -38.0, "L5": -76.0}
"""Centres of a straight spine: bodies of 27 mm, discs of 11 mm."""


FOUND = ("vertebrae", "level_numbering", "lstv_suspected")
"""What the levels stage finds in a spine; the tests hand it over as found, with no answer of a network to read."""


def lumbar_spine() -> list[dict[str, Any]]:
    """A straight spine of five lumbar vertebrae."""
    return [vertebra(level, z) for level, z in LUMBAR_Z_MM.items()]


def scan_row(grid: Grid | None, **over: Any) -> Row:
    """What is known of a usable muscle scan on a grid."""
    tables = (HARMONIZE, SEGMENT, LEVELS_SHARD, MEASURE)
    row: Row = {name: None for table in tables for name in table.names if name != "activity_id"}
    row |= {
        "subject": "abcdefghijkl",
        "session": "abcdefghij",
        "scan_id": SCAN_ID,
        "stack_ids": ["stack"],
        "image_sha256s": ["0"],
        "frame_of_reference_id": FRAME,
        "plane": "axial",
        "sequence": "T1w",
        "is_fat_suppressed": False,
        "role": "muscles",
        "levels_from_same_image": False,
        "model_sha256": "0",
        "model_labels": list(muscle_labels().values()),
        "status": "ok",
    }
    if grid is not None:
        row |= {
            "size": list(grid.size),
            "spacing_mm": list(grid.spacing_mm),
            "origin_mm": list(grid.origin_mm),
            "direction": list(grid.direction),
        }
    return row | over


def spine_row(vertebrae: list[dict[str, Any]], **over: Any) -> Row:
    """What is known of a sagittal scan of the same session."""
    spine = {
        "scan_id": "sub-abcdefghijkl_ses-abcdefghij_acq-two_T2w",
        "plane": "sagittal",
        "sequence": "T2w",
        "role": "spine",
        "vertebrae": vertebrae,
        "level_numbering": "counted_from_sacrum",
        "lstv_suspected": False,
    }
    return scan_row(None, **(spine | over))


def work_in(folder: Path, **over: dict[str, Any]) -> Work:
    """What a stage gets in a results folder, with default settings."""
    return Work(folder, load_settings(read_config(None, over)), 1, {})


def save(folder: Path, grid: Grid, **arrays: np.ndarray) -> dict[str, str]:
    """Write arrays as images; returns name to file name."""
    for name, array in arrays.items():
        write_image(grid.image(array), folder / f"{name}.nii.gz")
    return {name: f"{name}.nii.gz" for name in arrays}


def run(stage: Stage, rows: list[Row], work: Work) -> list[Row]:
    """Run a stage on the rows of one session and pass the result through its table.

    Returns what is then known of the scans: what they came with, and over it what the stage made.
    """
    known_before = {row["scan_id"]: row for row in rows}
    known = set(stage.makes.names) - {"activity_id"}
    names = (*stage.reads, *(FOUND if stage.name == "levels" else ()))
    given = [{name: row.get(name) for name in names} for row in rows]
    made = [{name: row.get(name) for name in known} | {"activity_id": ""} for row in stage.process(given, work)]
    table = stage.makes.arrow(made).to_pylist()
    said = [{name: value for name, value in row.items() if value is not None or name in LATEST} for row in table]
    return [{**known_before[row["scan_id"]], **{k: v for k, v in row.items() if k != "activity_id"}} for row in said]
