"""Single vectors out of a file of many."""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from core.schema import EMBEDDING_DIM
from index.engines import ROW_BYTES, Rows

_FEW: Final = 256
"""Rows that are read one by one, in about 2 µs each."""


@final
class RowFile:
    """A file of float32 vectors, one after the other, of which single rows are read.

    Few rows are read one by one, so that nothing else stays in memory; for many the file is mapped
    as long as they are copied.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __getitem__(self, rows: Rows, /) -> NDArray[np.float32]:
        """Return the vectors of some rows, [m, 512]."""
        if len(rows) > _FEW:
            if int(rows.max()) >= os.fstat(self._descriptor).st_size // ROW_BYTES:
                raise _unreadable(int(rows.max()))
            with mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ) as mapped:
                return self._copied(mapped, rows)
        out = np.empty((len(rows), EMBEDDING_DIM), np.float32)
        for at, row in enumerate(rows.tolist()):
            if os.preadv(self._descriptor, [out[at]], row * ROW_BYTES) != ROW_BYTES:
                raise _unreadable(row)
        return out

    def _copied(self, mapped: mmap.mmap, rows: Rows) -> NDArray[np.float32]:
        # A view must be gone before the map is closed: it lives in this function alone.
        every = np.frombuffer(mapped, np.float32).reshape(-1, EMBEDDING_DIM)
        copied: NDArray[np.float32] = every[rows]
        return copied


def _unreadable(row: int) -> OSError:
    return OSError(f"row {row} of the vectors cannot be read")
