"""All frames of a cine's file, one after another, with when each of them is shown.

An encoder sees sixteen frames; a person wants the whole run, at the speed at which it was taken.
No more than one frame is held at a time, however long the run is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.outcomes import Code, InputRefused
from embedder.dicom.cine import HEADER_TAGS
from embedder.dicom.claims import Claims, claims_of
from embedder.dicom.describe import frame_starts_ms
from embedder.dicom.header import BoundedReader, Header, open_regular, parse_header
from embedder.frames import check_unchanged, each_frame, sha256_of
from embedder.inputs import CineFile
from embedder.movies.stream import HEAD_BYTES, Movie, container_of, grey_of

UNSAID_MS: Final = 1000 / 15
"""Milliseconds per frame where nobody says how fast a run is: 15 frames a second."""
MAX_PIXELS: Final = 2**30
"""Pixels of all frames of a cine that is shown: 4,096 frames of 512 x 512, 1,024 of 1024 x 1024."""
_PROFILE: Final = "display"


@dataclass(frozen=True)
class Playback:
    """A cine as it is shown.

    Attributes
    ----------
    starts_ms : list of float, n_frames + 1 long
        When each frame begins, from the first, and when the last one ends.
    frames : iterator of uint8 array of shape (rows, columns)
        Grey as in `embedder.grey`, profile "display"; to be taken while the file is open.
    """

    starts_ms: Sequence[float]
    frames: Iterator[NDArray[np.uint8]]


@contextmanager
def playback(
    item: CineFile, *, sha256: str, only: Sequence[int] | None = None
) -> Iterator[Playback]:
    """Open a cine's file to show it.

    Parameters
    ----------
    item : CineFile
    sha256 : str
        What the file's bytes must hash to, hexadecimal: those that were embedded.
    only : sequence of int, optional
        Frame numbers from 0, ascending, each once; all frames when absent.

    Raises
    ------
    InputRefused
        With the code of what is wrong, also while frames are taken; `CHANGED_WHILE_READ` when the
        file is another one, `BAD_CLAIM` when all frames have more than `MAX_PIXELS` together.
    """
    file, before = open_regular(item.path)
    with file:
        if sha256_of(file) != sha256:
            raise InputRefused(
                Code.CHANGED_WHILE_READ, "its bytes are not those that were embedded"
            )
        with _reading():
            container = container_of(file.read(HEAD_BYTES))
            file.seek(0)
        if container is None:
            yield _of_dicom(file, before.st_size, only)
        else:
            yield _of_movie(file, container, item, only)
        check_unchanged(item.path, before)


def _of_dicom(file: BoundedReader, size: int, only: Sequence[int] | None) -> Playback:
    with _reading():
        header = parse_header(file, size, tags=HEADER_TAGS)
    claims = claims_of(header)
    wanted = range(claims.n_frames) if only is None else only
    _check_pixels(len(wanted), claims.rows, claims.columns)
    return Playback(
        frame_starts_ms(header.data, claims.n_frames) or _steady(claims.n_frames, UNSAID_MS),
        _dicom_frames(header, claims, wanted),
    )


def _dicom_frames(
    header: Header, claims: Claims, wanted: Sequence[int]
) -> Iterator[NDArray[np.uint8]]:
    with _reading():
        yield from each_frame(header, claims, wanted, profile=_PROFILE)


@contextmanager
def _reading() -> Iterator[None]:
    """Tell an error of the disk that is read from one of the disk that is written."""
    try:
        yield
    except OSError as error:
        raise InputRefused(Code.UNREADABLE, error.strerror or "") from error


def _of_movie(
    file: BoundedReader, container: str, item: CineFile, only: Sequence[int] | None
) -> Playback:
    # Its table may say another rate than the movie itself, and then goes before it.
    starts_ms = _steady(item.n_frames, item.frame_time_ms or UNSAID_MS)
    return Playback(starts_ms, _movie_frames(file, container, item.n_frames, only))


def _movie_frames(
    file: BoundedReader, container: str, n_frames: int, only: Sequence[int] | None
) -> Iterator[NDArray[np.uint8]]:
    wanted = range(n_frames) if only is None else only
    count = 0
    with Movie(file, container) as movie:
        for frame in movie.frames():
            _check_pixels(len(wanted), frame.height, frame.width)
            if count in wanted:
                yield grey_of(frame)
            count += 1
    if count != n_frames:
        raise InputRefused(Code.TRUNCATED, f"{count} frames decode, expected {n_frames}")


def _steady(n_frames: int, step_ms: float) -> list[float]:
    return [i * step_ms for i in range(n_frames + 1)]


def _check_pixels(n_frames: int, rows: int, columns: int) -> None:
    pixels = n_frames * rows * columns
    if pixels > MAX_PIXELS:
        raise InputRefused(
            Code.BAD_CLAIM,
            f"{n_frames} frames of {rows} x {columns} are {pixels:,} pixels; a cine that is shown "
            f"has {MAX_PIXELS:,} at the most",
        )
