"""How a query is compared with the rows of a level: one way of scoring, ready to rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from angioatlas.indexes import IndexCache
from angioatlas.rows import Patients, StudyRows
from angioatlas.study_videos import VideoCache, videos_of
from angioatlas.video_files import VideoFiles
from core.errors import EncoderError, NotFoundError, UsageError
from core.schema import Level, StudyScore
from core.settings import Settings
from embedder.encoders.registry import find_encoder, read_spec
from index.late import Ranked, StudyVideos, unit
from index.search import Searchable
from store.snapshot import Snapshot


@dataclass(frozen=True)
class Query:
    """What is asked about, as vectors.

    Attributes
    ----------
    vector : array [512], float32
        Of the study, the video or the text.
    videos : array [q, 512], float32
        Of the study's videos; of a video or a text its own vector.
    uid, patient_id : str or None
        Of the study or video; None of a text.
    sop_uids, views : tuple of str or None
        Of `videos`; None of a text.
    """

    vector: NDArray[np.float32]
    videos: NDArray[np.float32]
    uid: str | None = None
    patient_id: str | None = None
    sop_uids: tuple[str | None, ...] = (None,)
    views: tuple[str | None, ...] = (None,)

    @classmethod
    def of_text(cls, vector: NDArray[np.float32]) -> Self:
        """Make the query of a text's vector."""
        return cls(vector, vector[None])

    @classmethod
    def of_row(
        cls,
        snapshot: Snapshot,
        files: VideoFiles,
        encoder_id: str,
        level: Level,
        row: int,
        *,
        vector: NDArray[np.float32],
    ) -> Self:
        """Make the query of a row of a snapshot's keys, whose stored vector [512] is at hand."""
        keys = snapshot.keys(encoder_id, level)
        study = row if level is Level.STUDY else StudyRows.of(snapshot, encoder_id).studies[row]
        (own,) = videos_of(snapshot, files, encoder_id, [study])
        every = range(len(own.rows))
        rows = every if level is Level.STUDY else [i for i in every if own.rows[i] == row]
        return cls(
            vector,
            own.embedding[[*rows]],
            keys["uid"][row].as_py(),
            keys["patient_id"][row].as_py(),
            tuple(own.sop_uids[i] for i in rows),
            tuple(own.views[i] for i in rows),
        )

    @property
    def mean(self) -> NDArray[np.float64]:
        """The normalised mean of the videos, [512]."""
        return unit(self.videos.astype(np.float64).mean(axis=0))


@dataclass(frozen=True)
class Scorer:
    """One way to score the rows of a level of a snapshot.

    Attributes
    ----------
    score : StudyScore
        Not AUTO; of videos `STUDY`, which is then by the stored video vector.
    """

    snapshot: Snapshot
    encoder_id: str
    level: Level
    score: StudyScore
    indexes: IndexCache
    videos: VideoCache
    files: VideoFiles

    @property
    def keys(self) -> pa.Table:
        """What is ranked; see `Snapshot.keys`."""
        return self.snapshot.keys(self.encoder_id, self.level)

    @property
    def name(self) -> str:
        """What the score is of: ``study-study``, ``study-mean``, ``study-late`` or ``video``."""
        return "video" if self.level is Level.VIDEO else f"study-{self.score}"

    @property
    def patients(self) -> Patients:
        """Whose the rows are."""
        return Patients.of(self.snapshot, self.encoder_id, self.level)

    def study_videos(self) -> StudyVideos:
        """Return the videos of every study, studies in the order of the keys."""
        return self.videos.of(self.snapshot, self.encoder_id)

    def rank(self, query: Query, *, k: int, include: NDArray[np.bool_]) -> Ranked:
        """Return the best `k` rows of the keys that are in `include`; equal scores by uid."""
        if self.score is StudyScore.LATE:
            return self.study_videos().rank_late(query.videos, k=k, include=include)
        if self.score is StudyScore.MEAN:
            return self.study_videos().rank_mean(query.mean, k=k, include=include)
        found = self._searchable().search(query.vector, k=k, include=include)
        return found.rows, found.scores

    def stored(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the stored vectors of some rows of the keys, [m, 512]."""
        if self.score is StudyScore.STUDY:  # the index that ranks has them at hand
            return self._searchable().read(rows)
        keys = self.keys.take(pa.array(rows))
        return self.snapshot.vectors(self.encoder_id, self.level, keys=keys)[1]

    def _searchable(self) -> Searchable:
        return self.indexes.searchable(self.snapshot, self.encoder_id, self.level)


def chosen_score(
    score: StudyScore | str, level: Level, *, encoder_id: str, settings: Settings
) -> StudyScore:
    """Return the score that is meant.

    Raises
    ------
    UsageError
        There is no such score, or one of studies is asked for of videos.
    """
    if score not in list(StudyScore):
        known = ", ".join(StudyScore)
        raise UsageError(f"the score {score!r}: expected one of {known}", "leave it out for auto")
    score = StudyScore(score)
    if level is Level.VIDEO:
        if score is not StudyScore.AUTO:
            raise UsageError(
                f"the score {score.value} is of studies, and videos are ranked",
                "leave it out, or rank studies",
            )
        return StudyScore.STUDY
    if score is not StudyScore.AUTO:
        return score
    try:
        spec = read_spec(find_encoder(encoder_id, settings.encoders_dir))
    except (NotFoundError, EncoderError):  # the stored vector is what the encoder made of a study
        return StudyScore.STUDY
    return StudyScore.LATE if spec.study_rule == "mean" else StudyScore.STUDY
