"""The videos of studies as searches and explanations need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from angioatlas.by_position import ByPosition
from angioatlas.rows import StudyRows, fact_rows
from angioatlas.video_files import VideoFiles
from core.schema import Level
from index.late import StudyVideos
from store.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Videos:
    """The videos of one study in study order, as the encoder saw them.

    Attributes
    ----------
    rows : array [m], int64
        Of the video keys.
    sop_uids, views : list of str
    embedding : array [m, 512], float32
    without : array [m, 512], float32
        The study's vector made again without each video; NaN where that is not at hand.
    """

    rows: NDArray[np.int64]
    sop_uids: list[str]
    views: list[str]
    embedding: NDArray[np.float32]
    without: NDArray[np.float32]


def videos_of(
    snapshot: Snapshot, files: VideoFiles, encoder_id: str, studies: Sequence[int]
) -> list[Videos]:
    """Return the videos of some studies.

    Parameters
    ----------
    snapshot : Snapshot
    files : VideoFiles
        Where vectors are read.
    encoder_id : str
    studies : sequence of int
        Rows of the study keys.
    """
    every = StudyRows.of(snapshot, encoder_id)
    parts = [every.of_study(row) for row in studies]
    rows = np.concatenate([*parts, np.empty(0, np.int64)])
    at = fact_rows(snapshot, encoder_id, Level.VIDEO)[rows]
    facts = snapshot.videos().select(["sop_uid", "view"]).take(pa.array(at))
    sop_uids, views = facts["sop_uid"].to_pylist(), facts["view"].to_pylist()
    embedding, without = files.read(snapshot, encoder_id, rows)
    found, start = [], 0
    for part in parts:
        own = slice(start, start + len(part))
        start = own.stop
        found.append(Videos(part, sop_uids[own], views[own], embedding[own], without[own]))
    return found


class VideoCache:
    """The video vectors of whole spaces, by study, in memory until the store moves on."""

    def __init__(self) -> None:
        self._ready: ByPosition[StudyVideos] = ByPosition()

    def of(self, snapshot: Snapshot, encoder_id: str) -> StudyVideos:
        """Return the videos of every study of a space, studies in the order of its keys."""
        ready = self._ready.get(encoder_id, snapshot)
        if ready is None:
            ready = _read(snapshot, encoder_id)
            self._ready.put(encoder_id, snapshot, ready)
        return ready

    def keep_only(self, snapshot: Snapshot) -> None:
        """Forget what is of other positions."""
        self._ready.keep_only(snapshot)

    def clear(self) -> None:
        """Forget everything."""
        self._ready.clear()


def _read(snapshot: Snapshot, encoder_id: str) -> StudyVideos:
    keys = snapshot.keys(encoder_id, Level.VIDEO)
    studies = snapshot.keys(encoder_id, Level.STUDY)
    keys = keys.take(pc.sort_indices(keys, [("study_uid", "ascending"), ("uid", "ascending")]))
    _, vectors = snapshot.vectors(encoder_id, Level.VIDEO, keys=keys)
    of = pc.index_in(keys["study_uid"], value_set=studies["uid"]).to_numpy()
    return StudyVideos(vectors, np.searchsorted(of, np.arange(studies.num_rows)))
