"""What must hold of standardised differences whatever the groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.balance import balance, difference, of_shares

NUMBERS = st.lists(st.integers(-50, 50), min_size=2, max_size=30).map(
    lambda values: pd.Series(values, dtype=float)
)
COUNTS = st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(sum)


def same(one: float, other: float) -> bool:
    return one == pytest.approx(other, rel=1e-6, abs=1e-9)


@given(NUMBERS, NUMBERS, st.floats(-1000, 1000), st.floats(0.1, 100))
def test_numbers_change_sign_with_the_groups_and_not_with_origin_or_unit(one, other, shift, scale):
    found = difference(one, other)
    assert same(difference(other, one), -found)
    assert same(difference(shift + scale * one, shift + scale * other), found)
    assert same(difference(shift - scale * one, shift - scale * other), -found)


@given(COUNTS, COUNTS, st.permutations(range(4)), st.integers(1, 5))
def test_words_do_not_depend_on_order_of_groups_or_levels_or_on_size(one, other, order, times):
    p, q = (np.array(each) / sum(each) for each in (one, other))
    found = of_shares(p, q)
    assert found >= 0
    assert same(of_shares(q, p), found)
    assert same(of_shares(p[list(order)], q[list(order)]), found)
    assert same(of_shares(p, p), 0)
    words = [pd.Series(np.repeat([*"abcd"], each), dtype=object) for each in (one, other)]
    assert same(difference(*words), found)
    assert same(difference(*(pd.concat([each] * times) for each in words)), found)


@given(st.lists(NUMBERS, min_size=2, max_size=4))
def test_the_largest_difference_is_of_a_pair_and_no_pair_is_larger(columns):
    groups = {f"g{i}": pd.DataFrame({"x": each}) for i, each in enumerate(columns)}
    found = balance(groups)
    pairs = [
        abs(difference(columns[i], columns[j]))
        for i in range(len(columns))
        for j in range(i + 1, len(columns))
    ]
    assert same(found.largest()["x"], max(pairs))
