"""Kinds of index side by side: time of a query, recall, time to build, bytes.

python -m benchmarks.index_kinds                       # 200,000 rows
python -m benchmarks.index_kinds --rows 1000000

Queries come one by one, k = 10, from made vectors (`benchmarks.made_vectors`): *rows* are drawn as
the rows were, *texts* lie apart.  What `auto` picks is asked through `index.search`, masks and
exact ranking included; the others are bare FAISS and LanceDB.  None of these queries tuned
anything: ours is tuned on rows and texts of other seeds, the others have the settings given here.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angioatlas.indexes import free_memory
from benchmarks.made_vectors import World
from benchmarks.record import RESULTS, write
from core.schema import EMBEDDING_DIM, Level
from index.engines import HNSW_LINKS, Kind, faiss
from index.faiss_index import IndexInfo, VectorIndex
from index.keys import Keys
from index.search import Searchable
from index.tuning import choose_kind

K = 10
QUERIES = 300
SLOW = 40
"""Queries where one takes a second."""
TEXTS = 300
"""That ours is tuned and measured on, of another seed than those that are asked."""
SHARES = (0.5, 0.05, 0.005, 0.0005)
FILTERED_QUERIES = 40
"""Of each sort, of 200,000 rows; fewer of more, since each is held against a scan in float64."""
THREADS = 2

Vectors = NDArray[np.float32]
Ask = Callable[[Vectors], list[int]]


@dataclass
class Row:
    """One kind of index."""

    name: str
    p50_ms: float
    p95_ms: float
    recall_rows: float
    p50_texts_ms: float
    recall_texts: float
    build_s: float
    bytes_of_flat: float
    note: str = ""


@dataclass
class Bench:
    """The vectors, the queries, and what a scan says of them."""

    rows: Vectors
    like_rows: Vectors
    texts: Vectors
    truth_rows: NDArray[np.int64]
    truth_texts: NDArray[np.int64]

    @classmethod
    def of(cls, n: int) -> Bench:
        """Draw `n` rows."""
        world = World()
        rows = world.rows(n, seed=1)
        like_rows, texts = world.rows(QUERIES, seed=2), world.texts(QUERIES, seed=4)
        truth = [_scan(rows, queries) for queries in (like_rows, texts)]
        return cls(rows, like_rows, texts, *truth)

    def measure(
        self,
        name: str,
        ask: Ask,
        *,
        build_s: float,
        size: float,
        note: str = "",
        before: Callable[[], object] = lambda: None,
        most: int = QUERIES,
    ) -> Row:
        """Time each of up to `most` queries alone, after `before`; compare what it finds."""
        told = {}
        for sort, queries, truth in (
            ("rows", self.like_rows, self.truth_rows),
            ("texts", self.texts, self.truth_texts),
        ):
            seconds, found = [], []
            for query, best in zip(queries[:most], truth[:most], strict=True):
                before()
                began = time.perf_counter()
                hits = ask(query)
                seconds.append(time.perf_counter() - began)
                found.append(np.isin(best, hits).mean())
            told[sort] = (np.percentile(seconds, [50, 95]) * 1000, float(np.mean(found)))
        row = Row(
            name,
            float(told["rows"][0][0]),
            float(told["rows"][0][1]),
            told["rows"][1],
            float(told["texts"][0][0]),
            told["texts"][1],
            build_s,
            size / self.rows.nbytes,
            note,
        )
        print(row, flush=True)
        return row


def _scan(rows: Vectors, queries: Vectors) -> NDArray[np.int64]:
    library = faiss()
    _, found = library.knn(queries, rows, K, metric=library.METRIC_INNER_PRODUCT)
    truth: NDArray[np.int64] = found
    return truth


def ours(bench: Bench, folder: Path, kind: Kind) -> tuple[float, VectorIndex, Searchable]:
    """Build an index as `index build` does; save it, load it mapped, attach it."""
    keys = Keys([f"{i:08d}" for i in range(len(bench.rows))], ["c"] * len(bench.rows))
    texts = World().texts(TEXTS, seed=3)
    info = IndexInfo("bench", Level.VIDEO, 1)
    began = time.perf_counter()
    made = VectorIndex.build(keys, bench.rows, info=info, kind=kind, texts=texts)
    took = time.perf_counter() - began
    made.save(folder)
    index = VectorIndex.load(folder, verify=False)
    return took, index, Searchable.attach(index, keys, lambda rows: bench.rows[rows])


def _ask_searchable(searchable: Searchable) -> Ask:
    return lambda query: searchable.search(query, k=K).rows.tolist()


def _built(core: Any, rows: Vectors) -> float:
    began = time.perf_counter()
    if not core.is_trained:
        core.train(rows[: 64 * getattr(core, "nlist", 1000)])
    core.add(rows)
    return time.perf_counter() - began


def _ask_faiss(core: Any, **how: Any) -> Ask:
    def ask(query: Vectors) -> list[int]:
        found: list[int] = core.search(query[None], K, **how)[1][0].tolist()
        return found

    return ask


def _size(core: Any) -> int:
    return len(faiss().serialize_index(core))


def plain(bench: Bench) -> Row:
    core = faiss().IndexFlatIP(EMBEDDING_DIM)
    took = _built(core, bench.rows)
    return bench.measure("IndexFlatIP", _ask_faiss(core), build_s=took, size=bench.rows.nbytes)


def scalar(bench: Bench) -> Iterator[Row]:
    library = faiss()
    for name, kind in (
        ("SQ8", library.ScalarQuantizer.QT_8bit),
        ("fp16", library.ScalarQuantizer.QT_fp16),
    ):
        core = library.IndexScalarQuantizer(EMBEDDING_DIM, kind, library.METRIC_INNER_PRODUCT)
        took = _built(core, bench.rows)
        yield bench.measure(name, _ask_faiss(core), build_s=took, size=_size(core))


def rabitq(bench: Bench) -> Row:
    """One bit a dimension in the same number of lists, and the float32 vectors to rank again."""
    library = faiss()
    lists = 2 ** (1 + round(np.log2(len(bench.rows)) / 2))
    quantizer = library.IndexFlatIP(EMBEDDING_DIM)
    core = library.IndexIVFRaBitQ(quantizer, EMBEDDING_DIM, lists, library.METRIC_INNER_PRODUCT)
    refined = library.IndexRefineFlat(core)
    took = _built(refined, bench.rows)
    chosen = library.IndexRefineSearchParameters(
        k_factor=20, base_index_params=library.SearchParametersIVF(nprobe=64)
    )
    size = _size(core) + bench.rows.nbytes
    note = f"{lists} lists, 64 probes, 200 ranked again"
    return bench.measure(
        "RaBitQ + re-ranking",
        _ask_faiss(refined, params=chosen),
        build_s=took,
        size=size,
        note=note,
    )


def hnsw(bench: Bench) -> Row:
    library = faiss()
    core = library.IndexHNSWFlat(EMBEDDING_DIM, HNSW_LINKS, library.METRIC_INNER_PRODUCT)
    took = _built(core, bench.rows)
    chosen = library.SearchParametersHNSW(efSearch=128)
    size = bench.rows.nbytes + core.hnsw.neighbors.size() * 4 + core.hnsw.offsets.size() * 8
    return bench.measure(
        f"HNSW{HNSW_LINKS}",
        _ask_faiss(core, params=chosen),
        build_s=took,
        size=size,
        note="efSearch 128",
    )


def lance(bench: Bench, folder: Path) -> Iterator[Row]:
    """LanceDB's own scan, and its inverted file (product quantisation, ranked again)."""
    import lancedb
    import pyarrow as pa
    from lancedb.index import IvfPq

    flat = pa.array(bench.rows.reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(flat, EMBEDDING_DIM)
    began = time.perf_counter()
    table = lancedb.connect(folder).create_table(
        "rows", pa.table({"row": np.arange(len(bench.rows)), "vector": vectors})
    )
    took = time.perf_counter() - began

    def ask(query: Vectors, **how: int) -> list[int]:
        search: Any = table.search(query)
        search = search.distance_type("dot").select(["row", "_distance"]).limit(K)
        for name, value in how.items():
            search = getattr(search, name)(value)
        found: list[int] = search.to_arrow()["row"].to_pylist()
        return found

    size = bench.rows.nbytes
    yield bench.measure(
        "LanceDB exact",
        ask,
        build_s=took,
        size=size,
        note=f"on disk, read by each of {SLOW} queries",
        most=SLOW,
    )
    began = time.perf_counter()
    table.create_index("vector", config=IvfPq(distance_type="dot"))
    took = time.perf_counter() - began
    size += sum(path.stat().st_size for path in folder.rglob("_indices/**/*") if path.is_file())
    yield bench.measure(
        "LanceDB IVF-PQ",
        lambda query: ask(query, nprobes=64, refine_factor=20),
        build_s=took,
        size=size,
        note="64 probes, 200 ranked again; on disk",
    )


def filtered(bench: Bench, searchable: Searchable) -> list[dict[str, Any]]:
    """Compare what is found below a filter with a scan in float64, and time it beside a scan."""
    library = faiss()
    flat = library.IndexFlatIP(EMBEDDING_DIM)
    flat.add(bench.rows)
    each = max(5, FILTERED_QUERIES * 200_000 // len(bench.rows))
    queries = np.concatenate([bench.like_rows[:each], bench.texts[:each]])
    told = []
    for share in SHARES:
        mask = np.random.default_rng(9).random(len(bench.rows)) < share
        rows = np.flatnonzero(mask)
        took: dict[str, list[float]] = {"ours": [], "scan": []}
        found = []
        for query in queries:
            began = time.perf_counter()
            hits = searchable.search(query, k=K, include=mask)
            took["ours"].append(time.perf_counter() - began)
            began = time.perf_counter()
            flat.search(query[None], K)
            took["scan"].append(time.perf_counter() - began)
            scores = bench.rows[rows].astype(np.float64) @ query.astype(np.float64)
            best = rows[np.argsort(-scores, kind="stable")[:K]]
            found.append(np.isin(best, hits.rows).mean())
        told.append(
            {
                "share": share,
                "rows": len(rows),
                "recall": float(np.mean(found)),
                "p50_ms": 1000 * statistics.median(took["ours"]),
                "p95_ms": 1000 * float(np.percentile(took["ours"], 95)),
                "unfiltered_scan_p50_ms": 1000 * statistics.median(took["scan"]),
            }
        )
        print(told[-1], flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    given = parser.parse_args()
    faiss().omp_set_num_threads(THREADS)
    bench = Bench.of(given.rows)
    kind = choose_kind(given.rows, free_memory())
    rows: list[Row] = [plain(bench)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        took, index, searchable = ours(bench, folder / "ours", kind)
        size = index.engine.memory_bytes
        ask = _ask_searchable(searchable)
        rows.append(bench.measure(f"auto: {kind}", ask, build_s=took, size=size, note=_note(index)))
        below = filtered(bench, searchable)
        rows.append(
            bench.measure(
                f"auto: {kind}, PyTorch at work between queries",
                ask,
                build_s=took,
                size=size,
                before=_torch_works,
            )
        )
        recall = None if index.recall is None else asdict(index.recall)
        del searchable, ask, index
        took, index, searchable = ours(bench, folder / "exact", Kind.EXACT)
        ask = _ask_searchable(searchable)
        rows.append(bench.measure("ours, exact", ask, build_s=took, size=bench.rows.nbytes))
        del searchable, ask, index
        rows += scalar(bench)
        rows.append(rabitq(bench))
        rows += lance(bench, folder / "lance")
        shutil.rmtree(folder / "lance")
        rows.append(hnsw(bench))
        rows.append(plain(bench))
    figures = {
        "rows": given.rows,
        "threads": THREADS,
        "table": [asdict(row) for row in rows],
        "filtered": below,
        "recall_stored": recall,
    }
    name = f"index_kinds_{given.rows}"
    write(name, figures)
    text = markdown(figures)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


def _torch_works() -> None:
    """Multiply matrices, as an encoder of texts does before a search."""
    import torch

    square = torch.ones(1000, 1000)
    torch.mm(square, square)


def _note(index: VectorIndex) -> str:
    breadth = getattr(index.engine, "breadth", None)
    return "" if breadth is None else f"{breadth} drafts for each that is nominated"


def markdown(figures: dict[str, Any]) -> str:
    """Return the tables."""
    head = (
        "| index | p50 ms | p95 ms | recall@10 | p50 ms, texts | recall@10, texts | build s "
        "| bytes / flat | |"
    )
    lines = [f"# {figures['rows']} vectors, {figures['threads']} threads", "", head]
    lines.append("| --- " * 9 + "|")
    lines += [
        f"| {row['name']} | {row['p50_ms']:.2f} | {row['p95_ms']:.2f} "
        f"| {row['recall_rows']:.4f} | {row['p50_texts_ms']:.2f} | {row['recall_texts']:.4f} "
        f"| {row['build_s']:.1f} | {row['bytes_of_flat']:.3f} | {row['note']} |"
        for row in figures["table"]
    ]
    lines += ["", "## Below a filter", ""]
    lines.append("| rows left | recall@10 | p50 ms | p95 ms | unfiltered IndexFlatIP, p50 ms |")
    lines.append("| --- " * 5 + "|")
    lines += [
        f"| {row['share']:.2%} ({row['rows']}) | {row['recall']:.4f} | {row['p50_ms']:.2f} "
        f"| {row['p95_ms']:.2f} | {row['unfiltered_scan_p50_ms']:.2f} |"
        for row in figures["filtered"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
