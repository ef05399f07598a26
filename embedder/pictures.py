"""A cine's file to an MP4 that browsers play, and to a JPEG of its middle frame.

Both are drawn in a guarded worker: the file may be hostile.  What is written holds the pictures and
nothing else that the file says: no names, no dates.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from core.optional import MissingDependencyError, import_optional
from embedder.inputs import CineFile
from embedder.playback import playback

CRF: Final = 20
"""Constant rate factor of x264: lower is better and larger."""
JPEG_LEVEL: Final = 90
_NEEDED_FOR: Final = "cines as MP4"
_ENCODER: Final = "libx264"
_TICKS: Final = 90_000
"""Of the movie's clock in a second, as in MPEG transport: any frame time is exact to 6 µs."""
_KEY_EVERY: Final = 15
"""Frames between two that stand alone, so that a viewer that steps back need not decode a run."""
_LIMITED: Final = np.floor(16 + np.arange(256) * 219 / 255 + 0.5).astype(np.uint8)
"""Grey to luma from 16 to 235 (Rec. ITU-R BT.709), as players take it where nothing is said."""
_NO_COLOUR: Final = 128


Kind = Literal["mp4", "jpg"]
"""The run as a movie, or its middle frame; also the file's ending."""


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn, and where to.

    Attributes
    ----------
    kind : Kind
    source : CineFile
    sha256 : str
        What the bytes of the source must hash to, hexadecimal.
    height : int
        Rows of the picture; those of the frames when they have no more.
    out : Path
        Written; its folder is there.
    """

    kind: Kind
    source: CineFile
    sha256: str
    height: int
    out: Path


def check_encoder() -> None:
    """See to it that a movie can be drawn.

    Raises
    ------
    MissingDependencyError
        When PyAV is not here, or its FFmpeg was built without an H.264 encoder.
    """
    av: Any = import_optional("av", needed_for=_NEEDED_FOR, extra="movies")
    if _ENCODER not in av.codecs_available:
        raise MissingDependencyError(
            f"{_NEEDED_FOR} need the encoder {_ENCODER}, which this build of FFmpeg lacks",
            "pip install 'angioatlas[movies]' from PyPI's wheels, which have it",
        )


def draw(drawing: Drawing) -> int:
    """Draw a picture from a cine's file.

    Returns
    -------
    int
        The `errno` of what kept the picture from being written, such as a full disk; 0 for nothing.

    Raises
    ------
    InputRefused
        With the code of what is wrong with the source; what was written so far is of no use.
    """
    source = drawing.source
    only = None if drawing.kind == "mp4" else [source.n_frames // 2]
    try:
        with playback(source, sha256=drawing.sha256, only=only) as shown:
            frames = (shrink(frame, drawing.height) for frame in shown.frames)
            if drawing.kind == "mp4":
                _write_mp4(drawing.out, shown.starts_ms, frames)
            else:
                (frame,) = frames
                drawing.out.write_bytes(imagecodecs.jpeg8_encode(frame, level=JPEG_LEVEL))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def shrink(frame: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Make a frame smaller, each pixel the mean of the area that it covers.

    Parameters
    ----------
    frame : uint8 array of shape (rows, columns)
    height : int
        Rows wanted.

    Returns
    -------
    uint8 array of shape (min(height, rows), in proportion)
        The frame itself when it is no higher.
    """
    rows, columns = frame.shape
    if height >= rows:
        return frame
    width = max(1, round(columns * height / rows))
    grey = _means(rows, height) @ frame.astype(np.float32) @ _means(columns, width).T
    return np.asarray(np.floor(grey + 0.5), np.uint8)


def _means(size: int, wanted: int) -> NDArray[np.float32]:
    """Give the share that each of `size` pixels has in each of `wanted` [wanted, size]."""
    edges = np.arange(wanted + 1) * (size / wanted)
    pixels = np.arange(size)
    left = np.maximum(edges[:-1, None], pixels)
    right = np.minimum(edges[1:, None], pixels + 1)
    return np.asarray(np.clip(right - left, 0, None) * (wanted / size), np.float32)


def even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row or column of a frame with odd sides, which 4:2:0 cannot have."""
    rows, columns = frame.shape
    return np.pad(frame, ((0, rows % 2), (0, columns % 2)), mode="edge")


def _write_mp4(out: Path, starts_ms: Sequence[float], frames: Iterator[NDArray[np.uint8]]) -> None:
    """Write H.264 in 4:2:0 with its index in front, each frame at its own time."""
    av: Any = import_optional("av", needed_for=_NEEDED_FOR, extra="movies")
    ticks = np.round(np.asarray(starts_ms) * (_TICKS / 1000)).astype(np.int64).tolist()
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(out), "w", format="mp4", options=options) as container:
        stream = None
        for frame, start, end in zip(map(even, frames), ticks[:-1], ticks[1:], strict=True):
            if stream is None:
                rate = Fraction(len(starts_ms) - 1) * _TICKS / ticks[-1]
                stream = _stream(container, frame.shape, rate.limit_denominator(1001))
                # Otherwise the last frame would last as long as FFmpeg guesses.
                stream.codec_context.flags |= av.codec.context.Flags.frame_duration
            picture = av.VideoFrame.from_ndarray(_planes(frame), format="yuv420p")
            picture.time_base = Fraction(1, _TICKS)
            picture.pts, picture.duration = start, end - start
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode())


def _stream(container: Any, shape: tuple[int, ...], rate: Fraction) -> Any:
    options = {"crf": str(CRF), "preset": "veryfast", "g": str(_KEY_EVERY), "bf": "0"}
    stream = container.add_stream(_ENCODER, rate=rate, options=options)
    stream.height, stream.width = shape
    stream.pix_fmt = "yuv420p"
    codec = stream.codec_context
    codec.time_base = Fraction(1, _TICKS)
    codec.thread_count = 1  # one worker is one core
    return stream


def _planes(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give the planes of a grey picture in 4:2:0, one below the other."""
    rows, columns = frame.shape
    planes = np.full((rows * 3 // 2, columns), _NO_COLOUR, np.uint8)
    planes[:rows] = _LIMITED[frame]
    return planes
