"""Agreement and equivalence of paired values against published numbers, other software and analytic truth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from paraspinal.core.errors import ConfigError
from paraspinal.core.settings import AgreementSettings
from paraspinal.statistics import tost as tost_module
from paraspinal.statistics.agreement import Paired, agreement_row
from paraspinal.statistics.columns import agreement_table
from paraspinal.statistics.error import error_size
from paraspinal.statistics.icc import icc_a_1
from paraspinal.statistics.limits import limits_of_agreement, tolerance_factor
from paraspinal.statistics.margins import Margin, margin_for, named_margins
from paraspinal.statistics.multiplicity import holm
from paraspinal.statistics.strata import PairedTable, agreement_rows, band
from paraspinal.statistics.tost import TostMethod, participant_means, tost

GOLDEN = json.loads((Path(__file__).parent / "golden" / "agreement.json").read_text())
PAIRED = GOLDEN["paired"]

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=np.float64
)
"""Six targets by four judges, Shrout and Fleiss 1979, table 2."""

# Peak expiratory flow by two meters, l/min: Bland and Altman 1986, table 1 (first measurements).
WRIGHT = np.array([494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427.0])
MINI = np.array([512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451.0])

FIVE_PERCENT = Margin(5.0, is_relative=True)


def arrays(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(case["reference"]), np.array(case["prediction"])


def row_of(reference: list[float], prediction: list[float], margin: Margin = FIVE_PERCENT) -> dict[str, Any]:
    return agreement_row(Paired(np.array(reference, float), np.array(prediction, float)), margin)


class TestIcc:
    def test_shrout_and_fleiss_to_every_printed_digit(self) -> None:
        icc, interval = icc_a_1(SHROUT_FLEISS)
        assert f"{icc:.6f}" == "0.289764"
        assert (f"{interval.low:.6f}", f"{interval.high:.6f}") == ("0.018787", "0.761084")

    @pytest.mark.parametrize("case", PAIRED, ids=lambda c: f"n{len(c['reference'])}")
    def test_equals_pingouin(self, case: dict[str, Any]) -> None:
        ratings = np.column_stack(arrays(case))
        icc, interval = icc_a_1(ratings)
        assert icc == pytest.approx(case["icc"]["ICC(A,1)"], abs=1e-9)
        assert interval == pytest.approx(case["icc_ci"]["ICC(A,1)"], abs=1e-9)

    def test_full_agreement_is_one(self) -> None:
        x = np.array([1.0, 2.0, 4.0, 8.0])
        assert icc_a_1(np.column_stack([x, x])) == (1.0, (1.0, 1.0))

    def test_raters_that_contradict_each_other(self) -> None:
        icc, interval = icc_a_1(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]))
        assert icc == pytest.approx(-3.0)
        assert math.isnan(interval.low)

    @pytest.mark.parametrize("offset", [0.0, 2.0])
    def test_nothing_varies(self, offset: float) -> None:
        icc, interval = icc_a_1(np.tile([0.1, 0.1 + offset], (5, 1)))
        assert math.isnan(icc)
        assert all(math.isnan(x) for x in interval)

    def test_a_constant_offset_lowers_agreement(self) -> None:
        x = np.arange(10.0)
        ratings = np.column_stack([x, x + 3.0])
        assert icc_a_1(ratings)[0] == pytest.approx(x.var(ddof=1) / (x.var(ddof=1) + 4.5))

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 10_000), st.integers(3, 60), st.floats(0.01, 1000.0), st.floats(-1e4, 1e4))
    def test_scale_and_shift_change_nothing(self, seed: int, n: int, scale: float, shift: float) -> None:
        ratings = np.random.default_rng(seed).normal(0.0, 1.0, (n, 1)) + np.random.default_rng(seed + 1).normal(
            0.0, 0.5, (n, 2)
        )
        icc, interval = icc_a_1(ratings)
        again, other = icc_a_1(ratings * scale + shift)
        assert again == pytest.approx(icc, abs=1e-6)
        assert interval.low - 1e-9 <= icc <= interval.high + 1e-9
        assert other == pytest.approx(interval, abs=1e-5)


class TestLimits:
    def test_bland_and_altman_1986(self) -> None:
        found = limits_of_agreement(WRIGHT - MINI)
        assert round(found.bias, 1) == -2.1
        assert round(found.sd, 1) == 38.8
        assert (round(found.lower, 1), round(found.upper, 1)) == (-78.1, 73.9)  # 1.96 sd; the paper takes 2 sd
        assert [round(x, 1) for x in found.bias_ci] == [-22.0, 17.8]

    @pytest.mark.parametrize(
        ("n", "confidence", "share", "factor"),
        [(10, 0.95, 0.95, 2.911), (20, 0.95, 0.95, 2.396), (30, 0.95, 0.95, 2.220), (43, 0.99, 0.90, 1.8740)],
    )
    def test_factors_of_published_tables(self, n: int, confidence: float, share: float, factor: float) -> None:
        """One-sided normal tolerance factors: Odeh and Owen; the last from NIST's handbook, 7.2.6.3."""
        found = tolerance_factor(n, confidence, float(stats.norm.ppf(share)))
        assert found == pytest.approx(factor, abs=5e-4)

    def test_intervals_hold_what_they_say(self) -> None:
        """Of 4,000 samples of ten, 95 % of the intervals hold the true limit of +-1.96."""
        rng = np.random.default_rng(5)
        found = [limits_of_agreement(rng.normal(0.0, 1.0, 10)) for _ in range(4000)]
        for name, truth in (("upper_ci", 1.959964), ("lower_ci", -1.959964), ("bias_ci", 0.0)):
            held = np.mean([getattr(x, name).low <= truth <= getattr(x, name).high for x in found])
            assert held == pytest.approx(0.95, abs=0.012)

    def test_large_samples(self) -> None:
        found = limits_of_agreement(np.random.default_rng(0).normal(0.0, 1.0, 100_000))
        assert found.upper_ci.low < found.upper < found.upper_ci.high
        assert found.upper_ci.high - found.upper_ci.low < 0.05


class TestErrors:
    def test_by_hand(self) -> None:
        found = error_size(np.array([10.0, 20.0, 40.0]), np.array([11.0, 18.0, 40.0]))
        assert found.mae == pytest.approx(1.0)
        assert found.mape_pct == pytest.approx(100 * (0.1 + 0.1 + 0.0) / 3)
        sd = np.std([1.0, -2.0, 0.0], ddof=1)
        assert found.sem == pytest.approx(sd / math.sqrt(2))
        assert found.mdc95 == pytest.approx(1.959964 * sd)
        assert found.cv_pct == pytest.approx(100 * sd / math.sqrt(2) / (139 / 6))

    def test_zero_reference_has_no_percentage(self) -> None:
        assert error_size(np.array([0.0, 1.0]), np.array([1.0, 1.0])).mape_pct is None

    def test_sem_is_the_root_of_the_error_mean_square(self) -> None:
        reference, prediction = arrays(PAIRED[1])
        ratings = np.column_stack([reference, prediction])
        residual = ratings - ratings.mean(0) - ratings.mean(1)[:, None] + ratings.mean()
        mse = (residual**2).sum() / (len(ratings) - 1)
        assert error_size(reference, prediction).sem == pytest.approx(math.sqrt(mse))


class TestTost:
    @pytest.mark.parametrize("case", PAIRED, ids=lambda c: f"n{len(c['reference'])}")
    def test_equals_statsmodels_and_pingouin(self, case: dict[str, Any]) -> None:
        reference, prediction = arrays(case)
        found = tost(prediction - reference, case["margin"])
        assert found.method is TostMethod.PARAMETRIC
        assert found.p == pytest.approx(case["statsmodels_tost_p"], rel=1e-9)
        assert found.p == pytest.approx(case["pingouin_tost_p"], rel=1e-9)

    def test_equals_scipy(self) -> None:
        reference, prediction = arrays(PAIRED[1])
        d = prediction - reference
        low = stats.ttest_1samp(d, -5.0, alternative="greater").pvalue
        high = stats.ttest_1samp(d, 5.0, alternative="less").pvalue
        found = tost(d, 5.0)
        assert found.p == pytest.approx(max(low, high), rel=1e-12)
        assert found.ci90 == pytest.approx(stats.ttest_1samp(d, 0.0).confidence_interval(0.90))
        assert found.normality_p == pytest.approx(stats.kstest((d - d.mean()) / d.std(ddof=1), "norm").pvalue)

    @pytest.mark.parametrize("is_skewed", [False, True])
    def test_the_smallest_margin_is_where_the_verdict_turns(self, is_skewed: bool) -> None:
        d = np.random.default_rng(3).normal(0.2, 1.0, 60)
        d = d**3 if is_skewed else d
        found = tost(d, 1.0)
        assert found.method is (TostMethod.BOOTSTRAP if is_skewed else TostMethod.PARAMETRIC)
        assert found.smallest_margin == max(abs(found.ci90.low), abs(found.ci90.high))
        assert tost(d, found.smallest_margin * (1 + 1e-9)).p < 0.05
        assert tost(d, found.smallest_margin * (1 - 1e-9)).p >= 0.05

    def test_the_rule_turns_at_the_normality_test(self) -> None:
        normal = np.random.default_rng(0).normal(0.0, 1.0, 100)
        heavy = np.random.default_rng(0).standard_t(1, 100)
        assert tost(normal, 1.0).method is TostMethod.PARAMETRIC
        assert tost(heavy, 1.0).method is TostMethod.BOOTSTRAP

    def test_bootstrap_is_the_same_every_time_and_near_the_t_interval(self) -> None:
        d = np.random.default_rng(1).normal(2.0, 1.0, 200)
        means = tost_module.bootstrap_means(d)
        assert len(means) == 10_000
        assert (means == tost_module.bootstrap_means(d)).all()
        t = stats.ttest_1samp(d, 0.0).confidence_interval(0.90)
        assert np.quantile(means, [0.05, 0.95]) == pytest.approx([t.low, t.high], abs=0.01)

    def test_bootstrap_in_pieces_is_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tost_module, "CHUNK", 1000)
        assert len(tost_module.bootstrap_means(np.arange(30.0), resamples=1001)) == 1001

    def test_constant_differences(self) -> None:
        d = np.array([0.1 + 0.2, 0.3, 0.3, 0.3])  # 0.30000000000000004: rounding, not spread
        found = tost(d, 0.5)
        assert found.method is TostMethod.CONSTANT
        assert (found.p, found.normality_p) == (0.0, None)
        assert tost(d, 0.2).p == 1.0

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10_000), st.integers(3, 50), st.floats(0.1, 5.0))
    def test_p_falls_as_the_margin_grows(self, seed: int, n: int, margin: float) -> None:
        d = np.random.default_rng(seed).normal(0.3, 1.0, n)
        assert tost(d, margin * 1.5).p <= tost(d, margin).p

    def test_rows_of_one_participant_are_not_independent(self) -> None:
        """Four alike rows per participant and a true bias at the margin: 5 % of tests may pass, and of the plain ones
        several times as many do."""
        rng = np.random.default_rng(7)
        who = np.repeat(np.arange(20), 4)
        plain = clustered = 0
        for _ in range(1500):
            d = 1.0 + rng.normal(0.0, 1.0, 20)[who] + rng.normal(0.0, 0.3, 80)
            for name, values in (("plain", d), ("clustered", participant_means(d, who))):
                n, error = len(values), values.std(ddof=1) / math.sqrt(len(values))
                passed = stats.t.cdf((values.mean() - 1.0) / error, n - 1) < 0.05
                plain += passed and name == "plain"
                clustered += passed and name == "clustered"
        assert plain / 1500 > 0.15
        assert clustered / 1500 == pytest.approx(0.05, abs=0.02)

    def test_participant_means(self) -> None:
        found = participant_means(np.array([1.0, 3.0, 10.0, 99.0]), np.array([5, 5, 2, -1]))
        assert found.tolist() == [10.0, 2.0]


class TestHolm:
    def test_equals_statsmodels(self) -> None:
        assert holm(GOLDEN["holm"]["raw"]) == pytest.approx(GOLDEN["holm"]["adjusted"])

    def test_tests_not_made_do_not_count(self) -> None:
        assert holm([0.01, None, 0.04]) == pytest.approx([0.02, None, 0.04])
        assert holm([None, None]) == [None, None]
        assert holm([]) == []

    @given(st.lists(st.floats(0.0, 1.0), max_size=30))
    def test_never_below_the_raw_p_and_never_out_of_order(self, raw: list[float]) -> None:
        adjusted = [x for x in holm(raw) if x is not None]
        assert all(r <= a <= 1.0 for r, a in zip(raw, adjusted, strict=True))
        order = np.argsort(raw, kind="stable")
        assert all(a <= b for a, b in zip(np.array(adjusted)[order], np.array(adjusted)[order][1:], strict=False))


class TestMargins:
    NAMED = named_margins(AgreementSettings())

    @pytest.mark.parametrize(
        ("text", "measure", "size"),
        [
            ("5%", "any", 10.0),
            ("3 %", "any", 6.0),
            ("2.5", "any", 2.5),
            ("fat_*=0.01", "fat_l4", 0.01),
            ("dixon_fi", "any", 0.01),
            ("ff=dixon_fi_pct", "ff", 1.0),
            ("t1t2_fi", "any", 0.02),
            ("a=b=1", "a=b", 1.0),
        ],
    )
    def test_read(self, text: str, measure: str, size: float) -> None:
        margin = Margin.parse(text, self.NAMED)
        assert margin_for(measure, [margin]).of(-200.0) == pytest.approx(size)

    @pytest.mark.parametrize("text", ["", "five", "-1", "0", "0%", "nan", "inf", "=5%", "x=", "5 mm"])
    def test_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match="margin"):
            Margin.parse(text, self.NAMED)

    def test_the_last_that_fits_holds(self) -> None:
        margins = [self.NAMED["size"], Margin.parse("ff*=1", self.NAMED), Margin.parse("ff_l4=2", self.NAMED)]
        assert [margin_for(m, margins).value for m in ("vol", "ff_l3", "ff_l4")] == [5.0, 1.0, 2.0]


class TestRow:
    def test_every_number_of_the_paper_s_meters(self) -> None:
        row = agreement_row(Paired(WRIGHT, MINI), FIVE_PERCENT)
        assert row["n"] == 17
        assert row["bias"] == pytest.approx((MINI - WRIGHT).mean())  # prediction - reference
        assert row["bias_pct"] == pytest.approx(100 * row["bias"] / WRIGHT.mean())
        assert row["margin"] == pytest.approx(0.05 * WRIGHT.mean())
        assert row["smallest_margin_pct"] == pytest.approx(100 * row["smallest_margin"] / WRIGHT.mean())
        assert row["is_equivalent"] == (row["tost_p"] < 0.05)
        assert row["reason_code"] is None
        assert row["n_participants"] is None
        assert "participant_tost_p" not in row

    def test_missing_values_are_counted_pairwise(self) -> None:
        nan = math.nan
        row = row_of([1, 2, 3, nan, nan, 6, 7], [1.1, 2.1, nan, 4, nan, 6.1, 6.9])
        counts = {k: row[k] for k in ("n_rows", "n", "n_missing_reference", "n_missing_prediction", "n_missing_both")}
        assert counts == dict(zip(counts, (7, 4, 1, 1, 1), strict=True))
        assert row["failure_frac"] == pytest.approx(1 / 5)
        assert row["bias"] == pytest.approx(0.05)

    def test_no_pairs(self) -> None:
        row = row_of([math.nan, 1.0], [1.0, math.nan])
        assert row["n"] == 0
        assert row["reason_code"] == "NO_PAIRS"
        assert "bias" not in row

    def test_two_pairs_give_a_bias_and_nothing_else(self) -> None:
        row = row_of([1.0, 2.0], [2.0, 4.0])
        assert row["bias"] == 1.5
        assert row["reason_code"] == "TOO_FEW_PAIRS"
        assert "loa_lower" not in row
        assert "tost_p" not in row

    def test_constant_columns(self) -> None:
        row = row_of([5.0] * 4, [5.0] * 4)
        assert row["icc_a1"] is None
        assert row["reason_code"] == "NO_VARIANCE"
        assert (row["bias"], row["tost_p"], row["tost_method"]) == (0.0, 0.0, "constant")

    def test_zero_reference(self) -> None:
        row = row_of([0.0, 1.0, 2.0, 3.0], [0.5, 1.0, 2.5, 2.5])
        assert row["mape_pct"] is None
        assert row["reason_code"] == "ZERO_REFERENCE"
        assert row["mae"] == pytest.approx(0.375)

    def test_zero_reference_mean_has_no_relative_margin_but_an_absolute_one(self) -> None:
        values = ([-1.0, 0.0, 1.0, 0.0], [-1.1, 0.1, 1.0, 0.1])
        row = row_of(*values)
        assert row["reason_code"] == "ZERO_REFERENCE;ZERO_REFERENCE_MEAN"
        assert row.get("tost_p") is None
        assert row["bias_pct"] is None
        assert row_of(*values, Margin(0.5, is_relative=False))["tost_p"] < 0.05

    def test_negative_values_have_a_positive_margin(self) -> None:
        row = row_of([-100.0, -90.0, -110.0, -95.0], [-101.0, -90.5, -109.0, -95.5])
        assert row["margin"] == pytest.approx(0.05 * 98.75)
        assert row["is_equivalent"]

    def test_participants(self) -> None:
        reference, prediction = arrays(PAIRED[1])
        who = np.repeat(np.arange(10), 4)
        row = agreement_row(Paired(reference, prediction, who), FIVE_PERCENT)
        means = (prediction - reference).reshape(10, 4).mean(axis=1)
        low = stats.ttest_1samp(means, -row["margin"], alternative="greater").pvalue
        high = stats.ttest_1samp(means, row["margin"], alternative="less").pvalue
        assert row["n_participants"] == 10
        assert not row["is_sufficient"]
        assert row["participant_tost_p"] == pytest.approx(max(low, high))

    def test_one_row_each_is_the_same_test(self) -> None:
        reference, prediction = arrays(PAIRED[1])
        row = agreement_row(Paired(reference, prediction, np.arange(40)), FIVE_PERCENT)
        assert row["participant_tost_p"] == pytest.approx(row["tost_p"])
        assert row["is_sufficient"]

    def test_two_participants_are_no_sample(self) -> None:
        reference, prediction = arrays(PAIRED[1])
        row = agreement_row(Paired(reference, prediction, np.repeat([0, 1], 20)), FIVE_PERCENT)
        assert "participant_tost_p" not in row

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(*[st.floats(-1e6, 1e6) | st.just(math.nan)] * 2), max_size=30))
    def test_whatever_comes_fits_the_declared_table(self, pairs: list[tuple[float, float]]) -> None:
        values = np.array(pairs, dtype=float).reshape(-1, 2).round(6)
        row = agreement_row(Paired(values[:, 0], values[:, 1]), FIVE_PERCENT)
        assert row["n"] + row["n_missing_reference"] + row["n_missing_prediction"] + row["n_missing_both"] == len(pairs)
        numbers = [x for x in row.values() if isinstance(x, float)]
        assert all(math.isfinite(x) for x in numbers)
        agreement_table().arrow([{"measure": "x", "stratum_by": "all", "stratum": "all", **row}])


class TestStrata:
    def frame(self) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        n = 60
        reference = rng.normal(100.0, 10.0, n)
        frame = pd.DataFrame({"measure": "vol", "reference": reference, "prediction": reference + rng.normal(0, 1, n)})
        frame["vendor"] = ["GE"] * 15 + ["Siemens"] * 40 + [None] * 5
        frame["side"] = ["left", "right"] * 30
        frame.loc[:2, "prediction"] = np.nan
        return frame

    def test_each_stratum_has_its_row_its_failures_and_its_sufficiency(self) -> None:
        rows = agreement_rows(PairedTable(self.frame(), strata=("vendor",), margins=(FIVE_PERCENT,)))
        found = {r["stratum"]: (r["n"], r["failure_frac"], r["is_sufficient"]) for r in rows}
        assert found == {
            "all": (57, pytest.approx(3 / 60), True),
            "GE": (12, pytest.approx(3 / 15), False),
            "Siemens": (40, 0.0, True),
            "unknown": (5, 0.0, False),
        }

    def test_groups_times_strata(self) -> None:
        rows = agreement_rows(PairedTable(self.frame(), by=("side",), strata=("vendor",), margins=(FIVE_PERCENT,)))
        assert len(rows) == 2 * (1 + 3)
        assert sum(r["n_rows"] for r in rows if r["stratum_by"] == "all") == 60
        assert sum(r["n_rows"] for r in rows if r["stratum_by"] == "vendor") == 60

    def test_holm_counts_the_rows_of_one_division(self) -> None:
        rows = agreement_rows(PairedTable(self.frame(), by=("side",), strata=("vendor",), margins=(FIVE_PERCENT,)))
        for division in ("all", "vendor"):
            family = [r for r in rows if r["stratum_by"] == division]
            assert [r["tost_p_holm"] for r in family] == pytest.approx(holm([r.get("tost_p") for r in family]))

    def test_bands(self) -> None:
        found = band(pd.Series([39.9, 40, 80, None, "x", "61"], dtype=object), (40.0, 60.0, 80.0)).tolist()
        assert found == ["<40", "40-<60", ">=80", None, None, "60-<80"]

    def test_a_column_named_as_a_statistic_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="name of a statistic"):
            agreement_table(("bias",))
