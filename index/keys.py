"""What the rows of an index are: their keys, and the vectors that they must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.errors import UsageError
from core.schema import EMBEDDING_DIM, UNIT_NORM_TOLERANCE


@final
class Keys:
    """What rows of vectors are: the uid, and the commit that wrote the vector.

    The pair identifies a vector for good: a study that is embedded again has the same uid and
    another commit.

    Parameters
    ----------
    uids, commit_ids : sequence of str or pyarrow string array
        Of equal length.
    """

    def __init__(
        self, uids: Sequence[str] | pa.Array | pa.ChunkedArray, commit_ids: Sequence[str] | pa.Array
    ) -> None:
        self.uids: pa.Array = _strings(uids)
        self.commit_ids: pa.Array = _strings(commit_ids)
        if len(self.uids) != len(self.commit_ids):
            raise UsageError(f"{len(self.uids)} uids come with {len(self.commit_ids)} commit ids")

    def __len__(self) -> int:
        return len(self.uids)

    def take(self, rows: NDArray[np.int64]) -> Keys:
        """Return the keys at `rows`."""
        chosen = pa.array(rows)
        return Keys(self.uids.take(chosen), self.commit_ids.take(chosen))

    def positions_in(self, other: Keys) -> NDArray[np.int64]:
        """Return, for each key, its row in `other`, or -1; no uid is twice in `other`."""
        rows = pc.index_in(self.uids, value_set=other.uids)
        same = pc.equal(self.commit_ids, other.commit_ids.take(rows))
        found = pc.fill_null(pc.if_else(same, rows, -1), -1)
        at: NDArray[np.int64] = found.to_numpy().astype(np.int64)
        return at


def check_vectors(vectors: NDArray[np.float32], n: int) -> None:
    """Refuse what is not [n, 512] float32 of length 1.

    Raises
    ------
    UsageError
        With what was expected and found.
    """
    if vectors.shape != (n, EMBEDDING_DIM) or vectors.dtype != np.float32:
        raise UsageError(
            f"the vectors are {vectors.dtype} {list(vectors.shape)}; expected float32 "
            f"[{n}, {EMBEDDING_DIM}]"
        )
    if n == 0:
        return
    # einsum needs no temporary of the size of the vectors; NaN fails the comparison.
    squared = np.einsum("ij,ij->i", vectors, vectors)
    off = float(np.abs(np.sqrt(squared) - 1).max())
    if not off <= UNIT_NORM_TOLERANCE:
        raise UsageError(f"a vector is not L2-normalised: its length is off by {off:.3g}")


def _strings(values: Sequence[str] | pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values.cast(pa.string())
    return pa.array(values, pa.string())
