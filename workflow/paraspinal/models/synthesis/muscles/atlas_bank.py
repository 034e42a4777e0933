"""Muscle shapes: signed distance fields of the eight muscles in every slice of a label atlas.

Multifidus and erector of a side are also kept as one, their *pair*: where the two touch the lesser of their distances
is zero, so the outline of both cannot be had from them once the border between them moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from paraspinal.core.vocab import Muscle, Side
from paraspinal.models.synthesis.muscles.layout import ERECTOR, MULTIFIDUS, PAINTED, SIDES_SWAPPED

ATLAS_FILE = Path("nifti/muscle_atlas/abdomen_template_dseg.nii.gz")
"""Where the MuscleMap atlas (MIT licence) lies in the data folder; labels 1 to 8."""

ATLAS_CODES = {
    (Muscle.MULTIFIDUS, Side.RIGHT): 1,
    (Muscle.MULTIFIDUS, Side.LEFT): 2,
    (Muscle.ERECTOR_SPINAE, Side.RIGHT): 3,
    (Muscle.ERECTOR_SPINAE, Side.LEFT): 4,
    (Muscle.PSOAS_MAJOR, Side.RIGHT): 5,
    (Muscle.PSOAS_MAJOR, Side.LEFT): 6,
    (Muscle.QUADRATUS_LUMBORUM, Side.RIGHT): 7,
    (Muscle.QUADRATUS_LUMBORUM, Side.LEFT): 8,
}
MIDDLE = tuple(ATLAS_CODES[Muscle.MULTIFIDUS, side] for side in (Side.RIGHT, Side.LEFT))
"""Codes of the two muscles whose middle is the origin."""

PAIR_GAP_MM = 2.4  # a gap between multifidus and erector up to this wide is part of their pair
BANK_PIXEL_MM = 1.5
MARGIN_MM = 24.0  # room around the atlas so that distances outside it are known
MAX_DISTANCE_MM = 60.0
MIN_AREA_MM2 = 400.0  # slices with less muscle than this are the ragged ends of the atlas
SLICE_STEP = 2  # every second slice: 3 mm apart
NEIGHBOUR_MM = 12.0  # two slices this close may be blended


@dataclass(frozen=True)
class MuscleShape:
    """Signed distances (10, H, W) in mm of muscles and pairs, negative inside, on the bank's pixel grid."""

    distances_mm: npt.NDArray[np.float32]
    height_frac: float  # 0 at the caudal end of the atlas (L5/S1), 1 at the cranial (L1)


@dataclass(frozen=True)
class AtlasCut:
    """A slice between two slices of the atlas, the second of which may be mirrored; oblique where weights vary."""

    first: int
    second: int
    is_mirrored: bool
    weight: npt.NDArray[np.float32]  # (H, 1) of the second slice


@dataclass(frozen=True)
class AtlasBank:
    """All usable slices of the atlas, caudal first, x = 0 at the midline and y = 0 at the multifidus."""

    distances_mm: npt.NDArray[np.float32]  # (slice, 10, H, W)
    origin_mm: tuple[float, float]  # (x, y) of pixel [0, 0]
    slice_mm: float

    def draw(self, rng: np.random.Generator, tilt_deg: float = 0.0) -> AtlasCut:
        """Draw two neighbouring slices to blend, one of them mirrored half of the time; ``tilt_deg`` lifts the back."""
        count = len(self.distances_mm)
        first = int(rng.integers(count))
        reach = int(NEIGHBOUR_MM / self.slice_mm)
        second = int(np.clip(first + rng.integers(-reach, reach + 1), 0, count - 1))
        weight = np.full((self.distances_mm.shape[2], 1), rng.uniform(), dtype=np.float32)
        is_mirrored = bool(rng.uniform() < 0.5)
        if second != first:
            y_mm = self.origin_mm[1] + BANK_PIXEL_MM * np.arange(len(weight), dtype=np.float32)
            slope = np.tan(np.deg2rad(tilt_deg)) / (self.slice_mm * (second - first))
            weight = np.clip(weight + np.float32(slope) * y_mm[:, None], 0.0, 1.0)
        return AtlasCut(first, second, is_mirrored, weight)

    def slice(self, index: int) -> MuscleShape:
        """Return slice ``index`` as it is, 0 being the most caudal."""
        return MuscleShape(self.distances_mm[index], index / (len(self.distances_mm) - 1))

    def shape(self, cut: AtlasCut, steps_up: int = 0) -> MuscleShape:
        """Blend the slices of a cut, or those ``steps_up`` slices cranial of them."""
        last = len(self.distances_mm) - 1
        first, second = (int(np.clip(i + steps_up, 0, last)) for i in (cut.first, cut.second))
        other = mirror(self.distances_mm[second]) if cut.is_mirrored else self.distances_mm[second]
        blend = (1 - cut.weight) * self.distances_mm[first] + cut.weight * other
        return MuscleShape(blend.astype(np.float32), _between(cut, first, second) / last)

    def height(self, cut: AtlasCut) -> float:
        """Height of a cut as a share of the atlas, 0 at its caudal end."""
        return _between(cut, cut.first, cut.second) / (len(self.distances_mm) - 1)

    def sample(
        self, shape: MuscleShape, x_mm: npt.NDArray[np.float32], y_mm: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Read the distances (10, H, W) at points given in mm, by linear interpolation."""
        rows = (y_mm - self.origin_mm[1]) / BANK_PIXEL_MM
        columns = (x_mm - self.origin_mm[0]) / BANK_PIXEL_MM
        points = np.stack([rows, columns])
        return np.stack([ndimage.map_coordinates(d, points, order=1, mode="nearest") for d in shape.distances_mm])


def _between(cut: AtlasCut, first: int, second: int) -> float:
    middle = float(cut.weight[len(cut.weight) // 2, 0])
    return (1 - middle) * first + middle * second


def mirror(distances_mm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Reflect (10, H, W) at the midline and exchange the sides."""
    return distances_mm[list(SIDES_SWAPPED), :, ::-1]


def load_atlas_bank(data_folder: Path) -> AtlasBank:
    """Read the atlas below ``data_folder`` and compute the distances (some ten seconds)."""
    image = sitk.DICOMOrient(sitk.ReadImage(data_folder / ATLAS_FILE), "LPS")
    codes = sitk.GetArrayFromImage(image).astype(np.uint8)
    spacing = image.GetSpacing()
    slices = [
        codes[z]
        for z in range(0, codes.shape[0], SLICE_STEP)
        if np.count_nonzero(codes[z]) * spacing[0] * spacing[1] > MIN_AREA_MM2 and set(MIDDLE) <= set(codes[z].ravel())
    ]
    half = max(codes.shape[1:]) * spacing[0] / 2 + MARGIN_MM
    axis = np.arange(-half, half + BANK_PIXEL_MM / 2, BANK_PIXEL_MM)
    fields = [_fields(labels, spacing[0], axis) for labels in slices]
    return AtlasBank(np.stack(fields), (float(axis[0]), float(axis[0])), SLICE_STEP * spacing[2])


def _fields(
    codes: npt.NDArray[np.uint8], pixel_mm: float, axis_mm: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Signed distances (10, H, W) of one slice on a square grid centred between the two multifidi."""
    pad = round(MARGIN_MM / pixel_mm)
    codes = np.pad(codes[ndimage.find_objects((codes > 0).astype(np.uint8))[0]], pad)
    row, column = np.mean([ndimage.center_of_mass(codes == code) for code in MIDDLE], axis=0)
    grid = np.stack(np.meshgrid(axis_mm / pixel_mm + row, axis_mm / pixel_mm + column, indexing="ij"))
    masks = [codes == ATLAS_CODES[muscle] for muscle in PAINTED]
    masks += [closed(masks[m] | masks[e], pixel_mm) for m, e in zip(MULTIFIDUS, ERECTOR, strict=True)]
    return np.stack([_on_grid(signed_distance(mask, pixel_mm), grid) for mask in masks])


def closed(mask: npt.NDArray[np.bool_], pixel_mm: float) -> npt.NDArray[np.bool_]:
    """Fill gaps of up to ``PAIR_GAP_MM`` between the parts of a mask (H, W), whose outer outline stays."""
    reach_mm = 0.5 * PAIR_GAP_MM
    near = ndimage.distance_transform_edt(~mask) * pixel_mm <= reach_mm
    return np.asarray(mask | (ndimage.distance_transform_edt(near) * pixel_mm > reach_mm + pixel_mm))


def signed_distance(mask: npt.NDArray[np.bool_], pixel_mm: float) -> npt.NDArray[np.float32]:
    """Distance (H, W) in mm to the outline of a mask, negative inside, at most ``MAX_DISTANCE_MM``."""
    if not mask.any():
        return np.full(mask.shape, MAX_DISTANCE_MM, dtype=np.float32)
    distance = ndimage.distance_transform_edt(~mask)
    rows, columns = ndimage.find_objects(mask.astype(np.uint8))[0]
    around = slice(max(rows.start - 1, 0), rows.stop + 1), slice(max(columns.start - 1, 0), columns.stop + 1)
    distance[around] -= ndimage.distance_transform_edt(mask[around])
    distance -= 0.5 * np.sign(distance)  # the outline runs between pixels
    return np.asarray(np.clip(distance * pixel_mm, -MAX_DISTANCE_MM, MAX_DISTANCE_MM), dtype=np.float32)


def _on_grid(field: npt.NDArray[np.float32], grid: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    return np.asarray(ndimage.map_coordinates(field, grid, order=1, mode="nearest"), dtype=np.float32)
