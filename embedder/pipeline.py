"""Studies in, embedded studies out: the one flow of the batch embedder.

Cines of many studies stream through reading and encoding; encoder batches cross study borders so
that the device stays full; results are regrouped by study because a study is embedded as a whole.
Memory is bounded by what the reader holds ahead plus one batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.outcomes import InputRefused
from core.schema import EMBEDDING_DIM, Cine
from embedder.encoders.spec import Encoder, Findings, VideoVectors
from embedder.frames import Clip

Read = Callable[[Iterable[Cine]], Iterator[tuple[Cine, Clip | InputRefused]]]


@dataclass(frozen=True)
class EmbeddedStudy:
    """One study after the encoder.

    Attributes
    ----------
    study_uid : str
    cines : tuple of Cine
        The cines that were embedded, in the order of the study.
    sha256 : tuple of str
        Of each embedded cine's file.
    videos : VideoVectors
        Row i belongs to `cines[i]`.
    embedding : float32 array of shape (512,) or None
        L2-normalised; None when no cine of the study could be embedded.
    findings : Findings or None
        None when nothing could be embedded, or the encoder has no finding heads.
    refused : tuple of (Cine, InputRefused)
        The cines that could not be decoded.
    """

    study_uid: str
    cines: tuple[Cine, ...]
    sha256: tuple[str, ...]
    videos: VideoVectors
    embedding: NDArray[np.float32] | None
    findings: Findings | None
    refused: tuple[tuple[Cine, InputRefused], ...]


@dataclass
class _Result:
    """What became of one cine: refused, or read (`sha256`) and then encoded (the vectors)."""

    cine: Cine
    refusal: InputRefused | None = None
    sha256: str = ""
    pooled: NDArray[np.float32] | None = None
    embedding: NDArray[np.float32] | None = None
    summary: NDArray[np.float32] | None = None

    @property
    def settled(self) -> bool:
        return self.refusal is not None or self.embedding is not None


@dataclass
class _Open:
    """A study whose cines are still under way."""

    study_uid: str
    cines: tuple[Cine, ...]
    results: list[_Result] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return len(self.results) == len(self.cines) and all(r.settled for r in self.results)


def embed_studies(
    studies: Iterable[tuple[str, tuple[Cine, ...]]],
    *,
    encoder: Encoder,
    read: Read,
    batch_size: int,
) -> Iterator[EmbeddedStudy]:
    """Embed studies one after another, in the order given.

    Parameters
    ----------
    studies : iterable of (study UID, its cines in study order)
        Consumed lazily, a little ahead of what is yielded.
    encoder : Encoder
        Turns clips into vectors.
    read : callable
        Takes the stream of cines and yields each with its clip, or with the reason why there is
        none, in the same order.
    batch_size : int
        Clips per encoder call, 1 or more.

    Yields
    ------
    EmbeddedStudy
        As soon as the last cine of a study is settled.
    """
    under_way: deque[_Open] = deque()

    def cines() -> Iterator[Cine]:
        for study_uid, members in studies:
            under_way.append(_Open(study_uid, members))
            yield from members

    batch: list[tuple[_Result, NDArray[np.uint8]]] = []
    for cine, clip in read(cines()):
        result = _Result(cine)
        _first_unread(under_way).results.append(result)
        if isinstance(clip, InputRefused):
            result.refusal = clip
        else:
            result.sha256 = clip.sha256
            batch.append((result, clip.frames))
        if len(batch) == batch_size:
            _encode(batch, encoder)
            batch = []
        while under_way and under_way[0].complete:
            yield _close(under_way.popleft(), encoder)
    if batch:
        _encode(batch, encoder)
    while under_way:
        yield _close(under_way.popleft(), encoder)


def _first_unread(under_way: deque[_Open]) -> _Open:
    # The reader keeps the order, so the next result always belongs to the first study that is
    # still short of results; the deque is as long as one batch plus the read-ahead.
    return next(study for study in under_way if len(study.results) < len(study.cines))


def _encode(batch: list[tuple[_Result, NDArray[np.uint8]]], encoder: Encoder) -> None:
    vectors = encoder.encode_videos([frames for _, frames in batch])
    for row, (result, _) in enumerate(batch):
        result.pooled, result.embedding = vectors.pooled[row], vectors.embedding[row]
        if vectors.summaries is not None:
            result.summary = vectors.summaries[row]


def _close(study: _Open, encoder: Encoder) -> EmbeddedStudy:
    done = [result for result in study.results if result.refusal is None]
    summaries = [result.summary for result in done if result.summary is not None]
    videos = VideoVectors(
        pooled=_rows([result.pooled for result in done]),
        embedding=_rows([result.embedding for result in done]),
        summaries=np.stack(summaries) if summaries else None,
    )
    return EmbeddedStudy(
        study_uid=study.study_uid,
        cines=tuple(result.cine for result in done),
        sha256=tuple(result.sha256 for result in done),
        videos=videos,
        embedding=encoder.encode_study(videos) if done else None,
        findings=encoder.encode_findings(videos) if done else None,
        refused=tuple((r.cine, r.refusal) for r in study.results if r.refusal is not None),
    )


def _rows(vectors: list[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    found = [vector for vector in vectors if vector is not None]
    return np.stack(found) if found else np.empty((0, EMBEDDING_DIM), np.float32)
