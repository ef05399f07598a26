"""Exact search: a query vector, the rows that are live now, the best k of them.

What the index holds may be older than what is committed.  Index rows that are no longer live
(superseded, deleted) or not wanted (filtered, excluded) are masked inside FAISS; live rows that the
index lacks are searched beside it; the two are merged.

FAISS ranks in float32, where the order of close scores depends on how a sum was cut up.  So FAISS
only nominates: every candidate is scored again in float64, in one way, and FAISS is asked again
whenever a row that it did not nominate could, within the bound of its rounding error, belong to
the best k.  The result is that of a full scan in float64, ties in the order of their uids.
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
from core.schema import EMBEDDING_DIM, UNIT_NORM_TOLERANCE
from index.faiss_index import FlatIndex, Keys, check_vectors, faiss

Fetch = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Given rows of the live keys, returns their vectors [m, 512]."""

_UNIT_ROUNDOFF: Final = 2.0**-24
ROUNDING_BOUND: Final = (EMBEDDING_DIM * _UNIT_ROUNDOFF / (1 - EMBEDDING_DIM * _UNIT_ROUNDOFF)) * (
    1 + UNIT_NORM_TOLERANCE
) ** 2
"""Bound on the error of a float32 inner product of two unit vectors, in any order of summation:
γₙ·|x|ᵀ|y| with γₙ = nu/(1 − nu) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
section 3.1), and |x|ᵀ|y| ≤ ‖x‖‖y‖."""
_SPARE: Final = 32
"""Candidates asked for beyond k, so that one question usually settles it."""
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
    """

    def __init__(
        self,
        index: FlatIndex | None,
        live: Keys,
        *,
        row_of_index: NDArray[np.int64],
        fresh: NDArray[np.int64],
        fresh_vectors: NDArray[np.float32],
    ) -> None:
        self.index = index
        self.live = live
        self.fresh = fresh
        self._row_of_index = row_of_index
        self._fresh_vectors = fresh_vectors
        self._vectors = None if index is None else index.vectors
        # Place of each row in the byte order of uids, to break ties.
        order = pc.sort_indices(live.uids).to_numpy()
        self._place = np.empty(len(live), np.int64)
        self._place[order] = np.arange(len(live))

    @classmethod
    def attach(cls, index: FlatIndex | None, live: Keys, fetch: Fetch) -> Self:
        """Match an index with the live rows.

        Parameters
        ----------
        index : FlatIndex or None
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
        row_of_index = np.empty(0, np.int64) if index is None else index.keys.positions_in(live)
        lacking = np.ones(len(live), bool)
        lacking[row_of_index[row_of_index >= 0]] = False
        fresh = np.flatnonzero(lacking)
        vectors = fetch(fresh) if len(fresh) else np.empty((0, EMBEDDING_DIM), np.float32)
        check_vectors(vectors, len(fresh))
        return cls(index, live, row_of_index=row_of_index, fresh=fresh, fresh_vectors=vectors)

    def __len__(self) -> int:
        return len(self.live)

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
        k = min(int(k), int(wanted.sum()))
        if k == 0:
            return [_no_hits() for _ in queries]
        nominations = self._nominate(queries, k, wanted)
        fresh = wanted[self.fresh]
        hits = []
        for query, nominated in zip(queries, nominations, strict=True):
            rows = np.concatenate([self.fresh[fresh], nominated.rows])
            scores = np.concatenate(
                [exact_scores(self._fresh_vectors[fresh], query), nominated.scores]
            )
            if nominated.tail > -np.inf:
                kth = np.partition(scores, len(scores) - k)[len(scores) - k]
                if kth <= nominated.tail + ROUNDING_BOUND:
                    rows, scores = self._all_from(query, kth, wanted, fresh)
            hits.append(self._ranked(rows, scores, k))
        return hits

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

    def _nominate(
        self, queries: NDArray[np.float32], k: int, wanted: NDArray[np.bool_]
    ) -> list[_Nominated]:
        mask = self._index_mask(wanted)
        available = int(mask.sum())
        if self.index is None or available == 0:
            nobody = np.empty(0, np.int64)
            return [_Nominated(nobody, np.empty(0), -np.inf) for _ in queries]
        asked = min(k + max(_SPARE, k), available)
        found_scores, found = self.index.engine.search(queries, asked, params=_selector(mask))
        out = []
        for query, scores, index_rows in zip(queries, found_scores, found, strict=True):
            # The worst nominated score bounds all that were not nominated.
            tail = -np.inf if asked == available else float(scores[-1])
            exact = self._score_index_rows(index_rows, query)
            out.append(_Nominated(self._row_of_index[index_rows], exact, tail))
        return out

    def _all_from(
        self,
        query: NDArray[np.float32],
        score: float,
        wanted: NDArray[np.bool_],
        fresh: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return every wanted row that may score `score` or more."""
        assert self.index is not None
        # FAISS's score of such a row is at least score - bound; range_search returns what is above.
        radius = float(np.float32(score - 2 * ROUNDING_BOUND))
        mask = self._index_mask(wanted)
        _, _, found = self.index.engine.range_search(query[None], radius, params=_selector(mask))
        rows = np.concatenate([self.fresh[fresh], self._row_of_index[found]])
        scores = np.concatenate(
            [exact_scores(self._fresh_vectors[fresh], query), self._score_index_rows(found, query)]
        )
        return rows, scores

    def _index_mask(self, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        mask = self._row_of_index >= 0
        mask[mask] = wanted[self._row_of_index[mask]]
        return mask

    def _score_index_rows(
        self, index_rows: NDArray[np.int64], query: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        assert self._vectors is not None
        scores = np.empty(len(index_rows), np.float64)
        for start in range(0, len(index_rows), _SCORE_ROWS):
            part = slice(start, start + _SCORE_ROWS)
            scores[part] = exact_scores(self._vectors[index_rows[part]], query)
        return scores

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
    """Candidates of one query, and a bound for FAISS's scores of all others (-inf: no others)."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    tail: float


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


def _selector(mask: NDArray[np.bool_]) -> Any:
    """Return search parameters that leave the rows of `mask`.

    Also when it leaves all: FAISS 1.15 answers one query over 200,000 rows in 15 ms with a selector
    and in 30 to 70 ms without, and several queries as fast either way.
    """
    library = faiss()
    selector = library.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    return library.SearchParameters(sel=selector)


def _no_hits() -> Hits:
    none = np.empty(0, np.int64)
    return Hits([], np.empty(0), none, none)
