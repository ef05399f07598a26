"""Reciprocal rank fusion: one ranking made of several, from ranks alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import UsageError

DAMPING: Final = 60
"""Added to every rank: the lower it is, the more the first few of a ranking count.  The value of
the authors (Cormack, Clarke and Büttcher, 2009), who found it to matter little."""


@dataclass(frozen=True)
class Fused:
    """One item of a fused ranking.

    Attributes
    ----------
    uid : str
    score : float
        Sum over the rankings that have it of 1 / (`DAMPING` + rank); higher is better.
    ranks : tuple of (int or None)
        Its rank in each ranking, from 1; None in one that does not have it.
    """

    uid: str
    score: float
    ranks: tuple[int | None, ...]


def reciprocal_rank_fusion(*rankings: Sequence[str]) -> list[Fused]:
    """Join rankings whose scores cannot be compared.

    Parameters
    ----------
    *rankings : sequence of str
        Uids, best first, none twice.  They may have different members and lengths.

    Returns
    -------
    list of Fused
        Every uid of any ranking, best first; equal scores in byte order of uid.

    Raises
    ------
    UsageError
        A ranking has a uid twice.

    References
    ----------
    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods", SIGIR 2009.
    """
    places = [{uid: rank for rank, uid in enumerate(each, start=1)} for each in rankings]
    for at, (each, place) in enumerate(zip(rankings, places, strict=True), start=1):
        if len(each) != len(place):
            raise UsageError(f"ranking {at} has {len(each)} members, {len(place)} different ones")
    fused = []
    for uid in dict.fromkeys(uid for place in places for uid in place):
        ranks = tuple(place.get(uid) for place in places)
        # fsum: equal ranks in another order of the rankings are equal scores.
        score = math.fsum(1 / (DAMPING + rank) for rank in ranks if rank is not None)
        fused.append(Fused(uid, score, ranks))
    return sorted(fused, key=lambda item: (-item.score, item.uid))
