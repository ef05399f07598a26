"""Latency of one exact search over 200,000 vectors, plain and with a mask.

python -m benchmarks.search
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from benchmarks.record import write
from core.schema import EMBEDDING_DIM, Level
from index.faiss_index import IndexInfo, VectorIndex
from index.keys import Keys
from index.search import Searchable

ROWS = 200_000
QUERIES = 50


def main() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((ROWS, EMBEDDING_DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = Keys([f"{i:06d}" for i in range(ROWS)], ["c"] * ROWS)
    index = VectorIndex.build(keys, vectors, info=IndexInfo("bench", Level.VIDEO, 1))
    began = time.perf_counter()
    searchable = Searchable.attach(index, keys, lambda rows: vectors[rows])
    attach = time.perf_counter() - began
    figures: dict[str, Any] = {"rows": ROWS, "attach_seconds": attach}
    masks = {"all rows": None, "half the rows": rng.random(ROWS) < 0.5}
    for name, mask in masks.items():
        seconds = []
        for query in vectors[rng.integers(0, ROWS, QUERIES)]:
            began = time.perf_counter()
            searchable.search(query, k=10, include=mask)
            seconds.append(time.perf_counter() - began)
        figures[name] = {
            "median_ms": 1000 * statistics.median(seconds),
            "p95_ms": 1000 * float(np.percentile(seconds, 95)),
        }
    print("search:", figures)
    write("search", figures)
    return figures


if __name__ == "__main__":
    main()
