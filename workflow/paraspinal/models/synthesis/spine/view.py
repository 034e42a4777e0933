"""Where a synthetic sagittal slice lies in the body, and what is common to every source of anatomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.input.spine_input import Field
from paraspinal.models.synthesis.ingredients import ALL_SPINE_INGREDIENTS, SpineIngredient, SpineIngredients
from paraspinal.models.synthesis.spine.scene import gaussians
from paraspinal.vertebrae.answer import Heatmap

SHAPE = (160, 112)
"""Rows and columns of a sample: 320 x 224 mm."""

HEATMAP_NAMES = tuple(heatmap.name.lower() for heatmap in Heatmap)
"""Centres of all lumbar bodies, of the last one above the sacrum, and of S1."""

HALF_S1_MM = 16.0
"""From the centre of S1 to its upper end-plate, roughly."""

NEIGHBOUR_MM = (3.0, 6.5)
"""How far apart slices are, gap included."""

S1_PIXELS_SEEN = 12
"""So many pixels of the upper half of S1 must be in view for the junction to count as seen."""


@dataclass(frozen=True)
class Picture:
    """A slice before the scanner's defects; fields over the N pixels, rows running caudally.

    ``image`` (3, N) intensities of the slice between its neighbours, ``classes`` (N,) of `SpineClass`, ``heatmaps``
    (3, N), ``depth_mm`` (N,) distance behind the bodies, ``view`` (H, W) the field of view.
    """

    image: Field
    classes: NDArray[np.int64]
    heatmaps: Field
    depth_mm: Field
    view: NDArray[np.bool_]


def place(
    rng: np.random.Generator, s1_mm: NDArray[np.float64], use: SpineIngredients = ALL_SPINE_INGREDIENTS
) -> tuple[Field, NDArray[np.bool_]]:
    """Place the pixel grid around a column whose S1 has its centre at ``s1_mm`` (y, z), the lumbar spine near y = 0.

    Returns (N, 2) points (y, z) in mm and the field of view (H, W). S1 is out of view in a fifth of the pictures and
    just within it in a third, as it is in practice, unless ``use`` leaves that out.
    """
    top_of_s1 = s1_mm[1] + HALF_S1_MM
    where = rng.random() if SpineIngredient.CUT in use else 1.0
    if where < 0.2:
        floor = top_of_s1 + rng.uniform(0, 70)
    elif where < 0.5:
        floor = top_of_s1 - rng.uniform(8, 55)
    else:
        floor = top_of_s1 - rng.uniform(55, 190)
    tall = min(int(rng.uniform(90, SHAPE[0] + 40)), SHAPE[0])
    wide = min(int(rng.uniform(70, SHAPE[1] + 50)), SHAPE[1])
    first_row = int(rng.integers(0, SHAPE[0] - tall + 1))
    first_col = int(rng.integers(0, SHAPE[1] - wide + 1))
    view = np.zeros(SHAPE, bool)
    view[first_row : first_row + tall, first_col : first_col + wide] = True
    rows, cols = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    scale = PIXEL_MM * rng.uniform(0.92, 1.15, 2)
    z = (first_row + tall - 1 - rows) * scale[0]
    y = (cols - first_col - wide * rng.uniform(0.3, 0.72)) * scale[1]
    angle = rng.normal(0, np.radians(5))
    warp = rng.uniform(0, 2.0)
    turned_y = y * np.cos(angle) + z * np.sin(angle) + warp * value_noise(rng, 20) + rng.normal(0, 6)
    turned_z = z * np.cos(angle) - y * np.sin(angle) + warp * value_noise(rng, 20) + floor
    return np.stack([turned_y.ravel(), turned_z.ravel()], axis=1).astype(np.float32), view


def slice_positions(rng: np.random.Generator, points_mm: Field) -> Field:
    """Draw the lateral position (3, N) of every pixel of three neighbouring slices, often oblique to the column."""
    offset = rng.normal(0, 7) if rng.random() < 0.6 else rng.uniform(-42, 42)
    along, across = rng.normal(0, 0.03), rng.normal(0, 0.03)
    middle = offset + along * points_mm[:, 1] + across * points_mm[:, 0]
    steps = rng.uniform(*NEIGHBOUR_MM) * np.array([-1.0, 0.0, 1.0])
    positions: Field = (middle + steps[:, None]).astype(np.float32)
    return positions


def centre_heatmaps(
    points_mm: Field,
    view: NDArray[np.bool_],
    lateral_mm: Field,
    lumbar_mm: NDArray[np.float64],
    s1_mm: NDArray[np.float64],
) -> Field:
    """Heatmaps (3, N) of `HEATMAP_NAMES` from exact centres (y, z), caudal lumbar first.

    The last lumbar body is marked only where S1 is seen below it: without S1 nothing tells it from any other.
    """
    lumbar = np.atleast_2d(lumbar_mm)
    up = (lumbar[0] - s1_mm) / np.linalg.norm(lumbar[0] - s1_mm)
    upper_half = ((points_mm - (s1_mm + 0.5 * HALF_S1_MM * up)) ** 2).sum(axis=1) < (0.6 * HALF_S1_MM) ** 2
    sees_s1 = np.count_nonzero(upper_half & view.ravel()) >= S1_PIXELS_SEEN
    groups = (lumbar, lumbar[:1] if sees_s1 else lumbar[:0], s1_mm[None])
    return np.stack([gaussians(points_mm, lateral_mm, group) for group in groups])


def value_noise(rng: np.random.Generator, cell_px: int) -> Field:
    """Return a field (H, W) of about unit variance whose grains are `cell_px` pixels wide."""
    rows, cols = (n // cell_px + 3 for n in SHAPE)
    coarse = rng.standard_normal((rows, cols)).astype(np.float32)
    y = (np.arange(SHAPE[0]) + rng.uniform(0, cell_px)) / cell_px
    x = (np.arange(SHAPE[1]) + rng.uniform(0, cell_px)) / cell_px
    field = _interpolate(_interpolate(coarse, y, 0), x, 1)
    return field / np.float32(field.std() + 1e-6)


def _interpolate(field: Field, where: NDArray[np.float64], axis: int) -> Field:
    base = where.astype(int)
    share = (where - base).astype(np.float32)
    share = share[:, None] if axis == 0 else share[None]
    mixed: Field = np.take(field, base, axis) * (1 - share) + np.take(field, base + 1, axis) * share
    return mixed
