"""Starts the encoder process, starts it anew when it dies, and ends it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final, final

from core.closing import Closing
from embedder.encoders.served.service import ServiceOptions

_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from embedder.encoders.served.service import main; main()"
)
# Threads that wait for each other sleep: beside searches that keep the processors busy, spinning
# made embedding five times slower.
_ENVIRONMENT: Final = {"OMP_WAIT_POLICY": "PASSIVE"}
_BACKLOG: Final = 128
"""Questions that wait while the process starts."""
_PAUSE_S: Final = 0.5
"""Between the end of a process and the start of the next, so that one that cannot start is no
storm."""
_END_S: Final = 10.0
_log = logging.getLogger(__name__)


@final
class EncoderProcess(Closing):
    """The encoder process, from now until this is closed.

    The socket is made here and outlives the process, so that who asks while it starts, or starts
    anew, waits instead of failing.  Its folder and itself are for this user alone.

    Parameters
    ----------
    state_dir : Path
        The folder of the socket is made in it; or among temporary files, where that file system
        takes no sockets or its path is too long for one.
    options : ServiceOptions

    Attributes
    ----------
    path : Path
        Of the socket.
    """

    def __init__(self, state_dir: Path, options: ServiceOptions) -> None:
        self._options = json.dumps(asdict(options))
        state_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._listening, self.path = _listening(state_dir)
        except OSError:
            self._listening, self.path = _listening(Path(gettempdir()))
        self._closing = threading.Event()
        self._changing = threading.Lock()
        self._process = self._start()
        threading.Thread(target=self._watch, name="encoder process", daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the process that answers now."""
        return self._process.pid

    def close(self) -> None:
        """End the process, and remove the socket."""
        with self._changing:
            self._closing.set()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listening.close()
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        descriptor = self._listening.fileno()
        return subprocess.Popen(
            [
                *(sys.executable, "-c", _BOOT, json.dumps(sys.path)),
                *(self._options, str(descriptor), str(self.path.parent)),
            ],
            pass_fds=[descriptor],
            # Its other end closes with this process, however this ends: then that one ends, too.
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**_ENVIRONMENT, **os.environ},
        )

    def _watch(self) -> None:
        while True:
            ended = self._process.wait()
            if self._closing.wait(_PAUSE_S):
                return
            if self._process.stdin is not None:
                self._process.stdin.close()
            _log.warning("the encoder process ended (%d) and is started anew", ended)
            with self._changing:
                if self._closing.is_set():
                    return
                try:
                    self._process = self._start()
                except OSError as error:  # no memory, perhaps; there may be some later
                    _log.error("the encoder process cannot be started: %s", error.strerror)


def _listening(parent: Path) -> tuple[socket.socket, Path]:
    """Make a socket that listens, in a new folder of `parent`."""
    path = Path(mkdtemp(prefix="angioatlas-encoder-", dir=parent)) / "socket"
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        shutil.rmtree(path.parent, ignore_errors=True)
        raise
    return made, path
