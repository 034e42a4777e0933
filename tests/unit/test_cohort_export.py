"""Exports: what a statistics program opens is what the tables hold, and nothing in it can run."""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyreadstat
import pytest
from report_factory import DIXON_METHODS, CohortFactory, rich_results

from paraspinal.cli.main import main
from paraspinal.cohort.tables.export import (
    CODEBOOK,
    MAX_LABEL,
    codebook,
    export,
    export_partitioned,
    export_with_codebook,
)
from paraspinal.cohort.tables.wide import (
    DEFAULT_MEASURES,
    MAX_NAME,
    MUSCLES,
    SCHEMES,
    SEQUENCES,
    SIDES,
    Cell,
    measures,
    needs_method,
    wide,
)
from paraspinal.core.errors import ConfigError
from paraspinal.core.levels import all_levels
from paraspinal.core.records.schemas import COHORT_TABLES
from paraspinal.core.records.tables import Column
from paraspinal.core.vocab import LevelScheme, Muscle, Sequence, Side
from paraspinal.stages.report.data import read_fat_methods

EVIL = (
    '=HYPERLINK("http://x";"y")',
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "\r=1",
    "\n=1",
    " =1",
    "＝1",
    'a"b',
    "a=b",
    "ä,;|",
)
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def hostile() -> pa.Table:
    columns = (
        Column("text", pa.string(), "a text", null_meaning="none"),
        Column("number", pa.float64(), "a number", "mm", "x", "none"),
        Column("count", pa.int64(), "a count", null_meaning="none"),
        Column("is_so", pa.bool_(), "a truth", null_meaning="none"),
        Column("parts", pa.list_(pa.float64()), "a list", null_meaning="none"),
    )
    n = len(EVIL)
    rows = {
        "text": [*EVIL, None],
        "number": [-1.5, 0.1 + 0.2, *[1e-300] * (n - 2), None],
        "count": [-3, *range(n - 1), None],
        "is_so": [True, *[False] * (n - 1), None],
        "parts": [[-1.0, 2.0], *[None] * n],
    }
    return pa.table(rows, schema=pa.schema([c.field() for c in columns]))


def opens_as(cell: str) -> str:
    """What a spreadsheet makes of a cell: it trims blanks, reads numbers, and runs what begins like a formula."""
    plain = cell.lstrip(" ")
    if NUMBER.fullmatch(plain):
        return "number"
    return "formula" if plain.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) else "text"


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_no_cell_of_a_text_export_is_a_formula(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    export(hostile(), path)
    with path.open(newline="", encoding="utf-8") as handle:
        head, *rows = csv.reader(handle, delimiter="," if ending == ".csv" else "\t")
    assert head == ["text", "number", "count", "is_so", "parts"]
    assert len(rows) == len(EVIL) + 1
    assert {opens_as(row[0]) for row in rows} == {"text"}
    assert [row[0].removeprefix("'") for row in rows] == [*(text.replace("\r", "\n") for text in EVIL), ""]
    for place in (1, 2):
        assert {opens_as(row[place]) for row in rows[:-1]} == {"number"}
    assert [float(row[1]) for row in rows[:2]] == [-1.5, 0.1 + 0.2]
    assert rows[-1] == ["", "", "", "", ""]
    assert rows[0][4] == "[-1.0, 2.0]"


def test_texts_of_other_formats_are_as_they_are(tmp_path: Path) -> None:
    table = hostile()
    export(table, tmp_path / "t.parquet")
    assert pa.Table.equals(pa.parquet.read_table(tmp_path / "t.parquet"), table)
    export(table, tmp_path / "t.dta")
    with pd.read_stata(tmp_path / "t.dta", iterator=True) as reader:
        frame, labels = reader.read(), reader.variable_labels()
    export(table, tmp_path / "t.sav")
    spss, meta = pyreadstat.read_sav(tmp_path / "t.sav")
    for found in (frame, spss):
        assert list(found.columns) == table.column_names
        assert found["text"].tolist() == [*EVIL, ""]
        assert found["number"].tolist()[:2] == [-1.5, 0.1 + 0.2]
        assert found["count"].tolist()[0] == -3
        assert found["is_so"].tolist()[:2] == [1, 0]
        assert found[["number", "count", "is_so"]].iloc[-1].isna().all()
    assert labels == meta.column_names_to_labels
    assert labels["number"] == "a number [mm]"


@pytest.mark.parametrize("ending", [".csv", ".dta", ".sav", ".parquet"])
def test_equal_tables_are_equal_bytes(tmp_path: Path, ending: str) -> None:
    paths = [tmp_path / f"{name}{ending}" for name in "ab"]
    for path in paths:
        export(hostile(), path)
    if ending != ".sav":  # SPSS writes the date and time of creation into its header
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [p.name for p in paths]


def test_unknown_endings_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format"):
        export(hostile(), tmp_path / "t.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        export(hostile(), tmp_path / "file" / "t.csv")


def test_codebook_explains_every_column(tmp_path: Path) -> None:
    beside = export_with_codebook(hostile(), tmp_path / "t.csv")
    book = pd.read_csv(beside, keep_default_na=False)
    assert beside.name == "t_codebook.csv"
    assert tuple(book.columns) == CODEBOOK
    assert book["name"].tolist() == hostile().column_names
    assert book.loc[1, ["unit", "formula", "missing_means", "n", "n_missing"]].tolist() == ["mm", "x", "none", 12, 1]


def test_a_table_is_partitioned_without_loss(tmp_path: Path) -> None:
    table = pa.table({"site": ["a", "b", "a", None], "x": [1.0, 2.0, 3.0, 4.0]})
    export_partitioned(table, tmp_path / "parts", "site")
    found = ds.dataset(tmp_path / "parts", partitioning="hive").to_table()
    assert sorted(found.to_pylist(), key=lambda r: r["x"]) == [
        {"x": 1.0, "site": "a"},
        {"x": 2.0, "site": "b"},
        {"x": 3.0, "site": "a"},
        {"x": 4.0, "site": None},
    ]
    with pytest.raises(ConfigError, match="not empty"):
        export_partitioned(table, tmp_path / "parts", "site")
    with pytest.raises(ConfigError, match="partitioned"):
        export_partitioned(table, tmp_path / "more", "none")


def test_every_name_there_can_be_suits_every_program(tmp_path: Path) -> None:
    fat_methods = read_fat_methods(CohortFactory(tmp_path).write() / "tables", ()).values()
    names = set()
    count = 0
    kinds = itertools.product(
        SEQUENCES, Muscle, [*Side, ""], [x.name for x in all_levels() if x.is_measured], SCHEMES, measures()
    )
    for sequence, muscle, side, level, scheme, measure in kinds:
        for method in fat_methods if needs_method(measure) else [None]:
            name = Cell(sequence, muscle, side, level, scheme, measure, method).name
            assert re.fullmatch(rf"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}", name), name
            names.add(name)
            count += 1
    assert len(names) == count
    for table in COHORT_TABLES:
        for name in table.names:
            assert re.fullmatch(rf"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}", name), name


def one_person(root: Path) -> CohortFactory:
    make = CohortFactory(root)
    make.measure(make.scan("p1", 1, "b", sequence="dixon"), 1.0, methods=DIXON_METHODS)
    make.measure(make.scan("p1", 2, "c", sequence="dixon"), 2.0, methods=DIXON_METHODS)
    return make


def test_wide_table_has_a_row_per_visit_and_the_values_of_the_metrics(tmp_path: Path) -> None:
    table = wide(one_person(tmp_path).write())
    frame = table.to_pandas()
    assert frame["visit"].tolist() == [1, 2]
    assert frame["days_from_first_visit"].tolist() == [0, 400]
    assert frame["sex"].tolist() == ["F", "F"]
    assert frame["dx_n_scans"].tolist() == [1, 1]
    assert frame["dx_light"].tolist() == ["green", "green"]
    assert frame["dx_mf_l_l3_slab_acsa"].tolist() == [480.0, 960.0]
    assert frame["dx_es_r_l5_slab_volume"].tolist() == [21000.0, 42000.0]
    assert frame["dx_mf_r_l3_slab_fi_rs"].tolist() == pytest.approx([0.2, 0.2])
    assert frame["dx_mf_r_l3_slab_fi_vm"].tolist() == pytest.approx([0.18, 0.18])
    field = table.schema.field("dx_mf_l_l3_slab_acsa")
    assert field.metadata[b"unit"] == b"mm2"
    labels = codebook(table).column("label").to_pylist()
    assert max(map(len, labels)) <= MAX_LABEL
    assert len(set(labels)) == len(labels)


def test_wide_table_of_a_rich_cohort_loses_no_trusted_value(tmp_path: Path) -> None:
    root = rich_results(tmp_path)
    table = wide(root)
    frame = table.to_pandas()
    assert frame["session"].is_unique
    metrics = pd.read_parquet(root / "tables" / "metrics.parquet")
    quality = pd.read_parquet(root / "tables" / "quality.parquet")
    red = quality[(quality["light"] == "red") & quality["muscle"].notna()][["scan_id", "subject", "muscle", "side"]]
    kept = metrics.merge(red, how="left", indicator=True).query("_merge == 'left_only'")
    total = kept.loc[kept["fi"].notna(), "fi"].sum()
    columns = [name for name in frame if re.search(r"_fi_[a-z]{2}$", name)]
    assert frame[columns].sum().sum() == pytest.approx(total)


def test_a_level_is_taken_whole_from_the_better_scan(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    doubtful = make.scan("p1", 1, "a")
    make.measure(doubtful, 2.0)
    make.flag(doubtful, "amber", "OUTLIER")
    good = make.scan("p1", 1, "b")
    make.measure(good, 1.0)
    for row in make.metrics:
        if row["scan_id"] == "b" and row["level"] == "L5":
            row["acsa_mm2"] = None
    frame = wide(make.write()).to_pandas()
    assert frame["t2_n_scans"].tolist() == [2]
    assert frame["t2_light"].tolist() == ["amber"]
    assert frame["t2_mf_l_l3_slab_acsa"].tolist() == [480.0]
    assert frame["t2_mf_l_l5_slab_acsa"].tolist() == [1800.0]


def test_values_under_a_red_flag_are_missing(tmp_path: Path) -> None:
    make = one_person(tmp_path)
    make.flag(make.scans[0], "red", "SEG_IMPLAUSIBLE", muscle="multifidus", side="left")
    frame = wide(make.write()).to_pandas()
    assert frame["dx_mf_l_l3_slab_acsa"].isna().tolist() == [True, False]
    assert frame["dx_mf_r_l3_slab_acsa"].tolist() == [480.0, 960.0]


def test_visits_without_a_measure_stay_in(tmp_path: Path) -> None:
    make = one_person(tmp_path)
    make.scan("p2", 1, "d", status="failed", reason_code="SEG_EMPTY", light="red")
    frame = wide(make.write()).to_pandas()
    assert frame["subject"].tolist() == ["p1", "p1", "p2"]
    assert frame["dx_n_scans"].tolist() == [1, 1, 0]
    assert frame.loc[2, "dx_mf_l_l3_slab_acsa":].isna().all()


def test_an_empty_cohort_is_an_empty_table(tmp_path: Path) -> None:
    table = wide(CohortFactory(tmp_path).write())
    assert len(table) == 0
    assert table.column_names[:2] == ["subject", "session"]


def test_schemes_and_measures_are_chosen_and_checked(tmp_path: Path) -> None:
    root = one_person(tmp_path).write()
    table = wide(root, ["vertebra_slab"], ["acsa_mm2"])
    assert sum("_slab_" in name for name in table.column_names) == 5 * 8
    assert not any("_fi_" in name for name in table.column_names)
    for schemes, chosen in ((["slab"], []), ([], ["area"]), ([], ["subject"])):
        with pytest.raises(ConfigError, match="no such"):
            wide(root, schemes, chosen)


def test_defaults_are_columns_of_the_metrics() -> None:
    assert set(DEFAULT_MEASURES) <= set(measures())
    vocabularies = (Sequence, SEQUENCES), (Muscle, MUSCLES), (Side, SIDES), (LevelScheme, SCHEMES)
    for known, words in vocabularies:
        assert set(words) == set(known)


@pytest.mark.parametrize("ending", [".csv", ".dta", ".sav"])
@pytest.mark.parametrize("table", ["wide", *(t.name for t in COHORT_TABLES)])
def test_the_command_writes_every_table(
    tmp_path: Path, rich: Path, capsys: pytest.CaptureFixture[str], table: str, ending: str
) -> None:
    path = tmp_path / f"{table}{ending}"
    assert main(["export", str(path), "--out", str(rich), "--table", table]) == 0
    rows = int(capsys.readouterr().out.split()[0].replace(",", ""))
    readers = {".csv": pd.read_csv, ".dta": pd.read_stata, ".sav": lambda p: pyreadstat.read_sav(p)[0]}
    found = readers[ending](path)
    source = rich / "tables" / f"{table}.parquet"
    assert len(found) == rows == (len(pd.read_parquet(source)) if source.exists() else 24)
    assert len(pd.read_csv(tmp_path / f"{table}_codebook.csv")) == found.shape[1]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich_results(tmp_path_factory.mktemp("rich"))
