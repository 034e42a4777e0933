"""Bland-Altman plots and Dice by muscle, as PNG."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paraspinal.core.errors import ResultsError
from paraspinal.core.files import atomic_path
from paraspinal.core.records.tables import Row
from paraspinal.statistics.strata import ALL

PANELS = 12
"""Panels of one page; more groups make more pages."""
COLUMNS = 4
PANEL_INCHES = (3.4, 2.7)
DOTS_PER_INCH = 160
INK, LINE, SHADE = "#1f3a5f", "#b5482a", "#b5482a"
DICE = "dice.png"
FEW = 500
"""More points than these are drawn smaller and fainter."""


def bland_altman(frame: pd.DataFrame, rows: list[Row], by: tuple[str, ...], folder: Path) -> list[str]:
    """Draw difference against mean, one panel per group and one page or more per measure; returns the file names.

    ``rows`` are those of the table of agreement for ``frame``; groups without statistics are left out.
    """
    names: list[str] = []
    whole = [row for row in rows if row["stratum_by"] == ALL and row.get("loa_lower") is not None]
    for measure in dict.fromkeys(row["measure"] for row in whole):
        groups = [row for row in whole if row["measure"] == measure]
        pages = [groups[i : i + PANELS] for i in range(0, len(groups), PANELS)]
        for number, page in enumerate(pages, 1):
            figure, panels = _page(len(page))
            for panel, row in zip(panels, page, strict=False):
                _points(panel, _values(frame, row, by), row, " ".join(str(row[name] or "unknown") for name in by))
            title = str(measure) + (f" ({number} of {len(pages)})" if len(pages) > 1 else "")
            figure.suptitle(title, fontsize=11, fontweight="bold", parse_math=False)
            stem = f"bland-altman_{measure}" + (f"_{number}" if len(pages) > 1 else "")
            names.append(_file_name(stem, names))
            _save(figure, folder / names[-1])
    return names


def dice_by_muscle(overlap: pd.DataFrame, folder: Path) -> str:
    """Draw the Dice overlap of every scan by muscle and side (columns muscle, side, dsc); returns the file name."""
    groups = [(f"{m} {s}".replace("_", " "), g["dsc"].dropna()) for (m, s), g in overlap.groupby(["muscle", "side"])]
    groups = [(name, values) for name, values in groups if len(values)]
    figure = Figure(figsize=(6.4, 1.1 + 0.42 * len(groups)), layout="constrained")
    panel = figure.subplots()
    places = list(range(len(groups), 0, -1))
    panel.boxplot(
        [values for _, values in groups],
        positions=places,
        orientation="horizontal",
        showfliers=False,
        widths=0.55,
        medianprops={"color": LINE, "linewidth": 1.8},
        boxprops={"color": INK},
        whiskerprops={"color": INK},
        capprops={"color": INK},
    )
    for place, (_, values) in zip(places, groups, strict=True):
        jitter = np.random.default_rng(place).uniform(-0.16, 0.16, len(values))
        panel.plot(values, place + jitter, **_dots(len(values)))
    panel.set_yticks(places, [f"{name}  (n = {len(values)})" for name, values in groups])
    panel.set_xlim(min(0.8, *(float(values.min()) - 0.02 for _, values in groups)), 1.005)
    panel.set_xlabel("Dice overlap with the reference")
    _plain(panel)
    panel.grid(axis="x", color="#dddddd", linewidth=0.6)
    _save(figure, folder / DICE)
    return DICE


def _values(frame: pd.DataFrame, row: Row, by: tuple[str, ...]) -> pd.DataFrame:
    keep = (frame["measure"] == row["measure"]) & frame["reference"].notna() & frame["prediction"].notna()
    for name in by:
        keep &= frame[name].isna() if row[name] is None else frame[name].astype(str) == row[name]
    found: pd.DataFrame = frame[keep]
    return found


def _points(panel: Any, values: pd.DataFrame, row: Row, title: str) -> None:
    mean = (values["reference"] + values["prediction"]) / 2.0
    panel.plot(mean, values["prediction"] - values["reference"], **_dots(len(values)))
    for name, style in (("bias", "-"), ("loa_lower", "--"), ("loa_upper", "--")):
        panel.axhspan(row[f"{name}_ci_low"], row[f"{name}_ci_high"], color=SHADE, alpha=0.12, linewidth=0)
        panel.axhline(row[name], color=LINE, linestyle=style, linewidth=1.2)
        panel.annotate(
            f"{row[name]:.3g}",
            (1.0, row[name]),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=LINE,
        )
    panel.axhline(0.0, color="#888888", linewidth=0.6)
    heading = f"{title}, n = {row['n']}" if title else f"n = {row['n']}"
    panel.set_title(heading.replace("_", " "), fontsize=8, loc="left", parse_math=False)
    panel.set_xlabel("mean of reference and prediction", fontsize=7)
    panel.set_ylabel("prediction - reference", fontsize=7)
    panel.tick_params(labelsize=7)
    panel.locator_params(axis="x", nbins=5)
    _plain(panel)


def _page(count: int) -> tuple[Figure, Iterator[Any]]:
    columns = min(COLUMNS, count) if count != 4 else 2
    lines = math.ceil(count / columns)
    scale = 1.5 if count == 1 else 1.0
    size = (PANEL_INCHES[0] * columns * scale, PANEL_INCHES[1] * lines * scale + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for empty in panels[count:]:
        empty.set_axis_off()
    return figure, iter(panels)


def _dots(count: int) -> dict[str, Any]:
    is_few = count <= FEW
    return {
        "linestyle": "",
        "marker": "o",
        "markersize": 3.0 if is_few else 1.8,
        "alpha": 0.55 if is_few else 0.25,
        "color": INK,
        "markeredgewidth": 0,
    }


def _plain(panel: Any) -> None:
    panel.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    """Save as PNG; the same values give the same bytes."""
    try:
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    except OSError as error:
        raise ResultsError(f"a figure cannot be written: {error.strerror}", hint="choose another --out") from None


def _file_name(name: str, taken: list[str]) -> str:
    """Make a safe file name that differs from those ``taken``, in upper and lower case too."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:80]
    seen = {other.lower() for other in taken}
    names = (f"{stem}.png", *(f"{stem}-{number}.png" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name.lower() not in seen)
