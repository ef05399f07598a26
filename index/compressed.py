"""The compressed kind of index: half precision in memory, float32 on disk."""

from __future__ import annotations

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
    add_rows,
    faiss,
    found_rows,
    selector,
    unmasked,
)

_HALF_BOUND: Final = (2.0**-11 + EMBEDDING_DIM**0.5 * 2.0**-25) * (1 + UNIT_NORM_TOLERANCE)
"""Bound on what half precision takes from the inner product of a row and a unit vector: the length
of the error, by Cauchy and Schwarz.  A coordinate is rounded to 11 bits, one below 2⁻¹⁴ to a
multiple of 2⁻²⁴ (IEEE 754, to the nearest)."""
_AXES: Final = 64
"""An eighth of the coordinates, so an eighth of the time of a scan.  Embeddings fill few of their
dimensions: these axes hold 0.99 of the squared length of phantom videos, and the ten nearest rows
to a sentence are among the 26 nearest along them."""
_SAMPLE: Final = 32_768
_FEW_MASKED: Final = 64
"""Up to this many are drafted with the others and taken out: to ask of every row whether it is
masked takes a third longer."""


class Originals(Protocol):
    """Float32 vectors that can be had by row: an array, or a file of them."""

    def __getitem__(self, rows: Rows, /) -> NDArray[np.float32]:
        """Return the vectors of some rows, [m, 512]."""
        ...


@final
class Compressed(Engine):
    """Half-precision vectors (FAISS ``IndexScalarQuantizer``), and each along its main axes.

    A scan of the short vectors drafts rows, of which half precision nominates the best (FAISS
    ``IndexRefine``).  The float32 vectors stay in a file, of which the nominated are read.

    Attributes
    ----------
    breadth : int
        Rows that are drafted for each that is nominated; 0 where all rows are looked at in half
        precision, since the main axes would miss too many.
    """

    kind = Kind.COMPRESSED
    slack = _HALF_BOUND + ROUNDING_BOUND

    def __init__(self, core: Any, originals: Originals, *, breadth: int) -> None:
        self.core = core
        self.breadth = breadth
        self._originals = originals
        self._half = faiss().downcast_index(core.refine_index)

    @classmethod
    def of(cls, vectors: NDArray[np.float32], *, seed: int) -> Compressed:
        """Round vectors [n, 512], and find their main axes; at first all rows are looked at."""
        library = faiss()
        drawn = np.random.default_rng(seed).permutation(len(vectors))[:_SAMPLE]
        short = library.LinearTransform(EMBEDDING_DIM, _AXES, False)
        library.copy_array_to_vector(_main_axes(vectors[np.sort(drawn)]).ravel(), short.A)
        short.is_trained = True
        core = library.IndexRefine(
            library.IndexPreTransform(short, _rounded(_AXES)), _rounded(EMBEDDING_DIM)
        )
        add_rows(core, vectors)
        return cls(core, vectors, breadth=0)

    def nominate(
        self, query: NDArray[np.float32], count: int, mask: Mask, *, whole: bool
    ) -> tuple[Scores, Rows]:
        """Draft along the main axes and nominate of those, or scan all rows in half precision."""
        library = faiss()
        masked = len(mask) - int(np.count_nonzero(mask))
        if whole or self.is_exact:
            chosen = library.SearchParameters(sel=selector(mask))
            return found_rows(*self._half.search(query[None], count, params=chosen))
        if masked <= _FEW_MASKED:
            drafting = library.IndexRefineSearchParameters(k_factor=self.breadth)
            scores, rows = found_rows(
                *self.core.search(query[None], count + masked, params=drafting)
            )
            return unmasked(scores, rows, mask, count)
        drafting = library.IndexRefineSearchParameters(
            k_factor=self.breadth,
            base_index_params=library.SearchParametersPreTransform(
                index_params=library.SearchParameters(sel=selector(mask))
            ),
        )
        return found_rows(*self.core.search(query[None], count, params=drafting))

    def drafts(self, queries: NDArray[np.float32], count: int) -> Rows:
        """Return the `count` rows nearest to each query along the main axes, [q, count]; -1: none.

        Parameters
        ----------
        queries : array [q, 512], float32
        count : int
        """
        rows: Rows = self.core.base_index.search(queries, count)[1]
        return rows

    def above(self, query: NDArray[np.float32], radius: float, mask: Mask) -> Rows:
        """Scan all rows in half precision."""
        chosen = faiss().SearchParameters(sel=selector(mask))
        rows: Rows = self._half.range_search(query[None], radius, params=chosen)[2]
        return rows

    def read(self, rows: Rows) -> NDArray[np.float32]:
        """Read the rows where they lie."""
        return self._originals[rows]

    @property
    def is_exact(self) -> bool:
        """Whether all rows are looked at in half precision."""
        return self.breadth == 0

    @property
    def memory_bytes(self) -> int:
        """Of both half-precision vectors, and the main axes."""
        return len(self) * (ROW_BYTES // 2 + 2 * _AXES) + _AXES * ROW_BYTES


def _rounded(length: int) -> Any:
    """Return an empty FAISS index of half-precision vectors."""
    library = faiss()
    return library.IndexScalarQuantizer(
        length, library.ScalarQuantizer.QT_fp16, library.METRIC_INNER_PRODUCT
    )


def _main_axes(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the axes [`_AXES`, 512] along which vectors are longest (not centred)."""
    _, axes = np.linalg.eigh((vectors.T @ vectors).astype(np.float64))
    main: NDArray[np.float32] = np.ascontiguousarray(axes[:, -_AXES:].T, np.float32)
    return main
