"""An object store at this machine: moto's, with a bucket for every test that asks."""

from __future__ import annotations

import logging
import os
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from obstore.store import from_url
from werkzeug.serving import make_server

_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


@contextmanager
def object_store(*, heeds_conditions: bool = True) -> Iterator[str]:
    """Serve an object store; the environment leads to it meanwhile.  Gives its endpoint."""
    app = DomainDispatcherApplication(create_backend_app)
    one_by_one = threading.Lock()

    def atomic(environ, start_response):
        # moto looks whether a condition holds and writes in two steps; an object store in one.
        heard = {n: v for n, v in environ.items() if heeds_conditions or n not in _CONDITIONS}
        with one_by_one:
            return list(app(heard, start_response))

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, atomic, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            lead_to(patch, endpoint)
            yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def lead_to(patch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let the environment name an endpoint, with credentials that moto takes."""
    patch.setenv("AWS_ENDPOINT_URL", endpoint)
    patch.setenv("AWS_ACCESS_KEY_ID", "key-of-a-test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-a-test")
    patch.setenv("AWS_REGION", "us-east-1")
    patch.setenv("AWS_ALLOW_HTTP", "true")


def new_prefix(bucket: str = "tests") -> str:
    """Return the URI of a prefix where nothing lies; its bucket is made."""
    make = urllib.request.Request(f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}", method="PUT")
    with urllib.request.urlopen(make):
        return f"s3://{bucket}/{uuid.uuid4().hex[:8]}/atlas"


def keys_holding(uri: str, needle: bytes) -> list[str]:
    """Return the keys, below a URI, of the objects whose key or bytes hold `needle`."""
    store = _opened(uri)
    keys = [meta["path"] for chunk in obstore.list(store) for meta in chunk]
    return [
        key
        for key in keys
        if needle in key.encode() or needle in bytes(obstore.get(store, key).bytes())
    ]


def put(uri: str, key: str, data: bytes = b"") -> None:
    """Write an object."""
    obstore.put(_opened(uri), key, data)


def remove(uri: str, key: str) -> None:
    """Delete an object."""
    obstore.delete(_opened(uri), key)


def upload(folder: Path, uri: str) -> None:
    """Copy a folder into a bucket, as any tool does."""
    for path in folder.rglob("*"):
        if path.is_file():
            put(uri, path.relative_to(folder).as_posix(), path.read_bytes())


def _opened(uri: str) -> Any:
    return from_url(uri, client_options={"allow_http": True})
