"""Which prediction belongs to which reference: by a sheet, or by BIDS entities; never by parts of names."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from paraspinal.core.errors import ConfigError, InputError
from paraspinal.validate.table_file import read_table

NIFTI = re.compile(r"(?P<stem>.+)\.nii(\.gz)?")
DSEG = "dseg"
"""BIDS suffix of label maps."""
IGNORED_ENTITIES = frozenset(("desc", "label", "seg"))
"""Entities that tell how an outline was made, not of what."""

FILES = ("prediction", "reference", "water", "fat")
PEOPLE = ("participant",)
STRATA = ("centre", "vendor", "field_strength_t", "sequence", "sex")
BANDED = ("age_years", "bmi_kg_m2")


@dataclass(frozen=True)
class MaskPair:
    """One scan to compare. ``prediction`` or ``reference`` is None where there is none.

    ``names`` tells whose rows belong together and which stratum they are in; it may hold names of people.
    """

    prediction: Path | None
    reference: Path | None
    names: dict[str, str] = field(default_factory=dict)
    water: Path | None = None
    fat: Path | None = None


def pair_by_sheet(sheet: Path, predictions: Path, references: Path) -> list[MaskPair]:
    """Read pairs from a table with the columns prediction and reference: paths below the two folders.

    An empty prediction is a failed segmentation. May also have water and fat (paths beside the predictions),
    participant, and strata. Raises ConfigError for a column it does not know, InputError for a file that is not there.
    """
    table = read_table(sheet)
    known = {*FILES, *PEOPLE, *STRATA, *BANDED}
    if unknown := [name for name in table.names if name not in known]:
        raise ConfigError(f"pairs sheet: unknown column {unknown[0]}", hint=f"columns: {', '.join(sorted(known))}")
    if table.duplicates or not {"prediction", "reference"} <= set(table.names):
        raise ConfigError("pairs sheet: needs one column prediction and one reference", hint="see config/README.md")
    columns = {name: table.texts(name) for name in table.names}
    folders = {"reference": references}
    pairs = []
    for number in range(table.n_rows):
        cells = {name: column[number] for name, column in columns.items()}
        files: dict[str, Path | None] = dict.fromkeys(FILES)
        for name in FILES:
            if text := cells.pop(name, None):
                files[name] = path = folders.get(name, predictions) / text
                if not path.is_file():
                    raise InputError(
                        f"pairs sheet, row {number + 1}: no such {name}", hint="give paths below the folders"
                    )
        if files["reference"] is None:
            raise ConfigError(f"pairs sheet, row {number + 1}: no reference", hint="leave out what has none")
        names = {name: text for name, text in cells.items() if text}
        pairs.append(MaskPair(files["prediction"], files["reference"], names, files["water"], files["fat"]))
    for name in ("prediction", "reference"):
        used = [path for pair in pairs if (path := getattr(pair, name))]
        if len(set(used)) < len(used):
            raise ConfigError(f"pairs sheet: a {name} stands twice", hint="one row per scan")
    return pairs


def pair_by_entities(predictions: Path, references: Path) -> list[MaskPair]:
    """Pair label maps (suffix dseg) whose BIDS entities are the same but for desc, label and seg.

    Every label map of either folder is in exactly one pair. Raises InputError if a folder has none, if two of one
    folder are not told apart, or if nothing pairs.
    """
    found = [_by_entities(folder, what) for folder, what in ((predictions, "predictions"), (references, "references"))]
    keys = sorted({*found[0], *found[1]})
    if not set(found[0]) & set(found[1]):
        hint = "name the pairs in a sheet (--sheet), or give both the same BIDS entities"
        raise InputError("no prediction and reference have the same BIDS entities", hint=hint)
    return [MaskPair(found[0].get(key), found[1].get(key), {"participant": dict(key)["sub"]}) for key in keys]


def entities(stem: str) -> tuple[dict[str, str], str] | None:
    """Split a BIDS name into its entities and suffix; None if it is not one, or names no subject."""
    *parts, suffix = stem.split("_")
    pairs = [part.partition("-") for part in parts]
    found = {key: value for key, _, value in pairs}
    if not all(key and value for key, _, value in pairs) or len(found) < len(parts) or "sub" not in found:
        return None
    return found, suffix


def _by_entities(folder: Path, what: str) -> dict[tuple[tuple[str, str], ...], Path]:
    if not folder.is_dir():
        raise InputError(f"the folder of {what} does not exist", hint="check the path")
    grouped: dict[tuple[tuple[str, str], ...], list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        image = NIFTI.fullmatch(path.name)
        named = entities(image["stem"]) if image and path.is_file() else None
        if named and named[1] == DSEG:
            told = [item for item in named[0].items() if item[0] not in IGNORED_ENTITIES]
            grouped[tuple(sorted(told, key=lambda item: (item[0] != "sub", item)))].append(path)
    if not grouped:
        hint = "expected sub-..._dseg.nii.gz; name other files in a sheet (--sheet)"
        raise InputError(f"no label maps with BIDS names among the {what}", hint=hint)
    if doubled := sum(len(paths) > 1 for paths in grouped.values()):
        hint = "two outlines of one scan cannot be told apart; name the pairs in a sheet (--sheet)"
        raise InputError(f"{doubled} scans have several label maps among the {what}", hint=hint)
    return {key: paths[0] for key, paths in grouped.items()}
