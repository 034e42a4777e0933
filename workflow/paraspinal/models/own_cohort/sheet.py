"""The sheet of a labelled cohort: which images, whose, from where, and what each may be used for.

Nobody may stand on two sides of a comparison: a person has one role, and a centre that is external has no
other. Messages name rows, never people, centres or files. Importable without torch.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from paraspinal.core.errors import ConfigError
from paraspinal.core.labels import all_labels
from paraspinal.core.vocab import DixonPart, Sequence

COLUMNS = ("image", "labels", "person", "centre", "role", "contrast")
OPTIONAL = ("fat",)
VALUE_COLUMNS = ("value", "label")
CONTRASTS = tuple(x.value for x in (*Sequence, *DixonPart) if x not in (Sequence.DIXON, Sequence.UNKNOWN))
HINT = "see the user's manual, Training"


class Role(StrEnum):
    """What a person's images are for."""

    TRAINING = "training"
    TUNING = "tuning"  # looked at while deciding, never learnt from
    EXTERNAL = "external"  # other centres, looked at once


@dataclass(frozen=True)
class Case:
    """One labelled image; ``row`` is its line in the sheet, the header being line 1."""

    row: int
    image: Path
    labels: Path
    fat: Path | None
    person: str
    centre: str
    role: Role
    contrast: str


def read_sheet(path: Path, centre_roles: Mapping[str, Role] | None = None) -> tuple[Case, ...]:
    """Read a cohort sheet (TSV); files are relative to its folder.

    ``centre_roles`` fills empty role cells. Raises ConfigError for a sheet that is incomplete, or mixes roles.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            columns = tuple(reader.fieldnames or ())
            if set(columns) - set(OPTIONAL) != set(COLUMNS) or len(set(columns)) != len(columns):
                wanted = f"{', '.join(COLUMNS)}; optionally {', '.join(OPTIONAL)}"
                raise ConfigError("the cohort sheet does not have the expected columns", hint=wanted)
            rows = [(reader.line_num, {k: (v or "").strip() for k, v in row.items() if k}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise ConfigError("the cohort sheet cannot be read", hint="expected a tab-separated file in UTF-8") from None
    cases = tuple(_case(number, row, path.parent, centre_roles or {}) for number, row in rows)
    _keep_apart(cases)
    return cases


def _case(number: int, row: Mapping[str, str], folder: Path, centre_roles: Mapping[str, Role]) -> Case:
    empty = [name for name in COLUMNS if name != "role" and not row[name]]
    if empty:
        raise ConfigError(f"row {number} of the cohort sheet lacks {', '.join(empty)}", hint=HINT)
    role = row["role"] or centre_roles.get(row["centre"], "")
    if role not in [r.value for r in Role]:
        raise ConfigError(
            f"row {number} of the cohort sheet has no role, or an unknown one", hint=", ".join(r.value for r in Role)
        )
    if row["contrast"] not in CONTRASTS:
        raise ConfigError(f"row {number} of the cohort sheet has an unknown contrast", hint=", ".join(CONTRASTS))
    image, labels = folder / row["image"], folder / row["labels"]
    fat = folder / row["fat"] if row.get("fat") else None
    if not all(path.is_file() for path in (image, labels, fat) if path):
        raise ConfigError(f"row {number} of the cohort sheet names a file that does not exist", hint=HINT)
    return Case(number, image, labels, fat, row["person"], row["centre"], Role(role), row["contrast"])


def _keep_apart(cases: tuple[Case, ...]) -> None:
    if not any(case.role is Role.TRAINING for case in cases):
        raise ConfigError("the cohort sheet has no image for training", hint=HINT)
    twice = [path for path, n in Counter(case.image.resolve() for case in cases).items() if n > 1]
    if twice:
        rows = [case.row for case in cases if case.image.resolve() in twice]
        raise ConfigError(f"rows {_list(rows)} of the cohort sheet name the same image", hint=HINT)
    for person in sorted({case.person for case in cases}):
        own = [case for case in cases if case.person == person]
        if len({case.role for case in own}) > 1:
            where = _list(case.row for case in own)
            raise ConfigError(
                f"leakage: rows {where} of the cohort sheet are one person in different roles",
                hint="a person has one role",
            )
    for centre in sorted({case.centre for case in cases if case.role is Role.EXTERNAL}):
        others = [case.row for case in cases if case.centre == centre and case.role is not Role.EXTERNAL]
        if others:
            raise ConfigError(
                f"leakage: the centre of rows {_list(others)} of the cohort sheet is an external one too",
                hint="an external centre has no other role",
            )


def read_values(path: Path | None) -> dict[int, str | None]:
    """Read what the values of the label maps mean: TSV with value and label; an empty label is background.

    Labels are those of the registry, by name. Without a file the values are the codes of ``resources/labels.tsv``.
    Raises ConfigError.
    """
    codes = {label.name: label.code for label in all_labels() if label.muscle}
    if path is None:
        return {0: None} | {code: name for name, code in codes.items()}
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            if tuple(reader.fieldnames or ()) != VALUE_COLUMNS:
                raise ConfigError("the label sheet does not have the expected columns", hint=", ".join(VALUE_COLUMNS))
            pairs = [(int(row["value"]), (row["label"] or "").strip()) for row in reader]
    except (OSError, UnicodeDecodeError, ValueError, TypeError):
        raise ConfigError("the label sheet cannot be read", hint="a whole number and a name per line") from None
    unknown = sorted({label for _, label in pairs} - set(codes) - {""})
    if unknown:
        raise ConfigError(
            f"the label sheet names what is not in the registry: {', '.join(unknown)}", hint=", ".join(codes)
        )
    if len(dict(pairs)) != len(pairs) or not any(label for _, label in pairs):
        raise ConfigError("the label sheet names a value twice, or no muscle", hint=HINT)
    return {0: None} | {value: label or None for value, label in pairs}


def _list(rows: Iterable[int]) -> str:
    return ", ".join(str(row) for row in sorted(rows))
