"""200,000 videos: the time of a ledger look-up, a snapshot, a search, a compaction and a purge.

The bounds are loose (four times what a laptop needs); the figures are printed with `-s`.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from core.outcomes import Status
from core.schema import Level
from index.faiss_index import IndexInfo, VectorIndex
from index.keys import Keys
from index.search import Searchable
from store.batch import CommitBatch, StudyFacts, StudyVectors, VideoVectors
from store.inputs import InputRow
from store.maintain import folder_bytes
from tests.support.store_cases import cine, new_store

pytestmark = pytest.mark.slow

STUDIES, VIDEOS_EACH, COMMITS = 20_000, 10, 40
RNG = np.random.default_rng(5)


@contextmanager
def within(seconds: float, what: str):
    start = time.perf_counter()
    yield
    took = time.perf_counter() - start
    print(f"{what}: {took * 1000:.1f} ms")  # noqa: T201
    assert took < seconds, what


def unit(n: int) -> np.ndarray:
    out = RNG.standard_normal((n, 512), dtype=np.float32)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return out


def large_batch(first: int, n: int) -> CommitBatch:
    one = cine("1", "s")
    names = [f"2.25.{10**30 + study}" for study in range(first, first + n)]
    pairs = [(f"{name}.{i}", name) for name in names for i in range(VIDEOS_EACH)]
    cines = [
        dataclasses.replace(one, sop_uid=sop, study_uid=study, patient_id=f"p{study}")
        for sop, study in pairs
    ]
    inputs = [
        InputRow(f"/a/{sop}.dcm", 10, 20, Status.EMBEDDED, sop_uid=sop, study_uid=study)
        for sop, study in pairs
    ]
    facts = [
        StudyFacts(name, f"p{name}", True, one.study_date, 60.0, "M", None, VIDEOS_EACH, "h")
        for name in names
    ]
    m = len(pairs)
    videos = VideoVectors([s for s, _ in pairs], [s for _, s in pairs], unit(m), unit(m))
    studies = StudyVectors(names, ["h"] * n, unit(n))
    return CommitBatch(inputs, cines, facts, "enc", videos, studies)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    store = new_store(tmp_path_factory.mktemp("large") / "s")
    n = STUDIES // COMMITS
    with store.writer("large") as writer:
        for first in range(0, STUDIES, n):
            writer.commit(large_batch(first, n))
    return store


def test_a_large_store(large, tmp_path):
    n = STUDIES * VIDEOS_EACH
    print(f"\nstore: {folder_bytes(large) / 1e6:.0f} MB")  # noqa: T201
    with within(4, "open a snapshot and its studies"), large.snapshot() as snapshot:
        assert snapshot.studies().num_rows == STUDIES
    with large.snapshot() as snapshot:
        with within(4, "first SQL (loads all views)"):
            count = snapshot.sql("SELECT count(*) AS n FROM videos").to_pylist()
        assert count == [{"n": n}]
        with within(1, "second SQL"):
            snapshot.sql("SELECT view, count(*) FROM videos GROUP BY view")
        with within(8, "build the ledger"):
            ledger = snapshot.ledger()
        uris = snapshot.inputs()["uri"].to_pylist()
        with within(12, f"look up {n} inputs"):
            assert all(ledger.known(uri, 10, 20) is not None for uri in uris)
        with within(4, "video keys"):
            keys = snapshot.keys("enc", Level.VIDEO)
        with within(20, "read all video vectors"):
            _, matrix = snapshot.vectors("enc", Level.VIDEO)
        few = keys.take(list(range(0, n, n // 50)))
        with within(8, "read 50 vectors of 40 commits"):
            assert (snapshot.vectors("enc", Level.VIDEO, keys=few)[1] == matrix[:: n // 50]).all()
        live = Keys(keys["uid"], keys["commit_id"])
    with within(8, "build the index"):
        info = IndexInfo("enc", Level.VIDEO, large.latest_version)
        index = VectorIndex.build(live, matrix, info=info)
    with within(20, "save the index"):
        index.save(tmp_path / "i")
    with within(10, "load the index, verified"):
        VectorIndex.load(tmp_path / "i")
    with within(2, "load the index, mapped and not verified"):
        index = VectorIndex.load(tmp_path / "i", mmap=True, verify=False)
    with within(4, "attach"):
        attached = Searchable.attach(index, live, lambda rows: matrix[rows])
    search_times(attached, matrix)


def search_times(attached, matrix):
    masks = {"no filter": None} | {
        f"{share:.0%} pass": RNG.random(len(attached)) < share for share in (0.9, 0.1, 0.001)
    }
    for name, include in masks.items():
        times = []
        for query in unit(30):
            start = time.perf_counter()
            hits = attached.search(query, k=10, include=include)
            times.append(time.perf_counter() - start)
            assert len(hits) == 10
        p50, p95 = np.percentile(times, [50, 95]) * 1000
        print(f"search 200,000 x 512, k=10, {name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms")  # noqa: T201
        assert p95 < 1000
    query = unit(1)[0]
    scores = (matrix.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    best = np.argsort(-scores, kind="stable")[:10]
    hits = attached.search(query, k=10)
    assert hits.rows.tolist() == best.tolist()
    assert hits.scores.tolist() == scores[best].tolist()


MAINTAIN = """
import sys, time
from store.maintain import compact, purge_patient
from store.store import Store
store = Store.open(sys.argv[1])
start = time.perf_counter()
compact(store)
done = time.perf_counter()
with store.snapshot() as snapshot:
    patient = snapshot.studies()["patient_id"][7].as_py()
middle = time.perf_counter()
purge_patient(store, patient)
print(done - start, time.perf_counter() - middle)
# Not getrusage: its maximum is inherited from the process that started this one.
status = dict(line.split(":") for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) / 1024)
"""


def test_maintenance_of_a_large_store_in_bounded_memory(large):
    command = [sys.executable, "-c", MAINTAIN, str(large.path)]
    root = Path(__file__).parents[2]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    compacting_s, purging_s, peak_mb = map(float, ended.stdout.split())
    print(  # noqa: T201
        f"\ncompact 40 commits: {compacting_s:.1f} s; purge one of 20,000 patients: "
        f"{purging_s:.1f} s; peak memory {peak_mb:.0f} MB"
    )
    assert compacting_s < 120
    assert purging_s < 120
    # 0.8 GB are facts, keys and the process; vectors are streamed.
    assert peak_mb < 1800
    with within(4, "open a snapshot and its studies, compacted"), large.snapshot() as snapshot:
        assert snapshot.studies().num_rows == STUDIES - 1
        assert snapshot.videos().num_rows == (STUDIES - 1) * VIDEOS_EACH
