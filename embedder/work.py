"""What an engine is given, and what it gives back: studies to embed, and embedded studies.

Both are plain values: they may cross the border of a process or of a machine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.outcomes import InputRefused
from core.schema import Cine
from embedder.encoders.spec import Findings, Precision, VideoVectors
from embedder.stages import Stages


@dataclass(frozen=True)
class CineToRead:
    """A cine whose clip is wanted.

    Attributes
    ----------
    cine : Cine
    size, mtime_ns : int
        Of its file when its header was read: another file may hold another instance by now.
    min_contrast : float
        The contrast signal that its clip must have at the least; 0 admits any.
    """

    cine: Cine
    size: int
    mtime_ns: int
    min_contrast: float = 0.0


@dataclass(frozen=True)
class StudyToEmbed:
    """A study and all its cines, in study order; one at the least."""

    study_uid: str
    cines: tuple[CineToRead, ...]


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


class Engine(Protocol):
    """Embeds studies: in this process, or in many on several machines.

    Attributes
    ----------
    stages : Stages
        Where its time went so far.
    precision : Precision or None
        What clips are computed in; None until that is known.
    notes : list of str
        What a run should say of it at its end.
    """

    stages: Stages
    precision: Precision | None
    notes: list[str]

    def embed(self, studies: Iterable[StudyToEmbed]) -> Generator[EmbeddedStudy, None, None]:
        """Embed studies, each once; they come back as they are done, in any order.

        Studies are taken a bounded number ahead of what is given back.  Whoever stops early closes
        the iterator.
        """
        ...
