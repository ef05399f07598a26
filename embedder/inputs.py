"""One way to read any input: DICOM by its header, a movie by its table's row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from core.outcomes import Code, InputRefused
from core.schema import Cine
from embedder.dicom.cine import read_run
from embedder.dicom.header import open_regular
from embedder.frames import Clip, read_clip
from embedder.movies.read import read_movie, read_movie_clip
from embedder.movies.rows import MovieRow
from embedder.movies.stream import HEAD_BYTES, container_of
from embedder.runs import RunFacts, facts_of
from embedder.sampling import ClipRule

MovieRows = Mapping[str, MovieRow]
"""By the movie's uri."""


@dataclass(frozen=True)
class Input:
    """A file, and the row of a table that describes it if it is a movie."""

    path: Path
    movie: MovieRow | None = None


class CineFile(NamedTuple):
    """A file that `read_input` took for a cine.

    Attributes
    ----------
    path : Path
    n_frames : int
        Frames that the cine is known to have.
    frame_time_ms : float or None
        Milliseconds per frame as the cine is known to have; a DICOM file says so itself.
    """

    path: Path
    n_frames: int
    frame_time_ms: float | None = None


def read_input(item: Input, *, modalities: frozenset[str]) -> tuple[Cine, RunFacts]:
    """Describe an input that may be a cine.

    Parameters
    ----------
    item : Input
    modalities : frozenset of str
        See `read_run`; a movie has none.

    Returns
    -------
    cine : Cine
    facts : RunFacts
        What tells whether the run counts.

    Raises
    ------
    InputRefused
        With the code of why it is no cine, or none that can be read.
    """
    container = _container(item.path)
    if container is None:
        return read_run(item.path, modalities=modalities)
    if item.movie is None:
        raise InputRefused(Code.MOVIE_WITHOUT_STUDY)
    cine = read_movie(item.path, container, item.movie)
    return cine, facts_of(cine)


def read_input_clip(item: CineFile, *, rule: ClipRule) -> Clip:
    """Read the clip of a cine.

    Parameters
    ----------
    item : CineFile
    rule : ClipRule
        Which frames it is made of, and what a grey value means.

    Returns
    -------
    Clip

    Raises
    ------
    InputRefused
        With the code of what is wrong.
    """
    container = _container(item.path)
    if container is None:
        return read_clip(item.path, rule=rule)
    return read_movie_clip(
        item.path, container, item.n_frames, frame_time_ms=item.frame_time_ms, rule=rule
    )


def _container(path: Path) -> str | None:
    file, _ = open_regular(path)
    try:
        with file:
            return container_of(file.read(HEAD_BYTES))
    except OSError as error:
        raise InputRefused(Code.UNREADABLE, error.strerror or "") from error
