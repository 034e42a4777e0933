"""`paraspinal agreement` on tables as people have them."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from paraspinal.cli.main import main
from paraspinal.core.errors import InputError
from paraspinal.statistics.columns import agreement_table
from paraspinal.statistics.icc import icc_a_1
from paraspinal.validate.numbers import find_decimal, read_numbers
from paraspinal.validate.table_file import read_table

GOLDEN = json.loads((Path(__file__).parent / "golden" / "agreement.json").read_text())["paired"]
SUFFIXES = ("--reference-suffix", "_ref", "--prediction-suffix", "_pred")


def text(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


def run(table: Path, *options: str, figures: bool = False) -> pd.DataFrame:
    """`paraspinal agreement` as it is typed; returns the table it wrote, by measure."""
    out = table.parent / "out"
    assert main(["agreement", str(table), "--out", str(out), *options, *([] if figures else ["--no-figures"])]) == 0
    return pd.read_parquet(out / "agreement.parquet").set_index("measure")


def wide(path: Path, case: dict[str, Any], **more: Any) -> Path:
    """A table of two measures with known numbers."""
    frame = pd.DataFrame({"vol_ref": case["reference"], "vol_pred": case["prediction"], **more})
    frame.to_csv(path, index=False)
    return path


class TestNumbers:
    @pytest.mark.parametrize(
        ("cells", "decimal", "values"),
        [
            (["1.5", "-2", "+3e2", ".5", "7."], ".", [1.5, -2.0, 300.0, 0.5, 7.0]),
            (["1,5", "-2", "3,25E-1"], ",", [1.5, -2.0, 0.325]),
            (["1,234.5", "12,345,678"], ".", [1234.5, 12345678.0]),
            (["1.234,5", "1 234", "1'234,5"], ",", [1234.5, 1234.0, 1234.5]),
            (["12.5 %", "3%"], ".", [12.5, 3.0]),
            (["−4.2", " 5 "], ".", [-4.2, 5.0]),
        ],
    )
    def test_read(self, cells: list[str], decimal: str, values: list[float]) -> None:
        found = read_numbers(cells, decimal)
        assert found.values.tolist() == values
        assert found.n_unreadable == 0

    @pytest.mark.parametrize("cell", ["", "NA", "n/a", "NaN", "-", ".", "#DIV/0!", "None", " "])
    def test_words_for_missing(self, cell: str) -> None:
        found = read_numbers([cell, "1"], ".")
        assert math.isnan(found.values[0])
        assert found.n_unreadable == 0
        assert found.is_numeric

    @pytest.mark.parametrize("cell", ["<5", "12 mm", "abc", "1,2,3", "inf", "1.2.3", "1e999"])
    def test_other_words_are_unreadable(self, cell: str) -> None:
        found = read_numbers([cell, "1"], ".")
        assert found.n_unreadable == 1
        assert np.isnan(found.values[0])

    def test_a_point_in_a_table_with_commas_is_no_decimal(self) -> None:
        assert read_numbers(["1.5"], ",").n_unreadable == 1

    def test_percent(self) -> None:
        assert read_numbers(["1%", "", "2 %"], ".").is_percent
        assert not read_numbers(["1%", "2"], ".").is_percent
        assert not read_numbers(["", ""], ".").is_percent

    @pytest.mark.parametrize(
        ("cells", "mark"),
        [(["1.5"], "."), (["1,5"], ","), (["1", "x"], "."), (["0,123"], ","), (["1.234,5"], ","), (["1,234.5"], "."),
         (["1,234", "2,5"], ","), (["1.234"], "."), (["1234,567"], ",")],
    )  # fmt: skip
    def test_the_mark_is_told(self, cells: list[str], mark: str) -> None:
        assert find_decimal(cells) == mark

    @pytest.mark.parametrize("cells", [["1,234"], ["1.5", "1,5"]])
    def test_the_mark_is_not_guessed(self, cells: list[str]) -> None:
        with pytest.raises(InputError, match="decimal"):
            find_decimal(cells)

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32)))
    def test_what_was_written_is_read(self, values: list[float]) -> None:
        assert read_numbers([repr(x) for x in values], ".").values.tolist() == values
        assert read_numbers([repr(x).replace(".", ",") for x in values], ",").values.tolist() == values


class TestFile:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    @pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
    def test_encodings_and_separators(self, tmp_path: Path, encoding: str, separator: str) -> None:
        lines = ["größe_ref,größe_pred", "1,2", "", "3,4"]
        table = read_table(text(tmp_path / "t.csv", "\r\n".join(lines).replace(",", separator), encoding))
        assert table.names == ("größe_ref", "größe_pred")
        assert table.numbers("größe_pred").values.tolist() == [2.0, 4.0]

    def test_decimal_commas_between_semicolons(self, tmp_path: Path) -> None:
        table = read_table(text(tmp_path / "t.csv", "a_ref;a_pred\n1,5;1,6\n2,0;2,25\n"))
        assert table.numbers("a_pred").values.tolist() == [1.6, 2.25]

    def test_quoted_cells_and_separators_at_line_ends(self, tmp_path: Path) -> None:
        table = read_table(text(tmp_path / "t.csv", '"volume, mm3", b ,\n"1,000.5", 2 ,\n3,4,\n'))
        assert table.names == ("volume, mm3", "b")
        assert table.numbers("volume, mm3").values.tolist() == [1000.5, 3.0]
        assert table.numbers("b").values.tolist() == [2.0, 4.0]

    def test_short_rows_are_missing_and_long_ones_an_error(self, tmp_path: Path) -> None:
        assert read_table(text(tmp_path / "t.csv", "a,b\n1,2\n3\n")).texts("b") == ["2", None]
        with pytest.raises(InputError, match="line 3 of the table has 3 cells, its header 2"):
            read_table(text(tmp_path / "t.csv", "a,b\n1,2\n1,2,3\n"))

    @pytest.mark.parametrize("content", ["", "\n\n", "a,b\n"])
    def test_nothing_in_it(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(InputError, match=r"empty|no rows"):
            read_table(text(tmp_path / "t.csv", content))

    def test_parquet_of_every_kind(self, tmp_path: Path) -> None:
        columns = {
            "i": pa.array([1, None]),
            "f": pa.array([1.5, float("inf")]),
            "d": pa.array([Decimal("1.25"), None]),
            "s": pa.array(["2,5", "x"]),
            "c": pa.array(["GE", "GE"]).dictionary_encode(),
            "b": pa.array([True, False]),
        }
        pq.write_table(pa.table(columns), tmp_path / "t.parquet")
        table = read_table(tmp_path / "t.parquet", decimal=",")
        assert [table.numbers(name).values[0] for name in "ifds"] == [1.0, 1.5, 1.25, 2.5]
        assert [np.isnan(table.numbers(name).values[1]) for name in "ifds"] == [True] * 4
        assert table.texts("c") == ["GE", "GE"]
        assert not table.numbers("b").is_numeric

    @pytest.mark.parametrize("name", ["none.csv", "t.xlsx", "bad.parquet"])
    def test_what_cannot_be_read(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "t.xlsx").write_bytes(b"PK")
        (tmp_path / "bad.parquet").write_bytes(b"PAR1")
        with pytest.raises(InputError) as caught:
            read_table(tmp_path / name)
        assert caught.value.hint
        assert str(tmp_path) not in str(caught.value)


class TestCommand:
    @pytest.mark.parametrize("case", GOLDEN, ids=lambda c: f"n{len(c['reference'])}")
    def test_a_published_table(self, tmp_path: Path, case: dict[str, Any]) -> None:
        found = run(wide(tmp_path / "t.csv", case), *SUFFIXES).loc["vol"]
        reference, prediction = np.array(case["reference"]), np.array(case["prediction"])
        d = prediction - reference
        assert found["n"] == len(d)
        assert found["bias"] == pytest.approx(d.mean())
        assert found["loa_upper"] == pytest.approx(d.mean() + 1.959964 * d.std(ddof=1))
        assert found["icc_a1"] == pytest.approx(case["icc"]["ICC(A,1)"])
        assert [found["icc_a1_ci_low"], found["icc_a1_ci_high"]] == pytest.approx(case["icc_ci"]["ICC(A,1)"])
        assert found["tost_p"] == pytest.approx(case["statsmodels_tost_p"], rel=1e-8)
        assert found["mape_pct"] == pytest.approx(100 * np.mean(abs(d / reference)))
        assert found["margin"] == pytest.approx(case["margin"])

    def test_what_is_written(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run(wide(tmp_path / "t.csv", GOLDEN[1]), figures=True)
        out = tmp_path / "out"
        written = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
        names = {
            "agreement.parquet",
            "agreement.csv",
            "dictionary.json",
            "options.json",
            "figures/bland-altman_vol.png",
        }
        assert written == names
        with Image.open(out / "figures" / "bland-altman_vol.png") as picture:
            assert picture.size[0] > 400
        table = agreement_table()
        assert pq.read_schema(out / "agreement.parquet").equals(table.schema)
        assert list(pd.read_csv(out / "agreement.csv").columns) == list(table.names)
        described = json.loads((out / "dictionary.json").read_text())["agreement"]["columns"]
        assert [c["name"] for c in described] == list(table.names)
        assert all(c["description"] for c in described)
        said = capsys.readouterr().out
        assert "vol" in said
        assert "equivalent" in said or "not shown" in said
        assert "--participant" in said

    def test_the_same_twice(self, tmp_path: Path) -> None:
        table = wide(tmp_path / "t.csv", GOLDEN[0])
        digests = []
        for _ in range(2):
            run(table, figures=True)
            digests.append({p.name: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()})
        assert digests[0] == digests[1]

    def test_a_table_as_it_comes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        n = len(GOLDEN[1]["reference"])
        table = wide(
            tmp_path / "t.csv",
            GOLDEN[1],
            comment_ref=["good"] * n,
            comment_pred=["bad"] * n,
            lonely_ref=np.arange(n),
            stray_pred=np.arange(n),
            ff_ref=[f"{x} %" for x in range(n)],
            ff_pred=[f"{x} %" if x else "n/a" for x in range(n)],
            limit_ref=["<5", *range(1, n)],
            limit_pred=np.arange(n),
            same_ref=[7] * n,
            same_pred=[7] * n,
        )
        found = run(table)
        said = capsys.readouterr().out
        assert found.reason_code.astype(object).where(found.reason_code.notna(), None).to_dict() == {
            "vol": None,
            "comment": "NOT_NUMERIC",
            "ff": None,
            "limit": None,
            "same": "NO_VARIANCE",
        }
        assert found.loc["ff", ["n", "n_missing_prediction", "bias"]].tolist() == [n - 1, 1, 0.0]
        assert found.loc["limit", ["n", "n_missing_reference"]].tolist() == [n - 1, 1]
        assert found.loc["comment", "n_rows"] == n
        for note in ("lonely_ref has no partner", "stray_pred has no partner", "1 cells are no numbers", "comment"):
            assert note in said

    def test_duplicate_names_are_not_compared(self, tmp_path: Path) -> None:
        table = text(tmp_path / "t.csv", "a_ref,a_pred,a_pred,b_ref,b_pred,x,x\n" + "1,2,3,4,5,6,7\n" * 4)
        found = run(table)
        assert found.reason_code.to_dict() == {"a": "DUPLICATE_COLUMN", "b": "NO_VARIANCE"}

    def test_suffixes_of_any_shape(self, tmp_path: Path) -> None:
        rows = "1,2\n3,4\n5,7\n"
        options = ("--reference-suffix", "", "--prediction-suffix", "pred")
        assert list(run(text(tmp_path / "t.csv", "ref,refpred\n" + rows), *options).index) == ["ref"]
        assert list(run(text(tmp_path / "t.csv", "_ref,_pred\n" + rows)).index) == ["value"]
        options = ("--reference-suffix", "_m", "--prediction-suffix", "_auto_m")
        assert list(run(text(tmp_path / "t.csv", "vol_m,vol_auto_m\n" + rows), *options).index) == ["vol"]

    def test_margins(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        case = GOLDEN[1]
        table = wide(tmp_path / "t.csv", case, ff_ref=case["reference"], ff_pred=case["prediction"])
        found = run(table, "--margin", "3%", "--margin", "f*=1.5", "--margin", "volume=9")
        assert found.margin.to_dict() == {"vol": pytest.approx(0.03 * np.mean(case["reference"])), "ff": 1.5}
        assert "volume fits no measure" in capsys.readouterr().out
        (tmp_path / "my.yaml").write_text("agreement:\n  margin_size_pct: 10\n  margin_dixon_fi_pp: 2\n")
        found = run(table, "--config", str(tmp_path / "my.yaml"), "--margin", "ff=dixon_fi_pct")
        assert found.margin.to_dict() == {"vol": pytest.approx(2 * case["margin"]), "ff": 2.0}

    def test_participants_groups_and_strata(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        more = {
            "who": np.repeat([f"Jane Doe {i}" for i in range(10)], 4),
            "muscle": ["MF", "ES"] * 20,
            "vendor": ["GE"] * 8 + ["Siemens"] * 32,
            "age": np.repeat(np.arange(35, 85, 5), 4),
            "bmi": 27.5,
        }
        table = wide(tmp_path / "t.csv", GOLDEN[1], **more)
        bands = ("--age-column", "age", "--bmi-column", "bmi")
        options = ("--participant", "who", "--by", "muscle", "--strata", "vendor", *bands)
        found = run(table, *options).reset_index()
        counts = found.groupby(["stratum_by", "stratum"])["n"].sum().to_dict()
        assert counts == {
            ("age_band", "40-<60"): 16, ("age_band", "60-<80"): 16, ("age_band", "<40"): 4, ("age_band", ">=80"): 4,
            ("all", "all"): 40, ("bmi_band", "25-<30"): 40, ("vendor", "GE"): 8, ("vendor", "Siemens"): 32,
        }  # fmt: skip
        whole = found[found.stratum_by == "all"]
        assert whole[["muscle", "n", "n_participants"]].to_numpy().tolist() == [["ES", 20, 10], ["MF", 20, 10]]
        assert whole.participant_tost_p.notna().all()
        assert "insufficient" in capsys.readouterr().out
        for path in (tmp_path / "out").rglob("*"):
            assert path.is_dir() or b"Jane" not in path.read_bytes()

    def test_two_named_columns_and_measures(self, tmp_path: Path) -> None:
        case = GOLDEN[0]
        frame = pd.DataFrame({"manual": case["reference"], "auto": case["prediction"], "what": ["vol", "csa"] * 6})
        frame.to_csv(tmp_path / "t.csv", index=False)
        options = ("--reference", "manual", "--prediction", "auto")
        assert run(tmp_path / "t.csv", *options).loc["auto", "icc_a1"] == pytest.approx(case["icc"]["ICC(A,1)"])
        found = run(tmp_path / "t.csv", *options, "--measure-column", "what")
        assert found.n.to_dict() == {"csa": 6, "vol": 6}

    def test_a_long_table(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        case = GOLDEN[0]
        n = len(case["reference"])
        rows = [
            {"case": i, "rater": rater, "value": values[i], "vendor": "GE" if i < 5 else "Philips"}
            for rater, values in (("manual", case["reference"]), ("auto", case["prediction"]), ("other", range(n)))
            for i in range(n)
            if (rater, i) != ("auto", 3)
        ]
        pd.DataFrame(rows).sample(frac=1.0, random_state=0).to_csv(tmp_path / "t.csv", index=False)
        options = (
            "--rater-column",
            "rater",
            "--value-column",
            "value",
            "--reference",
            "manual",
            "--prediction",
            "auto",
        )
        found = run(tmp_path / "t.csv", *options, "--item", "case", "--strata", "vendor").reset_index()
        found = found.set_index("stratum")
        assert found.n.to_dict() == {"GE": 4, "Philips": 7, "all": 11}
        keep = [i for i in range(n) if i != 3]
        ratings = np.column_stack([np.array(case["reference"])[keep], np.array(case["prediction"])[keep]])
        assert found.icc_a1["all"] == pytest.approx(icc_a_1(ratings)[0])
        assert found.n_missing_prediction["all"] == 1
        assert "1 other values of rater are left out" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("content", "options", "code", "word"),
        [
            ("a,b\n1,2\n", [], 4, "differ only in the suffix"),
            ("a_ref,a_pred\n1,2\n", ["--participant", "who"], 3, "no column who"),
            ("a_ref,a_pred,w,w\n1,2,3,4\n", ["--participant", "w"], 3, "two columns are called w"),
            ("a_ref,a_pred\n1,2\n", ["--margin", "x"], 3, "not a margin"),
            ("a_ref,a_pred\n1,2\n", ["--reference", "a_ref"], 3, "go together"),
            ("a_ref,a_pred\n1,2\n", ["--reference-suffix", "_pred"], 3, "the same"),
            ("a_ref,a_pred,bias\n1,2,x\n", ["--by", "bias"], 3, "name of a statistic"),
            ("a_ref,a_pred,measure\n1,2,x\n", ["--by", "measure"], 3, "cannot divide"),
            ("a_ref;a_pred\n1,234;1,235\n", [], 4, "decimals or thousands"),
            ("r,v,i\nA,1,1\nA,2,1\nB,3,1\n", ["--rater-column", "r", "--value-column", "v", "--reference", "A",
             "--prediction", "B", "--item", "i"], 4, "two values by one rater"),
            ("r,v,i\nA,1,1\n", ["--rater-column", "r", "--value-column", "v", "--reference", "A", "--prediction", "B",
             "--item", "i"], 3, "never says B"),
            ("r,v,i\nA,1,1\n", ["--rater-column", "r"], 3, "what to compare"),
        ],
    )  # fmt: skip
    def test_errors_are_one_line_and_write_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, options: list[str], code: int, word: str
    ) -> None:
        table = text(tmp_path / "t.csv", content)
        assert main(["agreement", str(table), "--out", str(tmp_path / "out"), *options]) == code
        said = capsys.readouterr().err
        assert word in said
        assert "hint: " in said
        assert said.count("\n") == 1
        assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]

    def test_an_identifier_is_no_stratum(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        table = wide(tmp_path / "t.csv", GOLDEN[2], number=np.arange(331))
        assert main(["agreement", str(table), "--out", str(tmp_path / "out"), "--strata", "number"]) == 3
        assert "331 values" in capsys.readouterr().err

    def test_names_that_are_no_file_names(self, tmp_path: Path) -> None:
        case = GOLDEN[0]
        values = (("_ref", case["reference"]), ("_pred", case["prediction"]))
        columns = {name + end: x for name in ("a/b", "A b", "$x_1$", "../c") for end, x in values}
        pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
        run(tmp_path / "t.csv", figures=True)
        names = sorted(p.name for p in (tmp_path / "out" / "figures").iterdir())
        assert len(names) == 4
        assert {p.name for p in tmp_path.iterdir()} == {"t.csv", "out"}
