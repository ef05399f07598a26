"""What a score means: how many rows of other patients one would expect to score as high.

Scores between rows of different patients are counted in a fine histogram; the share of pairs that
score as high as a hit, times the rows that were searched, is the number to expect by chance.  It is
the E-value of sequence search (Altschul and others, J Mol Biol 1990), with the scores of the store
itself in place of a model of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

BINS: Final = 20_000
"""From −1 to 1: each a ten-thousandth wide."""
_COSINES: Final = 4_000_000
"""Cosines held at once."""
NOBODY: Final = -1
"""The owner of a query that is nobody's, such as a text."""


@dataclass(frozen=True)
class Expected:
    """How many rows to expect by chance at some scores.

    Attributes
    ----------
    number : array [k], float64
        Of rows; above 0.
    is_bound : array [k], bool
        No pair scored as high: the true number is below this one.
    """

    number: NDArray[np.float64]
    is_bound: NDArray[np.bool_]


class ScoreCounts:
    """A histogram of scores between rows of different owners.

    Parameters
    ----------
    counts : array [`BINS`], int64, optional
        Pairs by score; none by default.
    """

    def __init__(self, counts: NDArray[np.int64] | None = None) -> None:
        self.counts = np.zeros(BINS, np.int64) if counts is None else counts
        self._reached: NDArray[np.int64] | None = None

    @property
    def pairs(self) -> int:
        """How many pairs were counted."""
        return int(self._from_the_top()[0])

    def _from_the_top(self) -> NDArray[np.int64]:
        """Return how many pairs are in each bin or above."""
        if self._reached is None:
            self._reached = np.cumsum(self.counts[::-1])[::-1]
        return self._reached

    def add(self, scores: NDArray[Any], wanted: NDArray[np.bool_]) -> Self:
        """Count the scores, of any shape, that are `wanted`."""
        self._reached = None
        self.counts += np.bincount(_bins(scores)[wanted], minlength=BINS)
        return self

    def add_vectors(
        self,
        queries: NDArray[np.float32],
        query_owners: NDArray[np.int64],
        vectors: NDArray[np.float32],
        owners: NDArray[np.int64],
    ) -> Self:
        """Count the cosines of queries [q, 512] with the vectors [n, 512] of other owners."""
        step = max(1, _COSINES // max(len(vectors), 1))
        for i in range(0, len(queries), step):
            block = slice(i, i + step)
            self.add(queries[block] @ vectors.T, query_owners[block, None] != owners)
        return self

    def expected(self, scores: NDArray[np.float64], rows: int) -> Expected:
        """Return how many of some rows of other owners score as high or higher by chance.

        Parameters
        ----------
        scores : array [k], float64
            −1 to 1.  All pairs of a score's bin count, so that no number is too small by it.
        rows : int
            Rows of other owners that were searched.
        """
        reached = self._from_the_top()[_bins(scores)]
        return Expected(np.maximum(reached, 1) / self.pairs * rows, reached == 0)


def sample(n: int, most: int, *, seed: int) -> NDArray[np.int64]:
    """Return up to `most` of n rows, drawn without replacement, in ascending order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def _bins(scores: NDArray[Any]) -> NDArray[np.int32]:
    at: NDArray[np.int32] = ((scores + 1) * (BINS / 2)).astype(np.int32)
    return np.clip(at, 0, BINS - 1, out=at)
