"""Each kind of index names the rows that a scan in numpy finds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.made_vectors import World
from core.errors import UsageError
from index.compressed import Compressed
from index.engines import ROW_BYTES, Exact, Hnsw, Kind, OnGpu, faiss, one_thread
from index.row_file import RowFile
from index.search import exact_scores

ROWS = World().rows(3000, seed=1)
QUERIES = np.concatenate([World().rows(12, seed=2), World().texts(8, seed=3)])
EVERY = np.ones(len(ROWS), bool)
SOME = np.random.default_rng(0).random(len(ROWS)) < 0.3


def made(kind):
    if kind is Kind.COMPRESSED:
        return Compressed.of(ROWS, seed=0)
    if kind is Kind.HNSW:
        return Hnsw.of(ROWS)
    flat = Exact.of(ROWS)
    # A GPU's part is played by another index of the same rows: what is tested is the masking.
    return OnGpu(flat.core, Exact.of(ROWS).core) if kind is Kind.GPU else flat


@pytest.fixture(scope="module", params=Kind)
def engine(request):
    return made(request.param)


@pytest.mark.parametrize("mask", [EVERY, SOME], ids=["every row", "some rows"])
def test_a_whole_nomination_names_the_best_rows_of_the_mask(engine, mask):
    for query in QUERIES:
        exact = exact_scores(ROWS, query)
        scores, rows = engine.nominate(query, 25, mask, whole=True)
        assert len(set(rows.tolist())) == 25
        assert mask[rows].all()
        assert (np.diff(scores) <= 0).all()
        assert np.abs(scores - exact[rows]).max() <= engine.slack
        others = mask.copy()
        others[rows] = False
        assert exact[others].max() <= scores[-1] + engine.slack


def test_what_is_above_a_radius_is_complete_within_the_slack(engine):
    for query in QUERIES:
        exact = exact_scores(ROWS, query)
        radius = float(np.sort(exact[SOME])[-20])
        rows = engine.above(query, radius - engine.slack, SOME)
        assert set(np.flatnonzero(SOME & (exact > radius))) <= set(rows.tolist())
        assert SOME[rows].all()
        assert (exact[rows] > radius - 2 * engine.slack).all()


def test_rows_are_read_as_they_were(engine):
    rows = np.array([2999, 0, 17, 17])
    assert (engine.read(rows) == ROWS[rows]).all()
    assert engine.read(rows[:0]).shape == (0, 512)


@pytest.mark.parametrize("kind", [Kind.COMPRESSED, Kind.HNSW])
def test_a_quick_nomination_stays_inside_the_mask(kind):
    engine = made(kind)
    if isinstance(engine, Compressed):
        engine.breadth = 2
    found = 0
    for query in QUERIES:
        _, rows = engine.nominate(query, 10, SOME, whole=False)
        assert SOME[rows].all()
        best = np.argsort(-np.where(SOME, exact_scores(ROWS, query), -2))[:10]
        found += len(set(rows.tolist()) & set(best.tolist()))
    assert found > 0.7 * 10 * len(QUERIES)


def test_what_the_main_axes_draft_is_nominated_by_the_whole_vectors():
    engine = made(Kind.COMPRESSED)
    best = [np.argsort(-exact_scores(ROWS, query))[:10] for query in QUERIES]

    def found(breadth):
        engine.breadth = breadth
        named = [engine.nominate(query, 12, EVERY, whole=False)[1] for query in QUERIES]
        return np.mean([np.isin(b, n) for b, n in zip(best, named, strict=True)])

    assert engine.breadth == 0
    assert engine.is_exact
    assert found(0) == 1
    assert found(1) < found(20)
    assert found(20) >= 0.995
    assert not engine.is_exact


def test_half_precision_loses_less_than_its_bound_which_is_not_absurd():
    """Also of rows with coordinates that half precision has no normal number for."""
    rows = ROWS * np.where(np.arange(512) % 3, 1, 1e-5).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    engine = Compressed.of(rows, seed=0)
    most = 0.0
    for query in rows[:40]:
        scores, found = engine.nominate(query, len(rows), EVERY, whole=True)
        most = max(most, np.abs(scores - exact_scores(rows[found], query)).max())
    assert engine.slack / 100 < most < engine.slack


def test_what_each_kind_keeps_in_memory():
    flat = len(ROWS) * ROW_BYTES
    assert made(Kind.EXACT).memory_bytes == flat
    assert made(Kind.COMPRESSED).memory_bytes == len(ROWS) * 2 * (512 + 64) + 64 * ROW_BYTES
    assert flat < made(Kind.HNSW).memory_bytes < 1.3 * flat


def test_a_gpu_leaves_to_the_processor_what_it_cannot_answer():
    class Refusing:
        def search(self, query, k):
            raise AssertionError(f"{k} rows were asked for")

    flat = Exact.of(ROWS)
    engine = OnGpu(flat.core, Refusing())
    few = np.zeros(len(ROWS), bool)
    few[:40] = True
    _, rows = engine.nominate(QUERIES[0], 10, few, whole=True)
    assert (rows < 40).all()
    with pytest.raises(AssertionError, match="10 rows were asked for"):
        engine.nominate(QUERIES[0], 10, EVERY, whole=True)


def test_without_a_gpu_its_kind_is_refused():
    if hasattr(faiss(), "StandardGpuResources") and faiss().get_num_gpus():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match="FAISS finds no GPU"):
        OnGpu.of(Exact.of(ROWS))


@pytest.mark.gpu
def test_a_gpu_finds_what_the_processor_finds():
    engine = OnGpu.of(Exact.of(ROWS))
    mask = EVERY.copy()
    mask[::7] = False
    for query in QUERIES:
        exact = np.where(mask, exact_scores(ROWS, query), -2)
        scores, rows = engine.nominate(query, 40, mask, whole=True)
        assert np.abs(scores - exact[rows]).max() <= engine.slack
        assert exact[rows].min() >= np.sort(exact)[-40] - 2 * engine.slack


def test_a_file_of_rows(tmp_path):
    path = tmp_path / "rows.f32"
    path.write_bytes(ROWS[:900].tobytes())
    file = RowFile(path)
    path.unlink()  # as when another index takes the place of this one
    for rows in ([4, 1], [], [899, *range(400), 7]):
        assert (file[np.array(rows, np.int64)] == ROWS[rows]).all()
    for beyond in ([900], range(600, 901)):
        with pytest.raises(OSError, match="row 900 of the vectors cannot be read"):
            file[np.array(beyond)]


def test_faiss_opens_no_threads_inside_and_as_before_after():
    before = faiss().omp_get_max_threads()

    def fail():
        with one_thread():
            assert faiss().omp_get_max_threads() == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert faiss().omp_get_max_threads() == before
