"""Areas under curves, against counting pairs and known cases."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.resampling import bootstrap
from analytics.roc import auc, average_precision, curve, delong, youden
from core.errors import UsageError

RNG = np.random.default_rng(4)
TRUTH = RNG.random(200) < 0.3
SCORES = np.round(RNG.normal(size=(200, 2)) + TRUTH[:, None] * [1.0, 0.6], 1)


def test_an_area_is_the_share_of_pairs_in_the_right_order():
    for score in SCORES.T:
        gap = score[TRUTH][:, None] - score[~TRUTH]
        expected = ((gap > 0) + (gap == 0) / 2).mean()
        assert auc(TRUTH, score) == pytest.approx(expected)
        assert auc(TRUTH, -score) == pytest.approx(1 - expected)
    np.testing.assert_allclose(delong(TRUTH, SCORES).auc, [auc(TRUTH, s) for s in SCORES.T])


def test_delongs_errors_are_those_of_resampling():
    found = delong(TRUTH, SCORES)
    drawn = bootstrap(
        lambda rows: np.array([auc(TRUTH[rows], s[rows]) for s in SCORES.T]),
        np.arange(200),
        repeats=2000,
        seed=0,
    )
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), found.covariance, rtol=0.12, atol=5e-5)


def test_the_same_score_twice_does_not_differ():
    found = delong(TRUTH, SCORES[:, [0, 0]])
    assert found.compare(0, 1) == (0.0, 0.0, 1.0)


def test_one_kind_alone_has_no_area():
    assert np.isnan(auc(np.ones(5), np.arange(5)))
    assert np.isnan(average_precision(np.zeros(5), np.arange(5)))
    with pytest.raises(UsageError, match="1 subjects with the finding and 4 without"):
        delong([1, 0, 0, 0, 0], np.arange(5))


def test_precision_of_scores_that_tell_nothing_is_the_share_of_cases():
    assert average_precision(TRUTH, np.zeros(200)) == pytest.approx(TRUTH.mean())
    assert average_precision(TRUTH, TRUTH) == 1


def test_a_threshold_parts_what_can_be_parted():
    score = np.array([1.0, 2, 3, 7, 8, 9])
    truth = np.array([0, 0, 0, 1, 1, 1])
    assert youden(truth, score) == 5
    false, true, _ = curve(truth, score)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
