"""Images of one scan and the fat methods that apply to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.errors import DataError
from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.imaging.images import array_of, read_image
from paraspinal.core.labels import muscle_labels
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.vocab import BiasCorrection, Muscle, Reason, Sequence
from paraspinal.stages.measure.fat import brightness as fat_t1t2
from paraspinal.stages.measure.fat import dixon as fat_dixon
from paraspinal.stages.measure.fat.marrow import marrow_ff_frac
from paraspinal.stages.measure.fat.n4 import evened
from paraspinal.stages.measure.fat.profile import FatMethod
from paraspinal.stages.measure.regions import Edge, Region

GRID_SHARE_OF_PIXEL = 0.1
"""Images of a scan may be off the label map's grid by this share of a pixel; whether they fit was judged before."""

BRIGHTNESS_SEQUENCES = (Sequence.T1W, Sequence.T2W)
"""Sequences in which the brightness of a voxel tells fat from muscle."""

INVALID_BY_BRIGHTNESS = (Muscle.PSOAS_MAJOR,)
"""Thresholds do not measure the fat of the psoas on T1w and T2w: published agreement is nil (ICC <= 0.01)."""


@dataclass(frozen=True)
class LabelMap:
    """Muscle label map (z, y, x) with its grid."""

    labels: NDArray[np.unsignedinteger]
    grid: Grid

    @classmethod
    def read(cls, row: Row, work: Work) -> LabelMap:
        """Read the label map of a row; raises DataError without one."""
        if row["dseg_path"] is None:
            raise DataError(Reason.SEG_EMPTY, "no label map")
        image = read_image(work.image_path(row["dseg_path"]))
        return cls(array_of(image), Grid.of(image))


def fat_methods(
    row: Row, work: Work, label_map: LabelMap, regions: Mapping[int, Region]
) -> tuple[list[FatMethod], Reason | None]:
    """List the fat methods that apply to a scan, or say why none does."""
    if row["fi_reason_code"] is not None:
        return [], Reason(row["fi_reason_code"])
    sequence = Sequence(row["sequence"])
    if row["is_fat_suppressed"] or sequence.is_fat_suppressed:
        return [], Reason.FATSUP_NO_FI
    if sequence is Sequence.DIXON:
        return _dixon(row, work, label_map.grid)
    if sequence not in BRIGHTNESS_SEQUENCES or row["image_path"] is None:
        return [], Reason.SEQ_UNKNOWN
    image = _image(row["image_path"], work, label_map.grid)
    if image is None:
        raise DataError(Reason.AFFINE_MISMATCH, "image and label map")
    bias_correction = BiasCorrection.N4 if work.settings.measure.n4 else BiasCorrection.NONE
    if bias_correction is BiasCorrection.N4:
        image = evened(image, label_map.grid)
    muscles = fat_t1t2.Muscles.of(image, regions)
    if not muscles.counts:
        return [], Reason.SEG_EMPTY
    invalid = {code for (muscle, _), code in muscle_labels().items() if muscle in INVALID_BY_BRIGHTNESS}
    reasons = fat_t1t2.gate(muscles, invalid)
    anchors = fat_t1t2.anchors_of(image, label_map.grid, muscles, _centre_y_mm(label_map.grid, regions))
    methods = [
        fat_t1t2.sat_anchored(image, muscles, reasons, anchors),
        fat_t1t2.gmm3(image, muscles, reasons, anchors),
    ]
    return [replace(method, bias_correction=bias_correction) for method in methods], None


def _dixon(row: Row, work: Work, grid: Grid) -> tuple[list[FatMethod], Reason | None]:
    methods: list[FatMethod] = []
    reason = Reason.DIXON_INCOMPLETE
    if row["water_path"] is not None and row["fat_path"] is not None:
        water, fat = _image(row["water_path"], work, grid), _image(row["fat_path"], work, grid)
        if water is None or fat is None:
            reason = Reason.DIXON_GRID_MISMATCH
        else:
            water = water * _scale(row["dixon_water_scale"])
            fat = fat * _scale(row["dixon_fat_scale"])
            methods += [fat_dixon.ratio_of_sums(water, fat), fat_dixon.voxel_mean(water, fat)]
    if row["fat_fraction_path"] is not None and row["fat_fraction_scale"] is not None:
        fraction = _image(row["fat_fraction_path"], work, grid)
        if fraction is None:
            reason = Reason.DIXON_GRID_MISMATCH
        else:
            methods.append(fat_dixon.pdff_map(fraction, row["fat_fraction_scale"]))
    return methods, None if methods else reason


def marrow_of(row: Row, work: Work, grid: Grid) -> float | None:
    """Fat fraction of the marrow of a Dixon scan; None where it has no pair or no vertebra is in view."""
    slabs = [slab for slab in row["slabs"] or [] if slab["centre_mm"] is not None]
    if not slabs or row["water_path"] is None or row["fat_path"] is None:
        return None
    water, fat = _image(row["water_path"], work, grid), _image(row["fat_path"], work, grid)
    return None if water is None or fat is None else marrow_ff_frac(slabs, water, fat, grid)


def _image(relative: str, work: Work, grid: Grid) -> NDArray | None:
    """Read an image of the scan, (z, y, x); None if it is not on the grid."""
    image = read_image(work.image_path(relative))
    tolerance_mm = GRID_SHARE_OF_PIXEL * min(grid.spacing_mm)
    return array_of(image) if same_grid(Grid.of(image), grid, tolerance_mm) else None


def _scale(value: float | None) -> np.float32:
    return np.float32(1.0 if value is None else value)


def _centre_y_mm(grid: Grid, regions: Mapping[int, Region]) -> float:
    """Mean LPS y of the back muscles (or of all, if there are none)."""
    back = [c for (m, _), c in muscle_labels().items() if m in (Muscle.MULTIFIDUS, Muscle.ERECTOR_SPINAE)]
    found = [regions[c] for c in back if not regions[c].is_empty] or [r for r in regions.values() if not r.is_empty]
    voxels = [np.stack(r.voxels[Edge.AS_SEGMENTED][::-1], axis=-1).mean(axis=0) for r in found]
    return float(grid.to_world(np.mean(voxels, axis=0))[1])
