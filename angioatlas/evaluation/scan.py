"""Scores of every row for many queries, in float64: what searches are held against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

_BLOCK_QUERIES: Final = 64
"""With 200,000 rows 100 MB of scores."""
_BLOCK_ROWS: Final = 16_384
_DIGITS: Final = 12
"""Equal vectors have cosines that differ in the sixteenth digit, by where they stand in a block."""

_Item = TypeVar("_Item")


def blocks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Yield as many queries at a time as are scored together."""
    several = iter(items)
    while block := list(islice(several, _BLOCK_QUERIES)):
        yield block


def scan(vectors: NDArray[np.float32], queries: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the cosine of every query with every row.

    Parameters
    ----------
    vectors : float32 array (rows, 512)
        L2-normalised.
    queries : float array (queries, 512)
        L2-normalised.

    Returns
    -------
    float64 array (queries, rows)
    """
    wide = queries.astype(np.float64)
    out = np.empty((len(wide), len(vectors)))
    for start in range(0, len(vectors), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        out[:, part] = wide @ vectors[part].astype(np.float64).T
    return out.round(_DIGITS)


def ranking(scores: NDArray[np.float64], ranked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows that may be found, best first; equal scores in the order of rows (uids)."""
    rows = np.flatnonzero(ranked)
    return rows[np.argsort(-scores[rows], kind="stable")]
