"""Cumulative incidence with weights: by hand, against copies of subjects, and against lifelines."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.kaplan_meier import kaplan_meier
from analytics.survival.times import follow_up
from core.errors import UsageError


def tied(seed: int, n: int = 120, states: int = 3):
    rng = np.random.default_rng(seed)
    return follow_up(rng.integers(1, 15, n), rng.integers(0, states, n)), rng.uniform(0.1, 3, n)


def test_by_hand():
    # 8 at risk, 2 have the event; 5 left at 3, and 1 of them has something.
    times, weights = follow_up([1, 2, 3, 4], [1, 0, 1, 0]), np.array([2.0, 1.0, 1.0, 4.0])
    curve = aalen_johansen(times, weights=weights)
    np.testing.assert_allclose(curve.estimate, [0.25, 0.25, 0.4, 0.4])
    assert curve.at_risk.tolist() == [4, 3, 2, 1]
    assert curve.events.tolist() == [1, 0, 1, 0]
    competing = follow_up([1, 2, 3, 4], [1, 0, 2, 0])
    np.testing.assert_allclose(
        aalen_johansen(competing, weights=weights, of="competing").estimate, [0, 0, 0.15, 0.15]
    )
    np.testing.assert_allclose(
        aalen_johansen(competing, weights=weights, of="neither").estimate, [0.75, 0.75, 0.6, 0.6]
    )


def test_the_standard_error_without_censoring_is_that_of_a_weighted_share():
    times, weights = follow_up([1, 2, 3, 4], [1, 2, 1, 2]), np.array([1.0, 2.0, 3.0, 4.0])
    share = weights / 10
    curve = aalen_johansen(times, weights=weights)
    happened = np.array([1, 0, 1, 0])
    expected = np.sqrt((share**2 * (happened - 0.4) ** 2).sum())
    assert curve.estimate[-1] == pytest.approx(0.4)
    assert curve.se[-1] == pytest.approx(expected)


@pytest.mark.parametrize("of", ["event", "competing", "neither"])
def test_weights_of_one_change_nothing(of):
    times, _ = tied(1)
    plain, weighted = (
        aalen_johansen(times, of=of),
        aalen_johansen(times, weights=np.ones(len(times)), of=of),
    )
    for name in ("time", "estimate", "se", "lower", "upper", "at_risk", "events"):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(plain, name))


def test_a_whole_weight_is_as_many_subjects():
    times, weights = tied(2)
    copies = np.ceil(weights).astype(int)
    many = follow_up(np.repeat(times.time, copies), np.repeat(times.state, copies))
    np.testing.assert_allclose(
        aalen_johansen(times, weights=copies.astype(float)).estimate,
        aalen_johansen(many).estimate,
        atol=1e-12,
    )


def test_without_competing_events_it_is_lifelines_weighted_kaplan_meier():
    times, weights = tied(3, states=2)
    with pytest.warns(Warning, match="weights are not integers"):
        known = KaplanMeierFitter().fit(times.time, times.event, weights=weights)
    curve = aalen_johansen(times, weights=weights)
    survival = known.survival_function_at_times(curve.time).to_numpy()
    np.testing.assert_allclose(1 - curve.estimate, survival, atol=1e-12)
    np.testing.assert_allclose(
        1 - aalen_johansen(times).estimate, kaplan_meier(times).estimate, atol=1e-12
    )


def test_with_competing_events_it_is_lifelines_weighted_aalen_johansen():
    rng = np.random.default_rng(4)
    times = follow_up(rng.permutation(120) + 1.0, rng.integers(0, 3, 120))
    weights = rng.integers(1, 5, 120)
    known = AalenJohansenFitter(calculate_variance=False).fit(
        times.time, times.state, event_of_interest=1, weights=weights
    )
    curve = aalen_johansen(times, weights=weights.astype(float))
    np.testing.assert_allclose(
        curve.estimate, known.cumulative_density_.loc[curve.time].iloc[:, 0], atol=1e-12
    )


def test_all_that_is_left_may_have_the_event():
    # Sums of weights would leave a rounding, and a standard error without end.
    times, weights = follow_up([1, 2, 2, 2], [0, 1, 1, 2]), np.array([0.1, 0.2, 0.3, 0.7])
    curve = aalen_johansen(times, weights=weights, of="neither")
    assert curve.estimate[-1] == 0
    assert np.isfinite(aalen_johansen(times, weights=weights).se).all()


@pytest.mark.parametrize("weights", [[1.0, 0.0], [1.0, -1.0], [1.0, np.nan], [1.0]])
def test_weights_that_cannot_be_are_refused(weights):
    with pytest.raises(UsageError, match=r"for 2 subjects: expected one positive number for each"):
        aalen_johansen(follow_up([1, 2], [1, 0]), weights=np.array(weights))
