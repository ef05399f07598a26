"""A live Atlas: what it answers is what an Atlas opened anew answers, however the store moves."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from angioatlas.atlas import Atlas
from angioatlas.by_position import position_of
from angioatlas.live import LiveStore
from angioatlas.phantom_mini import SHIPPED
from angioatlas.video_files import VideoFiles
from core.errors import StoreError, UsageError
from core.schema import Level
from embedder.encoders.registry import load_encoder, read_spec
from embedder.encoders.spec import VideoVectors
from store.maintain import compact, hide_patient, purge_patient
from store.snapshot import Snapshot
from store.store import Store
from store.tables import Tables
from tests.support.store_cases import commit, new_store
from tests.support.tiny import TinyEncoder

SPACE = read_spec(SHIPPED).encoder_id
EVERY_S = 0.02


def videos(study, count=3, again=0):
    return [f"{study}.{again}{i}" for i in range(count)]


def some_studies(first, last):
    """Studies of patients first to last - 1, every other of whom came twice."""
    uids = [f"{i}.{exam}" for i in range(first, last) for exam in range(1, 2 + i % 2)]
    return {uid: videos(uid, 1 + int(uid[-1]) + int(uid[0]) % 2) for uid in uids}


@pytest.fixture
def store(tmp_path):
    made = new_store(tmp_path / "atlas")
    commit(made, some_studies(10, 50), encoder_id=SPACE)
    return made


@pytest.fixture
def live(store):
    with Atlas.open(store.path) as atlas:
        atlas.follow(every_s=EVERY_S)
        yield atlas


def caught_up(live, store, *, within_s=20):
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        with live.snapshot() as snapshot:
            if position_of(snapshot) == store.position():
                return
        time.sleep(EVERY_S)
    raise AssertionError("the live Atlas did not follow")


def assert_same(live, store, uids):
    fresh = Atlas.open(store.path)
    ways: tuple[dict[str, Any], ...] = ({}, {"one_per_patient": True, "k": 3, "score": "late"})
    for uid in uids:
        for how in ways:
            assert_equal(*(a.similar(uid, explain=True, **how) for a in (live, fresh)))
    sop = videos(uids[0])[0]
    assert_equal(*(a.similar(sop, level="video", explain=True) for a in (live, fresh)))
    assert_equal(*(a.search("proximal LAD occlusion", explain=True) for a in (live, fresh)))


def assert_equal(told, expected):
    """Compare answers; what the encoder makes beside other studies differs by rounding."""
    pd.testing.assert_frame_equal(told.hits, expected.hits)
    assert told.chance_note == expected.chance_note
    assert told.explanations.keys() == expected.explanations.keys()
    for uid, why in told.explanations.items():
        other = expected.explanations[uid]
        assert [replace(each, contribution=0) for each in why.matched] == [
            replace(each, contribution=0) for each in other.matched
        ]
        assert [each.contribution for each in why.matched] == pytest.approx(
            [each.contribution for each in other.matched], abs=2e-6
        )


def test_it_answers_as_an_atlas_opened_anew_through_all_that_happens_to_a_store(live, store):
    assert_same(live, store, ["10.1", "13.2"])
    commit(store, some_studies(50, 54), encoder_id=SPACE)
    caught_up(live, store)
    assert_same(live, store, ["10.1", "53.2"])
    commit(store, {"13.2": videos("13.2", 4, again=1)}, encoder_id=SPACE)
    caught_up(live, store)
    assert_same(live, store, ["10.1", "53.2"])
    Atlas.open(store.path).build_index(Level.STUDY, kind="hnsw")
    assert_same(live, store, ["10.1"])
    hide_patient(store, "53")
    caught_up(live, store)
    assert "53.1" not in set(live.similar("10.1", k=1000).hits["study_uid"])
    assert_same(live, store, ["10.1", "13.2"])
    commit(store, some_studies(60, 95), encoder_id=SPACE)
    caught_up(live, store)
    assert_same(live, store, ["10.1", "61.2"])
    compact(store, keep_versions=1)
    caught_up(live, store)
    assert_same(live, store, ["10.1", "61.2"])


def test_calls_share_one_snapshot_and_the_last_to_give_it_back_closes_it(live, store):
    first, second = live.snapshot(), live.snapshot()
    assert first is second
    commit(store, some_studies(50, 52), encoder_id=SPACE)
    caught_up(live, store)
    first.close()
    assert second.inputs().num_rows  # still pinned, and read from disk only now
    with live.snapshot() as third:
        assert third is not second
    second.close()
    with pytest.raises(StoreError, match="is closed"):
        second.lend()


def test_what_calls_still_use_is_forgotten_when_they_have_ended(store):
    replaced: list[Snapshot] = []
    settled: list[tuple[int, list[bool]]] = []

    def settle(snapshot):
        settled.append((snapshot.version, [each.is_closed for each in replaced]))

    first = store.latest_version
    with LiveStore(store, warm=Snapshot.studies, settle=settle, every_s=EVERY_S) as followed:
        replaced.append(followed.snapshot())
        commit(store, some_studies(50, 52), encoder_id=SPACE)
        followed.reach(store.latest_version)
        with followed.snapshot() as lent:
            assert lent is not replaced[0]  # who asks does not wait for it
        time.sleep(10 * EVERY_S)
        assert settled == [(first, [])]
        replaced[0].close()
        until = time.monotonic() + 5
        while len(settled) < 2 and time.monotonic() < until:
            time.sleep(EVERY_S)
    assert settled == [(first, []), (first + 1, [True])]


def test_vectors_are_read_from_its_files_whose_rows_are_those_of_the_store(
    live, store, monkeypatch
):
    commit(store, some_studies(50, 52), encoder_id=SPACE)
    caught_up(live, store)
    files = VideoFiles(live.settings.state_dir / "indexes" / store.uuid)
    encoder = load_encoder(SHIPPED, device="cpu")
    with store.snapshot() as snapshot:
        keys, expected = snapshot.vectors(SPACE, Level.VIDEO)
        _, pooled = snapshot.vectors(SPACE, Level.VIDEO, kind="pooled")
        files.bring_up_to_date(snapshot, SPACE, None)  # nothing is lacking, unless it is slow
        monkeypatch.setattr(Snapshot, "stream_vectors", None)
        rows = np.arange(keys.num_rows)[::-1]
        embedding, without = files.read(snapshot, SPACE, rows)
    assert (embedding == expected[rows]).all()
    uids, of = keys["uid"].to_pylist(), keys["study_uid"].to_pylist()
    for row in (0, 7, 100):
        others = [i for i, study in enumerate(of) if study == of[row] and i != row]
        made = encoder.encode_study(VideoVectors(pooled[others], expected[others]))
        assert without[len(uids) - 1 - row] == pytest.approx(made, abs=2e-6)


def test_files_written_anew_ask_the_encoder_for_what_is_new_alone(store, tmp_path):
    class Counting(TinyEncoder):
        sets = 0

        def encode_studies(self, studies):
            self.sets += len(studies)
            return np.full((len(studies), 512), self.sets, np.float32)

    files, encoder = VideoFiles(tmp_path / "state", for_server=True), Counting()
    with store.snapshot() as snapshot:
        files.bring_up_to_date(snapshot, SPACE, encoder)
        rows = np.arange(snapshot.keys(SPACE, Level.VIDEO).num_rows)
        before = files.read(snapshot, SPACE, rows)
        asked = encoder.sets
        shutil.rmtree(tmp_path / "state")  # as when a patient is deleted
        files.bring_up_to_date(snapshot, SPACE, encoder)
        assert encoder.sets == asked > 0
        for old, new in zip(before, files.read(snapshot, SPACE, rows), strict=True):
            assert (old == new).all()
    commit(store, {"70.1": videos("70.1", 4), "70.2": videos("70.2", 1)}, encoder_id=SPACE)
    with store.snapshot() as snapshot:
        files.bring_up_to_date(snapshot, SPACE, encoder)
    assert encoder.sets == asked + 4  # of the only video nothing is left


def test_a_search_reads_nothing_from_the_store_once_it_is_ready(live, monkeypatch):
    def refuse(self, *given, **how):
        raise AssertionError("something was read from the store")

    monkeypatch.setattr(Snapshot, "stream_vectors", refuse)
    monkeypatch.setattr(Tables, "scan", refuse)
    answer = live.similar("10.1", explain=True)
    assert len(answer.hits) == 10
    assert all(why.matched for why in answer.explanations.values())


def test_a_deleted_patient_is_never_found_after_the_next_look(store, live):
    stop, wrong = threading.Event(), []
    hidden = threading.Event()

    def ask():
        while not stop.is_set():
            was_hidden = hidden.is_set()
            found = set(live.similar("10.1", k=1000).hits["study_uid"])
            if was_hidden and "11.1" in found:
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    hide_patient(store, "11")
    caught_up(live, store)
    hidden.set()
    time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_patient_can_be_purged_while_it_is_live(live, store):
    before = live.similar("10.1", k=1000).hits["study_uid"].tolist()
    live.purge_patient("11")
    caught_up(live, store)
    after = live.similar("10.1", k=1000).hits["study_uid"].tolist()
    assert after == [uid for uid in before if not uid.startswith("11.")]
    assert store.tombstones().is_purged("11")
    assert_same(live, store, ["10.1"])


def test_what_cannot_be_followed_is_logged_and_what_was_there_still_answers(
    live, store, monkeypatch, caplog
):
    real = Store.snapshot

    def broken(self, version=None, *, after=None):
        raise StoreError("the disk is gone")

    monkeypatch.setattr(Store, "snapshot", broken)
    with caplog.at_level(logging.WARNING):
        commit(store, some_studies(50, 52), encoder_id=SPACE)
        time.sleep(10 * EVERY_S)
        assert len(live.similar("10.1").hits) == 10
    assert "cannot be followed yet: the disk is gone" in caplog.text
    monkeypatch.setattr(Store, "snapshot", real)
    caught_up(live, store)
    assert_same(live, store, ["51.2"])


def test_a_closed_one_lends_no_more_and_lets_its_version_go(store):
    with Atlas.open(store.path, follow=True) as atlas:
        atlas.similar("10.1")
    with pytest.raises(StoreError, match="followed no more"):
        atlas.similar("10.1")
    purge_patient(store, "12")


def test_one_version_is_not_followed(store):
    with pytest.raises(UsageError, match="version 1 never changes"):
        Atlas.open(store.path, version=1, follow=True)
