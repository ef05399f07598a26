"""What a score means: counted as by hand, and true of studies that nobody counted."""

from __future__ import annotations

import numpy as np
import pytest

from index.chance import BINS, NOBODY, ScoreCounts, sample
from tests.support.store_cases import vectors

VECTORS = vectors(*[f"s{i}" for i in range(40)])
OWNERS = np.arange(40) // 2


def test_pairs_of_one_patient_are_not_counted():
    counts = ScoreCounts().add_vectors(VECTORS, OWNERS, VECTORS, OWNERS)
    assert counts.pairs == 40 * 38
    of_text = ScoreCounts().add_vectors(VECTORS[:3], np.full(3, NOBODY), VECTORS, OWNERS)
    assert of_text.pairs == 3 * 40


def test_the_expected_number_is_the_share_of_pairs_times_the_rows():
    counts = ScoreCounts().add_vectors(VECTORS, OWNERS, VECTORS, OWNERS)
    cosines = (VECTORS @ VECTORS.T)[OWNERS[:, None] != OWNERS]
    scores = np.array([-1.0, -0.03, 0.0, 0.05, 0.11])
    told = counts.expected(scores, 500)
    # All of the score's own bin count.
    low = np.floor((scores + 1) * BINS / 2) * 2 / BINS - 1
    share = (cosines >= low[:, None] - 1e-7).mean(axis=1)
    assert told.number == pytest.approx(500 * share, rel=1e-9)
    assert not told.is_bound.any()


def test_beyond_every_pair_there_is_a_bound_and_never_zero():
    counts = ScoreCounts().add_vectors(VECTORS, OWNERS, VECTORS, OWNERS)
    told = counts.expected(np.array([0.99, 1.0001]), 500)
    assert told.is_bound.all()
    assert told.number == pytest.approx([500 / (40 * 38)] * 2)


def test_blocks_count_as_the_whole(monkeypatch):
    whole = ScoreCounts().add_vectors(VECTORS, OWNERS, VECTORS, OWNERS)
    monkeypatch.setattr("index.chance._COSINES", 100)
    parts = ScoreCounts().add_vectors(VECTORS, OWNERS, VECTORS, OWNERS)
    assert (whole.counts == parts.counts).all()


def test_a_sample_is_seeded_and_without_repeats():
    drawn = sample(10_000, 300, seed=1)
    assert len(np.unique(drawn)) == 300
    assert (drawn == sample(10_000, 300, seed=1)).all()
    assert (drawn != sample(10_000, 300, seed=2)).any()
    assert sample(5, 300, seed=1).tolist() == [0, 1, 2, 3, 4]


def test_the_told_number_is_true_of_studies_that_were_not_counted():
    """Independent vectors of 12 dimensions, whose cosines spread widely.

    Within 3.3 standard deviations, outside of which one of a thousand is.
    """
    rng = np.random.default_rng(11)

    def draw(n):
        wide = np.zeros((n, 512), np.float32)
        wide[:, :12] = rng.standard_normal((n, 12))
        return wide / np.linalg.norm(wide, axis=1, keepdims=True)

    store, fresh = draw(2000), draw(1000)
    owners = np.arange(2000)
    rows = sample(2000, 500, seed=0)
    counts = ScoreCounts().add_vectors(store[rows], owners[rows], store, owners)
    cosines = fresh @ store.T
    scores = np.array([0.3, 0.5, 0.6, 0.7, 0.8])
    for score, told in zip(scores, counts.expected(scores, 2000).number, strict=True):
        seen = int((cosines >= score).sum())
        # Cosines of a pair do not depend on which study it is of, so fresh hits are binomial, and
        # so are those that were counted.
        share = told / 2000
        width = share * (1 - share) * cosines.size * (1 + cosines.size / counts.pairs)
        assert abs(seen - share * cosines.size) <= 3.3 * np.sqrt(width), f"{score}: told {told}"
