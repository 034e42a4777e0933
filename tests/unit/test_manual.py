"""Every example of the manual and the README that reads results runs, on a cohort that has something to show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from report_factory import rich_results

from paraspinal.core.paths import PROJECT
from paraspinal.core.records.schemas import COHORT_TABLES

PAGES = ("config/README.md", "README.md")
BLOCK = re.compile(r"^```(python|sql)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (page, language, text)
    for page in PAGES
    for language, text in BLOCK.findall((PROJECT / page).read_text(encoding="utf-8"))
    if "results/tables" in text
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manual")
    rich_results(folder / "results")
    return folder


def test_the_manual_shows_pandas_and_duckdb() -> None:
    assert {(page, language) for page, language, _ in EXAMPLES} >= {(PAGES[0], "python"), (PAGES[0], "sql")}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e[0]}-{e[1]}-{len(e[2])}")
def test_example_runs_and_finds_something(
    cohort: Path, monkeypatch: pytest.MonkeyPatch, example: tuple[str, str, str]
) -> None:
    monkeypatch.chdir(cohort)
    _, language, text = example
    if language == "sql":
        found = duckdb.sql(text).df()
    else:
        names: dict[str, Any] = {}
        *rest, last = text.strip().split("\n")
        name = re.match(r"(\w+) = ", last)
        exec("\n".join([*rest, last if name else f"shown = {last}"]), names)
        found = names[name[1] if name else "shown"]
    assert len(found) > 0
    assert found.select_dtypes("number").notna().any().any()


def test_pandas_and_duckdb_agree(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cohort)
    for table in COHORT_TABLES:
        path = f"results/tables/{table.name}.parquet"
        frame = pd.read_parquet(path)
        (count,) = duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()[0]
        assert count == len(frame)
        assert duckdb.sql(f"SELECT * FROM '{path}' LIMIT 0").columns == list(frame.columns) == list(table.names)


def test_every_table_and_part_of_a_name_is_in_the_manual() -> None:
    from paraspinal.cohort.tables.wide import MUSCLES, SCHEMES, SEQUENCES, SIDES

    manual = (PROJECT / PAGES[0]).read_text(encoding="utf-8")
    for table in COHORT_TABLES:
        assert f"| `{table.name}` |" in manual
    for words in (SEQUENCES, MUSCLES, SIDES, SCHEMES):
        for word in words.values():
            assert re.search(rf"\b{word}\b", manual), word
