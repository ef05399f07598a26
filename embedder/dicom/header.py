"""Bytes of a file to its header: everything before the pixel data, which is never read.

Built on pydicom's element reader.  What is added for untrusted files: no read longer than the
file, elements that run past its end noticed, a bounded inflate, and what was read before an error
is kept, so that a broken CT can still be told from a broken angiogram.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from core.outcomes import Code, InputRefused
from embedder.dicom.attributes import Attributes, Element, quiet

Source = io.BufferedReader | io.BytesIO
"""A file, or an inflated data set."""
MAX_INFLATED_BYTES = 2**30
"""A deflated data set (PS3.5 A.5) may grow to this size."""
MAX_ELEMENTS = 50_000
"""Elements of the top level; real headers have hundreds."""
_UNDEFINED = 0xFFFFFFFF
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_ARCHIVES: tuple[tuple[int, bytes], ...] = (
    (0, b"\x1f\x8b"),  # gzip
    (0, b"PK\x03\x04"),
    (0, b"PK\x05\x06"),
    (0, b"\x28\xb5\x2f\xfd"),  # zstandard
    (0, b"BZh"),
    (0, b"\xfd7zXZ\x00"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"Rar!\x1a\x07"),
    (0, b"\x04\x22\x4d\x18"),  # lz4
    (257, b"ustar"),
)


@dataclass(frozen=True)
class PixelElement:
    """Where the pixel data is.

    Attributes
    ----------
    tag : int
        (7FE0,0010), or (7FE0,0008) and (7FE0,0009) for floating point.
    vr : str
        Value representation; empty in implicit VR.
    start : int
        Offset of the value in the source.
    length : int or None
        Bytes; None for undefined (encapsulated).
    """

    tag: int
    vr: str
    start: int
    length: int | None


@dataclass(frozen=True)
class Header:
    """A file up to its pixel data.

    Attributes
    ----------
    meta, data : Attributes
        File meta information; the data set.
    transfer_syntax : str
        As given, or, where it is missing, as found out.
    source : binary file
        What `pixels.start` counts in: the file, or the inflated data set.
    size : int
        Bytes in `source`.
    pixels : PixelElement or None
    error : str
        What ended the reading early; empty when nothing did.
    cut : bool
        Whether an element runs past the end of the file.
    """

    meta: Attributes
    data: Attributes
    transfer_syntax: str
    source: Source
    size: int
    pixels: PixelElement | None
    error: str
    cut: bool


class BoundedReader(io.BufferedReader):
    """A reader that never asks for, and so never allocates, more than the file holds.

    Parameters
    ----------
    raw : io.FileIO
        The file; closed with the reader.
    size : int
        Its size in bytes.
    """

    def __init__(self, raw: io.FileIO, size: int) -> None:
        super().__init__(raw, 32 * 1024)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes."""
        return super().read(self._size if size is None or size < 0 else min(size, self._size))


def open_regular(path: Path) -> tuple[BoundedReader, os.stat_result]:
    """Open a regular file; never wait for a pipe or touch a device.

    Raises
    ------
    InputRefused
        `UNREADABLE`, `SPECIAL_FILE` or `EMPTY_FILE`.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputRefused(Code.UNREADABLE, error.strerror or "") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        os.close(fd)
        regular = stat.S_ISREG(status.st_mode)
        raise InputRefused(Code.EMPTY_FILE if regular else Code.SPECIAL_FILE)
    return BoundedReader(io.FileIO(fd, "rb"), status.st_size), status


def is_uid(text: str) -> bool:
    """Say whether a text is a UID: components of digits, at most 64 characters (PS3.5 9.1)."""
    # Components with leading zeros are forbidden and common; they are taken.
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def parse_header(file: Source, size: int, *, tags: frozenset[int]) -> Header:
    """Read a DICOM header.

    Parameters
    ----------
    file : binary file
        From `open_regular`, positioned at its start.  A deflated one is read wholly, any
        other no further than its pixel data.
    size : int
        Bytes in the file.
    tags : frozenset of int
        The elements to keep; the others are skipped.

    Returns
    -------
    Header
        With `error` set if the data set could not be read to its end.

    Raises
    ------
    InputRefused
        `ARCHIVE`, `NOT_DICOM`, or `BAD_HEADER` for a deflated data set that does not inflate.
    """
    with quiet():
        source = file
        has_prefix = _skip_preamble(source)
        meta = _Reading(source, size, _GROUP_2)
        meta.run(implicit=False, little=True, last_group=2)
        group_2 = Attributes(meta.elements)
        syntax = group_2.text("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            source = _inflate(source)
            size = source.seek(0, io.SEEK_END)
            source.seek(0)
        implicit, little = _encoding(source, syntax)
        reading = _Reading(source, size, tags | _ALWAYS)
        reading.run(implicit=implicit, little=little, last_group=0x7FE0)
    data = Attributes(reading.elements, little)
    if not has_prefix and not is_uid(data.text("SOPClassUID")):
        raise InputRefused(Code.NOT_DICOM)
    return Header(
        meta=group_2,
        data=data,
        transfer_syntax=syntax or _name(implicit, little),
        source=source,
        size=size,
        pixels=reading.pixels,
        error=reading.error,
        cut=reading.cut,
    )


_GROUP_2 = frozenset({0x00020002, 0x00020003, 0x00020010})
_ALWAYS = frozenset({0x00080005, 0x00080016, 0x00080060})


def _skip_preamble(source: Source) -> bool:
    """Step over preamble and prefix (PS3.10 7.1); without them, refuse what is clearly not DICOM.

    Raises
    ------
    InputRefused
        `ARCHIVE` or `NOT_DICOM`.
    """
    head = source.read(512)
    if head[128:132] == b"DICM":
        source.seek(132)
        return True
    if any(head[at:].startswith(magic) for at, magic in _ARCHIVES):
        raise InputRefused(Code.ARCHIVE)
    # A bare data set starts with group 0002 or 0008, in either byte order.
    if head[:2] not in (b"\x02\0", b"\x08\0", b"\0\x08"):
        raise InputRefused(Code.NOT_DICOM)
    source.seek(0)
    return False


def _inflate(source: Source) -> Source:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(source.read(), MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise InputRefused(Code.BAD_HEADER, "the deflated data set does not inflate") from error
    if inflater.unconsumed_tail:
        raise InputRefused(
            Code.BAD_CLAIM, f"the data set inflates to more than {MAX_INFLATED_BYTES} bytes"
        )
    return io.BytesIO(data)


def _encoding(source: Source, syntax: str) -> tuple[bool, bool]:
    """Tell (implicit VR, little endian) of the data set at the current position.

    What the first element looks like overrules a wrong or missing transfer syntax: its bytes 4
    and 5 are two capital letters in explicit VR, and a length in implicit VR.
    """
    position = source.tell()
    head = source.read(6)
    source.seek(position)
    if len(head) < 6:
        return syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    if syntax:
        return not explicit, syntax != ExplicitVRBigEndian
    return not explicit, not (explicit and head[0] == 0 and head[1] != 0)


def _name(implicit: bool, little: bool) -> str:
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if little else ExplicitVRBigEndian)


class _Reading:
    """One pass over the elements of a data set."""

    def __init__(self, source: Source, size: int, tags: frozenset[int]) -> None:
        self.source = source
        self.size = size
        self.tags = tags
        self.elements: dict[int, Element] = {}
        self.pixels: PixelElement | None = None
        self.error = ""
        self.cut = False
        self._last_group = 0
        self._count = 0

    def run(self, *, implicit: bool, little: bool, last_group: int) -> None:
        """Read elements until the pixel data, a later group, the end, or an error."""
        self._last_group = last_group
        generator = data_element_generator(
            self.source,
            is_implicit_VR=implicit,
            is_little_endian=little,
            stop_when=self._stop,
            specific_tags=list(self.tags),
        )
        try:
            for element in generator:
                self.elements[int(element.tag)] = element
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  pydicom raises anything on broken bytes
            self.error = type(error).__name__

    def _stop(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Look at each element of the top level before its value is read."""
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise ValueError("too many elements")
        start = self.source.tell()
        if tag in _PIXELS:
            known = None if length == _UNDEFINED else length
            self.pixels = PixelElement(int(tag), vr or "", start, known)
            return True
        if tag >> 16 > self._last_group:
            return True
        if length != _UNDEFINED and start + length > self.size:
            self.cut = True
            return True
        return False
