"""What goes over the socket is what was meant, and what is none is refused before it is read."""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder.encoders.served.wire import MOST_BODY, MOST_HEADER, Message, WireError, receive, send


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        theirs.settimeout(10)
        yield ours, theirs


def test_a_message_arrives_as_it_was_sent(ends):
    arrays: list[NDArray[Any]] = [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::2],  # not contiguous
        np.array([[np.nan, -0.0, 1e-45]], np.float32),
        np.empty((0, 512), np.float32),
        np.random.default_rng(0).integers(0, 256, (16, 300, 400), np.uint8),  # many pieces
    ]
    fields = {"texts": ["Stenose für \ud800 Ärzte", ""], "n": [1, None, 0.1]}
    sent = Message(fields, arrays)
    sending = threading.Thread(target=send, args=(ends[0], sent))
    sending.start()
    found = receive(ends[1])
    sending.join()
    assert found.fields == fields
    assert [each.dtype for each in found.arrays] == [each.dtype for each in arrays]
    for mine, its in zip(arrays, found.arrays, strict=True):
        np.testing.assert_array_equal(its, mine)
    found.arrays[0][:] = 0  # it is the receiver's own


def raw(header, body=b"", claimed=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<IQ", len(text), len(body) if claimed is None else claimed) + text + body


@pytest.mark.parametrize(
    "sent",
    [
        raw(b"no JSON"),
        raw(b"\xff"),
        raw([]),
        raw({}),
        raw({"arrays": None}),
        raw({"arrays": [["float32"]]}),
        raw({"arrays": [["object", [1]]]}, bytes(8)),
        raw({"arrays": [["float64", [1]]]}, bytes(8)),
        raw({"arrays": [["uint8", [-1]]]}),
        raw({"arrays": [["uint8", [True]]]}, bytes(1)),
        raw({"arrays": [["uint8", [1.0]]]}, bytes(1)),
        raw({"arrays": [["uint8", "1"]]}, bytes(1)),
        raw({"arrays": [["uint8", [1] * 5]]}, bytes(1)),
        raw({"arrays": [["uint8", [3]]]}, bytes(2)),
        raw({"arrays": [["uint8", [2**30, 2**30, 2**30, 0]]]}),
        raw(b"[" * 100_000),
        struct.pack("<IQ", MOST_HEADER + 1, 0),
        struct.pack("<IQ", 2, MOST_BODY + 1),
    ],
)
def test_what_is_no_message_is_refused(ends, sent):
    ends[0].sendall(sent)
    with pytest.raises(WireError):
        receive(ends[1])


@pytest.mark.parametrize("sent", [b"", b"\1", raw({"arrays": [["uint8", [9]]]}, bytes(8), 9)])
def test_an_end_in_the_middle_is_told(ends, sent):
    ends[0].sendall(sent)
    ends[0].close()
    with pytest.raises(EOFError):
        receive(ends[1])


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Message({"text": "x" * MOST_HEADER}), "at the most"),
        (Message({}, [np.broadcast_to(np.uint8(0), (1,) * 5)]), "shape"),
        (Message({}, [np.zeros(2)]), "float64"),
    ],
)
def test_what_would_be_refused_is_not_sent(ends, message, said):
    with pytest.raises(WireError, match=said):
        send(ends[0], message)
    ends[0].close()
    with pytest.raises(EOFError):
        receive(ends[1])
