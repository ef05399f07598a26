"""Search over an index and later commits equals a full scan in numpy: ids and scores, bit for bit.

Vectors come from a small pool, so that exact ties are the rule, and from copies that differ in the
last bits, so that float32 and float64 disagree about their order.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.schema import Level
from index.engines import Kind
from index.faiss_index import IndexInfo, VectorIndex
from index.keys import Keys
from index.search import QUICK_K, THOROUGH_SHARE, Searchable, exact_scores
from store.maintain import compact, hide_patient
from tests.support.store_cases import batch, new_store, patient_of, vectors

POOL = vectors(*[f"pool {i}" for i in range(3)])
NEAR = np.nextafter(np.repeat(POOL, 2, axis=0), np.float32(np.inf), dtype=np.float32)
NEAR[1::2, :4] = np.nextafter(NEAR[1::2, :4], np.float32(-np.inf))
FAR = vectors(*[f"far {i}" for i in range(6)])
CHOICES = np.concatenate([POOL, NEAR, FAR])
QUERIES = np.concatenate([POOL[:1], FAR[:1], vectors("query")])


def brute_force(uids, matrix, query, k, allowed):
    scores = [float((row.astype(np.float64) * query.astype(np.float64)).sum()) for row in matrix]
    order = sorted((i for i in range(len(uids)) if allowed[i]), key=lambda i: (-scores[i], uids[i]))
    return [uids[i] for i in order[:k]], [scores[i] for i in order[:k]]


def check(attached, uids, matrix, *, k, include=None, exclude=()):
    allowed = np.ones(len(uids), bool) if include is None else include
    allowed = allowed & ~np.isin(np.array(uids, dtype=object), list(exclude))
    for query, hits in zip(
        QUERIES,
        attached.search_many(QUERIES, k=k, include=include, exclude=exclude),
        strict=True,
    ):
        expected_uids, expected_scores = brute_force(uids, matrix, query, k, allowed)
        assert hits.uids == expected_uids
        assert hits.scores.tolist() == expected_scores
        assert [uids[row] for row in hits.rows] == expected_uids


def any_index(rng, n, kind):
    """Return an index, what is live beside it, and the vectors: superseded, deleted and fresh."""
    uids = [f"u{i}" for i in rng.permutation(n)]  # not in the order of the uids
    indexed = rng.random(n) < 0.8
    commits = rng.choice(["old", "new"], n, p=[0.7, 0.3])
    live = rng.random(n) < 0.8
    old, new = CHOICES[rng.integers(0, len(CHOICES), n)], CHOICES[rng.integers(0, len(CHOICES), n)]
    rows = np.flatnonzero(indexed)
    index = VectorIndex.build(
        Keys([uids[i] for i in rows], ["old"] * len(rows)),
        old[rows],
        info=IndexInfo("enc", Level.STUDY, 1),
        kind=kind,
    )
    current = np.where((commits == "old")[:, None], old, new)[live]
    keys = Keys([uids[i] for i in np.flatnonzero(live)], commits[live].tolist())
    return Searchable.attach(index, keys, lambda wanted: current[wanted]), current


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_index_over_any_live_rows(data):
    """No store: rows superseded, deleted, fresh and excluded at random."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    attached, current = any_index(rng, data.draw(st.integers(0, 120)), Kind.EXACT)
    names = attached.live.uids.to_pylist()
    include = rng.random(len(names)) < 0.6 if data.draw(st.booleans()) else None
    exclude = set(rng.choice(names, min(3, len(names)))) if names else set()
    check(attached, names, current, k=data.draw(st.integers(1, 140)), include=include)
    check(attached, names, current, k=3, include=include, exclude=exclude)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from([Kind.COMPRESSED, Kind.HNSW]))
def test_approximate_kinds_are_exact_below_a_filter(data, kind):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    attached, current = any_index(rng, data.draw(st.integers(0, 300)), kind)
    names = attached.live.uids.to_pylist()
    k = data.draw(st.integers(1, 140))
    include = rng.random(len(names)) < data.draw(st.floats(0, 0.7))
    if include.sum() < THOROUGH_SHARE * len(names):
        check(attached, names, current, k=k, include=include)
    check(attached, names, current, k=QUICK_K + k)
    # Without a filter rows may be missed; but as many come as there are, with their true scores.
    for query in QUERIES:
        hits = attached.search(query, k=k)
        assert len(hits) == min(k, len(names)) == len(set(hits.uids))
        assert hits.scores.tolist() == exact_scores(current[hits.rows], query).tolist()
        assert (np.diff(hits.scores) <= 0).all()


STUDIES = ["P1.a", "P1.b", "P2.a", "P3.a", "P4.a", "P4.b"]
COMMIT = st.dictionaries(
    st.sampled_from(STUDIES), st.sets(st.integers(0, 4), max_size=4), min_size=1, max_size=4
)
STEP = st.one_of(
    st.tuples(st.just("commit"), COMMIT, st.integers(0, 2**16)),
    st.tuples(st.just("commit"), COMMIT, st.integers(0, 2**16)),
    st.tuples(st.just("hide"), st.sampled_from(["P1", "P2", "P3", "P4"])),
    st.tuples(st.just("index")),
    st.tuples(st.just("compact")),
)


def pooled_batch(studies, seed):
    """Return a batch whose embeddings are drawn from CHOICES."""
    made = batch({s: [f"{s}/{i}" for i in sorted(v)] for s, v in studies.items()})
    rng = np.random.default_rng(seed)

    def drawn(part):
        chosen = CHOICES[rng.integers(0, len(CHOICES), len(part.study_uids))]
        return dataclasses.replace(part, embedding=chosen)

    if made.video_vectors is None or made.study_vectors is None:
        return made
    return dataclasses.replace(
        made,
        video_vectors=drawn(made.video_vectors),
        study_vectors=drawn(made.study_vectors),
    )


class Model:
    """What the store should show, kept in dictionaries."""

    def __init__(self):
        self.vectors: dict[Level, dict[str, np.ndarray]] = {Level.STUDY: {}, Level.VIDEO: {}}
        self.study_of: dict[str, str] = {}
        self.deleted: set[str] = set()

    def commit(self, made, studies):
        for study in studies:
            self.drop(study)
        if made.video_vectors is None:
            return
        videos, whole = made.video_vectors, made.study_vectors
        self.study_of |= dict(zip(videos.sop_uids, videos.study_uids, strict=True))
        self.vectors[Level.VIDEO] |= dict(zip(videos.sop_uids, videos.embedding, strict=True))
        self.vectors[Level.STUDY] |= dict(zip(whole.study_uids, whole.embedding, strict=True))

    def drop(self, study):
        self.vectors[Level.STUDY].pop(study, None)
        for sop in [sop for sop, owner in self.study_of.items() if owner == study]:
            self.vectors[Level.VIDEO].pop(sop, None)
            del self.study_of[sop]

    def hide(self, patient):
        self.deleted.add(patient)
        for study in STUDIES:
            if patient_of(study) == patient:
                self.drop(study)


def check_store(store, model, indexes):
    with store.snapshot() as snapshot:
        for level, expected in model.vectors.items():
            if "enc-a" not in snapshot.spaces():
                assert expected == {}
                continue
            table = snapshot.keys("enc-a", level)
            uids = table["uid"].to_pylist()
            assert uids == sorted(expected)
            matrix = np.array([expected[uid] for uid in uids], np.float32).reshape(-1, 512)
            live = Keys(table["uid"], table["commit_id"])

            def fetch(rows, level=level, table=table):
                return snapshot.vectors("enc-a", level, keys=table.take(rows))[1]

            attached = Searchable.attach(indexes.get(level), live, fetch)
            patients = np.array(table["patient_id"].to_pylist(), dtype=object)
            for k in (1, 4, 50):
                check(attached, uids, matrix, k=k)
                check(attached, uids, matrix, k=k, include=patients != "P1")


def build_indexes(store, folder):
    indexes = {}
    with store.snapshot() as snapshot:
        if "enc-a" in snapshot.spaces():
            for level in Level:
                table, matrix = snapshot.vectors("enc-a", level)
                info = IndexInfo("enc-a", level, snapshot.version)
                made = VectorIndex.build(Keys(table["uid"], table["commit_id"]), matrix, info=info)
                made.save(folder / level)
                indexes[level] = VectorIndex.load(folder / level, mmap=True)
    return indexes


def run_steps(folder, steps):
    store, model = new_store(folder / "s"), Model()
    indexes: dict[Level, VectorIndex] = {}
    for what, *rest in steps:
        if what == "commit":
            studies = {s: v for s, v in rest[0].items() if patient_of(s) not in model.deleted}
            if studies:
                made = pooled_batch(studies, rest[1])
                with store.writer("run") as writer:
                    writer.commit(made)
                model.commit(made, studies)
        elif what == "hide":
            hide_patient(store, rest[0])
            model.hide(rest[0])
        elif what == "compact":
            compact(store)
        else:
            indexes = build_indexes(store, folder)
        check_store(store, model, indexes)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=4, max_size=7))
def test_any_history_of_a_store(steps):
    with tempfile.TemporaryDirectory() as folder:
        run_steps(Path(folder), steps)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=6, max_size=16))
def test_many_long_histories_of_a_store(steps):
    with tempfile.TemporaryDirectory() as folder:
        run_steps(Path(folder), steps)


def test_a_history_with_everything_in_it(tmp_path):
    run_steps(
        tmp_path,
        [
            ("index",),
            ("commit", {"P1.a": {0, 1}, "P2.a": {0}, "P3.a": {1, 2, 3}}, 1),
            ("index",),
            ("commit", {"P1.a": {1, 2}, "P4.a": {0, 4}}, 2),
            ("commit", {"P3.a": set(), "P1.b": {0}}, 3),
            ("hide", "P2"),
            ("compact",),
            ("index",),
            ("commit", {"P3.a": {1, 2, 3}, "P4.a": {0}}, 4),
            ("hide", "P1"),
            ("compact",),
        ],
    )
