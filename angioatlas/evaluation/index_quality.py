"""What an index finds of what a full scan finds, filtered and not, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from angioatlas.evaluation.scan import blocks, scan
from angioatlas.probes.targets import sentence
from core.errors import UsageError
from core.schema import Level
from core.segments import SEGMENTS
from embedder.encoders.spec import TextEmbedder
from index.quality import recall_of_search

SHARES: Final = (1.0, 0.5, 0.05, 0.005, 0.0005)
"""Of the rows, that a filter leaves; 1 is no filter."""
_PERCENTILES: Final = (50, 95)

Search = Callable[[NDArray[np.float32], int, NDArray[np.bool_] | None], NDArray[np.int64]]
"""From a query [512], k, and the rows wanted (None: all), to the rows found, best first."""


@dataclass(frozen=True)
class IndexQuality:
    """How an index answers.

    Attributes
    ----------
    level : Level
    encoder_id : str
    store_version : int
    kind : str
        Of the index, such as ``exact``.
    rows : int
    k : int
    table : DataFrame
        queries (``text`` or the level's name), share (of the rows that the filter leaves), left
        (rows), n (queries), recall (mean, 0 to 1, higher is better), worst (the lowest of a query),
        p50_ms and p95_ms (of one search, in milliseconds).
    notes : tuple of str
        Filters that are left out.
    """

    level: Level
    encoder_id: str
    store_version: int
    kind: str
    rows: int
    k: int
    table: pd.DataFrame
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "level": self.level.value,
            "encoder_id": self.encoder_id,
            "store_version": self.store_version,
            "kind": self.kind,
            "rows": self.rows,
            "k": self.k,
            "searches": self.table.to_dict("records"),
            "notes": list(self.notes),
        }


def reference_texts(reader: TextEmbedder) -> list[str]:
    """Return texts that a reader would ask with, of which the encoder knows at least a word."""
    texts = [sentence(f"{each} {what}") for what in ("> 70 %", "cto") for each in SEGMENTS]
    covered = [(text, reader.coverage(text)) for text in texts]
    return [text for text, known in covered if known is None or known.known]


def measure_searches(
    search: Search,
    vectors: NDArray[np.float32],
    asked: NDArray[np.float32],
    *,
    own: NDArray[np.int64] | None,
    share: float,
    k: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Search with each query, and hold what was found against a full scan.

    Parameters
    ----------
    search : callable
    vectors : float32 array (rows, 512)
    asked : float32 array (queries, 512)
    own : int64 array (queries,), optional
        The row that each query is, which it is not to find.
    share : float
        Of the rows, that a filter leaves: a drawn set for each query; 1 is no filter.
    k : int
    rng : Generator
        Draws the filters.

    Returns
    -------
    recall : float64 array (queries,)
        See `index.quality.recall_of_search`.
    seconds : float64 array (queries,)
    """
    recall, seconds = [], []
    for block in blocks(range(len(asked))):
        for i, scores in zip(block, scan(vectors, asked[block]), strict=True):
            others = np.arange(len(vectors))
            if own is not None:
                others = np.delete(others, own[i])
            include = None
            if own is not None or share < 1:
                left = rows_left(len(vectors), share)
                include = np.zeros(len(vectors), bool)
                include[others if share == 1 else rng.choice(others, left, replace=False)] = True
                scores[~include] = -np.inf
            start = time.perf_counter()
            hits = search(asked[i], k, include)
            seconds.append(time.perf_counter() - start)
            recall.append(recall_of_search(scores, hits, k))
    return np.array(recall), np.array(seconds)


def rows_left(rows: int, share: float) -> int:
    """Return how many of some rows a filter leaves."""
    return round(rows * share)


def summary(
    name: str,
    rows: int,
    share: float,
    recall: NDArray[np.float64],
    seconds: NDArray[np.float64],
) -> dict[str, Any]:
    """Return one row of the table."""
    middle, slow = np.percentile(seconds * 1000, _PERCENTILES)
    return {
        "queries": name,
        "share": share,
        "left": rows_left(rows, share),
        "n": len(recall),
        "recall": float(recall.mean()),
        "worst": float(recall.min()),
        "p50_ms": float(middle),
        "p95_ms": float(slow),
    }


def index_quality(
    search: Search,
    vectors: NDArray[np.float32],
    *,
    level: Level,
    encoder_id: str,
    store_version: int,
    kind: str,
    reader: TextEmbedder | None,
    k: int,
    queries: int,
    seed: int,
) -> IndexQuality:
    """Measure the searches of one index.

    Parameters
    ----------
    search : callable
    vectors : float32 array (rows, 512)
        Of all rows that it searches.
    level : Level
    encoder_id : str
    store_version : int
    kind : str
        Of the index.
    reader : TextEmbedder or None
        For queries that are texts.
    k : int
    queries : int
        Rows to ask with, at the most.
    seed : int
        Of the rows and the filters.

    Raises
    ------
    UsageError
        There are fewer than two rows.
    """
    if len(vectors) < 2:
        raise UsageError("the store shows fewer than two rows to search", "embed more studies")
    rng = np.random.default_rng(seed)
    rows = len(vectors)
    own = np.sort(rng.choice(rows, min(queries, rows), replace=False))
    asked: dict[str, tuple[NDArray[np.float32], NDArray[np.int64] | None]] = {
        level.value: (vectors[own], own)
    }
    if reader is not None and (texts := reference_texts(reader)):
        asked["text"] = (reader.encode(texts), None)
    told, notes = [], []
    for share in SHARES:
        if not rows_left(rows, share):
            notes.append(f"no filter that leaves {share:.2%} of {rows:,} rows: that is none")
            continue
        for name, (vector, its_row) in asked.items():
            found = measure_searches(
                search, vectors, vector, own=its_row, share=share, k=k, rng=rng
            )
            told.append(summary(name, rows, share, *found))
    return IndexQuality(
        level, encoder_id, store_version, kind, rows, k, pd.DataFrame(told), tuple(notes)
    )
