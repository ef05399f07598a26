"""Portions: how much a process embeds at a time, and what is done again when a process is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.outcomes import Code, InputRefused
from core.schema import EMBEDDING_DIM
from embedder.encoders.spec import VideoVectors
from embedder.work import EmbeddedStudy, StudyToEmbed

TRIES: Final = 3
"""Processes that may be lost over one study."""


@dataclass(frozen=True)
class Portion:
    """Some studies that one process embeds, and hands in as one file.

    Attributes
    ----------
    name : str
        Of its file: always the same for the same studies of a run.
    studies : tuple of StudyToEmbed
        One at the least.
    lost : int
        Processes that were lost while they were at it.
    """

    name: str
    studies: tuple[StudyToEmbed, ...]
    lost: int = 0

    def again(self) -> Iterator[Portion]:
        """Give what is done again after a process was lost: each study by itself.

        So the second time it is known which study it was, and the others are not held up by it.
        """
        for number, study in enumerate(self.studies):
            name = f"{self.name}-{number:03d}" if len(self.studies) > 1 else self.name
            yield Portion(name, (study,), self.lost + 1)

    @property
    def is_given_up(self) -> bool:
        """Whether too many processes were lost over it; it is one study then."""
        return self.lost >= TRIES

    def refused(self) -> Iterator[EmbeddedStudy]:
        """Give its studies as studies of which no cine could be embedded."""
        why = InputRefused(
            Code.ENCODER_CRASHED, f"{TRIES} processes were lost while they embedded its study"
        )
        nothing = np.empty((0, EMBEDDING_DIM), np.float32)
        for study in self.studies:
            yield EmbeddedStudy(
                study_uid=study.study_uid,
                cines=(),
                sha256=(),
                videos=VideoVectors(nothing, nothing),
                embedding=None,
                findings=None,
                refused=tuple((wanted.cine, why) for wanted in study.cines),
            )


def cut(studies: Iterable[StudyToEmbed], *, cines: int) -> Iterator[Portion]:
    """Cut a stream of studies into portions of at least so many cines; the last has what is left.

    Parameters
    ----------
    studies : iterable of StudyToEmbed
        Consumed lazily, a portion at a time.
    cines : int
        1 or more.
    """
    number, taken, room = 0, list[StudyToEmbed](), cines
    for study in studies:
        taken.append(study)
        room -= len(study.cines)
        if room <= 0:
            yield Portion(f"{number:06d}", tuple(taken))
            number, taken, room = number + 1, [], cines
    if taken:
        yield Portion(f"{number:06d}", tuple(taken))
