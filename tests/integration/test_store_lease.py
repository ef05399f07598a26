"""One writer, many readers: leases and pins between processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import LeaseHeldError, StoreError
from store.lease import INFO_FILE, LOCK_FILE, Lease, holder
from store.locks import Pins, try_lock
from tests.support.store_cases import commit, new_store

ROOT = Path(__file__).parents[2]

HOLD = """
import sys
from pathlib import Path
from store.lease import Lease
from store.locks import Pins
folder, what = Path(sys.argv[1]), sys.argv[2]
held = Lease.take(folder, "other-run") if what == "lease" else Pins(folder / "pins").pin(int(what))
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def another_process(folder: Path, what: str):
    command = [sys.executable, "-c", HOLD, str(folder), what]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_the_second_writer_is_refused_and_told_who_writes(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, {"P1.a": ["1"]})
    with another_process(store.path, "lease") as other:
        words = rf"process {other.pid} on {socket.gethostname()} \(run other-run\) is writing"
        with pytest.raises(LeaseHeldError, match=words + r" .* since 20\d\d-") as caught:
            store.writer("mine")
        assert "readers go on" in caught.value.hint
        with store.snapshot() as snapshot:
            assert snapshot.studies().num_rows == 1


def test_a_dead_writer_is_taken_over_and_reported(tmp_path):
    store = new_store(tmp_path / "s")
    with another_process(store.path, "lease") as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    left = store.lease_holder()
    assert left is not None
    assert left.pid == other.pid
    with store.writer("mine") as writer:
        assert writer.took_over == left
        writer.heartbeat()
        mine = store.lease_holder()
        assert mine is not None
        assert (mine.pid, mine.run_id) == (os.getpid(), "mine")
    assert store.lease_holder() is None
    with store.writer("next") as writer:
        assert writer.took_over is None


def test_two_writers_in_one_process(tmp_path):
    store = new_store(tmp_path / "s")
    with store.writer("one"), pytest.raises(LeaseHeldError, match=r"run one\) is writing"):
        store.writer("two")


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"pid": 1})])
def test_a_damaged_note_decides_nothing(tmp_path, text):
    (tmp_path / LOCK_FILE).touch()
    (tmp_path / INFO_FILE).write_text(text)
    assert holder(tmp_path) is None
    with Lease.take(tmp_path, "run") as lease:
        assert lease.took_over is None
        (tmp_path / INFO_FILE).write_text(text)
        with pytest.raises(LeaseHeldError, match="another process is writing"):
            Lease.take(tmp_path, "run")


def test_pins_are_seen_across_processes_and_end_with_them(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, {"P1.a": ["1"]})
    commit(store, {"P2.a": ["2"]})
    assert store.pins.pinned(range(9)) == []
    with store.snapshot(2), another_process(store.path, "1") as other:
        assert store.pins.pinned(range(9)) == [1, 2]
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert store.pins.pinned(range(9)) == [2]
    assert store.pins.pinned(range(9)) == []


def test_two_readers_pin_the_same_version(tmp_path):
    store = new_store(tmp_path / "s")
    one, two = store.snapshot(), store.snapshot()
    one.close()
    one.close()
    assert store.pins.pinned([0]) == [0]
    two.close()
    assert store.pins.pinned([0]) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_reader_needs_no_right_to_write(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, {"P1.a": ["1"]})
    for path in store.path.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        with store.snapshot() as snapshot:
            assert snapshot.videos().num_rows == 1
    finally:
        for path in store.path.rglob("*"):
            path.chmod(path.stat().st_mode | 0o200)


def test_a_file_that_cannot_be_locked(tmp_path):
    with pytest.raises(StoreError, match="cannot be locked: No such file"):
        try_lock(tmp_path / "absent", exclusive=True)
    with pytest.raises(StoreError, match="cannot be locked: No such file"):
        Pins(tmp_path).pin(3)
