"""Weights of neighbours, and the incidence that they give."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.neighbours import (
    conditional_incidence,
    effective_left,
    effective_size,
    nearest,
)
from analytics.survival.times import follow_up
from core.errors import UsageError


def test_a_neighbour_weighs_what_its_similarity_exceeds_that_of_the_next_by():
    found = nearest([0.1, 0.9, 0.5, 0.7, -0.2], 3)
    assert found.rows.tolist() == [1, 3, 2]
    np.testing.assert_allclose(found.weight, np.array([0.8, 0.6, 0.4]) / 1.8)
    assert found.similarity.tolist() == [0.9, 0.7, 0.5]
    assert found.edge == 0.1
    assert found.effective == pytest.approx(1.8**2 / (0.64 + 0.36 + 0.16))


def test_who_is_as_similar_as_the_first_that_does_not_count_does_not_count_either():
    assert nearest([0.9, 0.5, 0.5, 0.7], 3).rows.tolist() == [0, 3]


def test_all_of_one_similarity_count_alike():
    found = nearest(np.full(6, 0.8), 4)
    np.testing.assert_allclose(found.weight, 0.25)
    assert found.effective == pytest.approx(4)


@pytest.mark.parametrize("k", [0, 5, 6])
def test_as_many_neighbours_as_patients_are_refused(k):
    with pytest.raises(UsageError, match=f"{k} neighbours of 5 patients"):
        nearest(np.arange(5) / 5, k)


def test_effective_size():
    assert effective_size(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 1e-9])) == pytest.approx(1)
    assert effective_size(np.empty(0)) == 0


def test_equal_weights_give_the_plain_curve():
    rng = np.random.default_rng(1)
    times = follow_up(rng.integers(1, 20, 80), rng.integers(0, 3, 80))
    found, plain = conditional_incidence(times, np.full(80, 1 / 80)), aalen_johansen(times)
    np.testing.assert_allclose(found.estimate[1:], plain.estimate, atol=1e-12)
    np.testing.assert_allclose(found.se[1:], plain.se, atol=1e-12)
    assert found.at_risk.tolist() == [80, *plain.at_risk.tolist()]


def test_weights_on_one_group_give_the_curve_of_that_group():
    rng = np.random.default_rng(2)
    times = follow_up(rng.integers(1, 20, 80), rng.integers(0, 3, 80))
    group = np.arange(80) < 40
    found = conditional_incidence(times, np.where(group, 1.0, 1e-9))
    alone = aalen_johansen(times[group])
    grid = np.arange(1, 20)
    np.testing.assert_allclose(found.at(grid)[:, 0], alone.at(grid)[:, 0], atol=1e-6)


def test_the_interval_of_equal_weights_without_censoring_is_wilsons():
    # 3 of 10; Newcombe, Stat Med 1998;17:857, method 3.
    times = follow_up(np.arange(1, 11), [1, 1, 1, *[2] * 7])
    curve = conditional_incidence(times, np.ones(10))
    assert curve.at([10])[0, 2:] == pytest.approx([0.1078, 0.6032], abs=5e-5)


def test_the_interval_of_no_event_is_of_those_who_are_still_followed():
    times = follow_up([1, 2, 3, 4, 5, 6], [0, 0, 0, 2, 0, 1])
    curve = conditional_incidence(times, np.ones(6))
    z2 = 1.959964**2
    left = np.array([6, 6, 5, 4, 3, 2])
    np.testing.assert_allclose(curve.upper[:6], z2 / (left + z2), rtol=1e-6)
    assert (curve.lower[:6] == 0).all()
    assert curve.at([0.5])[0].tolist() == [0, 0, 0, curve.upper[0]]  # before any follow-up ends


def test_when_everybody_had_the_event_the_size_is_the_last_one_before():
    curve = conditional_incidence(follow_up(np.arange(1, 11), np.ones(10)), np.full(10, 0.1))
    assert curve.estimate[-1] == pytest.approx(1)
    assert curve.lower[-1] == pytest.approx(1 / (1 + 1.959964**2 / 10), rel=1e-6)
    at_once = conditional_incidence(follow_up(np.ones(10), np.ones(10)), np.full(10, 0.1))
    assert at_once.lower[-1] == pytest.approx(curve.lower[-1])


def test_the_size_is_never_more_than_that_of_the_weights():
    # The only event has hardly any weight, and its standard error is next to nothing.
    weight = np.array([0.01, *[1.0] * 20])
    times = follow_up([1, *range(2, 22)], [1, *[0] * 20])
    curve = conditional_incidence(times, weight)
    assert curve.se[1] < 0.001
    assert curve.upper[1] > 0.15


def test_effective_left():
    times, weight = follow_up([1, 2, 2, 5], [0, 1, 0, 1]), np.array([1.0, 1.0, 2.0, 2.0])
    found = effective_left(times, weight, conditional_incidence(times, weight))
    np.testing.assert_allclose(found, [36 / 10, 36 / 10, 25 / 9, 1])
