"""Vectors as an encoder gives them: clustered, of few dimensions, of sizes that differ widely.

An archive repeats itself: a few common situations (the normal left coronary in RAO caudal) and a
long tail of rare ones.  So rows are drawn from clusters whose sizes follow a power law; the centres
of the clusters span few dimensions of the 512, a row leaves its centre mainly along a few more, and
noise in all dimensions is added at two levels, as of good and of poor recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.schema import EMBEDDING_DIM

CLUSTERS: Final = 2000
POWER: Final = 1.1
"""The size of the r-th largest cluster falls as 1/r^1.1: the largest holds a sixth of all."""
CENTRE_DIMENSIONS: Final = 32
SPREAD_DIMENSIONS: Final = 12
SPREAD: Final = 0.35
"""Length of what leaves the centre, of unit length, along the few dimensions."""
NOISE: Final = (0.05, 0.25)
"""Length of the noise in all dimensions, of half the rows each."""
_CHUNK: Final = 65_536


@dataclass(frozen=True)
class World:
    """Where the clusters are.

    Parameters
    ----------
    seed : int
    """

    seed: int = 7

    def rows(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw `n` unit vectors, float32 (n, 512)."""
        centres, spread, shares = self._parts()
        rng = np.random.default_rng([self.seed, seed])
        out = centres[rng.choice(CLUSTERS, n, p=shares)]
        for start in range(0, n, _CHUNK):
            part = out[start : start + _CHUNK]
            along = rng.standard_normal((len(part), SPREAD_DIMENSIONS), np.float32)
            part += (SPREAD / SPREAD_DIMENSIONS**0.5) * (along @ spread)
            noise = rng.standard_normal(part.shape, np.float32) / EMBEDDING_DIM**0.5
            part += noise * rng.choice(np.array(NOISE, np.float32), (len(part), 1))
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return out

    def texts(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw `n` unit vectors out of the distribution, float32 (n, 512).

        As sentences do, they lie apart from all rows: between two clusters, moved by an offset
        that all sentences share, with noise half as long as they are.
        """
        centres, _, _ = self._parts()
        rng = np.random.default_rng([self.seed, seed, 1])
        offset = np.random.default_rng([self.seed, 2]).standard_normal(EMBEDDING_DIM)
        offset *= 0.5 / np.linalg.norm(offset)
        pairs = centres[rng.integers(0, CLUSTERS, (n, 2))].mean(axis=1)
        pairs /= np.linalg.norm(pairs, axis=1, keepdims=True)
        noise = rng.standard_normal((n, EMBEDDING_DIM)) / EMBEDDING_DIM**0.5
        out = pairs + offset + 0.5 * noise
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        unit: NDArray[np.float32] = out.astype(np.float32)
        return unit

    def _parts(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
        rng = np.random.default_rng(self.seed)
        plane = np.linalg.qr(rng.standard_normal((EMBEDDING_DIM, CENTRE_DIMENSIONS)))[0].T
        centres = rng.standard_normal((CLUSTERS, CENTRE_DIMENSIONS)) @ plane
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        spread = np.linalg.qr(rng.standard_normal((EMBEDDING_DIM, SPREAD_DIMENSIONS)))[0].T
        shares = np.arange(1, CLUSTERS + 1) ** -POWER
        return centres.astype(np.float32), spread.astype(np.float32), shares / shares.sum()
