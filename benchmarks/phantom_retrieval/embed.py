"""Vectors and findings of studies, and what a baseline may see of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.phantom_retrieval.clips import each_study, render_studies
from benchmarks.phantom_retrieval.studies import StudySpec, draw
from core.segments import HEADS
from embedder.encoders.spec import Encoder, VideoVectors
from phantom.training.dataset import PhantomStudy
from phantom.words.concepts import labels

THUMB = 16


@dataclass(frozen=True, eq=False)
class Embedded:
    """Studies through an encoder.

    Attributes
    ----------
    studies : list of PhantomStudy
    vectors : float32 array of shape (studies, 512)
    videos : float32 array of shape (runs, 512)
    of_study : int64 array of shape (runs,)
    findings : float32 array of shape (studies, 90)
        Raw, in the order of `core.segments.HEADS`.
    labels : int8 array of shape (studies, concepts)
    video_labels : int8 array of shape (runs, concepts)
    naive : float64 array of shape (studies, features)
        View angles, and one small mid frame, averaged over the runs of each artery.
    lvef : float64 array of shape (studies,)
    seconds_per_video : float
        Of the encoder, from uint8 clips of 256 x 256.
    """

    studies: list[PhantomStudy]
    vectors: NDArray[np.float32]
    videos: NDArray[np.float32]
    of_study: NDArray[np.int64]
    findings: NDArray[np.float32]
    labels: NDArray[np.int8]
    video_labels: NDArray[np.int8]
    naive: NDArray[np.float64]
    lvef: NDArray[np.float64]
    seconds_per_video: float

    def head(self, head: str) -> NDArray[np.float32]:
        """Return the raw values of one finding head."""
        return self.findings[:, HEADS.index(head)]


def embed(
    encoder: Encoder,
    work: Path,
    name: str,
    specs: Sequence[StudySpec],
    *,
    workers: int,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
) -> Embedded:
    """Render studies where they are not there yet, and encode them.

    Parameters
    ----------
    encoder : Encoder
    work : Path
        Where clips are kept.
    name : str
        Of the set of studies.
    specs : sequence of StudySpec
    workers : int
        Processes that render.
    change : callable, optional
        What is done to the clips of a study.
    """
    files = render_studies(work, name, specs, workers=workers)
    studies = [draw(spec) for spec in specs]
    vectors, videos, found, naive, seconds = [], [], [], [], 0.0
    for study, stored in zip(studies, each_study(files, specs), strict=True):
        clips = np.asarray(stored if change is None else change(stored))
        began = time.perf_counter()
        encoded: VideoVectors = encoder.encode_videos([*clips])
        seconds += time.perf_counter() - began
        vectors.append(encoder.encode_study(encoded))
        videos.append(encoded.embedding)
        findings = encoder.encode_findings(encoded)
        found.append([findings.raw[head] for head in HEADS] if findings else [np.nan] * len(HEADS))
        naive.append(_naive(study, clips))
    counts = [len(study.acquisitions) for study in studies]
    return Embedded(
        studies=studies,
        vectors=np.stack(vectors),
        videos=np.concatenate(videos),
        of_study=np.repeat(np.arange(len(studies)), counts),
        findings=np.array(found, np.float32),
        labels=np.stack([labels(study.anatomy, study.visible) for study in studies]),
        video_labels=np.stack(
            [
                labels(study.anatomy, study.visible, artery=run.artery)
                for study in studies
                for run in study.acquisitions
            ]
        ),
        naive=np.stack(naive),
        lvef=np.array([study.disease.lvef_percent for study in studies]),
        seconds_per_video=seconds / sum(counts),
    )


def _naive(study: PhantomStudy, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return angles and mid frame, averaged over the runs of each artery, and their number."""
    side = clips.shape[2] // THUMB
    middle = clips[:, clips.shape[1] // 2].astype(np.float64)
    small = middle.reshape(len(clips), THUMB, side, THUMB, side).mean(axis=(2, 4))
    small = small.reshape(len(clips), -1)
    small = (small - small.mean(axis=1, keepdims=True)) / (small.std(axis=1, keepdims=True) + 1)
    angles = np.array([(r.primary_deg / 30, r.secondary_deg / 30) for r in study.acquisitions])
    seen = np.concatenate([small, angles], axis=1)
    right = np.array([run.artery == "right" for run in study.acquisitions])
    parts = [part.mean(axis=0) for part in (seen[~right], seen[right])]
    return np.concatenate([*parts, [(~right).sum(), right.sum()]])
