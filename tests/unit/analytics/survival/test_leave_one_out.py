"""Every member asked about as if new."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.survival.leave_one_out import incidences, tune
from analytics.survival.neighbours import conditional_incidence, nearest
from analytics.survival.times import follow_up
from benchmarks.outcomes_like import HORIZONS, draw
from core.errors import UsageError


def test_incidences_of_many_are_those_of_each_ties_and_all():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(90, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    times = follow_up(rng.integers(1, 8, 90), rng.integers(0, 3, 90))
    cosine = vectors @ vectors.T
    others = np.argsort(-cosine, axis=1)[:, 1:32]  # the first is oneself
    horizons = np.array([2.0, 5.0, 7.0])
    found = incidences(times, others, np.take_along_axis(cosine, others, axis=1), 30, horizons)
    for row in range(90):
        one = nearest(np.delete(cosine[row], row), 30)
        rest = np.delete(np.arange(90), row)[one.rows]
        curve = conditional_incidence(times[rest], one.weight)
        np.testing.assert_allclose(found[row], curve.at(horizons)[:, 0], atol=1e-9)


def test_the_number_of_neighbours_has_the_lowest_score_of_those_that_were_tried():
    drawn = draw(np.random.default_rng(1), 900, 0.5)
    tuned = tune(drawn.vectors, drawn.times, HORIZONS)
    assert tuned.scores["k"].tolist() == [50, 100, 200]
    assert tuned.k == tuned.scores.sort_values("brier")["k"].iloc[0]
    assert tuned.asked == 900
    assert tune(drawn.vectors, drawn.times, HORIZONS, k=70).scores["k"].tolist() == [70]


def test_one_in_a_hundred_of_the_members_is_below_the_limit():
    drawn = draw(np.random.default_rng(2), 1000, 0.5)
    tuned = tune(drawn.vectors, drawn.times, HORIZONS, k=50)
    cosine = drawn.vectors @ drawn.vectors.T
    np.fill_diagonal(cosine, -2)
    reached = np.sort(cosine, axis=1)[:, -50]
    assert (reached < tuned.limit).sum() == 10


def test_of_a_large_cohort_some_are_asked_and_the_same_every_time():
    drawn = draw(np.random.default_rng(3), 2300, 0.5)
    first, again = (tune(drawn.vectors, drawn.times, HORIZONS, seed=s) for s in (4, 4))
    assert first.asked == 2000
    assert (first.k, first.limit) == (again.k, again.limit)
    assert tune(drawn.vectors, drawn.times, HORIZONS, seed=5).limit != first.limit


def test_too_few_patients_are_refused():
    drawn = draw(np.random.default_rng(4), 199, 0.5)
    with pytest.raises(
        UsageError, match="199 patients can be compared with: expected at least 200"
    ):
        tune(drawn.vectors, drawn.times, HORIZONS)
    with pytest.raises(UsageError, match=r"199 patients .*: expected at least 200"):
        tune(drawn.vectors, drawn.times, HORIZONS, k=198)
