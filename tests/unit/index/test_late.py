"""Late interaction and mean vectors: as a loop over pairs of videos would have it."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import UsageError
from index.late import StudyVideos, late_pairs
from tests.support.store_cases import vectors

COUNTS = [3, 1, 5, 2, 4, 1, 1, 7, 2, 2]
STARTS = np.append(0, np.cumsum(COUNTS)[:-1])
VIDEOS = vectors(*[f"v{i}" for i in range(sum(COUNTS))])
MANY = StudyVideos(VIDEOS, STARTS)
QUERY = vectors("a", "b", "c")
EVERY = np.ones(len(COUNTS), bool)


def by_loop(query, study):
    return sum(
        max(float(np.dot(one.astype(float), other.astype(float))) for other in MANY.of(study))
        for one in query
    ) / len(query)


@pytest.mark.parametrize("k", [1, 4, 10, 50])
@pytest.mark.parametrize("query", [QUERY, QUERY[:1], np.repeat(QUERY, 4, axis=0)])
def test_late_interaction_is_that_of_a_loop_over_pairs(query, k):
    expected = [by_loop(query, study) for study in range(len(COUNTS))]
    rows, scores = MANY.rank_late(query, k=k, include=EVERY)
    assert rows.tolist() == sorted(range(10), key=lambda i: -expected[i])[:k]
    assert scores == pytest.approx(sorted(expected, reverse=True)[:k], abs=1e-12)
    assert MANY.late_scores(query) == pytest.approx(expected, abs=1e-6)


def test_only_wanted_studies_are_ranked():
    include = np.isin(np.arange(10), [2, 5, 7])
    rows, _ = MANY.rank_late(QUERY, k=10, include=include)
    assert sorted(rows) == [2, 5, 7]
    rows, scores = MANY.rank_late(QUERY, k=10, include=~EVERY)
    assert (len(rows), len(scores)) == (0, 0)
    rows, _ = MANY.rank_mean(MANY.means[0], k=10, include=include)
    assert sorted(rows) == [2, 5, 7]


def test_equal_scores_are_by_row():
    twins = StudyVideos(np.concatenate([VIDEOS, VIDEOS]), np.append(STARTS, STARTS + len(VIDEOS)))
    rows, scores = twins.rank_late(QUERY, k=20, include=np.ones(20, bool))
    assert (scores[::2] == scores[1::2]).all()
    assert (rows[1::2] == rows[::2] + 10).all()
    rows, _ = twins.rank_mean(twins.means[0], k=2, include=np.ones(20, bool))
    assert rows.tolist() == [0, 10]


@pytest.mark.parametrize("study", range(10))
def test_contributions_add_up_to_the_score(study):
    best, parts = late_pairs(QUERY, MANY.of(study))
    assert parts.sum() == pytest.approx(by_loop(QUERY, study), abs=1e-12)
    cosines = QUERY @ MANY.of(study).T
    assert best.tolist() == cosines.argmax(axis=1).tolist()
    assert parts * 3 == pytest.approx(cosines.max(axis=1), abs=1e-6)


def test_the_mean_is_that_of_the_videos_at_length_one():
    for study, mean in enumerate(MANY.means):
        expected = MANY.of(study).astype(float).mean(axis=0)
        assert mean == pytest.approx(expected / np.linalg.norm(expected), abs=1e-12)
    opposed = StudyVideos(np.stack([VIDEOS[0], -VIDEOS[0]]), np.array([0]))
    assert not opposed.means.any()


def test_a_query_of_more_videos_than_fit_at_once(monkeypatch):
    monkeypatch.setattr("index.late._COSINES", len(VIDEOS))
    again = StudyVideos(VIDEOS, STARTS).late_scores(QUERY)
    assert again == pytest.approx([by_loop(QUERY, study) for study in range(10)], abs=1e-6)


@pytest.mark.parametrize("starts", [[0, 3, 3], [1, 5], [0, 28], []])
def test_studies_without_videos_are_refused(starts):
    with pytest.raises(UsageError, match="each study has videos of its own"):
        StudyVideos(VIDEOS, np.array(starts, np.int64))


def test_no_studies():
    none = StudyVideos(VIDEOS[:0], np.empty(0, np.int64))
    assert none.means.shape == (0, 512)
    assert len(none.rank_late(QUERY, k=3, include=np.empty(0, bool))[0]) == 0
