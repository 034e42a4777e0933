"""A small picture of the outlines on the image, for people: a few slices, fixed colours, no text from headers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from paraspinal.core.imaging.geometry import Grid, plane_of
from paraspinal.core.labels import Label, all_labels
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import LevelScheme, Muscle, Plane

PANEL = (216, 168)
"""Width and height of one slice in the picture, pixel."""
MAX_PANELS = 6
MARGIN_MM = 15.0
"""Image shown around the outlines."""
GREYS = 32
"""Grey levels: few, so that the picture stays small; the outlines are what matters."""
WINDOW_PERCENTILES = (1.0, 99.0)
TEXT = 4
"""Distance of text from the edge of a panel, pixel."""

_MUSCLE_COLOURS = {
    Muscle.MULTIFIDUS: (255, 190, 0),
    Muscle.ERECTOR_SPINAE: (70, 160, 255),
    Muscle.PSOAS_MAJOR: (80, 220, 100),
    Muscle.QUADRATUS_LUMBORUM: (240, 90, 200),
}
_BODY_COLOURS = ((255, 190, 0), (70, 160, 255))
_DISC_COLOUR, _OTHER_COLOUR, _WHITE = (80, 220, 100), (240, 90, 200), (255, 255, 255)
_PALETTE = [(g, g, g) for g in np.linspace(0, 255, GREYS).round().astype(int).tolist()] + [
    *_MUSCLE_COLOURS.values(),
    _WHITE,
]
"""Colours of the spine are those of the muscles."""

_SCREEN_AXES = {
    Plane.SAGITTAL: (np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])),
    Plane.CORONAL: (np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])),
}
_AXIAL_AXES = (np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
"""Directions (LPS) that point right and down on the screen: the patient's left is on the right, front on top."""


@dataclass(frozen=True)
class Panel:
    """One slice to show and the level it stands for, if any."""

    slice_index: int
    caption: str


def panels_of(labels: NDArray[np.unsignedinteger], slabs: list[Row] | None) -> list[Panel]:
    """Choose slices: the middle of every vertebra or disc group if levels are known, else spread over the outlines."""
    schemes = (LevelScheme.VERTEBRA_MID, LevelScheme.DISC_STACK)
    chosen = []
    for slab in slabs or []:
        weights = np.asarray(slab["slice_weights"] or [])
        if slab["level_scheme"] in schemes and weights.any():
            middle = round(float(weights @ np.arange(weights.size) / weights.sum()))
            chosen.append(Panel(middle, slab["level"]))
    if not chosen:
        outlined = np.flatnonzero(labels.any(axis=(1, 2)))
        places = np.linspace(0, outlined.size - 1, min(MAX_PANELS, outlined.size) + 2)[1:-1].round().astype(int)
        chosen = [Panel(int(k), "") for k in np.unique(outlined[places])]
    return chosen[-MAX_PANELS:]


def draw(volume: NDArray, labels: NDArray[np.unsignedinteger], grid: Grid, panels: list[Panel]) -> Image.Image:
    """Draw slices of an image with the outlines of its label map, both (z, y, x) on ``grid``, side by side."""
    columns = min(3, len(panels))
    sheet = np.zeros((-(-len(panels) // columns) * PANEL[1], columns * PANEL[0]), dtype=np.uint8)
    low, high = np.percentile(volume[[p.slice_index for p in panels]], WINDOW_PERCENTILES)
    view = _View.of(labels, grid)
    corners = [((n % columns) * PANEL[0], (n // columns) * PANEL[1]) for n in range(len(panels))]
    for panel, (x, y) in zip(panels, corners, strict=True):
        grey = (volume[panel.slice_index] - low) / max(high - low, np.finfo(np.float32).tiny)
        picture = (view.show(np.clip(grey, 0, 1), order=1) * (GREYS - 1)).round().astype(np.uint8)
        for code, edge in _edges(view.show(labels[panel.slice_index], order=0)):
            picture[edge] = _colour_index(code)
        sheet[y : y + PANEL[1], x : x + PANEL[0]] = picture
    image = Image.fromarray(sheet)
    image.putpalette([value for colour in _PALETTE for value in colour])
    for panel, corner in zip(panels, corners, strict=True):
        _write(image, corner, panel.caption, view.is_axial)
    return image


@dataclass(frozen=True)
class _View:
    """Maps the pixels of a panel to rows and columns of a slice."""

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    is_axial: bool

    @classmethod
    def of(cls, labels: NDArray[np.unsignedinteger], grid: Grid) -> _View:
        """Frame the outlines of all slices with a margin, in the usual orientation and without distortion."""
        plane = plane_of(grid.normal)
        right, down = _SCREEN_AXES.get(plane, _AXIAL_AXES)
        _, rows, columns = np.nonzero(labels)
        centre = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
        spacing = np.array(grid.spacing_mm[:2])
        extent_mm = np.array([np.ptp(columns), np.ptp(rows)]) * spacing + 2 * MARGIN_MM
        axes = grid.axes[:, :2]
        is_upright = abs(right @ axes[:, 0]) >= abs(right @ axes[:, 1])
        across, along = (0, 1) if is_upright else (1, 0)
        pixel_mm = max(extent_mm[across] / PANEL[0], extent_mm[along] / PANEL[1])
        u = (np.arange(PANEL[0]) - (PANEL[0] - 1) / 2) * pixel_mm * _sign(right @ axes[:, across]) / spacing[across]
        v = (np.arange(PANEL[1]) - (PANEL[1] - 1) / 2) * pixel_mm * _sign(down @ axes[:, along]) / spacing[along]
        on_u, on_v = np.meshgrid(centre[across] + u, centre[along] + v)
        return cls(*((on_v, on_u) if is_upright else (on_u, on_v)), plane not in _SCREEN_AXES)

    def show(self, picture: NDArray, order: int) -> NDArray:
        """Sample one slice (y, x) at the pixels of the panel; black outside."""
        shown: NDArray = ndimage.map_coordinates(picture, [self.rows, self.columns], order=order, mode="constant")
        return shown


def _edges(outlines: NDArray) -> list[tuple[int, NDArray[np.bool_]]]:
    found = []
    for code in np.unique(outlines[outlines > 0]):
        mask = outlines == code
        found.append((int(code), mask & ~ndimage.binary_erosion(mask)))
    return found


def _colour_index(code: int) -> int:
    return _PALETTE.index(_colour({label.code: label for label in all_labels()}[code]))


def _colour(label: Label) -> tuple[int, int, int]:
    if label.muscle is not None:
        return _MUSCLE_COLOURS[label.muscle]
    if label.structure == "vertebra":
        return _BODY_COLOURS[label.code % 2]
    return _DISC_COLOUR if label.structure == "disc" else _OTHER_COLOUR


def _write(sheet: Image.Image, corner: tuple[int, int], caption: str, is_axial: bool) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    pen.fontmode = "1"  # no half tones: every pixel is a colour of the palette
    white = len(_PALETTE) - 1
    x, y = corner
    pen.text((x + TEXT, y + TEXT), caption, fill=white, font=font)
    if is_axial:
        pen.text((x + TEXT, y + PANEL[1] // 2), "R", fill=white, font=font)
        pen.text((x + PANEL[0] - TEXT, y + PANEL[1] // 2), "L", fill=white, font=font, anchor="ra")


def _sign(value: float) -> float:
    return 1.0 if value >= 0 else -1.0
