"""Find the pairs of values in a user's table: wide, two named columns, or long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from paraspinal.core.errors import ConfigError, InputError
from paraspinal.core.records.tables import Row
from paraspinal.statistics.reasons import AgreementReason
from paraspinal.statistics.strata import AGE_BANDS_YEARS, BMI_BANDS_KG_M2, band
from paraspinal.validate.numbers import Numbers
from paraspinal.validate.table_file import UserTable

MAX_STRATA = 50
"""A column with more values is no stratum but most likely an identifier."""
PARTICIPANT = "participant"
_OWN = ("measure", "reference", "prediction", PARTICIPANT)


@dataclass(frozen=True)
class Layout:
    """How a table holds its pairs.

    Wide: every two columns that differ only in their suffix. Two columns: ``reference`` and ``prediction`` name them,
    ``measure_column`` tells measures apart. Long: ``rater_column`` says who measured ``value_column``, ``reference``
    and ``prediction`` name the two raters, ``items`` the columns that tell what was measured.
    """

    reference_suffix: str = "_ref"
    prediction_suffix: str = "_pred"
    reference: str = ""
    prediction: str = ""
    measure_column: str = ""
    rater_column: str = ""
    value_column: str = ""
    items: tuple[str, ...] = ()
    participant: str = ""
    by: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    age_column: str = ""
    bmi_column: str = ""

    def __post_init__(self) -> None:
        if bool(self.reference) != bool(self.prediction):
            raise ConfigError("--reference and --prediction go together", hint="name both, or neither")
        if self.rater_column and not (self.reference and self.value_column):
            hint = "a long table needs --value-column, --reference and --prediction (the names of the two raters)"
            raise ConfigError("--rater-column alone does not say what to compare", hint=hint)
        if self.measure_column and not self.reference:
            raise ConfigError("--measure-column is for one column of values", hint="in a wide table use --by")
        if not self.reference and self.reference_suffix == self.prediction_suffix:
            raise ConfigError("the two suffixes are the same", hint="--reference-suffix _ref --prediction-suffix _pred")


@dataclass(frozen=True)
class Found:
    """Pairs in one frame (measure, reference, prediction, participant, ``by``, ``strata``), and what was noticed.

    ``skipped`` measures have columns but no values to compare, with the reason.
    """

    frame: pd.DataFrame
    n_rows: int
    by: tuple[str, ...]
    strata: tuple[str, ...]
    skipped: dict[str, AgreementReason] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def skipped_rows(self) -> list[Row]:
        """Rows for the table of agreement that say why a measure has no statistics."""
        counts = dict.fromkeys(("n", "n_missing_reference", "n_missing_prediction"), 0)
        counts |= dict.fromkeys(("n_rows", "n_missing_both"), self.n_rows)
        same = {"stratum_by": "all", "stratum": "all", "is_sufficient": False, "margin_rule": "none", **counts}
        return [{"measure": name, "reason_code": reason.value, **same} for name, reason in self.skipped.items()]


def find_pairs(table: UserTable, layout: Layout) -> Found:
    """Find the pairs; raises ConfigError for a column that is not there, InputError if there is nothing to compare."""
    notes: list[str] = []
    skipped: dict[str, AgreementReason] = {}
    attributes = _attributes(table, layout)
    if layout.rater_column:
        frames = [_long(table, layout, attributes, notes)]
    else:
        columns = _two_columns(table, layout) if layout.reference else _wide(table, layout, notes, skipped)
        read = ((name, table.numbers(r), table.numbers(p)) for name, r, p in columns)
        frames = [f for name, r, p in read if (f := _frame(name, r, p, attributes, notes, skipped)) is not None]
        if layout.measure_column and frames:
            frames[0]["measure"] = [word or "unknown" for word in table.texts(layout.measure_column)]
    if not frames and not skipped:
        raise InputError("no two columns differ only in the suffix", hint=_columns_hint(table))
    empty = pd.DataFrame(columns=list(dict.fromkeys([*_OWN, *attributes])))
    frame = pd.concat(frames, ignore_index=True) if frames else empty
    strata = tuple(name for name in attributes if name not in (*layout.by, PARTICIPANT))
    return Found(frame, table.n_rows, layout.by, strata, skipped, tuple(notes))


def _attributes(table: UserTable, layout: Layout) -> dict[str, pd.Series]:
    """Columns of words that divide the rows, by name."""
    named = [layout.participant, layout.measure_column, layout.rater_column, layout.value_column, layout.age_column]
    for name in (*named, layout.bmi_column, *layout.items, *layout.by, *layout.strata):
        if name:
            _check(table, name)
    if taken := set(_OWN) & {*layout.by, *layout.strata}:
        raise ConfigError(f"the column {taken.pop()} cannot divide the rows", hint="rename it in the table")
    found = {name: pd.Series(table.texts(name), dtype=object) for name in (*layout.by, *layout.strata)}
    if layout.age_column:
        found["age_band"] = band(pd.Series(table.numbers(layout.age_column).values), AGE_BANDS_YEARS)
    if layout.bmi_column:
        found["bmi_band"] = band(pd.Series(table.numbers(layout.bmi_column).values), BMI_BANDS_KG_M2)
    for name in layout.strata:
        if (count := found[name].nunique()) > MAX_STRATA:
            hint = f"a stratum has {MAX_STRATA} values at most; ages and body-mass indices have options of their own"
            raise ConfigError(f"the column {name} has {count} values", hint=hint)
    if layout.participant:
        found[PARTICIPANT] = pd.Series(table.texts(layout.participant), dtype=object)
    return found


def _wide(
    table: UserTable, layout: Layout, notes: list[str], skipped: dict[str, AgreementReason]
) -> list[tuple[str, str, str]]:
    """Pairs of columns that differ only in their suffix: (measure, reference, prediction), in the table's order."""
    first, second = layout.reference_suffix, layout.prediction_suffix
    names = set(table.names)
    found: list[tuple[str, str, str]] = []
    for name in dict.fromkeys(table.names):
        for suffix, other in ((first, second), (second, first)):
            if suffix and name.endswith(suffix) and not (other and len(other) > len(suffix) and name.endswith(other)):
                stem = name.removesuffix(suffix)
                pair = (stem + first, stem + second)
                if stem + other not in names:
                    notes.append(f"{name} has no partner {stem + other}: not compared")
                elif set(pair) & table.duplicates:
                    skipped[stem or "value"] = AgreementReason.DUPLICATE_COLUMN
                elif all(stem != seen for seen, *_ in found):
                    found.append((stem, *pair))
                break
    return [(stem or "value", reference, prediction) for stem, reference, prediction in found]


def _two_columns(table: UserTable, layout: Layout) -> list[tuple[str, str, str]]:
    for name in (layout.reference, layout.prediction):
        _check(table, name)
    return [(layout.prediction, layout.reference, layout.prediction)]


def _frame(
    measure: str,
    reference: Numbers,
    prediction: Numbers,
    attributes: dict[str, pd.Series],
    notes: list[str],
    skipped: dict[str, AgreementReason],
) -> pd.DataFrame | None:
    if not (reference.is_numeric and prediction.is_numeric):
        skipped[measure] = AgreementReason.NOT_NUMERIC
        return None
    unreadable = reference.n_unreadable + prediction.n_unreadable
    if unreadable:
        notes.append(f"{measure}: {unreadable} cells are no numbers and count as missing")
    if reference.is_percent != prediction.is_percent:
        notes.append(f"{measure}: only one of the two columns has percent signs; values are compared as they stand")
    return pd.DataFrame(
        {"measure": measure, "reference": reference.values, "prediction": prediction.values, **attributes}
    )


def _long(table: UserTable, layout: Layout, attributes: dict[str, pd.Series], notes: list[str]) -> pd.DataFrame:
    """Bring the rows of two raters together, item by item."""
    items = layout.items or tuple(n for n in (layout.participant, *layout.by) if n)
    if not items:
        raise ConfigError("nothing says which rows are of one item", hint="name the columns with --item")
    numbers = table.numbers(layout.value_column)
    frame = pd.DataFrame({"_rater": table.texts(layout.rater_column), "_value": numbers.values, **attributes})
    measures = table.texts(layout.measure_column) if layout.measure_column else [layout.value_column] * len(frame)
    frame["measure"] = [word or "unknown" for word in measures]
    keys = ["measure"]
    for number, name in enumerate(dict.fromkeys((*items, *layout.by))):
        keys.append(f"_item{number}")
        frame[keys[-1]] = [word or "" for word in table.texts(name)]
    others = set(frame["_rater"].dropna()) - {layout.reference, layout.prediction}
    if others:
        notes.append(f"{len(others)} other values of {layout.rater_column} are left out")
    if numbers.n_unreadable:
        notes.append(f"{layout.value_column}: {numbers.n_unreadable} cells are no numbers and count as missing")
    frame = frame[frame["_rater"].isin([layout.reference, layout.prediction])]
    for rater in (layout.reference, layout.prediction):
        if not (frame["_rater"] == rater).any():
            raise ConfigError(f"{layout.rater_column} never says {rater}", hint="check --reference and --prediction")
    if frame.duplicated([*keys, "_rater"]).any():
        raise InputError("an item has two values by one rater", hint="name every column that tells items apart: --item")
    wide = frame.set_index([*keys, "_rater"])["_value"].unstack("_rater")
    rest = frame.drop(columns=["_rater", "_value"]).groupby(keys, sort=False).first()
    pairs = pd.DataFrame({"reference": wide[layout.reference], "prediction": wide[layout.prediction]})
    return rest.join(pairs).reset_index().drop(columns=[k for k in keys if k != "measure"])


def _check(table: UserTable, name: str) -> None:
    if name not in table.names:
        raise ConfigError(f"the table has no column {name}", hint=_columns_hint(table))
    if name in table.duplicates:
        raise ConfigError(f"two columns are called {name}", hint="rename one in the table")


def _columns_hint(table: UserTable, most: int = 12) -> str:
    names: Iterable[str] = table.names[:most]
    return f"columns: {', '.join(names)}" + (" ..." if len(table.names) > most else "")
