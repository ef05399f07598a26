"""Building, saving and loading the index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from benchmarks.made_vectors import World
from core.errors import NotFoundError, StoreError, UsageError
from core.schema import Level
from index.compressed import Compressed
from index.engines import Kind
from index.faiss_index import ABOUT_FILE, IndexInfo, VectorIndex
from index.keys import Keys, check_vectors
from tests.support.store_cases import vectors

INFO = IndexInfo("enc-a", Level.VIDEO, 3)


def made(n=5, info=INFO, commit="c1", kind=Kind.EXACT):
    names = [f"v{i}" for i in range(n)]
    return VectorIndex.build(Keys(names, [commit] * n), vectors(*names), info=info, kind=kind)


KINDS = [Kind.EXACT, Kind.COMPRESSED, Kind.HNSW]


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_index_is_the_same(tmp_path, n, mmap, kind):
    index = made(n, kind=kind)
    index.save(tmp_path / "i")
    loaded = VectorIndex.load(tmp_path / "i", mmap=mmap)
    assert loaded.info == INFO
    assert loaded.info.level is Level.VIDEO
    assert loaded.keys.uids.to_pylist() == index.keys.uids.to_pylist()
    assert loaded.keys.commit_ids.to_pylist() == ["c1"] * n
    assert (loaded.engine.read(np.arange(n)) == vectors(*[f"v{i}" for i in range(n)])).all()
    assert len(loaded) == n
    assert type(loaded.engine) is type(index.engine)
    assert loaded.recall == index.recall
    assert (loaded.recall is None) == (kind is Kind.EXACT or n == 0)
    if isinstance(index.engine, Compressed) and isinstance(loaded.engine, Compressed):
        assert loaded.engine.breadth == index.engine.breadth
        assert loaded.engine.memory_bytes == index.engine.memory_bytes


def test_saving_again_swaps_and_leaves_no_old_file(tmp_path):
    folder = tmp_path / "i"
    made(3).save(folder)
    old = VectorIndex.load(folder, mmap=True)
    made(7, IndexInfo("enc-a", Level.VIDEO, 4)).save(folder)
    new = VectorIndex.load(folder)
    assert (len(new), new.info.store_version) == (7, 4)
    assert len(list(folder.iterdir())) == 3
    # Who had mapped the old file still has it.
    assert (old.engine.read(np.arange(3)) == vectors("v0", "v1", "v2")).all()


def test_readers_during_swaps_find_the_old_or_the_new(tmp_path):
    folder = tmp_path / "i"
    made(2, commit="2").save(folder)
    stop = threading.Event()
    sizes = set()

    def read():
        while not stop.is_set():
            index = VectorIndex.load(folder)
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
        VectorIndex.load(tmp_path)


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
        (folder / about["files"]["keys"]["file"]).unlink()
    else:
        path = folder / about["files"][what]["file"]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("about", "cannot be read"),
        ("format", "not of format 3"),
        ("count", "is damaged"),
        ("level", "is damaged"),
        ("gone", "lacks a file"),
        ("vectors", "is damaged"),
        ("keys", "is damaged"),
        ("originals", "is damaged"),
    ],
)
def test_damage_is_found(tmp_path, what, words):
    made(kind=Kind.COMPRESSED).save(tmp_path)
    damage(tmp_path, what)
    with pytest.raises(StoreError, match=words) as caught:
        VectorIndex.load(tmp_path)
    assert "angioatlas index" in caught.value.hint


@pytest.mark.parametrize("suffix", ["faiss", "f32"])
def test_a_truncated_file_is_found_without_checksums_too(tmp_path, suffix):
    made(kind=Kind.COMPRESSED).save(tmp_path)
    path = next(tmp_path.glob(f"*.{suffix}"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoreError, match="is damaged"):
        VectorIndex.load(tmp_path, verify=False)


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


MAPPED = """
import re, sys
from pathlib import Path
import numpy as np
from index.faiss_index import VectorIndex
from index.keys import Keys
from index.search import Searchable

def memory():
    inside, mapped, anonymous = False, 0, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(".faiss")
        elif line.startswith("Rss:") and inside:
            mapped += int(line.split()[1])
        elif line.startswith("Anonymous:"):
            anonymous += int(line.split()[1])
    return mapped, anonymous

def search(folder):
    index = VectorIndex.load(Path(folder), mmap=sys.argv[3] == "mapped")
    attached = Searchable.attach(index, index.keys, lambda rows: None)
    query = index.engine.read(np.array([0]))[0]
    mask = np.arange(len(index)) % 2 == 0
    attached.search(query, k=3)  # looks at the short vectors of a compressed index as well
    return index, attached.search(query, k=3, include=mask)

search(sys.argv[2])  # libraries are loaded, pools of memory are made
before = memory()[1]
index, hits = search(sys.argv[1])
mapped, anonymous = memory()
print(mapped, anonymous - before, index.engine.memory_bytes // 1024, hits.uids[0])
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
@pytest.mark.parametrize("kind", KINDS)
def test_processes_share_the_memory_of_a_loaded_index(tmp_path, kind):
    """What a search touches is pages of the file, not memory of the process."""
    n = 4000 if kind is Kind.HNSW else 12_000
    names = [f"v{i:05d}" for i in range(n)]
    rows = World().rows(n, seed=1)
    VectorIndex.build(Keys(names, ["c"] * n), rows, info=INFO, kind=kind).save(tmp_path / "large")
    made(kind=kind).save(tmp_path / "small")

    def told(how):
        command = [sys.executable, "-c", MAPPED, tmp_path / "large", tmp_path / "small", how]
        root = Path(__file__).parents[3]
        ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        *sizes, first = ended.stdout.split()
        assert first == "v00000"
        return map(int, sizes)

    mapped_kb, grown_kb, needed_kb = told("mapped")
    assert mapped_kb > 0.9 * needed_kb
    read_kb, grown_by_reading_kb, _ = told("read")
    assert read_kb == 0
    assert grown_by_reading_kb - grown_kb > 0.8 * needed_kb
