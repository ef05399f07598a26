"""Simulated again and again: intervals hold planted truths, and clean data are never refused."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.leakage import from_the_outcome, near_duplicates
from analytics.preparation import EMBEDDING
from analytics.survival.fine_gray import fit_fine_gray
from benchmarks.survival_coverage import BETA, coverage, draw_subdistribution
from tests.support.cohorts import world

pytestmark = pytest.mark.slow


def test_intervals_hold_the_truth_as_often_as_they_say():
    for name, found in coverage(800).items():
        assert 0.93 - 3 * found["se"] < found["coverage"] < 0.97 + 3 * found["se"], name


def test_fine_gray_finds_the_planted_subdistribution_hazard_ratio():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(300):
        x, times = draw_subdistribution(rng, 400)
        found.append(fit_fine_gray(times, x).table["coef"].iloc[0])
    assert np.mean(found) == pytest.approx(BETA, abs=4 * np.std(found) / 300**0.5)


@pytest.mark.parametrize("seed", range(40))
def test_clean_data_are_not_refused(seed):
    drawn = world(300, seed=seed, dim=64)
    clinical = drawn.x[["age", "sex"]].assign(truth=drawn.truth)
    assert list(from_the_outcome(clinical, drawn.times)) == []
    vectors = drawn.x.filter(like=EMBEDDING).to_numpy()
    assert list(near_duplicates(vectors, drawn.patient, drawn.patient)) == []
