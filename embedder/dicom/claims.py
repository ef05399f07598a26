"""What a header claims about its pixels, checked against limits and against the file.

Nothing is ever allocated by a claim that did not pass here.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.outcomes import Code, InputRefused
from embedder.dicom.header import Header

MAX_SIDE = 8192
"""Rows or columns; the largest X-ray detectors have about 4,300."""
MAX_FRAME_PIXELS = 4096 * 4096
"""Pixels of a frame: 16 frames of grey bytes are then 256 MiB at the most."""
MAX_FRAMES = 20_000
"""Frames of a cine: eleven minutes at 30 frames a second."""


@dataclass(frozen=True)
class Claims:
    """The Image Pixel module (PS3.3 C.7.6.3) of one cine.

    Attributes
    ----------
    n_frames, rows, columns : int
    samples : int
        1 or 3 values per pixel.
    bits_allocated : int
        8 or 16 per value.
    bits_stored, high_bit : int
    signed : bool
        Whether stored values are two's complement.
    photometric : str
        PhotometricInterpretation, upper case.
    planar : bool
        Whether colours are stored plane by plane.
    """

    n_frames: int
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.bits_allocated // 8


def n_frames_of(header: Header) -> int:
    """Give NumberOfFrames, 1 where it is absent.

    Raises
    ------
    InputRefused
        `BAD_CLAIM` when it is not a number from 1 to `MAX_FRAMES`.
    """
    return _claim(header, "NumberOfFrames", 1, MAX_FRAMES, default=1)


def claims_of(header: Header) -> Claims:
    """Read and check what a header claims about its pixels.

    Raises
    ------
    InputRefused
        `MISSING_ATTRIBUTE` or `BAD_CLAIM`.
    """
    rows = _claim(header, "Rows", 1, MAX_SIDE)
    columns = _claim(header, "Columns", 1, MAX_SIDE)
    if rows * columns > MAX_FRAME_PIXELS:
        raise InputRefused(Code.BAD_CLAIM, f"{rows} x {columns} pixels is over the limit")
    samples = _one_of(header, "SamplesPerPixel", (1, 3), default=1)
    allocated = _one_of(header, "BitsAllocated", (8, 16))
    stored = _claim(header, "BitsStored", 1, allocated, default=allocated)
    photometric = header.data.text("PhotometricInterpretation").upper()
    if not photometric:
        raise InputRefused(Code.MISSING_ATTRIBUTE, "no PhotometricInterpretation")
    return Claims(
        n_frames=n_frames_of(header),
        rows=rows,
        columns=columns,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_claim(header, "HighBit", stored - 1, allocated - 1, default=stored - 1),
        signed=_one_of(header, "PixelRepresentation", (0, 1), default=0) == 1,
        photometric=photometric,
        planar=_one_of(header, "PlanarConfiguration", (0, 1), default=0) == 1,
    )


def _claim(header: Header, keyword: str, low: int, high: int, default: int | None = None) -> int:
    value = _integer(header, keyword, default)
    if not low <= value <= high:
        raise InputRefused(Code.BAD_CLAIM, f"{keyword} is {value}, expected {low} to {high}")
    return value


def _one_of(
    header: Header, keyword: str, allowed: tuple[int, ...], default: int | None = None
) -> int:
    value = _integer(header, keyword, default)
    if value not in allowed:
        names = " or ".join(map(str, allowed))
        raise InputRefused(Code.BAD_CLAIM, f"{keyword} is {value}, expected {names}")
    return value


def _integer(header: Header, keyword: str, default: int | None) -> int:
    try:
        value = header.data.integer(keyword)
    except ValueError as error:
        raise InputRefused(Code.BAD_CLAIM, f"{keyword} is not an integer") from error
    value = default if value is None else value
    if value is None:
        raise InputRefused(Code.MISSING_ATTRIBUTE, f"no {keyword}")
    return value
