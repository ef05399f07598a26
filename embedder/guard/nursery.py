"""The caller's end of the nursery: start it, have it fork and end workers, hang up.

`embedder.guard.worker` is the other end, and says why there is a nursery at all.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence

from core.errors import AtlasError
from embedder.guard.worker import ANSWER, COMMAND, READY

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from embedder.guard.worker import main; main()"
)
# One worker is one core: numeric libraries must not start threads, whose stacks and arenas would
# also eat the address space.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}


class GuardError(AtlasError):
    """The guarded workers themselves cannot be started or used."""

    code = "guard"


class Nursery:
    """The process that forks, kills and reaps the workers.

    Parameters
    ----------
    preload : sequence of str
        Modules it imports once.

    Raises
    ------
    GuardError
        When it does not start.
    """

    def __init__(self, preload: Sequence[str]) -> None:
        self.control, theirs = socket.socketpair()
        self.control.settimeout(120)
        command = [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(theirs.fileno())]
        with theirs:
            self.process = subprocess.Popen(
                [*command, *preload],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
            )
        try:
            ready = self._answer() == READY
        except (OSError, EOFError):
            ready = False
        if not ready:
            self.close()
            raise GuardError(
                "the guarded worker processes did not start",
                "see the message above; `angioatlas doctor` checks the installation",
            )

    def fork(self, memory_bytes: int) -> tuple[int, socket.socket]:
        """Start a worker with an address-space limit; give its pid and the socket to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [COMMAND.pack(b"+", memory_bytes)], [theirs.fileno()])
            return self._answer(), ours

    def end(self, pid: int) -> int:
        """Kill a worker, or bury a dead one; give its wait status."""
        self.control.sendall(COMMAND.pack(b"-", pid))
        return self._answer()

    def _answer(self) -> int:
        data = b""
        while len(data) < ANSWER.size:
            piece = self.control.recv(ANSWER.size - len(data))
            if not piece:
                raise EOFError("the nursery is gone")
            data += piece
        number: int = ANSWER.unpack(data)[0]
        return number

    def close(self) -> None:
        """Hang up; the nursery then kills its workers and ends."""
        self.control.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
