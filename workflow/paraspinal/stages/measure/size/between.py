"""A muscle between two planes that are parallel neither to each other nor to the slices: voxels weighed one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason
from paraspinal.stages.measure.fat.profile import Shares
from paraspinal.stages.measure.regions import Edge, Region, Voxels
from paraspinal.stages.measure.size.size import holes, ratio

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """What lies below an upper and above a lower plane: points (3,) in LPS mm, unit normals (3,) towards the head."""

    upper: tuple[Floats, Floats]
    lower: tuple[Floats, Floats]

    @classmethod
    def of(cls, planes_mm: list[float]) -> Block:
        """Read the twelve numbers of the field ``planes_mm`` of a level."""
        parts = np.asarray(planes_mm, dtype=np.float64).reshape(4, 3)
        return cls((parts[0], parts[1]), (parts[2], parts[3]))

    @property
    def height_mm(self) -> float:
        """Straight distance of the two points, which lie on the axis of the spine."""
        return float(np.linalg.norm(self.upper[0] - self.lower[0]))

    def ends(self, voxels: Voxels, grid: Grid) -> tuple[Floats, Floats]:
        """Where the line along the slice normal through each voxel enters and leaves the block, (n,) each.

        In slices from the voxel's own; it leaves before it enters where the planes have crossed.
        """
        points = grid.to_world(np.stack(voxels[::-1], axis=-1))
        places = [
            ((point - points) @ normal) / float(grid.normal @ normal) / grid.spacing_mm[2]
            for point, normal in (self.lower, self.upper)
        ]
        return (places[0], places[1]) if grid.normal @ self.upper[1] > 0 else (places[1], places[0])

    def share(self, voxels: Voxels, grid: Grid) -> Floats:
        """Share of every voxel's stretch along the slice normal, one spacing long, that lies inside, (n,)."""
        enters, leaves = self.ends(voxels, grid)
        inside: Floats = np.clip(np.minimum(leaves, 0.5) - np.maximum(enters, -0.5), 0.0, 1.0)
        return inside

    def shares(self, region: Region, grid: Grid) -> Shares:
        """Shares of the voxels of a mask and of its two neighbours."""
        return {edge: self.share(voxels, grid) for edge, voxels in region.voxels.items()}

    def beyond(self, voxels: Voxels, grid: Grid) -> float:
        """Voxels' worth of the block that a muscle would fill outside the stack, as its end slices go on."""
        enters, leaves = self.ends(voxels, grid)
        first, last = voxels[0] == 0, voxels[0] == grid.size[2] - 1
        before = np.clip(np.minimum(leaves, -0.5) - enters, 0.0, None)[first].sum()
        behind = np.clip(leaves - np.maximum(enters, 0.5), 0.0, None)[last].sum()
        return float(before + behind)


def size_between(block: Block, region: Region, slab: Row, grid: Grid, min_coverage_frac: float) -> Row:
    """Measure one muscle between two planes; columns as of a slab.

    ``acsa_mm2`` is the volume over the straight distance between the planes on the axis of the spine: a cross-section
    across that axis, which needs no correction for tilt.
    """
    row: Row = {"coverage_frac": slab["coverage_frac"], "slice_tilt_deg": slab["slice_tilt_deg"]}
    voxels = region.voxels[Edge.AS_SEGMENTED]
    share = block.share(voxels, grid)
    held = float(share.sum())
    if not held > 0:
        return {**row, "reason_code": (Reason.SEG_EMPTY if region.is_empty else Reason.SEG_PARTIAL).value}
    row["coverage_frac"] = held / (held + block.beyond(voxels, grid))
    row["n_slices"] = float(np.unique(voxels[0][share > 0]).size)
    is_truncated = bool((region.touches_border[voxels[0]] & (share > 0)).any())
    row["truncated_fov"] = is_truncated
    if row["coverage_frac"] < min_coverage_frac:
        return {**row, "reason_code": Reason.COVERAGE_PARTIAL.value}
    if holes(region.area_mm2).any():
        return {**row, "reason_code": Reason.SEG_PARTIAL.value}
    volume = held * grid.voxel_volume_mm3
    acsa = volume / block.height_mm
    return {
        **row,
        "volume_mm3": volume,
        "acsa_mm2": acsa,
        "csa_perp_mm2": acsa,
        "rcsa_vb": ratio(acsa, slab["body_area_mm2"]),
        "reason_code": Reason.FOV_TRUNCATED.value if is_truncated else None,
    }
