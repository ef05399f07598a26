"""No patient is on both sides, and folds have equal shares of the event."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.splits import by_site, folds, temporal
from core.errors import UsageError


@given(st.integers(0, 2**32), st.integers(2, 5))
def test_every_row_is_tested_once_and_never_beside_its_patient(seed, count):
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, 40, 120)
    event = rng.random(40)[patient] < 0.4
    if min(len(np.unique(patient[event])), len(np.unique(patient[~event]))) < count:
        return
    found = list(folds(patient, event, count=count, seed=1))
    assert sorted(np.concatenate([split.test for split in found]).tolist()) == list(range(120))
    for split in found:
        assert not set(patient[split.train]) & set(patient[split.test])
        assert len(split.train) + len(split.test) == 120


def test_folds_have_equal_shares_of_the_event():
    event = np.arange(1000) < 100
    shares = [event[split.test].mean() for split in folds(range(1000), event, count=5, seed=0)]
    assert max(shares) - min(shares) < 0.011


def test_the_same_seed_gives_the_same_folds():
    event = np.arange(100) < 30
    one, again, other = (
        [split.test.tolist() for split in folds(range(100), event, count=4, seed=seed)]
        for seed in (3, 3, 4)
    )
    assert one == again != other


def test_too_few_events_are_refused():
    with pytest.raises(UsageError, match="2 patients with the event cannot be spread over 5 folds"):
        list(folds(range(100), np.arange(100) < 2, count=5, seed=0))


def test_a_temporal_hold_out_leaves_out_earlier_exams_of_later_patients():
    dates = pd.Series(pd.to_datetime(["2019-01-01", "2020-06-01", "2018-05-05", "2020-01-01"]))
    split = temporal(dates, ["a", "a", "b", "c"], since=dt.date(2020, 1, 1))
    assert (split.train.tolist(), split.test.tolist(), split.left_out.tolist()) == (
        [2],
        [1, 3],
        [0],
    )
    with pytest.raises(UsageError, match="since 2030-01-01: nobody is on the test side"):
        temporal(dates, ["a", "a", "b", "c"], since=dt.date(2030, 1, 1))


def test_a_site_is_held_out():
    split = by_site(pd.Series(["x", "y", "x"]), ["a", "b", "b"], held_out="y")
    assert (split.train.tolist(), split.test.tolist(), split.left_out.tolist()) == ([0], [1], [2])
    with pytest.raises(UsageError, match="site z: nobody is on the test side"):
        by_site(pd.Series(["x", "y"]), ["a", "b"], held_out="z")
