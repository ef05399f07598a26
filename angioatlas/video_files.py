"""Video vectors on disk, beside the indexes: single ones are read in microseconds.

The store answers for vectors in scans of a column; these files hold those of a space row by row.
Beside its vector each video has that of its study made again without it, which explanations ask
for.  The files are derived: what one lacks is read from the store, and who deletes a patient
removes them together with the indexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from angioatlas.by_position import ByPosition
from angioatlas.indexes import free_memory
from angioatlas.left_out import vectors_without
from angioatlas.rows import StudyRows
from core.schema import EMBEDDING_DIM, Level
from embedder.encoders.spec import Encoder
from index.keys import Keys
from index.vector_log import VectorLog
from store.locks import held
from store.snapshot import Snapshot

_WIDTH: Final = 2 * EMBEDDING_DIM
_STUDIES: Final = 5000
"""Whose vectors are made again at once."""
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
        self, snapshot: Snapshot, encoder_id: str, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return vectors of videos.

        Parameters
        ----------
        snapshot : Snapshot
        encoder_id : str
        rows : array [m], int64
            Of ``snapshot.keys(encoder_id, Level.VIDEO)``.

        Returns
        -------
        embedding : array [m, 512], float32
        without : array [m, 512], float32
            The vector of the study made again without the video; NaN where it is not at hand.
        """
        ready = self._attached(snapshot, encoder_id)
        at = ready.rows[rows]
        there, lacking = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
        found = np.full((len(rows), _WIDTH), np.nan, np.float32)
        if len(there):
            found[there] = ready.log.read(at[there])
        if len(lacking):
            keys = snapshot.keys(encoder_id, Level.VIDEO).take(pa.array(rows[lacking]))
            _, vectors = snapshot.vectors(encoder_id, Level.VIDEO, keys=keys)
            found[lacking, :EMBEDDING_DIM] = vectors
        return found[:, :EMBEDDING_DIM], found[:, EMBEDDING_DIM:]

    def bring_up_to_date(
        self, snapshot: Snapshot, encoder_id: str, encoder: Encoder | None
    ) -> None:
        """Write what a snapshot shows and the file of its space lacks.

        Parameters
        ----------
        snapshot : Snapshot
        encoder_id : str
        encoder : Encoder or None
            Makes vectors of studies again; None where it is not here, or nothing is to be made.

        Raises
        ------
        StoreError
            When it cannot be written.
        """
        folder = self._place(encoder_id)
        live = _live(snapshot, encoder_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _LOCK).touch()
        with held(folder / _LOCK, exclusive=True):
            known = ready = self._attached(snapshot, encoder_id)
            if not ready.log.is_current():  # another process wrote it, or removed it
                ready = _attach(VectorLog.open(folder, _WIDTH), live, ready)
            there = int((ready.rows >= 0).sum())
            if there < _LIVE_SHARE * len(ready.log):
                ready, there = _attach(ready.log.without_rows(), live), 0
            if there < len(live):
                # A commit brings all videos of a study, so whole studies are lacking.
                every = StudyRows.of(snapshot, encoder_id)
                lacking = every.videos[ready.rows[every.videos] < 0]
                log = ready.log.extended(
                    live.take(lacking),
                    lambda out: _fill(out, snapshot, encoder_id, lacking, encoder, known),
                )
                ready = _attach(log, live, ready)
        self._ready.put(encoder_id, snapshot, ready)
        if self._for_server and ready.log.size_bytes < free_memory():
            ready.log.read_ahead()

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


def _attach(log: VectorLog, live: Keys, before: _Ready | None = None) -> _Ready:
    """Find the live rows in a file; where it continues one in which they were found, what is new.

    Parameters
    ----------
    log : VectorLog
    live : Keys
    before : _Ready, optional
        The same live rows, found in another log.
    """
    if before is not None and log.continues(before.log):
        first, rows = len(before.log), before.rows.copy()
    else:
        first, rows = 0, np.full(len(live), -1, np.int32)
    lacking, added = np.flatnonzero(rows < 0), np.arange(first, len(log))
    at = log.keys.take(added).positions_in(live.take(lacking))
    rows[lacking[at[at >= 0]]] = added[at >= 0]
    return _Ready(log, rows)


def _fill(
    out: NDArray[np.float32],
    snapshot: Snapshot,
    encoder_id: str,
    rows: NDArray[np.int64],
    encoder: Encoder | None,
    known: _Ready,
) -> None:
    """Write the vectors of videos, of whole studies in study order, into `out` [rows, 1024]."""
    at = known.rows[rows]
    there, lacking = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
    if not len(there):
        _make(out, snapshot, encoder_id, rows, encoder)
        return
    # A file that is written anew: little has to be made again.
    for start in range(0, len(there), _STUDIES):
        some = there[start : start + _STUDIES]
        out[some] = known.log.read(at[some])
    made = np.empty((len(lacking), _WIDTH), np.float32)
    _make(made, snapshot, encoder_id, rows[lacking], encoder)
    out[lacking] = made


def _make(
    out: NDArray[np.float32],
    snapshot: Snapshot,
    encoder_id: str,
    rows: NDArray[np.int64],
    encoder: Encoder | None,
) -> None:
    """Read what the store holds of videos, and make the rest."""
    embedding, without = out[:, :EMBEDDING_DIM], out[:, EMBEDDING_DIM:]
    keys = snapshot.keys(encoder_id, Level.VIDEO).take(pa.array(rows))
    for batch in snapshot.stream_vectors(encoder_id, Level.VIDEO, keys=keys):
        embedding[batch.positions] = batch.vectors
    if encoder is None:
        without[:] = np.nan
        return
    # The place of what is made holds first what it is made of.
    for batch in snapshot.stream_vectors(encoder_id, Level.VIDEO, keys=keys, kind="pooled"):
        without[batch.positions] = batch.vectors
    of = StudyRows.of(snapshot, encoder_id).studies[rows]
    starts = np.append(np.flatnonzero(np.diff(of, prepend=-1)), len(of))
    for at in range(0, len(starts) - 1, _STUDIES):
        part = starts[at : at + _STUDIES + 1]
        some = slice(part[0], part[-1])
        without[some] = vectors_without(
            encoder, np.array(without[some]), np.array(embedding[some]), part - part[0]
        )
