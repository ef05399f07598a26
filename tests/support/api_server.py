"""The API as it is served: an app in a server of its own, asked over HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI

from api.protocol import PatientProtocol


@contextmanager
def served(app: FastAPI, **options: Any) -> Iterator[str]:
    """Serve an app at a loopback port until the block ends; yields its address."""
    # With the protocol named, asyncio sends each part of an answer at once (TCP_NODELAY).
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        **{"http": PatientProtocol, **options},
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        _wait(address)
        yield address
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def _wait(address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if httpx2.get(f"{address}/readyz").status_code == 200:
                return
        except httpx2.ConnectError:
            pass
        time.sleep(0.05)
    raise TimeoutError("the server is not ready")
