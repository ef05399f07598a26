"""Simulated again and again: unchanged arteries seldom seem to have changed."""

from __future__ import annotations

import pytest

from analytics.progression.study import FLOORS
from benchmarks.progression_coverage import false_progression

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("floor", FLOORS[1:])
def test_one_unchanged_pair_in_twenty_is_beyond_the_floor_and_no_more(floor):
    found = false_progression(150, floor, seed=11)
    assert found["false"] <= 0.05 + 0.015
    assert found["power"] > 0.7
