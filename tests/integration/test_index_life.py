"""Indexes of a store that changes: right at every moment, built beside, swapped, shared."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from angioatlas.indexes import IndexCache
from core.schema import Level
from index.engines import Kind
from index.search import exact_scores
from store.maintain import hide_patient
from tests.support.store_cases import batch, new_store, vectors

QUERY = vectors("query")[0]


def studies_of(cycle):
    """Return a cycle's new studies, and one that every third cycle embeds again."""
    names = {f"P{cycle}.{i}": [f"P{cycle}.{i}/v"] for i in range(12)}
    return names | {"P0.0": [f"P0.0/v{cycle}"]} if cycle % 3 == 0 else names


def cache(store, folder, **how):
    return IndexCache(folder, reopen=store.snapshot, **how)


def ask(store, indexes, k=10_000):
    """Return the hits of a search, and what a scan in numpy makes of the same snapshot."""
    with store.snapshot() as snapshot:
        found = indexes.searchable(snapshot, "enc-a", Level.VIDEO).search(QUERY, k=k)
        keys, matrix = snapshot.vectors("enc-a", Level.VIDEO)
    uids = keys["uid"].to_pylist()
    scores = exact_scores(matrix, QUERY)
    order = sorted(range(len(uids)), key=lambda i: (-scores[i], uids[i]))[:k]
    return list(zip(found.uids, found.scores, strict=True)), [(uids[i], scores[i]) for i in order]


def commit(store, cycle):
    with store.writer("run") as writer:
        writer.commit(batch(studies_of(cycle)))


def builders():
    return sum(thread.name == "index" for thread in threading.enumerate())


@pytest.mark.parametrize("kind", [Kind.EXACT, Kind.COMPRESSED, Kind.HNSW])
def test_queries_at_full_speed_through_twenty_cycles(tmp_path, kind):
    """Appends, re-embeddings, deletions, rebuilds and swaps go on while queries run.

    Every answer is whole: it equals a scan of the snapshot that was asked, so no committed row is
    missing, no deleted one there, and no index half built.
    """
    store = new_store(tmp_path / "s")
    commit(store, 0)
    indexes = cache(store, tmp_path / "indexes", beside=True)
    with store.snapshot() as snapshot:
        indexes.build(snapshot, "enc-a", Level.VIDEO, kind=kind)
    stop, answers, wrong, errors = threading.Event(), [0, 0], [], []

    def query(number):
        try:
            while not stop.is_set():
                found, expected = ask(store, indexes)
                if found != expected:
                    wrong.append((found, expected))
                answers[number] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the test says so
            errors.append(error)

    threads = [threading.Thread(target=query, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for cycle in range(1, 21):
        commit(store, cycle)
        if cycle % 4 == 0:
            hide_patient(store, f"P{cycle - 2}")
        with store.snapshot() as snapshot:
            # Another process, as it were: it has a cache of its own over the same folder.
            cache(store, tmp_path / "indexes").build(snapshot, "enc-a", Level.VIDEO, kind=kind)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert wrong == []
    assert min(answers) >= 5
    found, expected = ask(store, indexes)
    assert found == expected
    assert {uid.split(".")[0] for uid, _ in found}.isdisjoint({"P2", "P6", "P10", "P14", "P18"})
    (facts,) = indexes.saved()
    assert facts.kind == kind.value


def test_a_stale_index_answers_while_a_new_one_is_built_beside_it(tmp_path, monkeypatch):
    store = new_store(tmp_path / "s")
    commit(store, 0)
    indexes = cache(store, tmp_path / "indexes", beside=True)
    ask(store, indexes)
    may_build, real = threading.Event(), IndexCache.build

    def slow(self, *given, **how):
        assert may_build.wait(30)
        return real(self, *given, **how)

    monkeypatch.setattr(IndexCache, "build", slow)
    commit(store, 1)
    for _ in range(3):
        found, expected = ask(store, indexes)
        assert found == expected
        assert indexes.saved()[0].rows == 12
    assert builders() == 1
    may_build.set()
    until = time.monotonic() + 30
    while indexes.saved()[0].rows != 24 and time.monotonic() < until:
        time.sleep(0.05)
    assert indexes.saved()[0].rows == 24
    found, expected = ask(store, indexes)
    assert found == expected


def test_of_several_processes_one_builds_and_all_follow(tmp_path, monkeypatch):
    store = new_store(tmp_path / "s")
    commit(store, 0)
    # Two processes, as it were: locks are of open files, not of processes.
    workers = [cache(store, tmp_path / "indexes", beside=True) for _ in range(2)]
    for worker in workers:
        ask(store, worker)
    may_build, real, built = threading.Event(), IndexCache.build, []

    def slow(self, *given, **how):
        built.append(self)
        assert may_build.wait(30)
        return real(self, *given, **how)

    monkeypatch.setattr(IndexCache, "build", slow)
    commit(store, 1)
    for worker in workers:
        ask(store, worker)
    until = time.monotonic() + 30
    while builders() > 1 and time.monotonic() < until:
        time.sleep(0.01)
    assert (len(built), builders()) == (1, 1)
    may_build.set()
    while workers[1].saved()[0].rows != 24 and time.monotonic() < until:
        time.sleep(0.05)
    for worker in workers:
        found, expected = ask(store, worker)
        assert found == expected
        assert worker.saved()[0].rows == 24
    assert len(built) == 1


def test_without_a_thread_a_stale_index_is_built_before_the_answer(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, 0)
    indexes = cache(store, tmp_path / "indexes")
    ask(store, indexes)
    commit(store, 1)
    found, expected = ask(store, indexes)
    assert found == expected
    assert (indexes.saved()[0].rows, indexes.saved()[0].store_version) == (24, 2)


def test_a_kind_that_was_asked_for_stays_and_the_others_follow_the_size(tmp_path, monkeypatch):
    store = new_store(tmp_path / "s")
    commit(store, 0)
    indexes = cache(store, tmp_path / "indexes")
    with store.snapshot() as snapshot:
        indexes.build(snapshot, "enc-a", Level.VIDEO, kind=Kind.HNSW)
        assert indexes.build(snapshot, "enc-a", Level.STUDY).kind == "exact"
    commit(store, 1)
    monkeypatch.setattr("index.tuning.COMPRESSED_FROM", 20)
    with store.snapshot() as snapshot:
        for level in Level:
            indexes.searchable(snapshot, "enc-a", level)
    told = {facts.level: (facts.kind, facts.chosen_by) for facts in indexes.saved()}
    assert told == {"video": ("hnsw", "request"), "study": ("compressed", "size")}


def test_texts_tune_what_is_approximate(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, 0)
    asked = []

    def texts(encoder_id):
        asked.append(encoder_id)
        return vectors("one", "two", "three")

    indexes = cache(store, tmp_path / "indexes", texts=texts)
    with store.snapshot() as snapshot:
        indexes.build(snapshot, "enc-a", Level.VIDEO)
        assert asked == []
        facts = indexes.build(snapshot, "enc-a", Level.VIDEO, kind=Kind.COMPRESSED)
    assert asked == ["enc-a"]
    assert 0 <= facts.recall_at_10_far <= 1
    assert facts.memory_mb == pytest.approx((12 * 1152 + 64 * 2048) / 1e6, abs=0.06)
    assert facts.disk_mb > facts.memory_mb


def test_an_index_of_another_process_is_taken_up(tmp_path):
    """At the same store version: the answers are the same, by another kind of index."""
    store = new_store(tmp_path / "s")
    commit(store, 0)
    indexes = cache(store, tmp_path / "indexes")
    with store.snapshot() as snapshot:
        before = indexes.searchable(snapshot, "enc-a", Level.VIDEO)
        assert indexes.searchable(snapshot, "enc-a", Level.VIDEO) is before
        cache(store, tmp_path / "indexes").build(
            snapshot, "enc-a", Level.VIDEO, kind=Kind.COMPRESSED
        )
        after = indexes.searchable(snapshot, "enc-a", Level.VIDEO)
    assert after is not before
    assert after.search(QUERY, k=200).uids == before.search(QUERY, k=200).uids
    assert np.array_equal(after.search(QUERY, k=200).scores, before.search(QUERY, k=200).scores)
