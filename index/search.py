"""A query vector, the rows that are live now, the best k of them.

What the index holds may be older than what is committed.  Index rows that are no longer live
(superseded, deleted) or not wanted (filtered, excluded) are masked inside FAISS; live rows that the
index lacks are searched beside it; the two are merged.

FAISS ranks in float32 or half precision, where the order of close scores depends on how a sum was
cut up.  So it only nominates: every candidate is scored again in float64, in one way.  Where the
nomination looked at every row, FAISS is asked again whenever a row that it did not nominate could,
within the bound of its rounding error, belong to the best k; the result is then that of a full scan
in float64, ties in the order of their uids.  That is so of exact indexes, and of every kind where a
filter leaves less than `THOROUGH_SHARE` of the rows or more than `QUICK_K` are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.errors import UsageError
from core.schema import EMBEDDING_DIM
from index.engines import ROUNDING_BOUND, Engine, Exact, Kind, one_thread
from index.faiss_index import VectorIndex
from index.keys import Keys, check_vectors
from index.tuning import nominations

Fetch = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Given rows of the live keys, returns their vectors [m, 512]."""

THOROUGH_SHARE: Final = 0.9
"""Where fewer of the rows than this are wanted, all of them are looked at."""
QUICK_K: Final = 100
"""Where more hits than this are wanted, all rows are looked at: recall was measured at ten."""
_SCORE_ROWS: Final = 8192


@dataclass(frozen=True)
class Hits:
    """Ranked rows.

    Parameters
    ----------
    uids : list of str
        Best first; equal scores in byte order of uid.
    scores : array [k], float64
        Cosine similarity; higher is more similar.
    ranks : array [k], int64
        1, 2, 3 …
    rows : array [k], int64
        Row of each hit in the live keys, to look up its study and patient.
    """

    uids: list[str]
    scores: NDArray[np.float64]
    ranks: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.uids)


@final
class Searchable:
    """An index brought up to date with the rows that are live now.

    Made by `Searchable.attach`, once for each snapshot; searching it changes nothing, so threads
    may share it.

    Attributes
    ----------
    live : Keys
        What is searched.
    kind : Kind
        Of the index; what it lacks is always looked at row by row.
    """

    def __init__(self, live: Keys, parts: list[_Part], kind: Kind) -> None:
        self.live = live
        self.kind = kind
        self._parts = [part for part in parts if len(part.engine)]
        self._alive = [part.live_rows >= 0 for part in self._parts]
        # Which part each row is of, and which row of it.
        self._part_of = np.empty(len(live), np.int8)
        self._row_of = np.empty(len(live), np.int64)
        for at, part in enumerate(self._parts):
            rows = part.live_rows[self._alive[at]]
            self._part_of[rows], self._row_of[rows] = at, np.flatnonzero(self._alive[at])
        # Place of each row in the byte order of uids, to break ties.
        order = pc.sort_indices(live.uids).to_numpy()
        self._place = np.empty(len(live), np.int64)
        self._place[order] = np.arange(len(live))

    @classmethod
    def attach(cls, index: VectorIndex | None, live: Keys, fetch: Fetch) -> Self:
        """Match an index with the live rows.

        Parameters
        ----------
        index : VectorIndex or None
            An index of any version of the same space; None searches everything beside it.
        live : Keys
            What is visible now; no uid twice.
        fetch : callable
            Called once with the rows of `live` that the index lacks, if any.

        Raises
        ------
        UsageError
            When a uid is live twice, or `fetch` returns vectors of a wrong shape or length.
        """
        if pc.count_distinct(live.uids).as_py() != len(live):
            raise UsageError("a uid occurs twice among the live keys")
        parts = []
        lacking = np.ones(len(live), bool)
        if index is not None:
            rows = index.keys.positions_in(live)
            lacking[rows[rows >= 0]] = False
            parts.append(_Part(index.engine, rows))
        fresh = np.flatnonzero(lacking)
        if len(fresh):
            vectors = fetch(fresh)
            check_vectors(vectors, len(fresh))
            parts.append(_Part(Exact.of(vectors), fresh))
        return cls(live, parts, Kind.EXACT if index is None else index.engine.kind)

    def __len__(self) -> int:
        return len(self.live)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of some live rows, [m, 512]."""
        out = np.empty((len(rows), EMBEDDING_DIM), np.float32)
        for at, part in enumerate(self._parts):
            mine = self._part_of[rows] == at
            if mine.any():
                out[mine] = part.engine.read(self._row_of[rows[mine]])
        return out

    def search(
        self,
        query: NDArray[np.floating[Any]],
        *,
        k: int,
        include: NDArray[np.bool_] | None = None,
        exclude: Collection[str] = (),
    ) -> Hits:
        """Return the best `k` live rows for one query.

        Parameters
        ----------
        query : array [512]
            L2-normalised, of the same encoder space.
        k : int
            At least 1.  When fewer rows are live and wanted, all of those are returned.
        include : array [n live], bool, optional
            Which rows of the live keys are wanted, such as those that a filter leaves.
        exclude : collection of str
            Uids that are not wanted.

        Raises
        ------
        UsageError
            When the query has another shape, is not finite or not of length 1; `k` is below 1; or
            `include` has another length than the live keys.
        """
        return self.search_many(np.asarray(query)[None], k=k, include=include, exclude=exclude)[0]

    def search_many(
        self,
        queries: NDArray[np.floating[Any]],
        *,
        k: int,
        include: NDArray[np.bool_] | None = None,
        exclude: Collection[str] = (),
    ) -> list[Hits]:
        """Return the best `k` live rows for each of the queries [q, 512]; see `search`."""
        queries = _checked_queries(queries)
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise UsageError(f"k is {k!r}; expected a whole number from 1")
        wanted = self._wanted(include, exclude)
        count = int(np.count_nonzero(wanted))
        k = min(int(k), count)
        if k == 0:
            return [_no_hits() for _ in queries]
        whole = k > QUICK_K or count < THOROUGH_SHARE * len(self)
        masks = self._alive if count == len(self) else self._masks(wanted)
        with one_thread():
            return [self._best(query, k, masks, whole=whole) for query in queries]

    def _best(
        self, query: NDArray[np.float32], k: int, masks: list[NDArray[np.bool_]], *, whole: bool
    ) -> Hits:
        """Return the best `k` rows of the parts, below their masks; there are `k` at least."""
        asked = list(zip(self._parts, masks, strict=True))
        told = [part.nominate(query, k, mask, whole=whole) for part, mask in asked]
        if sum(len(each.rows) for each in told) < k:  # the lists that were looked at held too few
            told = [part.nominate(query, k, mask, whole=True) for part, mask in asked]
        scores = np.concatenate([each.scores for each in told])
        kth = np.partition(scores, len(scores) - k)[len(scores) - k]
        for at, (part, mask) in enumerate(asked):
            if kth <= told[at].tail + part.engine.slack:
                told[at] = part.all_from(query, kth, mask)
        return self._ranked(
            np.concatenate([each.rows for each in told]),
            np.concatenate([each.scores for each in told]),
            k,
        )

    def _wanted(
        self, include: NDArray[np.bool_] | None, exclude: Collection[str]
    ) -> NDArray[np.bool_]:
        wanted = np.ones(len(self.live), bool)
        if include is not None:
            if include.shape != wanted.shape or include.dtype != np.bool_:
                raise UsageError(
                    f"the mask is {include.dtype} {list(include.shape)}; expected bool "
                    f"[{len(wanted)}], one for each live row"
                )
            wanted &= include
        if exclude:
            unwanted = pc.is_in(self.live.uids, value_set=pa.array(list(exclude), pa.string()))
            wanted &= ~unwanted.to_numpy(zero_copy_only=False)
        return wanted

    def _masks(self, wanted: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        """Return which rows of each part are live and wanted."""
        # Most often few are unwanted, as the query's own patient: of these the rows are looked up.
        unwanted = np.flatnonzero(~wanted)
        of, rows = self._part_of[unwanted], self._row_of[unwanted]
        masks = [alive.copy() for alive in self._alive]
        for at, mask in enumerate(masks):
            mask[rows[of == at]] = False
        return masks

    def _ranked(self, rows: NDArray[np.int64], scores: NDArray[np.float64], k: int) -> Hits:
        best = np.lexsort((self._place[rows], -scores))[:k]
        rows = rows[best]
        return Hits(
            uids=self.live.uids.take(pa.array(rows)).to_pylist(),
            scores=scores[best],
            ranks=np.arange(1, len(best) + 1),
            rows=rows,
        )


@dataclass(frozen=True)
class _Nominated:
    """Candidates: live rows with exact scores, and a bound for the engine's scores of all others.

    The bound is -inf where there are no others, and where others are not asked for.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    tail: float


@dataclass(frozen=True)
class _Part:
    """An engine, and the live row that each of its rows is (-1: none any more)."""

    engine: Engine
    live_rows: NDArray[np.int64]

    def nominate(
        self, query: NDArray[np.float32], k: int, mask: NDArray[np.bool_], *, whole: bool
    ) -> _Nominated:
        """Return the candidates for the best `k` of the rows in `mask`."""
        available = int(np.count_nonzero(mask))
        asked = min(nominations(k), available)
        if asked == 0:
            return _Nominated(np.empty(0, np.int64), np.empty(0), -np.inf)
        whole = whole or self.engine.is_exact
        scores, rows = self.engine.nominate(query, asked, mask, whole=whole)
        # The worst nominated score bounds all that were not nominated.
        tail = float(scores[-1]) if whole and asked < available else -np.inf
        return _Nominated(self.live_rows[rows], self._exact(rows, query), tail)

    def all_from(
        self, query: NDArray[np.float32], score: float, mask: NDArray[np.bool_]
    ) -> _Nominated:
        """Return every row of `mask` that may score `score` or more."""
        # The engine's score of such a row is at least score - slack; it returns what is above.
        radius = float(np.float32(score - self.engine.slack - ROUNDING_BOUND))
        rows = self.engine.above(query, radius, mask)
        return _Nominated(self.live_rows[rows], self._exact(rows, query), -np.inf)

    def _exact(self, rows: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = np.empty(len(rows), np.float64)
        for start in range(0, len(rows), _SCORE_ROWS):
            part = slice(start, start + _SCORE_ROWS)
            scores[part] = exact_scores(self.engine.read(rows[part]), query)
        return scores


def exact_scores(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the inner product of each row with the query, in float64.

    Parameters
    ----------
    vectors : array [n, 512], float32
        The rows.
    query : array [512], float32
        The query.

    Returns
    -------
    array [n], float64
        A row's score does not depend on the rows around it, unlike that of a matrix product: the
        products of float32 numbers are exact in float64, and each row is summed by itself.
    """
    products: NDArray[np.float64] = vectors.astype(np.float64) * query.astype(np.float64)
    scores: NDArray[np.float64] = products.sum(axis=1)
    return scores


def _checked_queries(queries: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    queries = np.asarray(queries)
    if queries.ndim != 2 or queries.shape[1] != EMBEDDING_DIM:
        shape = list(queries.shape)
        raise UsageError(f"the queries have the shape {shape}; expected [q, {EMBEDDING_DIM}]")
    if not np.issubdtype(queries.dtype, np.floating):
        raise UsageError(f"the query is of {queries.dtype}; expected a floating-point vector")
    if not np.isfinite(queries).all():
        raise UsageError("the query holds NaN or infinity")
    out = np.ascontiguousarray(queries, dtype=np.float32)
    check_vectors(out, len(out))
    return out


def _no_hits() -> Hits:
    none = np.empty(0, np.int64)
    return Hits([], np.empty(0), none, none)
