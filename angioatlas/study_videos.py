"""The videos of studies as searches and explanations need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from angioatlas.by_position import ByPosition
from angioatlas.rows import STUDY_ORDER, StudyRows, find
from angioatlas.video_files import VideoFiles
from core.schema import Level
from index.late import StudyVideos
from store.snapshot import Snapshot


@dataclass(frozen=True)
class Videos:
    """The videos of one study in study order, as the encoder saw them.

    Attributes
    ----------
    sop_uids, views : list of str
    embedding : array [m, 512], float32
    pooled : array [m, 512], float32, or None
        Before the aggregator; None when it was not asked for.
    """

    sop_uids: list[str]
    views: list[str]
    embedding: NDArray[np.float32]
    pooled: NDArray[np.float32] | None = None


def videos_of(
    snapshot: Snapshot,
    files: VideoFiles,
    encoder_id: str,
    study_uids: Sequence[str],
    *,
    pooled: bool = False,
) -> dict[str, Videos]:
    """Return the videos of some studies, by study UID.

    Parameters
    ----------
    snapshot : Snapshot
    files : VideoFiles
        Where vectors are read.
    encoder_id : str
    study_uids : sequence of str
        Each has vectors of this encoder.
    pooled : bool
        Read the vectors before the aggregator, too.
    """
    every = StudyRows.of(snapshot, encoder_id)
    parts = [every.of_study(_row(snapshot, encoder_id, uid)) for uid in study_uids]
    rows = np.concatenate([*parts, np.empty(0, np.int64)])
    of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    facts = snapshot.videos().select([*STUDY_ORDER, "view"]).take(pa.array(every.facts[rows]))
    facts = facts.add_column(0, "study", pa.array(of))
    order = pc.sort_indices(facts, [(name, "ascending") for name in ["study", *STUDY_ORDER]])
    facts, rows = facts.take(order), rows[order.to_numpy()]
    embedding, before = files.read(snapshot, encoder_id, rows, pooled=pooled)
    sop_uids, views = facts["sop_uid"].to_pylist(), facts["view"].to_pylist()
    found, start = {}, 0
    for uid, part in zip(study_uids, parts, strict=True):
        own = slice(start, start + len(part))
        start = own.stop
        found[uid] = Videos(
            sop_uids[own], views[own], embedding[own], None if before is None else before[own]
        )
    return found


def _row(snapshot: Snapshot, encoder_id: str, study_uid: str) -> int:
    row = find(snapshot, encoder_id, Level.STUDY, study_uid)
    assert row is not None, "a study that was ranked has vectors"
    return row


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
