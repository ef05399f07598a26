"""Messages between the encoder process and who asks it: a few fields, and arrays.

A message is two lengths, a header (JSON: the fields, and the type and shape of each array) and a
body (the bytes of the arrays, one after another).  What a length claims is checked before anything
of it is read, and nothing that was sent is ever executed, as a pickle is.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST_HEADER: Final = 8 * 2**20
"""Bytes; some thousand reports."""
MOST_BODY: Final = 2**30
"""Bytes; a clip of 16 frames may have 67 million pixels each."""
_LENGTHS: Final = struct.Struct("<IQ")
_DTYPES: Final = {"float32", "uint8"}
_MOST_DIMENSIONS: Final = 4
_ARRAYS: Final = "arrays"
_Description = tuple[str, tuple[int, ...]]


class WireError(Exception):
    """What came is no message, or a message would be too long."""


@dataclass(frozen=True)
class Message:
    """What is asked, or answered.

    Attributes
    ----------
    fields : mapping
        As JSON can say them.
    arrays : sequence of arrays
        float32 or uint8, of up to four dimensions.
    """

    fields: Mapping[str, Any]
    arrays: Sequence[NDArray[Any]] = field(default=())


def send(connection: socket.socket, message: Message) -> None:
    """Send a message.

    Raises
    ------
    WireError
        It is too long, or holds an array of another type.
    OSError
        The other side is gone, or takes nothing.
    """
    arrays = [np.ascontiguousarray(each) for each in message.arrays]
    described = _described([(each.dtype.name, each.shape) for each in arrays])
    header = json.dumps({**message.fields, _ARRAYS: described}).encode()
    _check(len(header), _size(described))
    connection.sendall(_LENGTHS.pack(len(header), sum(each.nbytes for each in arrays)) + header)
    for each in arrays:
        if each.size:  # what has no byte cannot be seen as bytes
            connection.sendall(each.data.cast("B"))


def receive(connection: socket.socket) -> Message:
    """Receive a message.

    Raises
    ------
    WireError
        What comes is none.
    EOFError
        The other side closed the connection.
    OSError
        The connection broke, or nothing came in time.
    """
    header_size, body_size = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    _check(header_size, body_size)
    try:
        fields = json.loads(bytes(_exactly(connection, header_size)))
        described = _described(fields.pop(_ARRAYS))
        if _size(described) != body_size:
            raise WireError(f"arrays of {_size(described)} bytes in a body of {body_size}")
        arrays = [np.empty(shape, dtype) for dtype, shape in described]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WireError("the header is none") from error
    for each in arrays:
        if each.size:
            _fill(connection, each.data.cast("B"))
    return Message(fields, arrays)


def _described(told: Any) -> list[_Description]:
    """Return what is said of arrays, as type and shape, if they may be sent."""
    for dtype, shape in told:
        counts = all(type(each) is int and 0 <= each <= MOST_BODY for each in shape)
        if dtype not in _DTYPES or not counts or len(shape) > _MOST_DIMENSIONS:
            raise WireError(f"an array of type {dtype!r} and shape {shape!r}")
    return [(dtype, tuple(shape)) for dtype, shape in told]


def _size(described: Sequence[_Description]) -> int:
    """Return the bytes that arrays take, by their descriptions."""
    return sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in described)


def _check(header: int, body: int) -> None:
    if header > MOST_HEADER or body > MOST_BODY:
        raise WireError(
            f"a header of {header} bytes and a body of {body}; at the most {MOST_HEADER} and "
            f"{MOST_BODY} are taken"
        )


def _exactly(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    _fill(connection, memoryview(data))
    return data


def _fill(connection: socket.socket, view: memoryview) -> None:
    done = 0
    while done < len(view):
        got = connection.recv_into(view[done:])
        if got == 0:
            raise EOFError("the other side closed the connection")
        done += got
