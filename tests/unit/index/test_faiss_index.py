"""Building, saving and loading the index."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pytest

from core.errors import NotFoundError, StoreError, UsageError
from core.schema import Level
from index.faiss_index import ABOUT_FILE, FlatIndex, IndexInfo, Keys, check_vectors
from tests.support.store_cases import vectors

INFO = IndexInfo("enc-a", Level.VIDEO, 3)


def made(n=5, info=INFO, commit="c1"):
    names = [f"v{i}" for i in range(n)]
    return FlatIndex.build(Keys(names, [commit] * n), vectors(*names), info=info)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_saved_index_is_the_same(tmp_path, n, mmap):
    index = made(n)
    index.save(tmp_path / "i")
    loaded = FlatIndex.load(tmp_path / "i", mmap=mmap)
    assert loaded.info == INFO
    assert loaded.info.level is Level.VIDEO
    assert loaded.keys.uids.to_pylist() == index.keys.uids.to_pylist()
    assert loaded.keys.commit_ids.to_pylist() == ["c1"] * n
    assert (loaded.vectors == vectors(*[f"v{i}" for i in range(n)])).all()
    assert len(loaded) == n


def test_saving_again_swaps_and_leaves_no_old_file(tmp_path):
    folder = tmp_path / "i"
    made(3).save(folder)
    old = FlatIndex.load(folder, mmap=True)
    made(7, IndexInfo("enc-a", Level.VIDEO, 4)).save(folder)
    new = FlatIndex.load(folder)
    assert (len(new), new.info.store_version) == (7, 4)
    assert len(list(folder.iterdir())) == 3
    # Who had mapped the old file still has it.
    assert (old.vectors == vectors("v0", "v1", "v2")).all()


def test_readers_during_swaps_find_the_old_or_the_new(tmp_path):
    folder = tmp_path / "i"
    made(2, commit="2").save(folder)
    stop = threading.Event()
    sizes = set()

    def read():
        while not stop.is_set():
            index = FlatIndex.load(folder)
            assert set(index.keys.commit_ids.to_pylist()) == {str(len(index))}
            sizes.add(len(index))

    reader = threading.Thread(target=read)
    reader.start()
    for n in [3, 2] * 15:
        made(n, commit=str(n)).save(folder)
    stop.set()
    reader.join()
    assert sizes <= {2, 3}
    assert sizes


def test_a_missing_index(tmp_path):
    with pytest.raises(NotFoundError, match="there is no index in"):
        FlatIndex.load(tmp_path)


def damage(folder, what):
    about = json.loads((folder / ABOUT_FILE).read_text())
    if what == "about":
        (folder / ABOUT_FILE).write_text("{")
    elif what == "format":
        (folder / ABOUT_FILE).write_text(json.dumps(about | {"format": 9}))
    elif what == "count":
        (folder / ABOUT_FILE).write_text(json.dumps(about | {"count": 9}))
    elif what == "level":
        (folder / ABOUT_FILE).write_text(json.dumps(about | {"level": "frame"}))
    elif what == "gone":
        (folder / about["keys"]["file"]).unlink()
    else:
        path = folder / about[what]["file"]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("about", "cannot be read"),
        ("format", "not of format 1"),
        ("count", "is damaged"),
        ("level", "is damaged"),
        ("gone", "lacks a file"),
        ("vectors", "is damaged"),
        ("keys", "is damaged"),
    ],
)
def test_damage_is_found(tmp_path, what, words):
    made().save(tmp_path)
    damage(tmp_path, what)
    with pytest.raises(StoreError, match=words) as caught:
        FlatIndex.load(tmp_path)
    assert "angioatlas index" in caught.value.hint


def test_a_truncated_file_is_found_without_checksums_too(tmp_path):
    made().save(tmp_path)
    path = next(tmp_path.glob("*.faiss"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoreError, match="is damaged"):
        FlatIndex.load(tmp_path, verify=False)


def test_the_rest_of_a_killed_save_goes_with_time(tmp_path):
    for name in ("old.faiss", "young.faiss", "mine.txt"):
        (tmp_path / name).touch()
    for name in ("old.faiss", "mine.txt"):
        os.utime(tmp_path / name, (0, 0))
    made().save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"young.faiss", "mine.txt"} < names
    assert "old.faiss" not in names


def test_an_index_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        made().save(tmp_path / "file")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (vectors("a"), r"float32 \[1, 512\]; expected float32 \[2, 512\]"),
        (vectors("a", "b").astype(np.float64), "float64"),
        (vectors("a", "b") * np.float32(0.9), "length is off by 0.1"),
        (np.zeros((2, 512), np.float32), "length is off by 1"),
        (np.full((2, 512), np.nan, np.float32), "length is off by nan"),
        (np.full((2, 512), np.inf, np.float32), "length is off by inf"),
    ],
)
def test_bad_vectors_are_refused(bad, words):
    with pytest.raises(UsageError, match=words):
        check_vectors(bad, 2)


def test_keys_match_by_uid_and_commit():
    keys = Keys(["a", "b", "c"], ["1", "1", "2"])
    assert Keys(["c", "b", "x"], ["2", "9", "1"]).positions_in(keys).tolist() == [2, -1, -1]
    assert keys.take(np.array([2, 0])).uids.to_pylist() == ["c", "a"]
    assert Keys([], []).positions_in(keys).tolist() == []
    assert keys.positions_in(Keys([], [])).tolist() == [-1, -1, -1]
    with pytest.raises(UsageError, match="2 uids come with 1 commit ids"):
        Keys(["a", "b"], ["1"])


def test_repr_shows_no_keys():
    assert "v0" not in repr(made())
