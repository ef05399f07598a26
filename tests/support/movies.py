"""Small synthetic movies, written by the same library that reads them."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.support.dicom import moving_frames

MJPEG = {"qmin": "1", "qmax": "2"}
"""The best quality of FFmpeg's encoder."""


def write_movie(
    path: Path,
    frames: NDArray[Any] | None = None,
    *,
    codec: str = "mjpeg",
    pixels: str = "yuvj420p",
    rate: int = 15,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a movie; its container follows from the name's ending.

    Parameters
    ----------
    path : Path
        Written; its folder is made.
    frames : uint8 array of shape (n, rows, columns) or (n, rows, columns, 3), optional
        `moving_frames()` when absent.
    codec, pixels : str
        FFmpeg's names.
    rate : int
        Frames a second.
    options : dict, optional
        Of the encoder.
    """
    grey = moving_frames() if frames is None else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        quality = MJPEG if codec == "mjpeg" else {}
        stream: Any = container.add_stream(codec, rate=rate, options=options or quality)
        stream.height, stream.width = grey.shape[1:3]
        stream.pix_fmt = pixels
        for frame in grey:
            kind = "rgb24" if frame.ndim == 3 else "gray"
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=kind)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path
