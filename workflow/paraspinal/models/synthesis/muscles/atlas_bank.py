"""Muscle shapes: signed distance fields of the eight muscles in every slice of a label atlas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

ATLAS_FILE = Path("nifti/muscle_atlas/abdomen_template_dseg.nii.gz")
"""Where the MuscleMap atlas (MIT licence) lies in the data folder; labels 1..8, odd codes the right side."""

ATLAS_TO_CLASS = (0, 2, 1, 4, 3, 6, 5, 8, 7)
"""Class index of each atlas code: classes are MF, ES, PM, QL, each left then right."""

N_MUSCLES = 8
BANK_PIXEL_MM = 1.5
MARGIN_MM = 24.0  # room around the atlas so that distances outside it are known
MAX_DISTANCE_MM = 60.0
MIN_AREA_MM2 = 400.0  # slices with less muscle than this are the ragged ends of the atlas
SLICE_STEP = 2  # every second slice: 3 mm apart
NEIGHBOUR_MM = 12.0  # two slices this close may be blended


@dataclass(frozen=True)
class MuscleShape:
    """Signed distances (8, H, W) in mm, negative inside, on the bank's pixel grid."""

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

    distances_mm: npt.NDArray[np.float32]  # (slice, 8, H, W)
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
        middle = float(cut.weight[len(cut.weight) // 2, 0])
        return MuscleShape(blend.astype(np.float32), ((1 - middle) * first + middle * second) / last)

    def sample(
        self, shape: MuscleShape, x_mm: npt.NDArray[np.float32], y_mm: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Read the distances (8, H, W) at points given in mm, by linear interpolation."""
        rows = (y_mm - self.origin_mm[1]) / BANK_PIXEL_MM
        columns = (x_mm - self.origin_mm[0]) / BANK_PIXEL_MM
        points = np.stack([rows, columns])
        return np.stack([ndimage.map_coordinates(d, points, order=1, mode="nearest") for d in shape.distances_mm])


def mirror(distances_mm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Reflect (8, H, W) at the midline and exchange the sides."""
    return distances_mm[[1, 0, 3, 2, 5, 4, 7, 6], :, ::-1]


def load_atlas_bank(data_folder: Path) -> AtlasBank:
    """Read the atlas below ``data_folder`` and compute the distances (about two seconds)."""
    image = sitk.DICOMOrient(sitk.ReadImage(data_folder / ATLAS_FILE), "LPS")
    codes = sitk.GetArrayFromImage(image).astype(np.uint8)
    spacing = image.GetSpacing()
    slices = [
        (codes[z], spacing)
        for z in range(0, codes.shape[0], SLICE_STEP)
        if np.count_nonzero(codes[z]) * spacing[0] * spacing[1] > MIN_AREA_MM2 and {1, 2} <= set(codes[z].ravel())
    ]
    half = max(codes.shape[1:]) * spacing[0] / 2 + MARGIN_MM
    axis = np.arange(-half, half + BANK_PIXEL_MM / 2, BANK_PIXEL_MM)
    fields = [_distances(labels, spacing[0], axis) for labels, _ in slices]
    return AtlasBank(np.stack(fields), (float(axis[0]), float(axis[0])), SLICE_STEP * spacing[2])


def _distances(
    codes: npt.NDArray[np.uint8], pixel_mm: float, axis_mm: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Signed distances of one slice on a square grid centred between the two multifidi."""
    centres = [ndimage.center_of_mass(codes == code) for code in (1, 2)]
    row, column = np.mean(centres, axis=0)
    pad = round(MARGIN_MM / pixel_mm)
    grid = np.stack(np.meshgrid(axis_mm / pixel_mm + row + pad, axis_mm / pixel_mm + column + pad, indexing="ij"))
    fields = np.empty((N_MUSCLES, axis_mm.size, axis_mm.size), dtype=np.float32)
    for code in range(1, N_MUSCLES + 1):
        inside = np.pad(codes == code, pad)
        if inside.any():
            distance = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
            field = ndimage.map_coordinates(distance * pixel_mm, grid, order=1, mode="nearest")
        else:
            field = np.full(grid.shape[1:], MAX_DISTANCE_MM)
        fields[ATLAS_TO_CLASS[code] - 1] = np.clip(field, -MAX_DISTANCE_MM, MAX_DISTANCE_MM)
    return fields
