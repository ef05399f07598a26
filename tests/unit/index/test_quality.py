"""Measures of rankings: by hand, as scikit-learn has them, and what they may not do."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from index.quality import (
    Found,
    average_precision,
    jaccard,
    measure,
    measures,
    ndcg_at,
    precision_at,
    rank_biased_overlap,
    recall_at,
    recall_of_search,
    reciprocal_rank,
    shared,
)

# Järvelin and Kekäläinen's worked list: relevance 0 to 3 of ten documents.
LIST = [3, 2, 3, 0, 0, 1, 2, 2, 3, 0]


def test_by_hand():
    found = Found.of([0, 2, 0, 1, 3])
    assert found.ranks.tolist() == [2, 4, 5]
    assert found.grades.tolist() == [2, 1, 3]
    assert precision_at(found, 4) == 0.5
    assert precision_at(found, 10) == 0.3, "of a shorter list it is a share of k"
    assert recall_at(found, 4) == pytest.approx(2 / 3)
    assert reciprocal_rank(found) == 0.5
    assert average_precision(found) == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 3)
    gained = 3 / np.log2(3) + 1 / np.log2(5)
    best = 7 / np.log2(2) + 3 / np.log2(3) + 1 / np.log2(4)
    assert ndcg_at(found, 4) == pytest.approx(gained / best)
    assert ndcg_at(found, 1) == 0


def test_a_list_in_the_best_order_is_perfect():
    found = Found.of([3, 3, 2, 1, 0, 0])
    told = dict(zip(measures(4), measure(found, 4), strict=True))
    assert told == pytest.approx({"P@4": 1, "AP": 1, "nDCG@4": 1, "RR": 1, "recall@4": 1})
    assert list(told) == ["P@4", "AP", "nDCG@4", "RR", "recall@4"]


def test_without_a_relevant_row_there_is_no_measure():
    assert np.isnan(measure(Found.of([0, 0, 0]), 2)).all()
    assert np.isnan(measure(Found.of([]), 2)).all()


@pytest.mark.parametrize("seed", range(5))
def test_as_scikit_learn_has_them(seed):
    rng = np.random.default_rng(seed)
    grades = rng.choice([0, 0, 0, 1, 2, 3], 60)
    score = rng.normal(grades, 1.5)
    found = Found.of(grades[np.argsort(-score)])
    assert average_precision(found) == pytest.approx(average_precision_score(grades > 0, score))
    for k in (1, 5, 10, 60):
        expected = ndcg_score([2.0**grades - 1], [score], k=k)
        assert ndcg_at(found, k) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_rows_of_the_list(seed):
    rng = np.random.default_rng(seed)
    grades, times = rng.choice([0, 0, 1, 3], 40), rng.integers(0, 4, 40)
    repeated, copied = Found.of(np.repeat(grades, times)), Found.of(grades).drawn(times)
    assert copied.ranks.tolist() == repeated.ranks.tolist()
    assert copied.grades.tolist() == repeated.grades.tolist()
    assert not len(Found.of(grades).drawn(np.where(grades > 0, 0, times)))


def test_to_move_a_relevant_row_up_harms_no_measure():
    values = {order: measure(Found.of(order), 3) for order in set(permutations([0, 0, 1, 2, 3]))}
    for order, value in values.items():
        for i in range(1, 5):
            if order[i] > order[i - 1]:
                better = list(order)
                better[i - 1 : i + 1] = order[i], order[i - 1]
                assert (values[tuple(better)] >= value - 1e-12).all()


SCORES = np.array([0.9, 0.8, 0.5, 0.5, 0.5, 0.1, -np.inf])


@pytest.mark.parametrize(
    ("hits", "k", "recall"),
    [
        ([0, 1, 2], 3, 1.0),
        ([1, 0, 4], 3, 1.0),  # any of the three with the score of the third is right
        ([0, 2, 3], 3, 2 / 3),  # but there is place for one of them
        ([0, 5, 1], 3, 2 / 3),
        ([0], 3, 1 / 3),
        ([0, 1, 2, 3, 4, 5], 10, 1.0),  # of six that may be found all are wanted
        ([0, 1, 2, 3, 4], 10, 5 / 6),
        ([6, 0, 1], 3, 2 / 3),  # what may not be found is never right
        ([5, 4, 0, 1], 2, 0.0),  # what comes after k does not count
    ],
)
def test_recall_of_a_search_with_ties(hits, k, recall):
    assert recall_of_search(SCORES, hits, k) == pytest.approx(recall)


def test_where_nothing_may_be_found_there_is_no_recall():
    assert np.isnan(recall_of_search(np.full(3, -np.inf), [], 2))


def test_lists_share_rows_from_the_depth_at_which_both_have_them():
    assert shared([1, 2, 3, 4], [2, 1, 5, 3]).tolist() == [0, 2, 2, 3]
    assert shared([1, 2], [3, 4]).tolist() == [0, 0]
    assert shared([1, 2, 3], [1, 2]).tolist() == [1, 2]


def test_overlap_of_rankings():
    assert jaccard(10, 10) == 1
    assert jaccard(0, 10) == 0
    assert jaccard(5, 10) == pytest.approx(1 / 3)
    same, other = shared(range(20), range(20)), shared(range(20), range(20, 40))
    assert rank_biased_overlap(same) == pytest.approx(1)
    assert rank_biased_overlap(other) == 0
    # By hand, equation 23 with p = 0.5: agreement 0, 1, 2/3.
    found = rank_biased_overlap(shared([1, 2, 3], [2, 1, 4]), p=0.5)
    assert found == pytest.approx(0 + 0.5**2 + (2 / 3) * 0.5**3 + (2 / 3) * 0.5**3)


def test_a_swap_counts_more_at_the_top():
    rows = list(range(30))
    top, low = rows.copy(), rows.copy()
    top[0], low[20] = -1, -1
    assert rank_biased_overlap(shared(rows, top)) < rank_biased_overlap(shared(rows, low)) < 1
