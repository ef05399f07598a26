"""The compressed kind of index: half precision in lists in memory, float32 on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol, final

import numpy as np
from numpy.typing import NDArray

from core.schema import EMBEDDING_DIM, UNIT_NORM_TOLERANCE
from index.engines import (
    ROUNDING_BOUND,
    ROW_BYTES,
    Engine,
    Kind,
    Mask,
    Rows,
    Scores,
    chunks,
    faiss,
    found_rows,
    selector,
)

_HALF_BOUND: Final = (2.0**-11 + EMBEDDING_DIM**0.5 * 2.0**-25) * (1 + UNIT_NORM_TOLERANCE)
"""Bound on what half precision takes from the inner product of a row and a unit vector: the length
of the error, by Cauchy and Schwarz.  A coordinate is rounded to 11 bits, one below 2⁻¹⁴ to a
multiple of 2⁻²⁴ (IEEE 754, to the nearest)."""
_AXES: Final = 64
_KMEANS_ROUNDS: Final = 4
_KMEANS_ROWS: Final = 32
"""Rows a list that k-means is run on.  Twice as many, or ten rounds, take longer than they save: as
many lists hold the neighbours then, within a tenth."""


class Originals(Protocol):
    """Float32 vectors that can be had by row: an array, or a file of them."""

    def __getitem__(self, rows: Rows, /) -> NDArray[np.float32]:
        """Return the vectors of some rows, [m, 512]."""
        ...


@dataclass(frozen=True)
class Probes:
    """How many lists are looked at: few for a query like the rows, more for one that lies apart.

    Attributes
    ----------
    near, far : int
        Lists; `far` is as many as `near`, or more.
    reach : float
        Squared distance of a query to the nearest centre beyond which it counts as far.
    """

    near: int
    far: int
    reach: float

    def of(self, distance: float) -> int:
        """Return the number of lists for a query at this squared distance."""
        return self.near if distance <= self.reach else self.far


@final
class Compressed(Engine):
    """Half-precision vectors in inverted lists (FAISS ``IndexIVFScalarQuantizer``, fp16).

    The float32 vectors stay in a file, of which the few that were nominated are read.

    The lists are those of k-means with Euclidean distances, whose centres are shorter the wider
    their rows lie apart: ranked so, half as many lists hold the neighbours of a query as when they
    are ranked by angle.  They are made in the subspace of the `_AXES` main axes, in a third of the
    time; the rest of the coordinates moved no neighbour further off.

    Attributes
    ----------
    probes : Probes
        How many lists a nomination looks at.
    """

    kind = Kind.COMPRESSED
    slack = _HALF_BOUND + ROUNDING_BOUND

    def __init__(self, core: Any, originals: Originals, *, probes: Probes) -> None:
        self.core = core
        self.probes = probes
        self._originals = originals

    @classmethod
    def of(cls, vectors: NDArray[np.float32], *, lists: int, seed: int) -> Compressed:
        """Sort vectors [n, 512] into lists by k-means; a query looks at all of them at first."""
        library = faiss()
        drawn = np.random.default_rng(seed).permutation(len(vectors))[: _KMEANS_ROWS * lists]
        sample = vectors[np.sort(drawn)]
        axes = _main_axes(sample)
        parts = library.Kmeans(
            axes.shape[1],
            lists,
            niter=_KMEANS_ROUNDS,
            seed=seed,
            min_points_per_centroid=1,  # a store may be small: then it is no worse than a scan
        )
        parts.train(sample @ axes)
        centres = library.IndexFlatL2(EMBEDDING_DIM)
        # Where the other coordinates are 0, distances to the centres rank as in the subspace.
        centres.add(parts.centroids @ axes.T)
        core = library.IndexIVFScalarQuantizer(
            centres,
            EMBEDDING_DIM,
            lists,
            library.ScalarQuantizer.QT_fp16,
            library.METRIC_INNER_PRODUCT,
            False,  # codes are of the vectors, not of what the centres leave
        )
        core.train(sample)  # nothing is left to be learnt
        for rows in chunks(len(vectors)):
            part = np.ascontiguousarray(vectors[rows])
            _, list_of = parts.index.search(part @ axes, 1)
            core.add_core(
                len(part), library.swig_ptr(part), None, library.swig_ptr(list_of.ravel())
            )
        return cls(core, vectors, probes=Probes(lists, lists, 0.0))

    def nominate(
        self, query: NDArray[np.float32], count: int, mask: Mask, *, whole: bool
    ) -> tuple[Scores, Rows]:
        """Scan the lists nearest to the query, or all of them."""
        lists = int(self.core.nlist)
        if not whole:
            distances, _ = self.core.quantizer.search(query[None], 1)
            lists = self.probes.of(float(distances[0, 0]))
        chosen = faiss().SearchParametersIVF(sel=selector(mask), nprobe=lists)
        return found_rows(*self.core.search(query[None], count, params=chosen))

    def above(self, query: NDArray[np.float32], radius: float, mask: Mask) -> Rows:
        """Scan all lists."""
        chosen = faiss().SearchParametersIVF(sel=selector(mask), nprobe=int(self.core.nlist))
        rows: Rows = self.core.range_search(query[None], radius, params=chosen)[2]
        return rows

    def read(self, rows: Rows) -> NDArray[np.float32]:
        """Read the rows where they lie."""
        return self._originals[rows]

    @property
    def is_exact(self) -> bool:
        """Whether a query looks at all lists."""
        return bool(self.probes.near >= self.core.nlist)

    @property
    def memory_bytes(self) -> int:
        """Of codes, row numbers of 64 bits, and the float32 centroids of the lists."""
        return len(self) * (ROW_BYTES // 2 + 8) + int(self.core.nlist) * ROW_BYTES


def _main_axes(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the axes [512, `_AXES`] along which vectors are longest (not centred)."""
    _, axes = np.linalg.eigh((vectors.T @ vectors).astype(np.float64))
    main: NDArray[np.float32] = np.ascontiguousarray(axes[:, -_AXES:], np.float32)
    return main
