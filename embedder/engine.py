"""The engine of one machine: decode processes, and one encoder in this process."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import partial
from typing import final

from embedder.encoders.spec import Encoder, Precision
from embedder.guard.pool import GuardedPool
from embedder.pipeline import embed_studies
from embedder.reading import read_clips
from embedder.stages import Stages
from embedder.work import EmbeddedStudy, StudyToEmbed


@final
class LocalEngine:
    """An `Engine` that embeds here.

    Parameters
    ----------
    encoder : Encoder
    pool : GuardedPool
        Open, and used by nobody else meanwhile.
    batch_size : int, optional
        Clips per encoder call; the encoder's own when absent.
    """

    def __init__(
        self, encoder: Encoder, pool: GuardedPool, *, batch_size: int | None = None
    ) -> None:
        self.stages = Stages()
        self.precision: Precision | None = encoder.precision
        self.notes: list[str] = []
        self._encoder = encoder
        self._pool = pool
        self._batch_size = batch_size or encoder.batch_size

    def embed(self, studies: Iterable[StudyToEmbed]) -> Generator[EmbeddedStudy, None, None]:
        """Embed studies in their order."""
        return embed_studies(
            studies,
            encoder=self._encoder,
            read=partial(read_clips, pool=self._pool, rule=self._encoder.clip_rule),
            batch_size=self._batch_size,
            stages=self.stages,
        )
