"""The worker's loop, run in a thread: answers item by item until the caller hangs up."""

import socket
import threading

import numpy as np
import pytest

from core.outcomes import Code, InputRefused
from embedder.guard import wire, worker
from tests.support import guard_tasks as tasks


@pytest.fixture
def link():
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    thread = threading.Thread(target=worker.serve, args=[theirs])
    thread.start()
    yield ours
    ours.close()
    thread.join(10)
    theirs.close()
    assert not thread.is_alive()


def test_one_answer_an_item(link):
    wire.send(link, (tasks.double, [1, 2, 3], Code.BAD_HEADER))
    assert [wire.receive(link) for _ in range(3)] == [2, 4, 6]


@pytest.mark.parametrize(
    ("order", "code"),
    [("refuse", Code.TRUNCATED), ("raise", Code.BAD_HEADER), ("exhaust", Code.MEMORY_LIMIT)],
)
def test_failures_are_answers(link, order, code):
    wire.send(link, (tasks.behave, [order, "next"], Code.BAD_HEADER))
    refusal = wire.receive(link)
    assert isinstance(refusal, InputRefused)
    assert refusal.reason is code
    assert tasks.SECRET not in refusal.message
    assert wire.receive(link) == "next"


def test_buffers_go_beside_the_pickle():
    array = np.arange(3_000_000, dtype=np.uint8)
    pieces = wire.encode({"a": array, "b": 1})
    assert len(pieces) == 2
    assert pieces[0].nbytes < 1000
    assert pieces[1].nbytes == array.nbytes


def test_a_message_cut_short_is_an_end_of_file():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(wire.encode("something")[0][:-1])
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError, match="closed the connection"):
            wire.receive(theirs)
