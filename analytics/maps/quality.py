"""How far a map can be trusted: what it keeps of the neighbourhoods of the embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.manifold import trustworthiness

from analytics.maps.projection import Floats, nearest

NEIGHBOURS: Final = 15
_SAMPLE: Final = 3000


@dataclass(frozen=True)
class MapQuality:
    """Measures of a map.

    Attributes
    ----------
    trustworthiness : float
        0 to 1: how few of the neighbours on the map are strangers in the embeddings (Venna and
        Kaski, ICANN 2001).
    overlap : float
        0 to 1: the share of the nearest in the embeddings that are among the nearest on the map.
    neighbours : int
        How many count as near.
    rows : int
        Of the random sample that was measured, in which neighbours are looked for.
    """

    trustworthiness: float
    overlap: float
    neighbours: int
    rows: int


def map_quality(vectors: Floats, coordinates: Floats, *, seed: int = 0) -> MapQuality:
    """Measure a map.

    Parameters
    ----------
    vectors : float32 array of shape (rows, dim)
    coordinates : float32 array of shape (rows, 2)
    seed : int
        Of the sample.
    """
    rows = np.arange(len(vectors))
    if len(rows) > _SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _SAMPLE, replace=False))
    high, low = np.asarray(vectors)[rows], np.asarray(coordinates)[rows]
    count = min(NEIGHBOURS, len(rows) // 2 - 1)
    # The first neighbour of each row is the row itself.
    there, here = (nearest(each, each, count + 1)[1][:, 1:] for each in (high, low))
    kept = [len(np.intersect1d(one, other)) for one, other in zip(there, here, strict=True)]
    return MapQuality(
        trustworthiness=float(trustworthiness(high, low, n_neighbors=count)),
        overlap=float(np.mean(kept) / count),
        neighbours=count,
        rows=len(rows),
    )
