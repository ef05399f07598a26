"""Single vectors out of a file of many."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from core.schema import EMBEDDING_DIM
from index.engines import ROW_BYTES, Rows


@final
class RowFile:
    """A file of float32 vectors, one after the other, of which single rows are read.

    It is read, not mapped: the rows of a query are few, and nothing else stays in memory.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __getitem__(self, rows: Rows, /) -> NDArray[np.float32]:
        """Return the vectors of some rows, [m, 512]."""
        out = np.empty((len(rows), EMBEDDING_DIM), np.float32)
        for at, row in enumerate(rows.tolist()):
            if os.preadv(self._descriptor, [out[at]], row * ROW_BYTES) != ROW_BYTES:
                raise OSError(f"row {row} of the vectors cannot be read")
        return out
