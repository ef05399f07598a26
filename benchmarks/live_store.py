"""A large store of made vectors: patients with one to three exams of three videos each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.made_vectors import World
from core.ids import KeptIdentity
from core.schema import EMBEDDING_DIM, Cine, View
from store.batch import CommitBatch, StudyFacts, StudyVectors, VideoVectors
from store.store import Store

VIDEOS: Final = 3
"""Of each study."""
PER_COMMIT: Final = 10_000
"""Studies."""
SPREAD: Final = 0.5
"""Length of what a video's vector has that its study's has not."""
_VIEWS: Final = tuple(View)
_EXAMS: Final = np.array([1, 1, 2, 3])


def large_store(
    folder: Path, studies: int, encoder_id: str, sentences: NDArray[np.float32]
) -> Store:
    """Make a store of so many studies, in commits of `PER_COMMIT`.

    Parameters
    ----------
    folder : Path
    studies : int
    encoder_id : str
    sentences : array [t, 512], float32
        Vectors of texts of this encoder: the studies spread where these do, as encoders that are
        trained on pairs place them.
    """
    store = Store.create(folder, identity=KeptIdentity().record)
    owners, turn = _owners(studies), turned_to(sentences)
    with store.writer("bench") as writer:
        for start in range(0, studies, PER_COMMIT):
            rows = range(start, min(start + PER_COMMIT, studies))
            writer.commit(batch_of(rows, owners[rows.start : rows.stop], encoder_id, turn))
    return store


def uid(study: int, video: int | None = None) -> str:
    """Return a UID as long as those derived from a UUID; their order is not that of numbers."""
    made = f"2.25.{(study * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 1) % 2**127:039d}"
    return made if video is None else f"{made[:-2]}.{video}"


def turned_to(sentences: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rotation [512, 512] of the main axes of made vectors to those of sentences."""
    ours, theirs = _axes(World().rows(5000, seed=1)), _axes(sentences)
    turn: NDArray[np.float32] = (ours.T @ theirs).astype(np.float32)
    return turn


def _axes(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    axes: NDArray[np.float64] = np.linalg.eigh((rows.T @ rows).astype(np.float64))[1].T
    return axes


def batch_of(
    rows: range, owners: NDArray[np.int64], encoder_id: str, turn: NDArray[np.float32]
) -> CommitBatch:
    """Return some studies with facts and vectors."""
    vectors = World().rows(len(rows), seed=rows.start) @ turn
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rng = np.random.default_rng([5, rows.start])
    noise = rng.standard_normal((len(rows) * VIDEOS, EMBEDDING_DIM), np.float32)
    noise *= SPREAD / EMBEDDING_DIM**0.5
    videos = np.repeat(vectors, VIDEOS, axis=0) + noise
    pooled = videos * np.float32(EMBEDDING_DIM**0.5)
    videos /= np.linalg.norm(videos, axis=1, keepdims=True)
    cines = [[*_cines(row, int(owner))] for row, owner in zip(rows, owners, strict=True)]
    hashes = [f"{row:064x}" for row in rows]
    every = [cine for each in cines for cine in each]
    return CommitBatch(
        cines=every,
        studies=[
            StudyFacts.of(each, input_hash=name) for each, name in zip(cines, hashes, strict=True)
        ],
        encoder_id=encoder_id,
        video_vectors=VideoVectors(
            [cine.sop_uid for cine in every], [cine.study_uid for cine in every], pooled, videos
        ),
        study_vectors=StudyVectors([uid(row) for row in rows], hashes, vectors),
    )


def _owners(studies: int) -> NDArray[np.int64]:
    exams = np.random.default_rng(3).choice(_EXAMS, studies)
    return np.repeat(np.arange(studies), exams)[:studies]


def _cines(study: int, patient: int) -> Iterator[Cine]:
    at = dt.datetime(2010, 1, 1, 8) + dt.timedelta(hours=study % 100_000)
    for video in range(VIDEOS):
        # Not in the order of their UIDs, as in life.
        place = (video + study) % VIDEOS
        yield Cine(
            sop_uid=uid(study, video),
            study_uid=uid(study),
            series_uid=uid(study, VIDEOS),
            patient_id=f"P{patient:07d}",
            patient_known=True,
            patient_sex="FM"[patient % 2],
            patient_age_years=float(40 + patient % 45),
            study_date=at.date(),
            series_time=f"{at:%H%M}{place:02d}.000000",
            acquisition_datetime=at + dt.timedelta(seconds=place),
            instance_number=place,
            view=_VIEWS[(study + video) % len(_VIEWS)],
            primary_angle_deg=30.0,
            secondary_angle_deg=20.0,
            n_frames=60,
            frame_time_ms=66.7,
            rows=512,
            columns=512,
            transfer_syntax_uid="1.2.840.10008.1.2.4.70",
            source_uri=f"file:///archive/{study}-{video}.dcm",
        )
