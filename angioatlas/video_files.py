"""Video vectors on disk, beside the indexes: single ones are read in microseconds.

The store answers for vectors in scans of a column; these files hold those of a space row by row,
joint embedding and pooled vector side by side.  They are derived: what a file lacks is read from
the store, and who deletes a patient removes them together with the indexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from angioatlas.by_position import ByPosition
from core.schema import EMBEDDING_DIM, Level
from index.keys import Keys
from index.vector_log import VectorLog
from store.locks import try_lock
from store.snapshot import Snapshot, VectorKind

_KINDS: Final[tuple[VectorKind, ...]] = ("embedding", "pooled")
"""In this order in a row of a file."""
_WIDTH: Final = len(_KINDS) * EMBEDDING_DIM
_LIVE_SHARE: Final = 0.5
"""Where less of a file is still visible, it is written anew."""
_FOLDER: Final = "vectors"
_LOCK: Final = "lock"


@dataclass(frozen=True)
class _Ready:
    """A file, and the row of it that each row of the keys is (-1: it is not there)."""

    log: VectorLog
    rows: NDArray[np.int32]


class VideoFiles:
    """The files of one store, a space each; threads and processes may share them.

    Parameters
    ----------
    folder : Path
        That of the indexes.
    for_server : bool
        What is in memory serves until there is something newer, even when it was removed.
    """

    def __init__(self, folder: Path, *, for_server: bool = False) -> None:
        self._folder = folder
        self._for_server = for_server
        self._ready: ByPosition[_Ready] = ByPosition()

    def read(
        self, snapshot: Snapshot, encoder_id: str, rows: NDArray[np.int64], *, pooled: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return vectors of videos.

        Parameters
        ----------
        snapshot : Snapshot
        encoder_id : str
        rows : array [m], int64
            Of ``snapshot.keys(encoder_id, Level.VIDEO)``.
        pooled : bool
            Return the vectors before the aggregator, too.

        Returns
        -------
        embedding : array [m, 512], float32
        pooled : array [m, 512], float32, or None
        """
        ready = self._attached(snapshot, encoder_id)
        at = ready.rows[rows]
        there, lacking = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
        kinds = _KINDS if pooled else _KINDS[:1]
        found = np.empty((len(kinds), len(rows), EMBEDDING_DIM), np.float32)
        if len(there):
            both = ready.log.read(at[there]).reshape(-1, len(_KINDS), EMBEDDING_DIM)
            found[:, there] = both[:, : len(kinds)].swapaxes(0, 1)
        if len(lacking):
            keys = snapshot.keys(encoder_id, Level.VIDEO).take(pa.array(rows[lacking]))
            for place, kind in enumerate(kinds):
                _, vectors = snapshot.vectors(encoder_id, Level.VIDEO, keys=keys, kind=kind)
                found[place, lacking] = vectors
        return found[0], found[1] if pooled else None

    def bring_up_to_date(self, snapshot: Snapshot, encoder_id: str) -> None:
        """Write what a snapshot shows and the file of its space lacks.

        Raises
        ------
        StoreError
            When it cannot be written.
        """
        folder = self._place(encoder_id)
        live = _live(snapshot, encoder_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _LOCK).touch()
        lock = try_lock(folder / _LOCK, exclusive=True, wait=True)
        try:
            ready = self._attached(snapshot, encoder_id)
            if not ready.log.is_current():  # another process wrote it
                ready = _attach(VectorLog.open(folder, _WIDTH), live)
            there = int((ready.rows >= 0).sum())
            if there < _LIVE_SHARE * len(ready.log):
                ready = _attach(ready.log.without_rows(), live)
            lacking = np.flatnonzero(ready.rows < 0)
            if len(lacking):
                log = ready.log.extended(
                    live.take(lacking), lambda out: _fill(out, snapshot, encoder_id, lacking)
                )
                ready = _attach(log, live)
        finally:
            if lock is not None:
                lock.release()
        self._ready.put(encoder_id, snapshot, ready)

    def keep_only(self, snapshot: Snapshot) -> None:
        """Forget what is in memory of other positions."""
        self._ready.keep_only(snapshot)

    def clear(self) -> None:
        """Forget what is in memory; the files go with the folder of the indexes."""
        if not self._for_server:
            self._ready.clear()

    def _attached(self, snapshot: Snapshot, encoder_id: str) -> _Ready:
        ready = self._ready.get(encoder_id, snapshot)
        if ready is None:
            # The file of the position before serves until it is brought up to date.
            newest = self._ready.newest(encoder_id)
            log = newest.log if newest else VectorLog.open(self._place(encoder_id), _WIDTH)
            ready = _attach(log, _live(snapshot, encoder_id))
            self._ready.put(encoder_id, snapshot, ready)
        return ready

    def _place(self, encoder_id: str) -> Path:
        return self._folder / encoder_id / _FOLDER


def _live(snapshot: Snapshot, encoder_id: str) -> Keys:
    keys = snapshot.keys(encoder_id, Level.VIDEO)
    return Keys(keys["uid"], keys["commit_id"])


def _attach(log: VectorLog, live: Keys) -> _Ready:
    if not len(log):
        return _Ready(log, np.full(len(live), -1, np.int32))
    return _Ready(log, live.positions_in(log.keys).astype(np.int32))


def _fill(
    out: NDArray[np.float32], snapshot: Snapshot, encoder_id: str, rows: NDArray[np.int64]
) -> None:
    keys = snapshot.keys(encoder_id, Level.VIDEO).take(pa.array(rows))
    for at, kind in enumerate(_KINDS):
        columns = slice(at * EMBEDDING_DIM, (at + 1) * EMBEDDING_DIM)
        for batch in snapshot.stream_vectors(encoder_id, Level.VIDEO, keys=keys, kind=kind):
            out[batch.positions, columns] = batch.vectors
