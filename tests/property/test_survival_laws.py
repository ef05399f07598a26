"""What must hold of survival statistics whatever the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.calibration import brier
from analytics.survival.discrimination import auc, harrell, uno
from analytics.survival.fine_gray import fit_fine_gray
from analytics.survival.kaplan_meier import kaplan_meier
from analytics.survival.log_rank import log_rank
from analytics.survival.times import Times, follow_up
from core.errors import UsageError


@st.composite
def subjects(draw, *, states: int = 3) -> tuple[Times, np.ndarray]:
    """Few distinct times, so that there are ties of every kind; an event first, an end last."""
    n = draw(st.integers(6, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    time = rng.integers(1, 12, n).astype(float)
    state = rng.integers(0, states, n)
    time[0], state[0] = 0.5, 1
    time[1], state[1] = 13, 0
    return follow_up(time, state), np.round(rng.normal(size=n), 1)


@given(subjects())
def test_the_three_incidences_sum_to_one(drawn):
    times, _ = drawn
    event, competing, neither = (
        aalen_johansen(times, of=of).estimate for of in ("event", "competing", "neither")
    )
    np.testing.assert_allclose(event + competing + neither, 1)


@given(subjects(states=2))
def test_without_competing_events_incidence_is_what_is_left_of_survival(drawn):
    times, _ = drawn
    np.testing.assert_allclose(
        aalen_johansen(times).estimate, 1 - kaplan_meier(times).estimate, atol=1e-12
    )


@given(subjects())
def test_a_reversed_risk_gives_the_rest_to_one(drawn):
    times, risk = drawn
    assert harrell(times, risk).c + harrell(times, -risk).c == pytest.approx(1)
    assert uno(times, risk, until=6).c + uno(times, -risk, until=6).c == pytest.approx(1)
    assert auc(times, risk, 6) + auc(times, -risk, 6) == pytest.approx(1)


@given(subjects(), st.integers(0, 2**32))
def test_order_and_scale_do_not_matter(drawn, seed):
    times, risk = drawn
    order = np.random.default_rng(seed).permutation(len(times))
    again = follow_up(times.time[order] * 7, times.state[order])
    assert harrell(again, 3 * risk[order] + 1).c == pytest.approx(harrell(times, risk).c)
    assert auc(again, np.exp(risk[order]), 42) == pytest.approx(auc(times, risk, 6))
    np.testing.assert_allclose(aalen_johansen(again).se, aalen_johansen(times).se, atol=1e-12)


@given(subjects())
def test_chance_and_perfection(drawn):
    times, _ = drawn
    assert harrell(times, np.zeros(len(times))).c == 0.5
    alone = times.state != 2
    known = times[alone]
    assert harrell(known, -known.time).c >= 0.5


@given(subjects(states=2))
def test_a_weighted_outcome_averages_to_the_incidence(drawn):
    times, _ = drawn
    # The Brier score of a constant is least at the incidence itself.
    incidence = float(aalen_johansen(times).at(6)[0])
    scores = [brier(times, np.full(len(times), p), 6) for p in (incidence, *np.linspace(0, 1, 21))]
    assert scores[0] == pytest.approx(min(scores))


@given(subjects(), st.integers(0, 2**32))
def test_the_log_rank_of_one_group_twice_is_nothing(drawn, seed):
    times, _ = drawn
    doubled = follow_up(np.tile(times.time, 2), np.tile(times.state, 2))
    found = log_rank(doubled, np.repeat(["one", "other"], len(times)))
    assert found.chi2 == pytest.approx(0, abs=1e-9)
    assert sum(found.observed) == pytest.approx(sum(found.expected))


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_fine_and_gray_without_competing_events_is_cox(seed):
    from analytics.survival.cox import fit_cox

    rng = np.random.default_rng(seed)
    n = 80
    x = pd.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 2, n)})
    times = follow_up(rng.integers(1, 30, n), rng.integers(0, 2, n))
    cox = fit_cox(times, x, ties="breslow", cluster=np.arange(n))
    gray = fit_fine_gray(times, x)
    np.testing.assert_allclose(gray.table["coef"], cox.table["coef"], atol=1e-7)
    np.testing.assert_allclose(gray.table["se"], cox.table["se"], atol=1e-7)


@pytest.mark.parametrize(
    ("time", "state", "message"),
    [
        ([1, 0], [1, 0], "follow-up of subject 1 is 0.0: expected a positive time"),
        ([1, np.nan], [1, 0], "follow-up of subject 1 is nan"),
        ([1, 2], [1, 3], "states 3: expected 0"),
        ([1, 2], [1], r"follow-up of shape \(2,\) with states of shape \(1,\)"),
    ],
)
def test_follow_up_that_cannot_be_is_refused(time, state, message):
    with pytest.raises(UsageError, match=message):
        follow_up(time, state)
