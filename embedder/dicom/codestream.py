"""What a compressed frame says of itself: size and colour, from its first markers.

A compressed frame has a header of its own, and a decoder allocates by it.  So it is compared with
the DICOM header before a decoder sees the frame.  Markers: ISO/IEC 10918-1 B (JPEG), 14495-1 C
(JPEG-LS), 15444-1 A (JPEG 2000).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
# Start of frame: C0 to CF without the tables C4, C8, CC; F7 is JPEG-LS.
_STARTS_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_J2K_SIZE = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Stream:
    """The header of a compressed frame.

    Attributes
    ----------
    rows, columns, samples : int
    precision : int
        Bits of a sample.
    ycc : bool or None
        Whether its colour markers say luma and chroma; None when it has none.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    ycc: bool | None = None


def jpeg_stream(data: bytes) -> Stream:
    """Read the markers of a JPEG or JPEG-LS stream up to its frame header.

    Parameters
    ----------
    data : bytes
        The compressed frame.

    Raises
    ------
    ValueError
        When it is no such stream.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG stream")
    position = 2
    ycc: bool | None = None
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ValueError("no JPEG marker where one should be")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = data[position + 4 : position + 2 + length]
        if marker in _STARTS_OF_FRAME:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", body)
            return Stream(rows, columns, samples, precision, ycc)
        ycc = _colour(marker, body, ycc)
        position += 2 + length
    raise ValueError("no JPEG frame header")


def _colour(marker: int, body: bytes, before: bool | None) -> bool | None:
    """Read a colour marker: JFIF is always luma and chroma, Adobe says which."""
    if marker == 0xE0 and body[:5] == b"JFIF\0":
        return True
    if marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
        return body[11] != 0
    return before


def jpeg2000_stream(data: bytes) -> Stream:
    """Read the size marker of a JPEG 2000 codestream, bare or inside a JP2 file.

    Parameters
    ----------
    data : bytes
        The compressed frame.

    Raises
    ------
    ValueError
        When there is none.
    """
    start = data.find(_J2K_SIZE)
    if start < 0 or len(data) < start + 45:
        raise ValueError("no JPEG 2000 codestream")
    # Lsiz, Rsiz, Xsiz, Ysiz, XOsiz, YOsiz, four tile sizes, Csiz, then Ssiz of the first component.
    fields = struct.unpack_from(">HH8LHB", data, start + 4)
    width, height, left, top = fields[2:6]
    return Stream(
        rows=height - top,
        columns=width - left,
        samples=fields[10],
        precision=(fields[11] & 0x7F) + 1,
    )
