"""Simulated again and again: prediction intervals hold as often as they say."""

from __future__ import annotations

import pytest

from benchmarks.lvef_coverage import coverage

pytestmark = pytest.mark.slow


def test_prediction_intervals_hold_within_a_point_of_their_level():
    for name, found in coverage(100, seed=5).items():
        assert found["coverage"] == pytest.approx(found["nominal"], abs=0.01), name
