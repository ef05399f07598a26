"""Vectors that are added to at the end, while others read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.errors import StoreError
from index.keys import Keys
from index.vector_log import ABOUT_FILE, VectorLog

WIDTH = 8
ROWS = np.random.default_rng(0).standard_normal((100, WIDTH)).astype(np.float32)


def keys(first, end):
    return Keys([f"{i:03d}" for i in range(first, end)], ["c"] * (end - first))


def extend(log, first, end):
    def fill(out):
        out[:] = ROWS[first:end]

    return log.extended(keys(first, end), fill)


def read(log):
    return log.read(np.arange(len(log)))


def test_rows_stay_where_they_are_while_others_come(tmp_path):
    empty = VectorLog.open(tmp_path / "log", WIDTH)
    assert (len(empty), empty.is_current()) == (0, True)
    one = extend(empty, 0, 3)
    two = extend(one, 3, 10)
    assert (len(one), len(two)) == (3, 10)
    assert not one.is_current()
    assert two.is_current()
    again = VectorLog.open(tmp_path / "log", WIDTH)
    assert (read(one) == ROWS[:3]).all()
    assert (read(again) == ROWS[:10]).all()
    assert again.keys.uids.to_pylist() == keys(0, 10).uids.to_pylist()
    assert (again.read(np.array([9, 0, 9])) == ROWS[[9, 0, 9]]).all()


def test_what_a_killed_writer_left_is_overwritten(tmp_path):
    one = extend(VectorLog.open(tmp_path, WIDTH), 0, 3)

    class KilledError(Exception):
        pass

    def killed(out):
        out[:] = -1
        raise KilledError

    with pytest.raises(KilledError):
        one.extended(keys(3, 9), killed)
    assert one.is_current()
    assert (read(VectorLog.open(tmp_path, WIDTH)) == ROWS[:3]).all()
    assert (read(extend(one, 3, 5)) == ROWS[:5]).all()


def test_many_small_additions_leave_few_files(tmp_path, monkeypatch):
    monkeypatch.setattr("index.vector_log._MOST_KEY_FILES", 4)
    log = VectorLog.open(tmp_path, WIDTH)
    for i in range(12):
        log = extend(log, i, i + 1)
    assert (read(log) == ROWS[:12]).all()
    assert log.keys.uids.to_pylist() == keys(0, 12).uids.to_pylist()
    assert len([*tmp_path.glob("*.parquet")]) <= 4
    assert len([*tmp_path.glob("*.f32")]) == 1


def test_written_anew_the_old_rows_go_and_who_has_them_keeps_them(tmp_path):
    old = extend(VectorLog.open(tmp_path, WIDTH), 0, 30)
    new = extend(old.without_rows(), 50, 60)
    assert (read(old) == ROWS[:30]).all()
    assert (read(new) == ROWS[50:60]).all()
    assert len([*tmp_path.iterdir()]) == 3


@pytest.mark.parametrize("harm", ["cut", "gone", "no keys", "format", "text"])
def test_what_is_damaged_is_taken_for_nothing(tmp_path, harm):
    extend(VectorLog.open(tmp_path, WIDTH), 0, 30)
    (vectors,), (names,) = tmp_path.glob("*.f32"), tmp_path.glob("*.parquet")
    about = tmp_path / ABOUT_FILE
    if harm == "cut":
        vectors.write_bytes(vectors.read_bytes()[:-1])
    elif harm == "gone":
        vectors.unlink()
    elif harm == "no keys":
        names.write_bytes(b"")
    elif harm == "format":
        about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 99}))
    else:
        about.write_text("{")
    log = VectorLog.open(tmp_path, WIDTH)
    assert len(log) == 0
    assert (read(extend(log.without_rows(), 0, 5)) == ROWS[:5]).all()


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        extend(VectorLog.open(tmp_path / "file" / "log", WIDTH), 0, 3)
