"""Which kind suits, how broadly a query is looked for, and how recall is measured."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.made_vectors import World
from index.compressed import Compressed
from index.engines import Exact, Hnsw, Kind
from index.search import exact_scores
from index.tuning import choose_kind, draw_trials, recall_of, tuned_drafts, tuned_walk

ROWS = World().rows(6000, seed=1)
TEXTS = World().texts(90, seed=3)


@pytest.fixture(scope="module")
def trials():
    return draw_trials(ROWS, TEXTS, seed=0)


@pytest.mark.parametrize(
    ("rows", "free_bytes", "kind"),
    [
        (0, 10**9, Kind.EXACT),
        (100_000, 10**10, Kind.EXACT),
        (100_001, 10**10, Kind.COMPRESSED),
        (60_000, 400_000_000, Kind.COMPRESSED),
    ],
)
def test_size_and_memory_choose_the_kind(rows, free_bytes, kind):
    assert choose_kind(rows, free_bytes) is kind


def test_no_query_both_tunes_and_measures(trials):
    tuning, measuring = trials
    assert (len(tuning.queries), len(measuring.queries)) == (260, 130)
    assert (tuning.is_far.sum(), measuring.is_far.sum()) == (60, 30)
    both = {row.tobytes() for row in tuning.queries} & {row.tobytes() for row in measuring.queries}
    assert not both


def test_the_truth_is_that_of_a_scan_and_never_the_query_itself(trials):
    for part in trials:
        for at in range(0, len(part.queries), 37):
            scores = exact_scores(ROWS, part.queries[at])
            if part.own[at] >= 0:
                assert (part.queries[at] == ROWS[part.own[at]]).all()
                scores[part.own[at]] = -2
            kth = np.sort(scores)[-10]
            assert (scores[part.truth[at]] >= kth - 1e-6).all()
            assert part.own[at] not in part.truth[at]


def test_made_far_queries_lie_apart_from_the_rows():
    tuning, _ = draw_trials(ROWS, None, seed=0)
    best = (tuning.queries @ ROWS.T).max(axis=1)
    own = np.sort(tuning.queries @ ROWS.T, axis=1)[:, -2]
    assert np.median(best[tuning.is_far]) < np.median(own[~tuning.is_far])


def test_few_rows_have_few_neighbours():
    tuning, measuring = draw_trials(ROWS[:4], None, seed=0)
    assert (tuning.truth[~tuning.is_far][:, 3:] == -1).all()
    engine = Compressed.of(ROWS[:4], seed=0)
    engine.breadth = tuned_drafts(engine, tuning)
    assert engine.breadth == 1
    assert recall_of(engine, measuring, far_are_texts=False).near == 1.0


def test_the_tuned_drafts_hold_the_neighbours_and_are_few(trials):
    tuning, measuring = trials
    engine = Compressed.of(ROWS, seed=0)
    engine.breadth = tuned_drafts(engine, tuning)
    assert 2 <= engine.breadth <= 32
    found = recall_of(engine, measuring, far_are_texts=True)
    assert found.near >= 0.999
    assert found.far >= 0.999
    assert (found.n_near, found.n_far, found.far_are_texts) == (100, 30, True)


def test_rows_that_have_no_main_axes_are_all_looked_at():
    rows = np.random.default_rng(0).standard_normal((6000, 512)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    tuning, measuring = draw_trials(rows, None, seed=0)
    engine = Compressed.of(rows, seed=0)
    engine.breadth = tuned_drafts(engine, tuning)
    assert engine.is_exact
    assert recall_of(engine, measuring, far_are_texts=False).far == 1.0
    engine.breadth = 8
    assert recall_of(engine, measuring, far_are_texts=False).far < 0.9


def test_an_exact_index_finds_everything(trials):
    found = recall_of(Exact.of(ROWS), trials[1], far_are_texts=True)
    assert (found.near, found.far) == (1.0, 1.0)


def test_the_graph_is_walked_as_broadly_as_it_needs():
    tuning, measuring = draw_trials(ROWS[:1500], TEXTS, seed=0)
    engine = Hnsw.of(ROWS[:1500])
    engine.breadth = tuned_walk(engine, tuning)
    assert recall_of(engine, measuring, far_are_texts=True).near >= 0.995
