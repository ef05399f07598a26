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
from index.engines import Rows

_FEW: Final = 256
"""Rows that are read one by one, in about 2 µs each."""


@final
class RowFile:
    """A file of float32 vectors, one after the other, of which single rows are read.

    Few rows are read one by one, so that nothing else stays in memory, and so that threads which
    wait for none go on; for many the file is mapped as long as they are copied.

    Parameters
    ----------
    file : Path
    width : int
        Numbers of a row.
    """

    def __init__(self, file: Path, width: int = EMBEDDING_DIM) -> None:
        self._width = width
        self._row_bytes = 4 * width
        self._descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __getitem__(self, rows: Rows, /) -> NDArray[np.float32]:
        """Return the vectors of some rows, [m, width]."""
        if len(rows) > _FEW:
            if int(rows.max()) >= self.size_bytes // self._row_bytes:
                raise _unreadable(int(rows.max()))
            with mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ) as mapped:
                return self._copied(mapped, rows)
        out = np.empty((len(rows), self._width), np.float32)
        # Rows that follow each other, as the videos of a study may, are read at once.
        ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        at = 0
        for end in ends if len(rows) else ():
            row, wanted = int(rows[at]), out[at:end]
            if os.preadv(self._descriptor, [wanted.data], row * self._row_bytes) != wanted.nbytes:
                raise _unreadable(row)
            at = end
        return out

    @property
    def size_bytes(self) -> int:
        """Of the file as it is now."""
        return os.fstat(self._descriptor).st_size

    def read_ahead(self) -> None:
        """Let the system read all of the file before it is asked for."""
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_WILLNEED)

    def _copied(self, mapped: mmap.mmap, rows: Rows) -> NDArray[np.float32]:
        # A view must be gone before the map is closed: it lives in this function alone.
        every = np.frombuffer(
            mapped, np.float32, count=len(mapped) // self._row_bytes * self._width
        )
        copied: NDArray[np.float32] = every.reshape(-1, self._width)[rows]
        return copied


def _unreadable(row: int) -> OSError:
    return OSError(f"row {row} of the vectors cannot be read")
