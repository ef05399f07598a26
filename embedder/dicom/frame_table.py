"""Where the frames of a cine lie in its file, found without reading them.

Encapsulated pixel data (PS3.5 A.4) is a sequence of items: a basic offset table (which may be
empty) and fragments.  A frame is one or more fragments.  The walk reads 8 bytes an item.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence

from core.outcomes import Code, InputRefused
from embedder.dicom.claims import Claims
from embedder.dicom.header import Header, PixelElement, Source

Span = tuple[int, int]
"""Offset and length in bytes."""

_ITEM = 0xE000FFFE
_END = 0xE0DDFFFE
_UNDEFINED = 0xFFFFFFFF
_STREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")
"""First bytes of a JPEG or JPEG-LS stream, a JPEG 2000 codestream, a JP2 file."""


def pixel_element(header: Header) -> PixelElement:
    """Give the pixel data element of a header.

    Raises
    ------
    InputRefused
        `NO_PIXEL_DATA`, `ICON_ONLY`, `TRUNCATED` when the file ends before it, or
        `UNSUPPORTED_PIXELS` for floating point.
    """
    if header.pixels is not None:
        if header.pixels.tag != 0x7FE00010:
            raise InputRefused(Code.UNSUPPORTED_PIXELS, "floating point pixel data")
        if header.pixels.length != 0:
            return header.pixels
    if header.cut:
        raise InputRefused(Code.TRUNCATED, "the file ends inside the header")
    if "PixelData" in header.data.first("IconImageSequence"):
        raise InputRefused(Code.ICON_ONLY)
    raise InputRefused(Code.NO_PIXEL_DATA)


def check_extent(header: Header, claims: Claims, *, encapsulated: bool) -> None:
    """Check that the file holds the pixel data its header claims, without reading it.

    Raises
    ------
    InputRefused
        `TRUNCATED`, `BAD_HEADER`, or a code of `pixel_element`.
    """
    pixels = pixel_element(header)
    if not encapsulated:
        _check_native(header, pixels, claims)
    elif pixels.length is not None:
        raise InputRefused(Code.BAD_HEADER, "compressed pixel data that is not in items")
    elif not _ends_with_delimiter(header):
        # Only then is the walk worth a read for every fragment: a file that ends as it should
        # is whole, and what is wrong inside comes out when the frames are decoded.
        found = sum(1 for _ in fragments(header.source, pixels.start, header.size)) - 1
        if found < claims.n_frames:
            raise InputRefused(
                Code.TRUNCATED, f"{found} fragments for {claims.n_frames} frames, and no end mark"
            )


def frame_spans(header: Header, claims: Claims, wanted: Sequence[int]) -> dict[int, list[Span]]:
    """Find the fragments of some frames of encapsulated pixel data.

    Parameters
    ----------
    header : Header
    claims : Claims
    wanted : sequence of int
        Frame numbers from 0.

    Returns
    -------
    dict of int to list of (offset, length)
        The fragments of each wanted frame, in order.

    Raises
    ------
    InputRefused
        `TRUNCATED` or `DECODE_FAILED`.
    """
    source, size = header.source, header.size
    start = pixel_element(header).start
    walk = fragments(source, start, size)
    table = next(walk, None)
    if table is None:
        raise InputRefused(Code.DECODE_FAILED, "no basic offset table item")
    first = table[0] + table[1]
    offsets = _extended_offsets(header) or _basic_offsets(source, table)
    if _usable(offsets, claims.n_frames, size - first):
        bounds = [first + offset for offset in offsets] + [size]
        return {
            index: list(_within(source, bounds[index], bounds[index + 1], size)) for index in wanted
        }
    groups = _grouped(source, list(walk), claims.n_frames)
    return {index: groups[index] for index in wanted}


def fragments(source: Source, start: int, size: int) -> Iterator[Span]:
    """Walk the items of encapsulated pixel data; the first one is the basic offset table.

    Parameters
    ----------
    source : binary file
    start : int
        Offset of the first item.
    size : int
        Bytes in the source.

    Yields
    ------
    (offset, length)
        Of the value of each item.

    Raises
    ------
    InputRefused
        `TRUNCATED` when an item runs past the end, `DECODE_FAILED` when there is no item where
        one should be.
    """
    position = start
    while position + 8 <= size:
        tag, length = struct.unpack("<LL", _read(source, (position, 8)))
        if tag == _END:
            return
        if tag != _ITEM or length == _UNDEFINED:
            raise InputRefused(Code.DECODE_FAILED, "no pixel data item where one should be")
        position += 8
        if position + length > size:
            raise InputRefused(Code.TRUNCATED, "a fragment runs past the end of the file")
        yield position, length
        position += length


def read_spans(source: Source, spans: Sequence[Span]) -> bytes:
    """Read and join fragments."""
    return b"".join(_read(source, span) for span in spans)


def _read(source: Source, span: Span) -> bytes:
    source.seek(span[0])
    data = source.read(span[1])
    if len(data) < span[1]:
        raise InputRefused(Code.TRUNCATED, "the file ends inside the pixel data")
    return data


def _check_native(header: Header, pixels: PixelElement, claims: Claims) -> None:
    if pixels.length is None:
        raise InputRefused(Code.BAD_HEADER, "uncompressed pixel data of undefined length")
    held = min(pixels.length, header.size - pixels.start)
    claimed = claims.frame_bytes * claims.n_frames
    if held < claimed:
        raise InputRefused(Code.TRUNCATED, f"{held} bytes of pixel data of {claimed} claimed")


def _ends_with_delimiter(header: Header) -> bool:
    if header.size < 8:
        return False
    header.source.seek(header.size - 8)
    return header.source.read(8) == struct.pack("<LL", _END, 0)


def _extended_offsets(header: Header) -> list[int]:
    """Give the extended offset table (PS3.3 C.7.6.3.1.8); empty when there is none."""
    raw = header.data.raw("ExtendedOffsetTable")
    return list(struct.unpack_from(f"<{len(raw) // 8}Q", raw))


def _basic_offsets(source: Source, table: Span) -> list[int]:
    raw = _read(source, (table[0], table[1] // 4 * 4))
    return list(struct.unpack(f"<{len(raw) // 4}L", raw))


def _usable(offsets: list[int], n_frames: int, room: int) -> bool:
    """Say whether an offset table can be right; a wrong one is worse than none."""
    return (
        len(offsets) == n_frames
        and offsets[0] == 0
        and all(a < b for a, b in itertools.pairwise(offsets))
        and offsets[-1] < room
    )


def _within(source: Source, start: int, stop: int, size: int) -> Iterator[Span]:
    for span in fragments(source, start, size):
        if span[0] >= stop:
            return
        yield span


def _grouped(source: Source, spans: list[Span], n_frames: int) -> list[list[Span]]:
    """Tell which fragments make a frame, without an offset table."""
    if len(spans) < n_frames:
        raise InputRefused(Code.TRUNCATED, f"{len(spans)} fragments for {n_frames} frames")
    if len(spans) == n_frames:
        return [[span] for span in spans]
    groups: list[list[Span]] = []
    for offset, length in spans:
        begins = _read(source, (offset, min(length, 6))).startswith(_STREAM_STARTS)
        if begins or not groups:
            groups.append([])
        groups[-1].append((offset, length))
    if len(groups) != n_frames:
        raise InputRefused(
            Code.DECODE_FAILED, f"{len(spans)} fragments make {len(groups)} frames of {n_frames}"
        )
    return groups
