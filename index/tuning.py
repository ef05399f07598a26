"""Which kind of index suits, how broadly a query is looked for, and what that finds.

Recall is measured on queries that the tuning never saw.  *Near* queries are rows of the index,
whose own row does not count, as of "find similar cases".  *Far* ones lie apart from the rows, as
texts do; without texts they are made: midpoints of two rows, with noise a third as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.schema import EMBEDDING_DIM
from index.compressed import Compressed
from index.engines import Engine, Hnsw, Kind, faiss

COMPRESSED_FROM: Final = 100_000
"""Rows from which on a scan of all of them is slower than people want to wait for, about 10 ms."""
MEMORY_SHARE: Final = 0.25
"""Share of the free memory that exact vectors may take before they are compressed."""
MEASURED_K: Final = 10
TARGET: Final = 0.9995
"""Share of the true neighbours that the tuning asks for, of queries of both sorts."""
_SPARE: Final = 4
"""Drafts for each that the tuning asked for, since its queries are a sample of a distribution with
a long tail, and a draft costs little."""
_MOST_BREADTH: Final = 64
"""Drafts for each nominated row at the most: of more, looking at all rows is as quick."""
_WALKS: Final = (64, 128, 256, 512, 1024)
_NEAR: Final = (200, 100)
_FAR: Final = (200, 100)
"""Queries of each sort to tune on, and to measure on."""
_NOISE: Final = 1 / 3


@dataclass(frozen=True)
class Recall:
    """What an index finds of the true nearest ten, on queries that nothing was tuned on.

    Attributes
    ----------
    near, far : float
        Share of the true ten nearest rows that are found, 0 to 1; 1 for an exact index.
    n_near, n_far : int
        Queries.
    far_are_texts : bool
        Whether the far queries are sentences, and not made of rows.
    """

    near: float
    far: float
    n_near: int
    n_far: int
    far_are_texts: bool


@dataclass(frozen=True)
class Trials:
    """Queries and the rows that are truly nearest to them.

    Attributes
    ----------
    queries : array [q, 512], float32
    own : array [q], int64
        The row that a query is, which does not count; -1 where it is none.
    truth : array [q, 10], int64
        -1 where there are fewer rows.
    is_far : array [q], bool
    """

    queries: NDArray[np.float32]
    own: NDArray[np.int64]
    truth: NDArray[np.int64]
    is_far: NDArray[np.bool_]

    def part(self, rows: NDArray[np.bool_]) -> Trials:
        """Return some of the trials."""
        return Trials(self.queries[rows], self.own[rows], self.truth[rows], self.is_far[rows])


def choose_kind(rows: int, free_bytes: int) -> Kind:
    """Return the kind for so many rows, and so much free memory."""
    many = rows > COMPRESSED_FROM
    crowded = rows * EMBEDDING_DIM * 4 > MEMORY_SHARE * free_bytes
    return Kind.COMPRESSED if many or crowded else Kind.EXACT


def draw_trials(
    vectors: NDArray[np.float32], texts: NDArray[np.float32] | None, *, seed: int
) -> tuple[Trials, Trials]:
    """Draw queries and find their true neighbours; return those to tune on and those to measure on.

    Parameters
    ----------
    vectors : array [n, 512], float32
        n is 1 or more.
    texts : array [t, 512], float32, or None
        Vectors of sentences.
    seed : int
    """
    rng = np.random.default_rng(seed)
    own = rng.permutation(len(vectors))[: sum(_NEAR)]
    far = _made_far(vectors, rng) if texts is None else texts[rng.permutation(len(texts))]
    far = far[: sum(_FAR)]
    queries = np.concatenate([vectors[own], far])
    is_far = np.arange(len(queries)) >= len(own)
    own = np.concatenate([own, np.full(len(far), -1)]).astype(np.int64)
    trials = Trials(queries, own, _nearest(vectors, queries, own), is_far)
    tunes = np.concatenate([_tune(int((~is_far).sum()), _NEAR), _tune(len(far), _FAR)])
    return trials.part(tunes), trials.part(~tunes)


def _tune(n: int, shares: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark those of n queries, drawn already, to tune on."""
    return np.arange(n) < math.ceil(n * shares[0] / sum(shares))


def tuned_drafts(engine: Compressed, trials: Trials) -> int:
    """Return how many rows to draft for each that is nominated, or 0 where no number suffices.

    It is `_SPARE` times the least that drafts `TARGET` of the true neighbours of queries of both
    sorts.
    """
    rows = nominations(MEASURED_K)
    most = rows * _MOST_BREADTH // _SPARE
    drafted = engine.drafts(trials.queries, min(most, len(engine)))
    found = trials.truth[:, :, None] == drafted[:, None, :]
    needed = np.where(found.any(axis=2), found.argmax(axis=2) + 1, np.inf)
    needed[trials.truth < 0] = 1
    enough = max(
        float(np.quantile(part, TARGET, method="inverted_cdf"))
        for part in (needed[trials.is_far], needed[~trials.is_far])
        if len(part)
    )
    return math.ceil(_SPARE * enough / rows) if enough <= most else 0


def tuned_walk(engine: Hnsw, trials: Trials) -> int:
    """Return the least of `_WALKS` that finds `TARGET` of the true neighbours, or the largest.

    Both sorts of queries must be answered so well.
    """
    for breadth in _WALKS:
        engine.breadth = breadth
        found = recall_of(engine, trials, far_are_texts=False)
        if min(found.near, found.far) >= TARGET:
            return breadth
    return _WALKS[-1]


def recall_of(engine: Engine, trials: Trials, *, far_are_texts: bool) -> Recall:
    """Measure what an engine finds at its working settings."""
    found = np.array([_recall(engine, trials, i) for i in range(len(trials.queries))])
    near, far = found[~trials.is_far], found[trials.is_far]
    return Recall(
        float(near.mean()) if len(near) else 1.0,
        float(far.mean()) if len(far) else 1.0,
        len(near),
        len(far),
        far_are_texts,
    )


def _recall(engine: Engine, trials: Trials, at: int) -> float:
    mask = np.ones(len(engine), bool)
    if trials.own[at] >= 0:
        mask[trials.own[at]] = False
    truth = trials.truth[at][trials.truth[at] >= 0]
    if len(truth) == 0:
        return 1.0
    count = min(nominations(len(truth)), int(mask.sum()))
    _, rows = engine.nominate(trials.queries[at], count, mask, whole=engine.is_exact)
    scores = engine.read(rows).astype(np.float64) @ trials.queries[at].astype(np.float64)
    best = rows[np.argsort(-scores, kind="stable")[: len(truth)]]
    return float(np.isin(truth, best).mean())


def nominations(k: int) -> int:
    """Return how many rows to ask an engine for, so that one question usually settles the best k.

    What is beyond k is there for scores that rounding put in another order.
    """
    return k + max(32, k)


def _made_far(vectors: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    pairs = rng.integers(0, len(vectors), (sum(_FAR), 2))
    middle = vectors[pairs[:, 0]] + vectors[pairs[:, 1]]
    middle /= np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-6)
    noise = rng.standard_normal(middle.shape).astype(np.float32)
    noise *= _NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    made: NDArray[np.float32] = middle + noise
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def _nearest(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], own: NDArray[np.int64]
) -> NDArray[np.int64]:
    library = faiss()
    asked = min(MEASURED_K + 1, len(vectors))
    _, rows = library.knn(queries, vectors, asked, metric=library.METRIC_INNER_PRODUCT)
    nearest = np.full((len(queries), MEASURED_K), -1, np.int64)
    for at, (found, itself) in enumerate(zip(rows, own, strict=True)):
        others = found[found != itself][:MEASURED_K]
        nearest[at, : len(others)] = others
    return nearest
