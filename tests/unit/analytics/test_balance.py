"""Standardised differences: by hand, and against scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import mahalanobis

from analytics.balance import Balance, balance, difference, of_shares
from core.errors import UsageError


def words(**counts: int) -> pd.Series:
    return pd.Series([word for word, n in counts.items() for _ in range(n)], dtype=object)


def truths(yes: int, no: int) -> pd.Series:
    return pd.Series([True] * yes + [False] * no, dtype="boolean")


def test_numbers_by_hand_and_as_the_t_statistic_of_equal_groups():
    # Means 2 and 4, variances 1 and 4: -2 / sqrt(2.5).
    one, other = pd.Series([1.0, 2.0, 3.0]), pd.Series([2.0, 4.0, 6.0])
    assert difference(one, other) == pytest.approx(-2 / np.sqrt(2.5))
    rng = np.random.default_rng(0)
    one, other = pd.Series(rng.normal(5, 2, 40)), pd.Series(rng.normal(4, 1, 40))
    t = stats.ttest_ind(one, other).statistic
    assert difference(one, other) == pytest.approx(t * np.sqrt(2 / 40))


def test_truth_values_by_austins_formula():
    expected = (0.3 - 0.5) / np.sqrt((0.3 * 0.7 + 0.5 * 0.5) / 2)
    assert difference(truths(3, 7), truths(10, 10)) == pytest.approx(expected)
    two_words = difference(words(yes=3, no=7), words(yes=10, no=10))
    assert two_words == pytest.approx(-expected)


def test_words_are_as_far_apart_as_mahalanobis_tells():
    one, other = np.array([20, 30, 50]) / 100, np.array([50, 20, 30]) / 100
    covariance = sum(np.diag(p[:2]) - np.outer(p[:2], p[:2]) for p in (one, other)) / 2
    expected = mahalanobis(one[:2], other[:2], np.linalg.inv(covariance))
    found = difference(words(a=20, b=30, c=50), words(a=50, b=20, c=30))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (pd.Series([3.0, 3.0]), pd.Series([3.0, 3.0, 3.0]), 0.0),
        (pd.Series([3.0, 3.0]), pd.Series([4.0, 4.0]), -np.inf),
        (pd.Series([0.1 + 0.2] * 3), pd.Series([0.3] * 3), 0.0),
        (pd.Series([3.0, 3.0]), pd.Series([4.0]), np.nan),
        (pd.Series([1.0, 2.0]), pd.Series([np.nan, np.nan]), np.nan),
        (words(a=3), words(a=5), 0.0),
        (words(a=3), words(b=5), np.inf),
        (words(a=3), words(b=5, c=5), np.inf),
        (words(a=3), words(a=0).astype(object), np.nan),
        (truths(4, 0), truths(0, 4), np.inf),
        (truths(4, 0), truths(9, 0), 0.0),
    ],
)
def test_what_does_not_vary_or_is_not_known_is_defined(one, other, expected):
    assert difference(one, other) == pytest.approx(expected, nan_ok=True)


def test_a_level_that_a_third_group_has_alone_changes_nothing():
    assert of_shares([0.2, 0.0, 0.8], [0.6, 0.0, 0.4]) == pytest.approx(
        of_shares([0.2, 0.8], [0.6, 0.4])
    )


def groups() -> dict[str, pd.DataFrame]:
    one = pd.DataFrame(
        {
            "age": [50.0, 60.0, 70.0, np.nan],
            "sex": ["F", "F", "M", None],
            "diabetes": pd.array([True, False, None, True], "boolean"),
            "never": [None] * 4,
        }
    )
    other = one.iloc[[0, 2]].assign(age=[80.0, 90.0])
    return {"one": one, "other": other, "third": one.iloc[:3]}


def told(
    found: Balance, variable: str, level: str | None, group: str, *columns: str
) -> list[object]:
    """Return some of the one row of a variable, level and group."""
    rows = found.rows[(found.rows["variable"] == variable) & (found.rows["group"] == group)]
    (row,) = rows[rows["level"].fillna("") == (level or "")].to_dict("records")
    return [row[name] for name in columns]


def test_groups_are_described_side_by_side():
    found = balance(groups())
    moments = ("known", "missing", "mean", "sd", "median", "lower_quartile", "upper_quartile")
    assert told(found, "age", None, "one", *moments) == [3, 1, 60, 10, 60, 55, 65]
    assert told(found, "sex", "F", "one", "known", "missing", "count") == [3, 1, 2]
    assert told(found, "sex", "M", "other", "share") == [0.5]
    assert told(found, "diabetes", "yes", "one", "known", "missing", "count") == [3, 1, 2]
    assert told(found, "never", None, "one", "known", "missing") == [0, 4]
    pairs = found.differences.set_index(["variable", "one", "other"])["smd"]
    assert len(pairs) == 4 * 3
    apart = -25 / np.sqrt((10**2 + 50) / 2)
    assert pairs["age", "one", "other"] == pytest.approx(apart)
    largest = found.largest()
    assert [*largest.index] == ["age", "sex", "diabetes", "never"]
    assert largest["age"] == pytest.approx(-apart)
    assert largest.isna().tolist() == [False, False, False, True]


def test_the_table_tells_each_gap_and_each_difference_once():
    table = balance(groups()).table()
    assert [*table.columns] == ["characteristic", "one", "other", "third", "smd"]
    shown = table.set_index("characteristic")
    assert [*shown.index] == ["age", "sex: F", "sex: M", "diabetes", "never"]
    assert shown.loc["age", "one"] == "60.0 (10.0); 1 missing"
    assert shown.loc["sex: F", "one"] == "2 (67%); 1 missing"
    assert shown.loc["sex: M", "one"] == "1 (33%)"
    assert shown.loc["never", "other"] == "–; 2 missing"
    assert shown["smd"].isna().tolist() == [False, False, True, False, True]
    assert shown.loc["sex: F", "smd"] == pytest.approx(balance(groups()).largest()["sex"])


def test_rare_words_are_one_level():
    many = pd.DataFrame({"site": [f"s{i:02d}" for i in range(20) for _ in range(30 - i)]})
    rows = balance({"a": many, "b": many}).rows
    of_a = rows[rows["group"] == "a"].set_index("level")["count"]
    assert len(of_a) == 12
    assert of_a["others"] == sum(30 - i for i in range(11, 20))
    assert of_a["s00"] == 30


def test_nobody_and_one_group_are_refused():
    table = groups()["one"]
    with pytest.raises(UsageError, match="1 groups to compare, 0 of them of nobody"):
        balance({"a": table})
    with pytest.raises(UsageError, match="2 groups to compare, 1 of them of nobody"):
        balance({"a": table, "b": table.iloc[:0]})
