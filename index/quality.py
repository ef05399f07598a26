"""How good a ranking is: against judgements, against an exact search, against another ranking.

Everything starts from lists in the order of rank.  Of a judged list only the places of the
relevant rows matter, see `Found`.  Lists have no ties: a search ranks equal scores by uid, and it
is that list which a reader sees and which is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

PERSISTENCE: Final = 0.9
"""Of rank-biased overlap: a reader goes on to the next rank with this probability, so that the
first ten ranks have 86 % of the weight (Webber et al. 2010, section 4.3)."""
_SAME_SCORE: Final = 1e-12
"""Cosines of one row, summed in another order, differ by less in float64."""


@dataclass(frozen=True)
class Found:
    """Where one query's relevant rows stand.

    Parameters
    ----------
    ranks : int64 array (relevant,)
        From 1, ascending.
    grades : int64 array (relevant,)
        Their relevance, 1 to `core.schema.HIGHEST_GRADE`, in the same order.
    """

    ranks: Rows
    grades: Rows

    @classmethod
    def of(cls, relevance: ArrayLike) -> Self:
        """Take the relevant rows out of a ranked list.

        Parameters
        ----------
        relevance : int array (rows,)
            Of every row that could be found, best ranked first; 0 is not relevant.
        """
        graded = np.asarray(relevance)
        at = np.flatnonzero(graded)
        return cls(at + 1, graded[at].astype(np.int64))

    def drawn(self, copies: NDArray[np.integer[Any]]) -> Self:
        """Return where they stand in a sample of the list's rows.

        Parameters
        ----------
        copies : int array (rows,)
            How often each row of the list is in the sample, best ranked first.  Copies of a row
            stand one after the other.
        """
        own = copies[self.ranks - 1]
        before = (np.cumsum(copies)[self.ranks - 1] - own).repeat(own)
        number = np.arange(1, len(before) + 1) - (np.cumsum(own) - own).repeat(own)
        return type(self)(before + number, self.grades.repeat(own))

    def __len__(self) -> int:
        return len(self.ranks)


def precision_at(found: Found, k: int) -> float:
    """Return the share of the first `k` ranks that is relevant, 0 to 1.

    Of shorter lists too it is a share of `k`, as in TREC's evaluations.
    """
    return float(np.count_nonzero(found.ranks <= k) / k)


def recall_at(found: Found, k: int) -> float:
    """Return the share of the relevant rows that is among the first `k`, 0 to 1."""
    return float(np.mean(found.ranks <= k))


def reciprocal_rank(found: Found) -> float:
    """Return 1 / rank of the first relevant row, above 0, at most 1."""
    return float(1 / found.ranks[0])


def average_precision(found: Found) -> float:
    """Return the mean, over all relevant rows, of the precision at the rank of each, 0 to 1.

    Of a list in random order it is about the share of rows that are relevant.

    References
    ----------
    Buckley and Voorhees, SIGIR 2000, p. 33.
    """
    return float(np.mean(np.arange(1, len(found) + 1) / found.ranks))


def ndcg_at(found: Found, k: int) -> float:
    """Return the discounted gain of the first `k` ranks, over that of the best order, 0 to 1.

    A row of relevance r at rank i gains (2^r - 1) / log2(i + 1).

    References
    ----------
    Järvelin and Kekäläinen, ACM Transactions on Information Systems 2002;20:422 (the idea);
    Burges et al., ICML 2005, p. 89 (this gain and discount).
    """
    first = found.ranks <= k
    best = np.sort(found.grades)[::-1][:k]
    ideal = _gain(best) / np.log2(np.arange(2, len(best) + 2))
    return float((_gain(found.grades[first]) / np.log2(found.ranks[first] + 1)).sum() / ideal.sum())


def _gain(grades: Rows) -> Floats:
    return np.exp2(grades) - 1.0


def measures(k: int) -> Mapping[str, Callable[[Found], float]]:
    """Return the measures of one query by name, higher is better; their mean is over queries."""
    return {
        f"P@{k}": lambda found: precision_at(found, k),
        "AP": average_precision,
        f"nDCG@{k}": lambda found: ndcg_at(found, k),
        "RR": reciprocal_rank,
        f"recall@{k}": lambda found: recall_at(found, k),
    }


def measure(found: Found, k: int) -> Floats:
    """Return all `measures` of one query, in that order; NaN when no row is relevant."""
    told = measures(k)
    if not len(found):
        return np.full(len(told), np.nan)
    return np.array([each(found) for each in told.values()])


def recall_of_search(scores: NDArray[np.floating[Any]], hits: ArrayLike, k: int) -> float:
    """Return the share of the best `k` rows that a search found, 0 to 1.

    Parameters
    ----------
    scores : float64 array (rows,)
        Of every row that the search could find, by a full scan; -inf for those it may not.
    hits : int array
        Rows that it found; none twice, and what comes after `k` does not count.
    k : int
        Of fewer rows that may be found, all are wanted.

    Returns
    -------
    float
        NaN when no row may be found.  Of several rows with the score of the k-th any is right, as
        many as there are places for.
    """
    wanted = min(k, int(np.isfinite(scores).sum()))
    if not wanted:
        return float("nan")
    kth = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
    found = scores[np.asarray(hits, np.int64)[:wanted]]
    above = np.count_nonzero(found > kth + _SAME_SCORE)
    tied = np.count_nonzero(np.abs(found - kth) <= _SAME_SCORE)
    places = wanted - np.count_nonzero(scores > kth + _SAME_SCORE)
    return float((above + min(tied, places)) / wanted)


def shared(one: ArrayLike, other: ArrayLike) -> Rows:
    """Return, for every depth from 1, how many of one list's first rows are of the other's too.

    Parameters
    ----------
    one, other : int array (depth,)
        Two rankings, best first; in each no row twice.
    """
    a, b = np.asarray(one), np.asarray(other)
    depth = min(len(a), len(b))
    place = {row: i for i, row in enumerate(b[:depth].tolist())}
    # A row counts from the depth on at which both lists have it.
    since = [max(i, place[row]) for i, row in enumerate(a[:depth].tolist()) if row in place]
    return np.cumsum(np.bincount(np.array(since, np.int64), minlength=depth))


def jaccard(in_both: float, k: int) -> float:
    """Return |A ∩ B| / |A ∪ B| of two sets of `k` rows that share `in_both`, 0 to 1."""
    return in_both / (2 * k - in_both)


def rank_biased_overlap(in_both: ArrayLike, p: float = PERSISTENCE) -> float:
    """Return how alike two rankings are, 0 to 1, the first ranks counting most.

    Parameters
    ----------
    in_both : array (depth,)
        Of `shared`.
    p : float
        Above 0, below 1.

    Notes
    -----
    The extrapolated form, equation 23: what lies beyond the depth agrees as the depth itself does.

    References
    ----------
    Webber, Moffat and Zobel, ACM Transactions on Information Systems 2010;28:20.
    """
    overlap = np.asarray(in_both, np.float64)
    depth = np.arange(1, len(overlap) + 1)
    agreement = overlap / depth
    beyond = agreement[-1] * p ** len(overlap)
    return float((1 - p) / p * (agreement * p**depth).sum() + beyond)
