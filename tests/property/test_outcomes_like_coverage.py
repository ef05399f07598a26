"""Simulated again and again: intervals hold the neighbours' average as often as they say."""

from __future__ import annotations

import pytest

from benchmarks.outcomes_like import planted, strangers

pytestmark = pytest.mark.slow


def test_intervals_hold_the_average_risk_of_the_neighbours():
    for name, found in planted(25).items():
        error = found["sampling_error"]
        assert 0.93 - 2 * error < found["held_average_of_neighbours"] < 0.97 + 2 * error, name
        off = found["mean_absolute_error"]
        assert off["neighbours"] < off["cohort"], name
        assert found["far_from_all"] < 0.03 * found["asked"], name


def test_exams_of_any_direction_are_mostly_refused():
    found = strangers(20)
    assert found["far_from_all"] > 0.6 * found["asked"]
