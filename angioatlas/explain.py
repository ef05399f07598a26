"""Why a hit matched: what each of its videos has to do with its score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from angioatlas.scores import Query, Scorer
from angioatlas.study_videos import Videos, videos_of
from core.errors import EncoderError, NotFoundError
from core.schema import Level, StudyScore
from embedder.encoders.spec import Encoder, VideoVectors
from index.late import late_pairs, unit

LoadEncoder = Callable[[], Encoder]
"""Loads the encoder of the space, or raises `NotFoundError` or `EncoderError`."""

_SAME_VECTOR: Final = 1e-5
"""Two unit vectors this near, in each coordinate, are one that was rounded twice."""


@dataclass(frozen=True)
class Matched:
    """A video of a hit, and the video of the query that it is shown beside.

    Attributes
    ----------
    query_sop_uid, query_view : str or None
        None where a text was asked for.
    sop_uid, view : str
    contribution : float
        To the score.
    """

    query_sop_uid: str | None
    query_view: str | None
    sop_uid: str
    view: str
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why one hit matched.

    Attributes
    ----------
    adds_up : bool
        The contributions sum to the score, as those of late interaction do.  Otherwise each is what
        the score loses without that video: the study's vector made again from the others.
    matched : tuple of Matched
        Late interaction: one a video of the query, in study order.  Otherwise one a video of the
        hit, in study order, beside the video of the query that is most similar to it.
    note : str or None
        Why nothing can be told.
    """

    adds_up: bool
    matched: tuple[Matched, ...] = ()
    note: str | None = None


def explain(
    scorer: Scorer,
    query: Query,
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    load_encoder: LoadEncoder,
) -> dict[str, Explanation]:
    """Explain ranked rows.

    Parameters
    ----------
    scorer : Scorer
        What ranked them.
    query : Query
    rows : array [k], int64
        Of the scorer's keys.
    scores : array [k], float64
    load_encoder : callable
        Called when a study's vector has to be made again by the encoder.

    Returns
    -------
    dict of str to Explanation
        By the hit's UID.
    """
    keys = scorer.keys.take(rows)
    uids, studies = keys["uid"].to_pylist(), keys["study_uid"].to_pylist()
    aggregated = scorer.level is Level.STUDY and scorer.score is StudyScore.STUDY
    videos = videos_of(
        scorer.snapshot,
        scorer.files,
        scorer.encoder_id,
        list(dict.fromkeys(studies)),
        pooled=aggregated,
    )
    if scorer.level is Level.VIDEO:
        return {
            uid: _one_video(query, videos[study], uid, float(score))
            for uid, study, score in zip(uids, studies, scores, strict=True)
        }
    if scorer.score is StudyScore.LATE:
        return {uid: _late(query, videos[uid]) for uid in uids}
    if scorer.score is StudyScore.MEAN:
        told = dict(zip(uids, scores.tolist(), strict=True))
        return _without_each(query, query.mean, videos, told, _means)
    return _of_stored_vectors(scorer, query, rows, scores, videos, load_encoder)


_Some = tuple[Videos, list[int]]
"""Some of the videos of a study."""

_Combine = Callable[[list[_Some]], NDArray[np.float64]]
"""Makes the study vector [512] of each of several sets of videos."""


def _mean(videos: Videos, kept: list[int]) -> NDArray[np.float64]:
    return unit(videos.embedding[kept].astype(np.float64).mean(axis=0))


def _means(sets: list[_Some]) -> NDArray[np.float64]:
    return np.stack([_mean(*each) for each in sets])


def _by(encoder: Encoder) -> _Combine:
    def combine(sets: list[_Some]) -> NDArray[np.float64]:
        studies = []
        for videos, kept in sets:
            assert videos.pooled is not None
            studies.append(VideoVectors(videos.pooled[kept], videos.embedding[kept]))
        return encoder.encode_studies(studies).astype(np.float64)

    return combine


def _of_stored_vectors(
    scorer: Scorer,
    query: Query,
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    videos: Mapping[str, Videos],
    load_encoder: LoadEncoder,
) -> dict[str, Explanation]:
    """Leave each video out of vectors that are the mean, or that only the encoder can make."""
    told = dict(zip(videos, scores.tolist(), strict=True))
    combine: _Combine = _means
    note = None
    if not all(map(_is_mean, videos.values(), scorer.stored(rows))):
        try:
            combine = _by(load_encoder())
        except (NotFoundError, EncoderError) as error:
            note = f"only the encoder can make a study's vector again: {error.message}"
    untold = {
        uid: Explanation(False, note=note)
        for uid in videos
        if note is not None and len(videos[uid].sop_uids) > 1
    }
    told = {uid: score for uid, score in told.items() if uid not in untold}
    vector = query.vector.astype(np.float64)
    return untold | _without_each(query, vector, videos, told, combine)


def _is_mean(videos: Videos, stored: NDArray[np.float32]) -> bool:
    """Tell whether a study's vector is the mean of its videos'."""
    mean = _mean(videos, list(range(len(videos.sop_uids))))
    return bool(np.abs(mean - stored).max() < _SAME_VECTOR)


def _late(query: Query, videos: Videos) -> Explanation:
    best, parts = late_pairs(query.videos, videos.embedding)
    return Explanation(
        True,
        tuple(
            Matched(sop_uid, view, videos.sop_uids[i], videos.views[i], float(part))
            for sop_uid, view, i, part in zip(query.sop_uids, query.views, best, parts, strict=True)
        ),
    )


def _one_video(query: Query, videos: Videos, uid: str, score: float) -> Explanation:
    view = videos.views[videos.sop_uids.index(uid)]
    return Explanation(True, (Matched(query.sop_uids[0], query.views[0], uid, view, score),))


def _without_each(
    query: Query,
    vector: NDArray[np.float64],
    videos: Mapping[str, Videos],
    scores: Mapping[str, float],
    combine: _Combine,
) -> dict[str, Explanation]:
    """Leave out one video of a study at a time; of the only one the whole score is lost.

    All that is left of all studies is combined at once: an encoder takes longer to be asked than to
    answer.
    """
    left = [
        (uid, i, [j for j in range(len(videos[uid].sop_uids)) if j != i])
        for uid in scores
        for i in range(len(videos[uid].sop_uids))
    ]
    sets = [(videos[uid], kept) for uid, _, kept in left if kept]
    made = iter(combine(sets) if sets else ())
    matched: dict[str, list[Matched]] = {uid: [] for uid in scores}
    beside = {uid: (videos[uid].embedding @ query.videos.T).argmax(axis=1) for uid in scores}
    for uid, i, kept in left:
        without = float(next(made) @ vector) if kept else 0.0
        of = int(beside[uid][i])
        matched[uid].append(
            Matched(
                query.sop_uids[of],
                query.views[of],
                videos[uid].sop_uids[i],
                videos[uid].views[i],
                scores[uid] - without,
            )
        )
    return {uid: Explanation(False, tuple(each)) for uid, each in matched.items()}
