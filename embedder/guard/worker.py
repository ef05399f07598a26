"""The other side of the guarded pool: the process that forks workers, and the worker's loop.

The nursery is a small process started once per pool.  It imports what the workers need and then
only forks, kills and reaps: a fresh worker costs a fork (milliseconds), not an interpreter start,
and shares the imported code with the others.  It is a process of its own, and not a fork of the
caller, so that workers never inherit the caller's threads, locks, GPU state or memory; and, unlike
with `multiprocessing`, the caller's main program is never imported again in a worker.

When the caller dies, however it dies, the nursery reads end-of-file and kills its workers.

Limits are not a sandbox: they keep a bad file from costing more than a known time and memory.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from core.outcomes import Code, InputRefused
from embedder.guard import wire

COMMAND = struct.Struct("<cq")
"""One command to the nursery: b"+" (fork, memory limit in bytes, socket attached) or b"-" (pid)."""
ANSWER = struct.Struct("<q")
"""The answer: the pid of the new worker, or the wait status of the ended one."""
READY = 0
"""First answer of a nursery, when its imports are done."""


def nursery(control_fd: int, preload: Sequence[str]) -> NoReturn:
    """Fork and reap workers on command until the caller is gone.

    Parameters
    ----------
    control_fd : int
        The stream socket to the caller.
    preload : sequence of str
        Modules to import before the first fork.
    """
    control = socket.socket(fileno=control_fd)
    # They may be sent to the whole group, and to stop is the caller's decision.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for module in preload:
        importlib.import_module(module)
    _silence()
    gc.collect()
    gc.freeze()  # forked workers then share these pages for good
    control.sendall(ANSWER.pack(READY))
    children: set[int] = set()
    while True:
        data, fds, _, _ = socket.recv_fds(control, COMMAND.size, 1)
        if len(data) < COMMAND.size:
            break
        command, number = COMMAND.unpack(data)
        if command == b"+":
            answer = _fork(control, socket.socket(fileno=fds[0]), number)
            children.add(answer)
        else:
            answer = _end(number)
            children.discard(number)
        control.sendall(ANSWER.pack(answer))
    for pid in children:
        _end(pid)
    os._exit(0)


def _silence() -> None:
    """Send what decoders print to nowhere: it spams, and may quote the file."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)


def _fork(control: socket.socket, link: socket.socket, memory_bytes: int) -> int:
    pid = os.fork()
    if pid:
        link.close()
        return pid
    try:
        control.close()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        serve(link)
    finally:
        os._exit(0)


def _end(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)  # not reaped yet, so the pid is still this child's
    return os.waitpid(pid, 0)[1]


def serve(link: socket.socket) -> None:
    """Answer chunks of items, one answer an item, until the caller hangs up.

    Parameters
    ----------
    link : socket.socket
        Receives ``(function, items, fallback)``; is sent the result of each item, or the
        `InputRefused` it ended in.
    """
    while True:
        try:
            message: Any = wire.receive(link)
            function, items, fallback = message
            for item in items:
                for piece in _answer(function, item, fallback):
                    link.sendall(piece)
        except (EOFError, ConnectionError):
            return


def _answer(function: Callable[[Any], object], item: object, fallback: Code) -> list[memoryview]:
    try:
        return wire.encode(function(item))
    except InputRefused as refusal:
        return wire.encode(refusal)
    except MemoryError:
        return wire.encode(InputRefused(Code.MEMORY_LIMIT))
    except Exception as error:  # noqa: BLE001  whatever a decoder raises becomes a reason
        # The class alone: the text of the error may quote the file.
        return wire.encode(InputRefused(fallback, type(error).__name__))


def main() -> NoReturn:
    """Run a nursery: ``python -c ... FD MODULE...``."""
    nursery(int(sys.argv[1]), sys.argv[2:])
