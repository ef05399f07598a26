"""The videos of studies as searches and explanations need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.schema import Level
from index.late import StudyVideos
from store.snapshot import Snapshot, VectorKind
from store.store import Position


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
    snapshot: Snapshot, encoder_id: str, study_uids: Sequence[str], *, pooled: bool = False
) -> dict[str, Videos]:
    """Return the videos of some studies, by study UID.

    Parameters
    ----------
    snapshot : Snapshot
    encoder_id : str
    study_uids : sequence of str
    pooled : bool
        Read the vectors before the aggregator, too.
    """
    keys = snapshot.keys(encoder_id, Level.VIDEO)
    keys = keys.filter(pc.is_in(keys["study_uid"], value_set=pa.array(study_uids, pa.string())))
    facts = snapshot.videos()
    facts = facts.take(pc.index_in(keys["uid"], value_set=facts["sop_uid"]))
    # The order of `core.schema.Cine.order`; here, too, what is missing sorts last.
    by = ["study_uid", "series_time", "acquisition_datetime", "instance_number", "sop_uid"]
    order = pc.sort_indices(facts, [(name, "ascending") for name in by])
    keys, facts = keys.take(order), facts.take(order)
    kinds: list[VectorKind] = ["embedding", "pooled"] if pooled else ["embedding"]
    vectors = {
        kind: snapshot.vectors(encoder_id, Level.VIDEO, keys=keys, kind=kind)[1] for kind in kinds
    }
    of = np.array(keys["study_uid"].to_pylist())
    sop_uids, views = keys["uid"].to_pylist(), facts["view"].to_pylist()
    found = {}
    for study in study_uids:
        rows = np.flatnonzero(of == study)
        found[study] = Videos(
            [sop_uids[i] for i in rows],
            [views[i] for i in rows],
            vectors["embedding"][rows],
            vectors["pooled"][rows] if pooled else None,
        )
    return found


class VideoCache:
    """The video vectors of whole spaces, by study, in memory until the store moves on."""

    def __init__(self) -> None:
        self._ready: dict[str, tuple[Position, StudyVideos]] = {}

    def of(self, snapshot: Snapshot, encoder_id: str) -> StudyVideos:
        """Return the videos of every study of a space, studies in the order of its keys."""
        position = Position(snapshot.version, snapshot.deletions)
        ready = self._ready.get(encoder_id)
        if ready is None or ready[0] != position:
            ready = (position, _read(snapshot, encoder_id))
            self._ready[encoder_id] = ready
        return ready[1]

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
