"""AVI and MP4 files to cines and clips, for archives that were converted to video.

A movie is decoded frame after frame, so that memory does not grow with its length, and what its
container claims is compared with what decodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.outcomes import Code, InputRefused
from core.schema import Cine
from core.uris import uri_of
from embedder.contrast import contrast_signal
from embedder.dicom.header import BoundedReader, open_regular
from embedder.frames import Clip, check_unchanged, sha256_of
from embedder.movies.rows import MovieRow
from embedder.movies.stream import Movie, grey_of
from embedder.sampling import ClipRule, clip_frames


@dataclass(frozen=True)
class _Facts:
    """What decoding a movie told."""

    codec: str
    n_frames: int
    rows: int
    columns: int
    frame_time_ms: float | None


def read_movie(path: Path, container: str, row: MovieRow) -> Cine:
    """Describe a movie: the table's row, and what decoding all of it tells.

    Parameters
    ----------
    path : Path
    container : str
        From `container_of`.
    row : MovieRow

    Returns
    -------
    Cine
        Its `transfer_syntax_uid` is no UID but the container and FFmpeg's name of the codec, such
        as ``avi:mjpeg``.

    Raises
    ------
    InputRefused
        With the code of why it is no cine, or none that can be read.
    """
    file, before = open_regular(path)
    with file:
        digest = sha256_of(file)
        facts = _facts(file, container)
        check_unchanged(path, before)
    told = {
        "sop_uid": surrogate_uid(row.study_uid, digest),
        "acquisition_datetime": None,
        "transfer_syntax_uid": f"{container}:{facts.codec}",
        "n_frames": facts.n_frames,
        "frame_time_ms": facts.frame_time_ms,
        "rows": facts.rows,
        "columns": facts.columns,
        "source_uri": uri_of(path),
    }
    return Cine(**(told | row.says()))


def read_movie_clip(
    path: Path, container: str, n_frames: int, *, frame_time_ms: float | None, rule: ClipRule
) -> Clip:
    """Read the clip of a movie.

    Parameters
    ----------
    path : Path
        A file that `read_movie` took for a cine.
    container : str
        From `container_of`.
    n_frames : int
        As `read_movie` counted.
    frame_time_ms : float or None
        Milliseconds per frame, by the table or the movie.
    rule : ClipRule
        Its profile makes no difference: both mean the same here.

    Returns
    -------
    Clip
        Grey as `embedder.grey` defines it for 8-bit video: the luma in full range, of RGB the luma
        by Rec. ITU-R BT.601.

    Raises
    ------
    InputRefused
        With the code of what is wrong; `CHANGED_WHILE_READ` when the file changed meanwhile.
    """
    file, before = open_regular(path)
    with file:
        digest = sha256_of(file)

        def read(indices: Sequence[int]) -> NDArray[np.uint8]:
            # A movie is read from its start each time: of a long one with a window in time, twice.
            file.seek(0)
            return _read_frames(file, container, indices, n_frames=n_frames)

        frames = clip_frames(n_frames, frame_time_ms, rule=rule, read=read)
        check_unchanged(path, before)
    return Clip(frames, digest, before.st_size, before.st_mtime_ns, contrast_signal(frames))


def _read_frames(
    file: BoundedReader, container: str, indices: Sequence[int], *, n_frames: int
) -> NDArray[np.uint8]:
    """Decode a whole movie and keep some frames; refuse one with another number of frames."""
    wanted = dict.fromkeys(indices, np.empty((0, 0), np.uint8))
    count = 0
    with Movie(file, container) as movie:
        for frame in movie.frames():
            if count in wanted:
                wanted[count] = grey_of(frame)
            count += 1
    if count != n_frames:
        raise InputRefused(Code.TRUNCATED, f"{count} frames decode, expected {n_frames}")
    return np.stack([wanted[index] for index in indices])


def surrogate_uid(study_uid: str, sha256: str) -> str:
    """Make the SOPInstanceUID of a movie whose table gives none.

    Parameters
    ----------
    study_uid : str
        StudyInstanceUID.
    sha256 : str
        Of the movie's bytes, hexadecimal.

    Returns
    -------
    str
        A UUID of 16 hash bytes under the root 2.25 (DICOM PS3.5 B.2).  It follows from study and
        content: a movie that is moved or renamed keeps it, two movies never share it although
        they have one name, and a copy in the same study is known as one.
    """
    message = f"angioatlas/movie/1\0{study_uid}\0{sha256}".encode()
    raw = bytearray(hashlib.sha256(message).digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80  # version 8, "custom" (RFC 9562, section 5.8)
    raw[8] = (raw[8] & 0x3F) | 0x80  # the variant of RFC 9562
    return f"2.25.{int.from_bytes(raw)}"


def _facts(file: BoundedReader, container: str) -> _Facts:
    """Decode a whole movie: only that tells how many frames it has."""
    with Movie(file, container) as movie:
        n_frames, size = 0, (0, 0)
        for frame in movie.frames():
            n_frames += 1
            size = frame.height, frame.width
        if n_frames == 0:
            raise InputRefused(Code.NO_PIXEL_DATA, "no frame of the movie decodes")
        if n_frames == 1:
            raise InputRefused(Code.SINGLE_FRAME)
        return _Facts(movie.codec, n_frames, *size, movie.frame_time_ms)
