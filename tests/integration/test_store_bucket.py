"""A store in an object store: the same rows, one writer, and no writer that is late.

`Bucket(uri, dead_after_s=0)` takes everybody else for dead at once, and one with an hour takes
nobody: a writer of it that another one takes over from is one that was stopped and wakes.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import LeaseHeldError, NameTakenError, NotFoundError, StoreError
from store.bucket import Bucket
from store.judgements import Judgement, Judgements
from store.maintain import compact, folder_bytes, purge_patient
from store.object_lease import ObjectLease, mutex
from store.objects import Objects
from store.registry import Registry, SavedModel
from store.store import Store
from store.tables import Tables
from tests.support.bucket import keys_holding, new_prefix, object_store, put, remove, upload
from tests.support.store_cases import KEPT, batch, commit, new_store, seen
from tests.support.store_child import BEFORE, CHANGE, commit_change

ROOT = Path(__file__).parents[2]
AN_HOUR = 3600.0
NO_GRACE = dt.timedelta(0)


@pytest.fixture(scope="module", autouse=True)
def server():
    with object_store() as endpoint:
        yield endpoint


@pytest.fixture
def uri() -> str:
    return new_prefix()


def made(uri: str) -> Store:
    """Return a store with a commit, of which no writer is ever taken for dead."""
    store = Store.create(Bucket(uri, dead_after_s=AN_HOUR), identity=KEPT)
    commit(store, BEFORE)
    return store


def heir(uri: str) -> Store:
    """Return the store as somebody opens it who takes every other writer for dead."""
    return Store.open(Bucket(uri, dead_after_s=0))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What a folder shows before and after the change."""
    store = new_store(tmp_path_factory.mktemp("expected") / "s")
    commit(store, BEFORE)
    before = seen(store)
    commit_change(store, None)
    return before, seen(store)


def test_what_is_written_is_what_a_folder_shows(uri, expected, server):
    store = Store.create(uri, identity=KEPT)
    with pytest.raises(StoreError, match="exists already and is not empty"):
        Store.create(uri, identity=KEPT)
    stamps = [store.stamp()]
    commit(store, BEFORE)
    stamps.append(store.stamp())
    commit_change(store, None)
    stamps.append(store.stamp())
    assert len({repr(stamp) for stamp in stamps}) == 3
    again = Store.open(uri + "/")
    assert (again.uuid, again.latest_version) == (store.uuid, 3)
    assert [record.version for record in again.versions()] == [0, 1, 2, 3]
    assert (seen(again, 1), seen(again)) == expected
    assert again.lease_holder() is None
    for secret in (b"secret-of-a-test", b"key-of-a-test", server.encode()):
        assert keys_holding(uri, secret) == []
    with pytest.raises(StoreError, match=f"the store {uri} is no folder"):
        _ = again.path


@pytest.mark.slow
def test_a_folder_that_is_copied_into_a_bucket_is_a_store_there(uri, tmp_path, expected):
    here = new_store(tmp_path / "s")
    commit(here, BEFORE)
    upload(here.path, uri)
    there = Store.open(uri)
    assert there.uuid == here.uuid
    assert seen(there) == expected[0]
    commit_change(there, None)
    assert (seen(there, 1), seen(there)) == expected
    assert here.latest_version == 1


def test_a_log_that_is_gone_is_no_empty_store(uri):
    store = made(uri)
    remove(uri, "commits.parquet")
    for read in (store.snapshot, store.versions, lambda: store.writer("run")):
        with pytest.raises(StoreError, match=r"is damaged: commits\.parquet is gone"):
            read()


def test_an_answer_that_was_lost_does_not_end_a_lease(uri):
    objects = Objects(uri)
    lease = ObjectLease.take(objects, "run", dead_after_s=AN_HOUR)
    known = lease._mark
    lease.beat()
    lease._mark = known  # as if the answer to the last put had never come
    lease.beat()
    lease.check()
    lease.release()
    assert ObjectLease.take(objects, "next", dead_after_s=AN_HOUR).took_over is None


def test_a_copy_of_a_bucket_is_refused_as_a_folder(tmp_path):
    folder = new_store(tmp_path / "s").path
    (folder / "commits.parquet").touch()
    with pytest.raises(StoreError, match="is a copy of a store in a bucket"):
        Store.open(folder)


def test_a_store_is_made_once_and_not_beside_something_else(uri):
    def make(_: int) -> str:
        try:
            return Store.create(uri, identity=KEPT).uuid
        except StoreError as error:
            return error.message

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(make, range(4)))
    uuids = [each for each in said if re.fullmatch("[0-9a-f]{32}", each)]
    assert uuids == [Store.open(uri).uuid], said
    other = f"{uri}-other"
    put(other, "notes.txt")
    with pytest.raises(StoreError, match="exists already and is not empty"):
        Store.create(other, identity=KEPT)
    assert keys_holding(other, b"") == ["notes.txt"]


def test_making_a_store_that_was_killed_half_way_is_gone_on_with(uri):
    with Bucket(uri, dead_after_s=0).making() as place:
        Tables(place).create("videos")
    with pytest.raises(NotFoundError, match="there is no store in s3://"):
        Store.open(uri)
    assert Store.create(uri, identity=KEPT).latest_version == 0


# One writer.


def test_a_living_writer_is_not_disturbed(uri):
    store = made(uri)
    with store.writer("first") as writer:
        words = r"process \d+ on .* \(run first\) is writing to this store since 20"
        with pytest.raises(LeaseHeldError, match=words) as caught:
            Store.open(Bucket(uri, dead_after_s=AN_HOUR)).writer("second")
        assert "3600 seconds after its last sign of life" in caught.value.hint
        with Store.open(uri).snapshot() as snapshot:
            assert snapshot.studies().num_rows == 3
        assert writer.commit(batch(CHANGE)) == 2
    with Store.open(uri).writer("third") as writer:
        assert writer.took_over is None


def test_a_dead_writer_is_taken_over_and_reported(uri):
    dead = made(uri).writer("dead")
    left = heir(uri).lease_holder()
    with heir(uri).writer("mine") as writer:
        assert writer.took_over == left
        assert left is not None
        assert left.run_id == "dead"
    with pytest.raises(LeaseHeldError, match="another one has written meanwhile"):
        dead.heartbeat()
    dead.close()
    assert heir(uri).lease_holder() is None


@pytest.mark.slow
def test_a_holder_stays_alive_by_its_thread(uri):
    objects = Objects(uri)
    lease = ObjectLease.take(objects, "first", dead_after_s=6)
    time.sleep(9)
    with pytest.raises(LeaseHeldError, match="run first"):
        ObjectLease.take(objects, "second", dead_after_s=6)
    lease.release()
    second = ObjectLease.take(objects, "second", dead_after_s=6)
    assert (lease.epoch, second.epoch, second.took_over) == (1, 2, None)
    second.release()


def test_of_many_who_want_the_lease_one_gets_it(uri):
    objects = Objects(uri)

    def take(number: int) -> ObjectLease | None:
        try:
            return ObjectLease.take(objects, f"run-{number}", dead_after_s=AN_HOUR)
        except LeaseHeldError:
            return None

    with ThreadPoolExecutor(8) as pool:
        got = [lease for lease in pool.map(take, range(8)) if lease]
    assert len(got) == 1
    got[0].check()
    got[0].release()


def test_a_damaged_lease_decides_nothing(uri):
    objects = Objects(uri)
    assert objects.put("lease.json", b"[]", None)
    lease = ObjectLease.take(objects, "run", dead_after_s=AN_HOUR)
    assert lease.took_over is None
    lease.release()


# A writer that was stopped and wakes.


TABLES = ("inputs", "videos", "video_vectors", "study_vectors", "findings", "studies")
STEPS = 2 * len(TABLES) + 1
"""Writes of a commit before the last one: rows, tags, and the pin."""
LATE = r"has taken over|another one has written meanwhile"


@pytest.mark.parametrize(
    ("step", "dead_after_s"),
    [
        (STEPS - 1, AN_HOUR),
        *(pytest.param(step, AN_HOUR, marks=pytest.mark.slow) for step in range(STEPS - 1)),
        *(pytest.param(step, 0.0, marks=pytest.mark.slow) for step in (0, 6, STEPS - 1)),
    ],
)
def test_a_writer_that_was_stopped_commits_nothing(uri, step, dead_after_s, tmp_path):
    """Stopped after a write, it goes on when another one has committed: it asks first, or not."""
    made(uri)
    steps = 0

    def another_takes_over(_: str) -> None:
        nonlocal steps
        if steps == step:
            with heir(uri).writer("heir") as writer:
                assert writer.took_over is not None
                assert writer.commit(batch({"P9.a": ["90"]})) == 2
        steps += 1

    stopped = Store.open(Bucket(uri, dead_after_s=dead_after_s))
    with stopped.writer("stopped", on_step=another_takes_over) as writer:
        for _ in range(2):  # however often it tries
            with pytest.raises(LeaseHeldError, match=LATE):
                writer.commit(batch(CHANGE))
    here = new_store(tmp_path / "s")
    commit(here, BEFORE)
    commit(here, {"P9.a": ["90"]})
    assert seen(Store.open(uri)) == seen(here)
    assert Store.open(uri).lease_holder() is None


@pytest.mark.slow
def test_a_writer_is_late_from_the_moment_it_is_taken_over(uri):
    late = made(uri).writer("late")
    with heir(uri).writer("heir") as writer:
        with pytest.raises(LeaseHeldError, match="has taken over writing"):
            late.commit(batch(CHANGE))
        assert writer.commit(batch({"P9.a": ["90"]})) == 2


@pytest.mark.slow
def test_writers_that_take_over_from_each_other_all_the_time(uri, monkeypatch):
    """Each takes all others for dead: a commit is visible exactly when it was said to be."""
    # Nobody asks the lease before a commit: the log alone has to hold.
    monkeypatch.setattr(ObjectLease, "check", lambda lease: None)
    Store.create(uri, identity=KEPT)
    done: list[tuple[int, str]] = []
    refused: list[str] = []

    def write(number: int) -> None:
        for i in range(6):
            study = f"P{number}.{i}"
            try:
                with heir(uri).writer(f"run-{number}") as writer:
                    version = writer.commit(batch({study: [f"{number}{i}"]}))
            except LeaseHeldError:
                refused.append(study)
            else:
                done.append((version, study))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    store = Store.open(uri)
    assert sorted(version for version, _ in done) == list(range(1, len(done) + 1))
    assert [record.version for record in store.versions()] == list(range(len(done) + 1))
    shown = [row["study_uid"] for row in seen(store)["studies"]]
    assert shown == sorted(study for _, study in done)
    assert len(done) + len(refused) == 18
    assert done
    assert refused


@pytest.mark.slow
@pytest.mark.parametrize(
    "who",
    ["the same writer", "the next writer", "a compaction"],
)
def test_a_late_rewrite_takes_no_rows_away(uri, who, tmp_path):
    """A compaction that was stopped writes what it knew over what was committed since."""
    store = made(uri)
    known = {name: list(store.tables.scan(name)) for name in store.tables.commit_tables()}
    here = new_store(tmp_path / "s")
    for studies in (BEFORE, CHANGE):
        commit(here, studies)

    def late() -> None:
        for name, batches in known.items():
            store.tables.rewrite(name, batches)

    with heir(uri).writer("heir") as writer:
        writer.commit(batch(CHANGE))
        late()
        if who == "the same writer":
            writer.commit(batch({"P9.a": ["90"]}))
    if who == "the next writer":
        commit(heir(uri), {"P9.a": ["90"]})
    if who == "a compaction":
        compact(heir(uri), keep_versions=1, grace=NO_GRACE)
    else:
        commit(here, {"P9.a": ["90"]})
    assert seen(heir(uri)) == seen(here)


class Stopped(Exception):
    """Ends a commit, as a kill would."""


@pytest.mark.slow
@pytest.mark.parametrize("step", range(STEPS))
def test_left_after_any_write_and_done_again(uri, step, expected):
    made(uri)
    done = 0

    def on_step(_: str) -> None:
        nonlocal done
        if done == step:
            raise Stopped
        done += 1

    dead = heir(uri).writer("dead", on_step=on_step)
    with pytest.raises(Stopped):
        dead.commit(batch(CHANGE, skipped=["/archive/readme.txt"]))
    assert seen(Store.open(uri)) == expected[0]
    commit_change(heir(uri), None)
    assert seen(Store.open(uri)) == expected[1]


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 8, STEPS - 1, STEPS, 20])
def test_a_process_that_is_killed(uri, step, expected):
    made(uri)
    command = [sys.executable, "-m", "tests.support.store_child", uri, "commit", str(step)]
    child = subprocess.run(command, cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    store = heir(uri)
    with store.writer("look") as writer:
        assert writer.took_over is not None
        assert writer.took_over.run_id == "change"
    commit_change(store, None)
    assert seen(store) == expected[1]


# What is kept, and what goes.


@pytest.mark.slow
def test_a_deleted_patient_leaves_no_byte(uri):
    store = made(uri)
    Judgements(store).add(judgement("P1"))
    assert keys_holding(uri, b"P1.a")
    purge_patient(store, "P1")
    assert keys_holding(uri, b"P1") == []
    assert keys_holding(uri, b"P3.a")
    assert [row["study_uid"] for row in seen(store)["studies"]] == ["P2.a", "P3.a"]


def judgement(patient: str) -> Judgement:
    return Judgement("a text", None, "study", f"{patient}.a", 3, patient, None, "enc-a", 1)


@pytest.mark.slow
def test_a_reader_whose_version_is_retired_is_told_so(uri):
    store = made(uri)
    with store.snapshot() as old:
        assert old.studies().num_rows == 3
        commit(store, CHANGE)
        now, before = seen(store), folder_bytes(store)
        report = compact(store, keep_versions=1, grace=NO_GRACE)
        assert report.oldest_readable == report.version == 3
        assert folder_bytes(store) < before
        assert seen(store) == now
        assert old.studies().num_rows == 3
        with pytest.raises(StoreError, match="the version of videos that was being read is ret"):
            old.videos()
    with pytest.raises(NotFoundError, match="the store has no version 1 to read"):
        store.snapshot(1)


@pytest.mark.slow
def test_a_reader_of_a_young_version_is_not_disturbed(uri):
    store = made(uri)
    with store.snapshot() as old:
        commit(store, CHANGE)
        compact(store, keep_versions=1)
        assert old.videos().num_rows == 5


def model(number: int, name: str) -> SavedModel:
    return SavedModel(name, f"{number:064x}", "survival", "c", "enc-a", "{}", bytes([number]))


@pytest.mark.slow
def test_many_save_at_once(uri):
    made(uri)

    def save(number: int) -> str | None:
        try:
            Registry(Store.open(uri).tables).save_model(model(number, "mine"))
            Registry(Store.open(uri).tables).save_model(model(number, f"of {number}"))
        except NameTakenError:
            return None
        return f"{number:064x}"

    with ThreadPoolExecutor(4) as pool:
        saved = [each for each in pool.map(save, range(4)) if each]
    assert len(saved) == 1
    kept = Registry(Store.open(uri).tables).models()
    assert [each.model_id for each in kept if each.name == "mine"] == saved
    assert len(kept) == 2


def test_the_lock_of_saved_things_of_a_dead_process(uri):
    objects = Objects(uri)
    with (
        pytest.raises(StoreError, match="and another one has saved meanwhile"),
        mutex(objects, "registry.json", dead_after_s=0),
        mutex(objects, "registry.json", dead_after_s=0),
    ):
        pass
    with mutex(objects, "registry.json", dead_after_s=AN_HOUR):
        pass


def test_a_folder_knows_nothing_of_all_this(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, BEFORE)
    names = {path.name for path in store.path.iterdir()}
    assert names == {"lease.lock", "pins", "spaces", "tables"}
    shutil.copytree(store.path, tmp_path / "copy")
    assert seen(Store.open(tmp_path / "copy")) == seen(store)
