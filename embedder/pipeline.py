"""Studies in, embedded studies out: the one flow of the batch embedder.

Cines of many studies stream through reading and encoding; encoder batches cross study borders so
that the device stays full; results are regrouped by study because a study is embedded as a whole.
Memory is bounded by what the reader holds ahead, plus one batch that waits and one in hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.outcomes import InputRefused
from core.schema import EMBEDDING_DIM, Cine
from embedder.ahead import Ahead
from embedder.encoders.spec import Encoder, VideoVectors
from embedder.frames import Clip
from embedder.stages import Stages
from embedder.work import CineToRead, EmbeddedStudy, StudyToEmbed


class _Open:
    """A study whose cines are still under way."""

    def __init__(self, study: StudyToEmbed) -> None:
        self.study = study
        self.results = [_Result(wanted.cine) for wanted in study.cines]

    @property
    def complete(self) -> bool:
        return all(result.settled for result in self.results)


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


_Place = tuple[_Open, _Result]
Read = Callable[
    [Iterable[tuple[_Place, CineToRead]]],
    Generator[tuple[_Place, Clip | InputRefused], None, None],
]


def embed_studies(
    studies: Iterable[StudyToEmbed],
    *,
    encoder: Encoder,
    read: Read,
    batch_size: int,
    stages: Stages | None = None,
) -> Generator[EmbeddedStudy, None, None]:
    """Embed studies one after another, in the order given.

    Parameters
    ----------
    studies : iterable of StudyToEmbed
        Consumed lazily, a little ahead of what is yielded, in a thread of its own.
    encoder : Encoder
        Turns clips into vectors.
    read : callable
        Takes the stream of (key, cine) and yields each key with the cine's clip, or with the
        reason why there is none, in the same order.
    batch_size : int
        Clips per encoder call, 1 or more.
    stages : Stages, optional
        Is told where the time goes.

    Yields
    ------
    EmbeddedStudy
        As soon as the last cine of a study is settled.
    """
    stages = stages or Stages()
    under_way: deque[_Open] = deque()
    batch: list[tuple[_Result, NDArray[np.uint8]]] = []

    def encode() -> None:
        with stages.timed("device"):
            _encode(batch, encoder)
        batch.clear()

    def done() -> Iterator[EmbeddedStudy]:
        while under_way and under_way[0].complete:
            with stages.timed("device"):
                closed = _close(under_way.popleft(), encoder)
            yield closed

    with Ahead(read(_places(studies)), most=batch_size) as arriving:
        while True:
            with stages.timed("decode"):
                arrived = next(arriving, None)
            if arrived is None:
                break
            (study, result), clip = arrived
            if not under_way or under_way[-1] is not study:
                under_way.append(study)
            if isinstance(clip, InputRefused):
                result.refusal = clip
            else:
                result.sha256 = clip.sha256
                batch.append((result, clip.frames))
            # A study must not wait for others behind it that give no clips.
            if len(batch) == batch_size or (batch and len(under_way) > batch_size):
                encode()
            yield from done()
    if batch:
        encode()
    yield from done()


def _places(studies: Iterable[StudyToEmbed]) -> Iterator[tuple[_Place, CineToRead]]:
    for study in studies:
        opened = _Open(study)
        for result, wanted in zip(opened.results, study.cines, strict=True):
            yield (opened, result), wanted


def _encode(batch: list[tuple[_Result, NDArray[np.uint8]]], encoder: Encoder) -> None:
    vectors = encoder.encode_videos([frames for _, frames in batch])
    for row, (result, _) in enumerate(batch):
        result.pooled, result.embedding = vectors.pooled[row], vectors.embedding[row]
        if vectors.summaries is not None:
            result.summary = vectors.summaries[row]


def _close(opened: _Open, encoder: Encoder) -> EmbeddedStudy:
    done = [result for result in opened.results if result.refusal is None]
    summaries = [result.summary for result in done if result.summary is not None]
    videos = VideoVectors(
        pooled=_rows([result.pooled for result in done]),
        embedding=_rows([result.embedding for result in done]),
        summaries=np.stack(summaries) if summaries else None,
    )
    return EmbeddedStudy(
        study_uid=opened.study.study_uid,
        cines=tuple(result.cine for result in done),
        sha256=tuple(result.sha256 for result in done),
        videos=videos,
        embedding=encoder.encode_study(videos) if done else None,
        findings=encoder.encode_findings(videos) if done else None,
        refused=tuple((r.cine, r.refusal) for r in opened.results if r.refusal is not None),
    )


def _rows(vectors: list[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    found = [vector for vector in vectors if vector is not None]
    return np.stack(found) if found else np.empty((0, EMBEDDING_DIM), np.float32)
