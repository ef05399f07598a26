"""The cohort explorer as a process of its own, at an address of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.support.cli import ROOT

_PATIENCE = 60


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def explorer(
    home: Path, store: Path, *words: object, port: int | None = None, **settings: str
) -> Iterator[str]:
    """Serve the explorer on a store until the block ends; yields its address.

    Parameters
    ----------
    home : Path
        Home of its installation; its log is written here.
    store : Path
    *words
        More options of `angioatlas dashboard`.
    port : int, optional
        Any that is free by default.
    **settings
        Variables of its environment.
    """
    port = port or free_port()
    log = home / "explorer.log"
    command = [sys.executable, "-m", "angioatlas.cli.main", "dashboard", "--store", str(store)]
    with log.open("wb") as to:
        process = subprocess.Popen(
            [*command, "--port", str(port), *map(str, words)],
            env=os.environ | {"HOME": str(home), "PYTHONPATH": str(ROOT)} | settings,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=to,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(process, address, log)
            yield address
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx2.get(f"{address}/_stcore/health").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"the explorer is not ready:\n{log.read_text(errors='replace')}")
