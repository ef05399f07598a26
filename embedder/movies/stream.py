"""A movie file to its frames: FFmpeg, one container, one video stream, every claim checked.

The demuxer is the one of the recognised container and nothing else: a playlist under another name
is never opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.optional import MissingDependencyError, import_optional
from core.outcomes import Code, InputRefused
from embedder.dicom.claims import MAX_FRAME_PIXELS, MAX_FRAMES, MAX_SIDE
from embedder.dicom.describe import FRAME_TIME_MS
from embedder.dicom.header import BoundedReader

HEAD_BYTES = 132
"""What `container_of` looks at."""
_DEMUXERS = {"avi": "avi", "mp4": "mov"}
_LUMA_FIRST = frozenset(
    {
        "gray", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p",
        "yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p", "nv12", "nv21", "nv16",
    }
)  # fmt: skip
"""Pixel formats whose first plane is 8-bit luma."""
_LIMITED, _FULL = 1, 2
"""AVColorRange of FFmpeg: luma from 16 to 235, or from 0 to 255 (Rec. ITU-R BT.601)."""
_LUMA = np.array([0.299, 0.587, 0.114])


def container_of(head: bytes) -> str | None:
    """Say what movie container a file is.

    Parameters
    ----------
    head : bytes
        The first `HEAD_BYTES` of the file.

    Returns
    -------
    str or None
        ``"avi"`` or ``"mp4"``; None for anything else, also for DICOM with such a preamble.
    """
    if head[128:132] == b"DICM":
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    return "mp4" if head[4:8] == b"ftyp" else None


class Movie:
    """An open movie; a context manager that closes the container and not the file.

    Parameters
    ----------
    file : binary file
        From `open_regular`, positioned at its start.
    container : str
        From `container_of`.

    Raises
    ------
    InputRefused
        `BAD_HEADER`, or `MOVIE_SUPPORT_MISSING` without PyAV.
    """

    def __init__(self, file: BoundedReader, container: str) -> None:
        self._av = _pyav()
        # Nothing but this file may be opened, whatever it references.
        options = {"protocol_whitelist": "none"}
        try:
            self._container: Any = self._av.open(
                file, "r", format=_DEMUXERS[container], options=options, metadata_errors="ignore"
            )
        except self._av.FFmpegError as error:
            raise _refused(error, Code.BAD_HEADER, f"the {container} container") from error
        self._stream: Any = next(iter(self._container.streams.video), None)

    def __enter__(self) -> Movie:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return str(self._stream.codec_context.codec.canonical_name)

    @property
    def frame_time_ms(self) -> float | None:
        """Milliseconds per frame, if the container has a sane rate."""
        rate = self._stream.average_rate
        low, high = FRAME_TIME_MS
        milliseconds = 1000 / float(rate) if rate else 0.0
        return milliseconds if low <= milliseconds <= high else None

    def frames(self) -> Iterator[Any]:
        """Decode the frames, one after another, each checked.

        Raises
        ------
        InputRefused
        """
        if self._stream is None:
            raise InputRefused(Code.NO_PIXEL_DATA, "a movie without a video stream")
        codec = self._stream.codec_context
        if codec is None:
            raise InputRefused(Code.UNSUPPORTED_TRANSFER_SYNTAX, "FFmpeg has no decoder for it")
        _check_size(codec.height, codec.width)
        # One worker is one core; a damaged frame is an error and not a guess.
        codec.thread_count = 1
        codec.options = {"max_pixels": str(MAX_FRAME_PIXELS), "err_detect": "explode"}
        n_packets = n_frames = 0
        size = None
        try:
            for packet in self._container.demux(self._stream):
                n_packets += packet.size > 0
                if packet.is_corrupt:
                    raise InputRefused(Code.TRUNCATED, f"the movie breaks off in {n_packets}")
                for frame in packet.decode():
                    size = size or (frame.height, frame.width)
                    _check_frame(frame, n_frames, size)
                    yield frame
                    n_frames += 1
        except self._av.FFmpegError as error:
            raise _refused(error, Code.DECODE_FAILED, f"frame {n_frames}") from error
        claimed = self._stream.frames
        if max(n_packets, n_frames) < claimed:
            raise InputRefused(Code.TRUNCATED, f"{n_frames} frames are there, {claimed} claimed")


def _pyav() -> Any:
    try:
        return import_optional("av", needed_for="reading AVI and MP4", extra="movies")
    except MissingDependencyError as error:
        raise InputRefused(Code.MOVIE_SUPPORT_MISSING) from error


def _check_size(rows: int, columns: int) -> None:
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE):
        raise InputRefused(
            Code.BAD_CLAIM, f"{rows} x {columns} pixels, expected sides of 1 to {MAX_SIDE}"
        )
    if rows * columns > MAX_FRAME_PIXELS:
        raise InputRefused(Code.BAD_CLAIM, f"{rows} x {columns} pixels is over the limit")


def _check_frame(frame: Any, number: int, size: tuple[int, int]) -> None:
    rows, columns = frame.height, frame.width
    _check_size(rows, columns)
    if number >= MAX_FRAMES:
        raise InputRefused(Code.BAD_CLAIM, f"more than {MAX_FRAMES} frames")
    if (rows, columns) != size:
        raise InputRefused(
            Code.BAD_CLAIM,
            f"frame {number} has {rows} x {columns} pixels, the first {size[0]} x {size[1]}",
        )
    if frame.is_corrupt:
        raise InputRefused(Code.DECODE_FAILED, f"frame {number} is damaged")


def _refused(error: Exception, code: Code, what: str) -> InputRefused:
    """Translate FFmpeg's error; its text is left out, since it may quote the file."""
    if isinstance(error, MemoryError):
        raise error
    return InputRefused(code, f"{what}: {type(error).__name__}")


def grey_of(frame: Any) -> NDArray[np.uint8]:
    """Give a decoded frame's grey values, full range."""
    plane = frame.planes[0]
    if frame.format.name in _LUMA_FIRST and plane.line_size >= frame.width:
        codes = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        grey: NDArray[np.uint8] = _full_range(frame)[codes[: frame.height, : frame.width]]
        return grey
    luma = np.floor(frame.reformat(format="rgb24").to_ndarray() @ _LUMA + 0.5)
    return np.asarray(luma, np.uint8)


def _full_range(frame: Any) -> NDArray[np.uint8]:
    """Give the full-range value of each luma."""
    luma = np.arange(256)
    name = frame.format.name
    # What says nothing of its range is limited, but for grey and the "j" formats (as in FFmpeg).
    unsaid = _FULL if name == "gray" or name.startswith("yuvj") else _LIMITED
    if (int(frame.color_range) or unsaid) == _FULL:
        return luma.astype(np.uint8)
    return np.clip(np.floor((luma - 16) * 255 / 219 + 0.5), 0, 255).astype(np.uint8)
