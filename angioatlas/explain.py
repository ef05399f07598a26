"""Why a hit matched: what each of its videos has to do with its score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from angioatlas.left_out import means_without, vectors_without
from angioatlas.rows import StudyRows
from angioatlas.scores import Query, Scorer
from angioatlas.study_videos import Videos, videos_of
from core.errors import EncoderError, NotFoundError
from core.schema import Level, StudyScore
from embedder.encoders.spec import Encoder
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
    level, keys = scorer.level, scorer.keys
    uids = keys["uid"].take(pa.array(rows)).to_pylist()
    of = rows
    if level is Level.VIDEO:
        of = StudyRows.of(scorer.snapshot, scorer.encoder_id).studies[rows]
    studies = [*dict.fromkeys(of.tolist())]
    found = videos_of(scorer.snapshot, scorer.files, scorer.encoder_id, studies)
    if level is Level.VIDEO:
        by_study = dict(zip(studies, found, strict=True))
        return {
            uid: _one_video(query, by_study[study], uid, float(score))
            for uid, study, score in zip(uids, of.tolist(), scores, strict=True)
        }
    hits = [
        _Hit(uid, float(score), videos)
        for uid, score, videos in zip(uids, scores, found, strict=True)
    ]
    if scorer.score is StudyScore.LATE:
        return {hit.uid: _late(query, hit.videos) for hit in hits}
    if scorer.score is StudyScore.MEAN:
        left = [means_without(hit.videos.embedding) for hit in hits]
        return _told(query, query.mean, hits, left)
    return _of_stored_vectors(scorer, query, hits, scorer.stored(rows), load_encoder)


@dataclass(frozen=True, eq=False)
class _Hit:
    """A study that was found."""

    uid: str
    score: float
    videos: Videos


def _of_stored_vectors(
    scorer: Scorer,
    query: Query,
    hits: list[_Hit],
    stored: NDArray[np.float32],
    load_encoder: LoadEncoder,
) -> dict[str, Explanation]:
    """Leave each video out of vectors that are the mean, or that only the encoder can make."""
    vector = query.vector.astype(np.float64)
    if all(_is_mean(hit.videos, each) for hit, each in zip(hits, stored, strict=True)):
        left = [means_without(hit.videos.embedding) for hit in hits]
        return _told(query, vector, hits, left)
    made = [hit.videos.without for hit in hits]
    if any(np.isnan(each).any() for each in made):
        try:
            made = _made_again(scorer, hits, load_encoder())
        except (NotFoundError, EncoderError) as error:
            note = f"only the encoder can make a study's vector again: {error.message}"
            alone = [hit for hit in hits if len(hit.videos.rows) == 1]
            told = _told(query, vector, alone, [np.zeros_like(h.videos.without) for h in alone])
            return {hit.uid: told.get(hit.uid, Explanation(False, note=note)) for hit in hits}
    return _told(query, vector, hits, [each.astype(np.float64) for each in made])


def _made_again(scorer: Scorer, hits: list[_Hit], encoder: Encoder) -> list[NDArray[np.float32]]:
    rows = np.concatenate([hit.videos.rows for hit in hits])
    keys = scorer.snapshot.keys(scorer.encoder_id, Level.VIDEO).take(pa.array(rows))
    _, pooled = scorer.snapshot.vectors(scorer.encoder_id, Level.VIDEO, keys=keys, kind="pooled")
    starts = np.cumsum([0, *(len(hit.videos.rows) for hit in hits)])
    embedding = np.concatenate([hit.videos.embedding for hit in hits])
    return np.split(vectors_without(encoder, pooled, embedding, starts), starts[1:-1])


def _is_mean(videos: Videos, stored: NDArray[np.float32]) -> bool:
    """Tell whether a study's vector is the mean of its videos'."""
    mean = unit(videos.embedding.astype(np.float64).mean(axis=0))
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


def _told(
    query: Query,
    vector: NDArray[np.float64],
    hits: Sequence[_Hit],
    left: Sequence[NDArray[np.float64]],
) -> dict[str, Explanation]:
    """Compare what is left of each study without each of its videos [m, 512] with the query."""
    told = {}
    for hit, without in zip(hits, left, strict=True):
        videos = hit.videos
        beside = (videos.embedding @ query.videos.T).argmax(axis=1).tolist()
        lost = (hit.score - without @ vector).tolist()
        told[hit.uid] = Explanation(
            False,
            tuple(
                Matched(query.sop_uids[of], query.views[of], sop_uid, view, contribution)
                for of, sop_uid, view, contribution in zip(
                    beside, videos.sop_uids, videos.views, lost, strict=True
                )
            ),
        )
    return told
