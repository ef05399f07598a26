"""A cine's file to the sixteen grey frames an encoder sees; no other frame is decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.outcomes import Code, InputRefused
from embedder.contrast import contrast_signal
from embedder.dicom.cine import HEADER_TAGS
from embedder.dicom.claims import Claims, claims_of
from embedder.dicom.decoders import Codes, Decoder, decode_frame, decoder_for
from embedder.dicom.describe import frame_time_ms
from embedder.dicom.frame_table import check_extent, frame_spans, pixel_element, read_spans
from embedder.dicom.header import Header, Source, open_regular, parse_header
from embedder.grey import grey_rule
from embedder.sampling import ClipRule, clip_frames

_HASH_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class Clip:
    """What is read of one cine's file.

    Attributes
    ----------
    frames : uint8 array of shape (16, rows, columns)
        Grey; see `embedder.grey` for the meaning of a value.
    sha256 : str
        Of the file's bytes, hexadecimal.
    size : int
        Bytes of the file.
    mtime_ns : int
        Its time of last modification, nanoseconds since 1970.
    contrast : float
        How much thin dark structures change during the clip, see `contrast_signal`.
    """

    frames: NDArray[np.uint8]
    sha256: str
    size: int
    mtime_ns: int
    contrast: float


def read_clip(path: Path, *, rule: ClipRule) -> Clip:
    """Read the clip of a cine.

    Parameters
    ----------
    path : Path
        A file that `embedder.dicom.cine.read_header` took for a cine.
    rule : ClipRule
        Which frames it is made of, and what a grey value means.

    Returns
    -------
    Clip

    Raises
    ------
    InputRefused
        With the code of what is wrong; `CHANGED_WHILE_READ` when the file changed meanwhile.
    """
    file, before = open_regular(path)
    with file:
        digest = sha256_of(file)
        header = parse_header(file, before.st_size, tags=HEADER_TAGS)
        claims = claims_of(header)
        read = partial(read_frames, header, claims, profile=rule.profile)
        frames = clip_frames(claims.n_frames, frame_time_ms(header.data), rule=rule, read=read)
        check_unchanged(path, before)
    signal = contrast_signal(frames)
    return Clip(frames, digest, before.st_size, before.st_mtime_ns, signal)


def read_frames(
    header: Header, claims: Claims, indices: Sequence[int], *, profile: str
) -> NDArray[np.uint8]:
    """Decode some frames to grey, each distinct one once.

    Parameters
    ----------
    header : Header
        Of a file that is still open.
    claims : Claims
    indices : sequence of int
        Frame numbers from 0, repeats allowed.
    profile : str
        ``"display"`` or ``"original"``.

    Returns
    -------
    uint8 array of shape (len(indices), rows, columns)

    Raises
    ------
    InputRefused
        With the code of what is wrong.
    """
    distinct = sorted(set(indices))
    frames = np.empty((len(indices), claims.rows, claims.columns), np.uint8)
    places = {index: [i for i, each in enumerate(indices) if each == index] for index in distinct}
    decoded = each_frame(header, claims, distinct, profile=profile)
    for index, frame in zip(distinct, decoded, strict=True):
        frames[places[index]] = frame
    return frames


def each_frame(
    header: Header, claims: Claims, indices: Sequence[int], *, profile: str
) -> Iterator[NDArray[np.uint8]]:
    """Decode frames to grey, one after another: no more than one is held.

    Parameters
    ----------
    header : Header
        Of a file that stays open until the last frame is taken.
    claims : Claims
    indices : sequence of int
        Frame numbers from 0, ascending, each once.
    profile : str
        ``"display"`` or ``"original"``.

    Yields
    ------
    uint8 array of shape (rows, columns)

    Raises
    ------
    InputRefused
        With the code of what is wrong.
    """
    decoder = decoder_for(header.transfer_syntax)
    check_extent(header, claims, encapsulated=decoder.encapsulated)
    to_grey = grey_rule(header, claims, profile=profile)
    spans = _spans(header, claims, indices, decoder)
    for index in indices:
        data = read_spans(header.source, spans[index])
        yield to_grey(_decode(data, header, claims, decoder))


def file_sha256(path: Path) -> str:
    """Hash a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
        SHA-256 of its bytes, hexadecimal.

    Raises
    ------
    InputRefused
        `UNREADABLE`, `SPECIAL_FILE`, `EMPTY_FILE` or `CHANGED_WHILE_READ`.
    """
    file, before = open_regular(path)
    with file:
        digest = sha256_of(file)
        check_unchanged(path, before)
    return digest


def sha256_of(file: Source) -> str:
    """Hash an open file from where it stands, and go back to its start."""
    digest = hashlib.sha256()
    try:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    except OSError as error:
        raise InputRefused(Code.UNREADABLE, error.strerror or "") from error
    file.seek(0)
    return digest.hexdigest()


def check_unchanged(path: Path, before: os.stat_result) -> None:
    """Refuse a file that changed since `before`, as `CHANGED_WHILE_READ`.

    It is looked at by its path and not the open file: a replaced file is a changed one.
    """
    try:
        after = path.stat()
    except OSError as error:
        raise InputRefused(Code.CHANGED_WHILE_READ, "the file went away") from error
    same = (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )
    if not same:
        raise InputRefused(Code.CHANGED_WHILE_READ)


def _spans(
    header: Header, claims: Claims, wanted: Sequence[int], decoder: Decoder
) -> dict[int, list[tuple[int, int]]]:
    if decoder.encapsulated:
        return frame_spans(header, claims, wanted)
    start, size = pixel_element(header).start, claims.frame_bytes
    return {index: [(start + index * size, size)] for index in wanted}


def _decode(data: bytes, header: Header, claims: Claims, decoder: Decoder) -> Codes:
    if decoder.big_endian and claims.bits_allocated == 8 and pixel_element(header).vr == "OW":
        # Bytes in words, and the words are big endian (PS3.5 8.1.1): the pairs are swapped.
        if len(data) % 2:
            raise InputRefused(Code.UNSUPPORTED_PIXELS, "big endian words of an odd frame size")
        data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
    return decode_frame(data, claims, decoder)
