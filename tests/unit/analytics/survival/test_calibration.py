"""Calibration finds risks that are right, too high, and too extreme."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.calibration import brier, calibrate, integrated_brier, risk_groups
from analytics.survival.times import follow_up
from core.errors import UsageError

HORIZON = 365.0


@pytest.fixture(scope="module")
def world():
    """Follow-up with a known risk until one year, and a competing event for one in five."""
    rng = np.random.default_rng(5)
    n = 4000
    risk = 1 / (1 + np.exp(-rng.normal(-1.5, 1.0, n)))
    # The event comes within the year with exactly this probability, competing events included.
    fate = rng.random(n)
    when = rng.uniform(1, HORIZON, n)
    other = rng.random(n) < 0.2
    time = np.where(fate < risk, when, np.where(other, when, 900.0))
    state = np.where(fate < risk, 1, np.where(other, 2, 0))
    censored = rng.uniform(100, 1500, n)
    return follow_up(np.minimum(time, censored), np.where(censored < time, 0, state)), risk


def test_right_risks_are_found_right(world):
    times, risk = world
    found = calibrate(times, risk, HORIZON)
    assert found.ratio_lower < 1 < found.ratio_upper
    assert found.slope_lower < 1 < found.slope_upper
    assert found.ici < 0.02
    assert found.e50 <= found.e90
    assert found.observed == pytest.approx(aalen_johansen(times).at(HORIZON)[0])
    assert len(found.groups) == 10
    assert found.groups["subjects"].sum() == len(times)
    within = (found.groups["lower"] <= found.groups["predicted"]) & (
        found.groups["predicted"] <= found.groups["upper"]
    )
    assert within.sum() >= 8
    near = found.curve[found.curve["predicted"] < 0.6]
    assert (near["observed"] - near["predicted"]).abs().max() < 0.05


def test_risks_of_twice_the_size_have_half_the_ratio(world):
    times, risk = world
    halved = calibrate(times, risk / 2, HORIZON)
    assert halved.ratio == pytest.approx(2 * calibrate(times, risk, HORIZON).ratio)
    assert halved.ratio_lower > 1


def test_risks_that_are_too_extreme_have_a_low_slope(world):
    times, risk = world
    odds = (risk / (1 - risk)) ** 2
    found = calibrate(times, odds / (1 + odds), HORIZON)
    assert found.slope_upper < 0.8
    assert found.ici > calibrate(times, risk, HORIZON).ici


def test_the_brier_score_prefers_the_truth(world):
    times, risk = world
    base = float(aalen_johansen(times).at(HORIZON)[0])
    assert brier(times, risk, HORIZON) < brier(times, np.full(len(times), base), HORIZON)
    grid = [100.0, 200.0, HORIZON]
    steady = np.repeat(risk[:, None], 3, axis=1)
    scores = [brier(times, risk, at) for at in grid]
    mean = integrated_brier(times, steady, grid)
    assert min(scores) < mean < max(scores)


@pytest.mark.parametrize("bad", [[0.5, 1.2, 0.1], [0.5, np.nan, 0.1], [0.5, 0.5]])
def test_what_is_no_risk_is_refused(bad):
    with pytest.raises(UsageError, match="outside 0 to 1"):
        brier(follow_up([1, 2, 3], [1, 0, 1]), bad, 2)


def test_without_an_event_there_is_nothing_to_calibrate():
    with pytest.raises(UsageError, match="nobody had the event until 1"):
        calibrate(follow_up([2, 3], [1, 1]), [0.1, 0.2], 1)


def test_a_horizon_that_nobody_reaches_is_refused():
    with pytest.raises(UsageError, match="nobody is followed until 5"):
        brier(follow_up([1, 2, 3], [1, 0, 0]), [0.1, 0.2, 0.3], 5)


def test_groups_are_of_equal_size_and_keep_ties_together():
    group = risk_groups(np.linspace(0, 1, 100), 4)
    assert np.bincount(group).tolist() == [25, 25, 25, 25]
    assert set(risk_groups([0.1] * 50 + [0.9] * 50, 4)) == {0, 1}
