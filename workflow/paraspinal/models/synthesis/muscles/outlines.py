"""Outlines of multifidus and erector that people drew at L4/5, as shapes in the frame of the atlas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.models.synthesis.muscles.atlas_bank import (
    BANK_PIXEL_MM,
    MARGIN_MM,
    MAX_DISTANCE_MM,
    AtlasBank,
    MuscleShape,
    closed,
    mirror,
    signed_distance,
)
from paraspinal.models.synthesis.muscles.layout import ERECTOR, MULTIFIDUS, PAIR, PSOAS, QUADRATUS, SIDES_SWAPPED

Field = npt.NDArray[np.float32]

OUTLINE_FILE = Path("nifti/lpm_outlines/l4l5_outlines.npz")
"""Where the outlines of 3Shot-LPM-Seg (Apache-2.0) lie in the data folder: label maps of 415 people, no images."""

OUTLINE_MAPS = ("t1_labels", "t2_labels")
OUTLINE_PIXEL_MM = 0.6875
OUTLINE_CODES = {MULTIFIDUS[0]: 3, MULTIFIDUS[1]: 2, ERECTOR[0]: 4, ERECTOR[1]: 1}
"""Code of each field in these label maps."""

OUTLINE_SCALE = 1.04  # of lengths: gives them the areas the atlas has at this height

OUTLINE_FRAC = 0.75  # people who get a real outline
BLEND_FRAC = 0.6  # of those, the ones whose outline lies between two
HEIGHTS = (0.0, 0.1, 0.34, 0.5)
OUTLINE_SHARES = (0.6, 1.0, 1.0, 0.0)  # of the outline against the atlas at these heights: it was drawn at L4/5
NEIGHBOUR_GAP_MM = 1.0  # psoas and quadratus keep this far from the outline
N_KEPT = 900  # shapes of outlines in memory: all of them


@dataclass(frozen=True)
class OutlineMix:
    """A shape between two outlines, the second of which may be mirrored; ``weight`` is that of the second."""

    first: int
    second: int
    is_mirrored: bool
    weight: float


@dataclass(frozen=True)
class OutlineBank:
    """All outlines as label maps (N, H, W) uint8; rows to posterior, columns to the patient's left."""

    maps: npt.NDArray[np.uint8]

    def draw(self, rng: np.random.Generator) -> OutlineMix | None:
        """Draw the outline of one person; None for one who has the atlas' own."""
        if rng.uniform() >= OUTLINE_FRAC:
            return None
        first, second = (int(i) for i in rng.integers(len(self.maps), size=2))
        weight = float(rng.uniform(0.0, 0.5)) if rng.uniform() < BLEND_FRAC else 0.0
        return OutlineMix(first, second, bool(rng.uniform() < 0.5), weight)

    def apply(self, mix: OutlineMix, shape: MuscleShape, atlas: AtlasBank) -> MuscleShape:
        """Give a shape of the atlas the outline, as far as its height goes."""
        share = np.float32(np.interp(shape.height_frac, HEIGHTS, OUTLINE_SHARES))
        if share == 0.0:
            return shape
        outline = self._fields(mix.first, atlas).astype(np.float32)
        if mix.weight > 0:
            second = self._fields(mix.second, atlas).astype(np.float32)
            outline += np.float32(mix.weight) * ((mirror(second) if mix.is_mirrored else second) - outline)
        fields = shape.distances_mm.copy()
        both = [*MULTIFIDUS, *ERECTOR, *PAIR]
        fields[both] += share * (outline[both] - fields[both])
        others = [*PSOAS, *QUADRATUS]
        fields[others] = np.maximum(fields[others], NEIGHBOUR_GAP_MM - fields[list(PAIR)].min(axis=0))
        return MuscleShape(fields, shape.height_frac)

    def _fields(self, number: int, atlas: AtlasBank) -> npt.NDArray[np.float16]:
        return _fields_of(self, number, atlas.origin_mm, atlas.distances_mm.shape[2:])

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def load_outlines(data_folder: Path) -> OutlineBank:
    """Read the outlines below ``data_folder``; their shapes are computed when first drawn (some 50 ms each)."""
    with np.load(data_folder / OUTLINE_FILE) as data:
        return OutlineBank(np.concatenate([data[name] for name in OUTLINE_MAPS]))


@lru_cache(maxsize=N_KEPT)
def _fields_of(
    bank: OutlineBank, number: int, origin_mm: tuple[float, float], shape: tuple[int, int]
) -> npt.NDArray[np.float16]:
    """Distances (10, H, W) of one outline on the grid of the atlas; psoas and quadratus are far away."""
    codes = bank.maps[number]
    pixel_mm = OUTLINE_PIXEL_MM * OUTLINE_SCALE
    codes = np.pad(codes[ndimage.find_objects((codes > 0).astype(np.uint8))[0]], round(MARGIN_MM / pixel_mm))
    masks = {field: codes == code for field, code in OUTLINE_CODES.items()}
    middle = np.mean([ndimage.center_of_mass(masks[m]) for m in MULTIFIDUS], axis=0)
    axes = [
        (o + BANK_PIXEL_MM * np.arange(n)) / pixel_mm + c
        for o, n, c in zip(origin_mm[::-1], shape, middle, strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    for m, e, pair in zip(MULTIFIDUS, ERECTOR, PAIR, strict=True):
        masks[pair] = closed(masks[m] | masks[e], pixel_mm)
    fields = np.full((len(SIDES_SWAPPED), *shape), MAX_DISTANCE_MM, dtype=np.float16)
    for field, mask in masks.items():
        fields[field] = ndimage.map_coordinates(signed_distance(mask, pixel_mm), grid, order=1, mode="nearest")
    return fields
