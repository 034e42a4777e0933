"""One scan as measuring sees it: its muscles, and its images on the grid of the label map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from numpy.typing import NDArray

from paraspinal.core.errors import DataError
from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.imaging.images import array_of, read_image
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.vocab import Reason
from paraspinal.stages.measure.regions import Region, regions_of

GRID_SHARE_OF_PIXEL = 0.1
"""Images of a scan may be off the label map's grid by this share of a pixel; whether they fit was judged before."""

T = TypeVar("T")


@dataclass(frozen=True)
class Scan:
    """Row of a muscle scan, the grid of its label map, and the muscles its model can draw, by label code."""

    row: Row
    work: Work
    grid: Grid
    regions: Mapping[int, Region]
    _found: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, row: Row, work: Work) -> Scan:
        """Read the label map of a row; raises DataError if there is none, or if it shows no muscle at all."""
        if row["dseg_path"] is None:
            raise DataError(Reason.SEG_EMPTY, "no label map")
        image = read_image(work.image_path(row["dseg_path"]))
        grid = Grid.of(image)
        regions = regions_of(array_of(image), row["model_labels"], grid.voxel_volume_mm3 / grid.spacing_mm[2])
        if all(region.is_empty for region in regions.values()):
            raise DataError(Reason.SEG_EMPTY, "no muscle in the label map")
        return cls(row, work, grid, regions)

    def image(self, column: str) -> NDArray | None:
        """Read the image a column of the row names, (z, y, x); None if it is not on the grid of the label map."""
        image = read_image(self.work.image_path(self.row[column]))
        tolerance_mm = GRID_SHARE_OF_PIXEL * min(self.grid.spacing_mm)
        return array_of(image) if same_grid(Grid.of(image), self.grid, tolerance_mm) else None

    def once(self, read: Callable[[Scan], T]) -> T:
        """What a function reads off this scan; it is called once, however many methods ask."""
        if read not in self._found:
            self._found[read] = read(self)
        return cast(T, self._found[read])
