"""Vectors of the videos of studies, as a message holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from embedder.encoders.served.wire import Message, WireError
from embedder.encoders.spec import VideoVectors

_Item = TypeVar("_Item")


def packed(studies: Sequence[VideoVectors]) -> Message:
    """Put studies, at least one, behind each other; all of them have summaries, or none has."""
    arrays = [
        np.concatenate([each.pooled for each in studies]),
        np.concatenate([each.embedding for each in studies]),
    ]
    summaries = [each.summaries for each in studies if each.summaries is not None]
    if len(summaries) == len(studies):
        arrays.append(np.concatenate(summaries))
    return Message({"videos": [len(each.pooled) for each in studies]}, arrays)


def unpacked(message: Message) -> list[VideoVectors]:
    """Take studies apart that `packed` put together.

    Raises
    ------
    WireError
        The message holds no studies.
    """
    ends = np.cumsum(message.fields["videos"])[:-1]
    if not 2 <= len(message.arrays) <= 3:
        raise WireError(f"studies of {len(message.arrays)} arrays")
    parts = [np.split(each, ends) for each in message.arrays]
    return [VideoVectors(*part) for part in zip(*parts, strict=True)]


def in_parts(items: Sequence[_Item], sizes: Sequence[int], most: int) -> Iterator[list[_Item]]:
    """Cut items into runs that together have no more than `most` bytes, or are of one item."""
    part: list[_Item] = []
    taken = 0
    for item, size in zip(items, sizes, strict=True):
        if part and taken + size > most:
            yield part
            part, taken = [], 0
        part.append(item)
        taken += size
    if part:
        yield part
