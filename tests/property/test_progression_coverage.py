"""Simulated again and again: unchanged arteries seldom seem to have changed."""

from __future__ import annotations

import pytest

from analytics.progression.study import FLOORS
from benchmarks.progression_course import coverage
from benchmarks.progression_coverage import false_progression

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("floor", FLOORS[1:])
def test_one_unchanged_pair_in_twenty_is_beyond_the_floor_and_no_more(floor):
    found = false_progression(150, floor, seed=11)
    assert found["false"] <= 0.05 + 0.015
    assert found["power"] > 0.7


def test_intervals_of_slopes_and_hazards_hold_the_truth_as_often_as_they_say():
    for name, found in coverage(300, seed=12).items():
        assert 0.93 - 3 * found["se"] < found["coverage"] < 0.97 + 3 * found["se"], name
