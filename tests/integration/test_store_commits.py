"""Commits: what a reader sees before, during and after, and after a kill between any two writes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import NotFoundError, StoreError
from core.schema import Level
from store.batch import CommitBatch
from store.store import Position, Store
from tests.support.store_cases import batch, commit, new_store, seen, seen_by
from tests.support.store_child import BEFORE, act, commit_change

ROOT = Path(__file__).parents[2]


def only(studies):
    return {study: sorted(videos) for study, videos in studies.items()}


def visible_sets(snapshot, encoder_id="enc-a"):
    """Return study → videos, by the facts and by the vectors."""
    facts: dict[str, list[str]] = {}
    for row in snapshot.videos().to_pylist():
        facts.setdefault(row["study_uid"], []).append(row["sop_uid"])
    by_vectors: dict[str, list[str]] = {}
    for row in snapshot.keys(encoder_id, Level.VIDEO).to_pylist():
        by_vectors.setdefault(row["study_uid"], []).append(row["uid"])
    return only(facts), only(by_vectors)


def test_an_empty_store_shows_nothing(tmp_path):
    store = new_store(tmp_path / "s")
    assert store.latest_version == 0
    with store.snapshot() as snapshot:
        assert snapshot.sql("SELECT count(*) AS n FROM studies").to_pylist() == [{"n": 0}]
        assert snapshot.spaces() == []
        assert len(snapshot.ledger()) == 0
        with pytest.raises(NotFoundError, match="no space enc-a; it has: none"):
            snapshot.keys("enc-a", Level.STUDY)


@pytest.mark.parametrize(
    "after",
    [["1", "2", "9"], ["1"], ["1", "9"], ["8", "9"], []],
    ids=["added", "removed", "replaced", "all replaced", "all lost"],
)
def test_pinned_readers_keep_the_old_set_of_videos(tmp_path, after):
    store = new_store(tmp_path / "s")
    commit(store, BEFORE)
    with store.snapshot() as old:
        before = seen_by(old)
        commit(store, {"P1.a": after})
        with store.snapshot() as new, Store.open(tmp_path / "s").snapshot(1) as old_again:
            expected = {**BEFORE, "P1.a": after} if after else {**BEFORE}
            if not after:
                del expected["P1.a"]
            assert visible_sets(new) == (only(expected), only(expected))
            assert seen_by(old) == seen_by(old_again) == before
            assert visible_sets(old) == (only(BEFORE), only(BEFORE))


def test_two_spaces_never_show_stale_vectors(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, BEFORE)
    commit(store, BEFORE, encoder_id="enc-b", facts=False)
    with store.snapshot() as snapshot:
        assert snapshot.spaces() == ["enc-a", "enc-b"]
        assert visible_sets(snapshot, "enc-b") == (only(BEFORE), only(BEFORE))
    changed = {"P1.a": ["1", "2", "6"]}
    commit(store, changed)  # through enc-a alone
    with store.snapshot() as snapshot:
        assert visible_sets(snapshot)[1] == only({**BEFORE, **changed})
        assert visible_sets(snapshot, "enc-b")[1] == only(
            {study: videos for study, videos in BEFORE.items() if study != "P1.a"}
        )
    commit(store, changed, encoder_id="enc-b", facts=False)
    with store.snapshot() as snapshot:
        assert visible_sets(snapshot, "enc-b")[1] == only({**BEFORE, **changed})


def test_the_same_facts_again_through_another_encoder_leave_the_first_space_as_it_was(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, BEFORE)
    before = seen(store)
    commit(store, BEFORE, encoder_id="enc-b")
    after = seen(store)
    assert {name: after[name] for name in before} == before


def test_a_ledger_row_follows_its_input(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, BEFORE, skipped=["/archive/x"])
    first = batch(BEFORE).inputs[0]
    with store.snapshot() as snapshot:
        ledger = snapshot.ledger()
    assert ledger.known(first.uri, first.size, first.mtime_ns) == first
    assert ledger.known(first.uri, first.size + 1, first.mtime_ns) is None
    assert ledger.known(first.uri, first.size, first.mtime_ns + 1) is None
    assert ledger.known("/elsewhere", first.size, first.mtime_ns) is None
    assert [row.uri for row in ledger.of_study("P1.a")] == ["/archive/1.dcm", "/archive/2.dcm"]
    assert ledger.of_instance("3")[0].sha256 == batch(BEFORE).inputs[2].sha256
    assert sum(ledger.counts().values()) == len(ledger) == 6
    assert "/archive/x" in ledger
    assert {row.uri for row in ledger} == {f"/archive/{i}.dcm" for i in range(1, 6)} | {
        "/archive/x"
    }


def test_versions_positions_and_retrieval(tmp_path):
    store = new_store(tmp_path / "s")
    assert commit(store, BEFORE) == 1
    assert commit(store, {"P5.a": ["9"]}) == 2
    assert [record.version for record in store.versions()] == [0, 1, 2]
    assert store.position() == Position(2, 0)
    with pytest.raises(NotFoundError, match="no version 7 to read; it has 0 to 2"):
        store.snapshot(7)


def test_a_subset_of_vectors_comes_in_the_order_asked(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, BEFORE)
    commit(store, {"P5.a": ["9", "10"]})
    with store.snapshot() as snapshot:
        keys, everything = snapshot.vectors("enc-a", Level.VIDEO)
        order = [5, 0, 3]
        _, some = snapshot.vectors("enc-a", Level.VIDEO, keys=keys.take(order))
        assert (some == everything[order]).all()
        assert everything.flags.c_contiguous
        strange = keys.set_column(3, "commit_id", [["00"] * keys.num_rows])
        with pytest.raises(StoreError, match="7 of 7 keys have no video vector in version 2"):
            snapshot.vectors("enc-a", Level.VIDEO, keys=strange)


def test_the_order_of_writes_is_that_of_the_design(tmp_path):
    store = new_store(tmp_path / "s")
    steps: list[str] = []
    with store.writer("run", on_step=steps.append) as writer:
        writer.commit(batch(BEFORE))
    writes = [step for step in steps if not step.startswith(("tag", "create"))]
    space = "spaces/enc-a/"
    assert writes == [
        "inputs",
        "videos",
        f"{space}video_vectors",
        f"{space}study_vectors",
        f"{space}findings",
        "studies",
        "pin",
        "commits",
    ]
    assert steps[-1] == "commits"


def steps_of(folder: Path, what: str) -> list[str]:
    steps: list[str] = []
    act(Store.open(folder), what, steps.append)
    return steps


def kill_after(folder: Path, what: str, step: int) -> None:
    command = [sys.executable, "-m", "tests.support.store_child", str(folder), what, str(step)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    folder = tmp_path_factory.mktemp("before") / "s"
    store = new_store(folder)
    commit(store, BEFORE)
    return folder


@pytest.fixture(scope="module")
def commit_steps(before, tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps") / "s"
    shutil.copytree(before, folder)
    return steps_of(folder, "commit"), seen(Store.open(folder))


# Two commits of 14 and 17 writes (the second makes a space); a child takes 2 s, mostly imports.
STEPS = [pytest.param(i, marks=[pytest.mark.slow] if i >= 14 else []) for i in range(31)]


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_any_two_writes(before, commit_steps, tmp_path, step):
    steps, expected = commit_steps
    assert len(steps) == 31
    folder = tmp_path / "s"
    shutil.copytree(before, folder)
    store = Store.open(folder)
    old = seen(store)
    kill_after(folder, "commit", step)
    committed = steps[: step + 1].count("commits")
    assert store.latest_version == 1 + committed
    if committed == 0:
        assert seen(store) == old
    assert seen(store, 1) == old
    with store.writer("look") as writer:
        assert writer.took_over is not None
        assert writer.took_over.run_id == "change"
    commit_change(store, None)
    assert seen(store) == expected


def test_a_write_that_fails_leaves_nothing_visible(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, BEFORE)
    old = seen(store)

    class DiskFullError(Exception):
        pass

    def fail(step):
        if step == "studies":
            raise DiskFullError("no space left")

    with (
        pytest.raises(DiskFullError, match="no space left"),
        store.writer("run", on_step=fail) as writer,
    ):
        writer.commit(batch({"P1.a": ["9"]}))
    assert seen(store) == old
    commit(store, {"P1.a": ["9"]})
    with store.snapshot() as snapshot:
        assert visible_sets(snapshot)[0]["P1.a"] == ["9"]


def test_an_empty_batch_is_refused(tmp_path):
    store = new_store(tmp_path / "s")
    with store.writer("run") as writer, pytest.raises(StoreError, match="nothing in this batch"):
        writer.commit(CommitBatch())
