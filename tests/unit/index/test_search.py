"""Search: what it refuses, and its edges.  That it is right is in tests/property."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import UsageError
from core.schema import Level
from index.engines import ROUNDING_BOUND
from index.faiss_index import IndexInfo, VectorIndex
from index.keys import Keys
from index.search import Searchable, exact_scores
from tests.support.store_cases import vectors

NAMES = [f"v{i:03d}" for i in range(200)]
VECTORS = vectors(*NAMES)
QUERY = vectors("query")[0]
KEYS = Keys(NAMES, ["c"] * len(NAMES))
INDEX = VectorIndex.build(KEYS, VECTORS, info=IndexInfo("enc", Level.VIDEO, 1))


def nothing_is_fresh(rows):
    raise AssertionError(f"{len(rows)} rows were asked for")


ATTACHED = Searchable.attach(INDEX, KEYS, nothing_is_fresh)


def brute_force(names, matrix, query, k):
    scores = (matrix.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    order = sorted(range(len(names)), key=lambda i: (-scores[i], names[i]))[:k]
    return [names[i] for i in order], scores[order]


@pytest.mark.parametrize("k", [1, 7, 100, 199, 200, 201, 10_000])
def test_k_of_any_size(k):
    hits = ATTACHED.search(QUERY, k=k)
    uids, scores = brute_force(NAMES, VECTORS, QUERY, k)
    assert hits.uids == uids
    assert (hits.scores == scores).all()
    assert hits.ranks.tolist() == list(range(1, min(k, 200) + 1))
    assert [NAMES[row] for row in hits.rows] == uids
    assert len(hits) == min(k, 200)


def test_the_best_hit_of_a_vector_is_itself():
    hits = ATTACHED.search(VECTORS[17], k=1)
    assert hits.uids == ["v017"]
    assert hits.scores[0] == pytest.approx(1, abs=1e-6)


def test_vectors_are_read_from_the_index_and_from_what_it_lacks():
    old = VectorIndex.build(KEYS.take(np.arange(0, 200, 2)), VECTORS[::2], info=INDEX.info)
    attached = Searchable.attach(old, KEYS, lambda rows: VECTORS[rows])
    rows = np.array([199, 0, 7, 8, 8])
    assert (attached.read(rows) == VECTORS[rows]).all()
    assert attached.read(rows[:0]).shape == (0, 512)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_several_queries_are_answered_one_by_one(n):
    queries = vectors(*[f"q{i}" for i in range(n)])
    together = ATTACHED.search_many(queries, k=5)
    assert len(together) == n
    for query, hits in zip(queries, together, strict=True):
        alone = ATTACHED.search(query, k=5)
        assert hits.uids == alone.uids
        assert (hits.scores == alone.scores).all()


def test_filters_always_leave_k_hits_if_k_rows_match():
    include = np.zeros(200, bool)
    include[[3, 50, 199]] = True
    hits = ATTACHED.search(QUERY, k=3, include=include)
    assert sorted(hits.uids) == ["v003", "v050", "v199"]
    hits = ATTACHED.search(QUERY, k=3, include=include, exclude={"v050", "not there"})
    assert sorted(hits.uids) == ["v003", "v199"]
    assert len(ATTACHED.search(QUERY, k=3, include=np.zeros(200, bool))) == 0
    assert len(ATTACHED.search(QUERY, k=3, exclude=NAMES)) == 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (np.zeros(512, np.float32), "length is off by 1"),
        (QUERY * np.float32(2), "length is off by 1"),
        (np.where(np.arange(512) == 3, np.nan, QUERY), "NaN or infinity"),
        (np.where(np.arange(512) == 3, np.inf, QUERY), "NaN or infinity"),
        (QUERY[:511], r"shape \[1, 511\]; expected \[q, 512\]"),
        (QUERY[None], r"shape \[1, 1, 512\]"),
        (np.float32(1), r"shape \[1\]"),
        (np.ones(512, np.int64), "is of int64"),
    ],
)
def test_bad_queries_are_refused(query, words):
    with pytest.raises(UsageError, match=words):
        ATTACHED.search(query, k=1)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "3"])
def test_bad_k_is_refused(k):
    with pytest.raises(UsageError, match="expected a whole number from 1"):
        ATTACHED.search(QUERY, k=k)


@pytest.mark.parametrize("mask", [np.ones(199, bool), np.ones(200, np.uint8)])
def test_bad_masks_are_refused(mask):
    with pytest.raises(UsageError, match=r"expected bool \[200\]"):
        ATTACHED.search(QUERY, k=1, include=mask)


def test_an_empty_store():
    empty = Searchable.attach(None, Keys([], []), nothing_is_fresh)
    assert len(empty.search(QUERY, k=3)) == 0
    all_gone = Searchable.attach(INDEX, Keys([], []), nothing_is_fresh)
    assert len(all_gone.search(QUERY, k=3)) == 0


def test_without_an_index_everything_is_searched_beside_it():
    attached = Searchable.attach(None, KEYS, lambda rows: VECTORS[rows])
    hits = attached.search(QUERY, k=9)
    assert hits.uids == ATTACHED.search(QUERY, k=9).uids
    assert (hits.scores == ATTACHED.search(QUERY, k=9).scores).all()


def test_superseded_rows_are_masked_and_fresh_ones_merged():
    best = ATTACHED.search(QUERY, k=2).uids
    live = Keys([*NAMES, "a-new"], ["new" if name == best[0] else "c" for name in [*NAMES, "n"]])
    fetched = []

    def fetch(rows):
        fetched.append(rows.tolist())
        return np.stack([vectors("elsewhere")[0], QUERY])

    attached = Searchable.attach(INDEX, live, fetch)
    assert fetched == [[NAMES.index(best[0]), 200]]
    assert attached.search(QUERY, k=2).uids == ["a-new", best[1]]


def test_what_fetch_returns_is_checked():
    live = Keys([*NAMES, "new"], ["c"] * 201)
    with pytest.raises(UsageError, match=r"expected float32 \[1, 512\]"):
        Searchable.attach(INDEX, live, lambda rows: VECTORS[:2])


def test_a_uid_may_not_be_live_twice():
    with pytest.raises(UsageError, match="occurs twice among the live keys"):
        Searchable.attach(None, Keys(["a", "a"], ["1", "2"]), nothing_is_fresh)


def test_scores_do_not_depend_on_their_neighbours():
    whole = exact_scores(VECTORS, QUERY)
    for rows in ([5], [199, 5, 0], list(range(3, 60))):
        assert (exact_scores(VECTORS[rows], QUERY) == whole[rows]).all()
    assert np.allclose(whole, VECTORS.astype(np.float64) @ QUERY.astype(np.float64), atol=1e-15)


def test_the_rounding_bound_holds_and_is_not_absurd():
    scores, rows = INDEX.engine.core.search(np.stack([QUERY, *VECTORS[:50]]), 200)
    for query, found, found_rows in zip([QUERY, *VECTORS[:50]], scores, rows, strict=True):
        assert np.abs(exact_scores(VECTORS[found_rows], query) - found).max() < ROUNDING_BOUND
    assert 1e-6 < ROUNDING_BOUND < 1e-4


def test_more_ties_at_the_kth_place_than_were_asked_for():
    names = [f"t{i:04d}" for i in range(900)]
    matrix = np.repeat(vectors("same"), 900, axis=0)
    keys = Keys(names[::-1], ["c"] * 900)
    index = VectorIndex.build(keys, matrix, info=INDEX.info)
    attached = Searchable.attach(index, keys, nothing_is_fresh)
    for k in (1, 5, 450):
        assert attached.search(QUERY, k=k).uids == names[:k]
