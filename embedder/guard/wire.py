"""Python values over a stream socket, large arrays without extra copies.

A message is a header, a pickle (protocol 5) and the buffers the pickle left out (PEP 574): the
pixels of a clip go from the array of one process straight into the array of the other.
"""

from __future__ import annotations

import pickle
import socket
import struct

_LENGTHS = struct.Struct("<QI")


def encode(value: object) -> list[memoryview]:
    """Turn a value into the pieces of one message.

    Parameters
    ----------
    value : object
        Anything that can be pickled.

    Returns
    -------
    list of memoryview
        To be sent one after the other.

    Raises
    ------
    Exception
        Whatever pickling `value` raises.
    """
    left_out: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=left_out.append)
    buffers = [buffer.raw() for buffer in left_out]
    sizes = struct.pack(f"<{len(buffers)}Q", *(buffer.nbytes for buffer in buffers))
    head = _LENGTHS.pack(len(body), len(buffers)) + sizes + body
    return [memoryview(head), *buffers]


def send(sock: socket.socket, value: object) -> None:
    """Send one value.

    Raises
    ------
    OSError
        When the other side is gone.
    """
    for piece in encode(value):
        sock.sendall(piece)


def receive(sock: socket.socket) -> object:
    """Receive one value.

    Raises
    ------
    EOFError
        When the other side closed, also in the middle of a message.
    OSError
        When the connection broke, or nothing came within the socket's time-out.
    """
    body_size, n_buffers = _LENGTHS.unpack(_exactly(sock, _LENGTHS.size))
    sizes = struct.unpack(f"<{n_buffers}Q", _exactly(sock, 8 * n_buffers))
    body = _exactly(sock, body_size)
    return pickle.loads(body, buffers=[_exactly(sock, size) for size in sizes])


def _exactly(sock: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    done = 0
    while done < size:
        got = sock.recv_into(view[done:])
        if got == 0:
            raise EOFError("the other side closed the connection")
        done += got
    return data
