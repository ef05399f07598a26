"""An object store at this machine: moto's, with a bucket for every test that asks."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


@contextmanager
def object_store() -> Iterator[str]:
    """Serve an object store; the environment leads to it meanwhile.  Gives its endpoint."""
    app = DomainDispatcherApplication(create_backend_app)
    one_by_one = threading.Lock()

    def atomic(environ, start_response):
        # moto looks whether a condition holds and writes in two steps; an object store in one.
        with one_by_one:
            return list(app(environ, start_response))

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
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/{uuid.uuid4().hex[:8]}/atlas"


def keys_holding(uri: str, needle: bytes) -> list[str]:
    """Return the keys of the objects below a URI whose name or bytes hold `needle`."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return [
        key
        for key in keys
        if needle in key.encode()
        or needle in client.get_object(Bucket=bucket, Key=key)["Body"].read()
    ]


def upload(folder: Path, uri: str) -> None:
    """Copy a folder into a bucket, as any tool does."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    for path in folder.rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(folder).as_posix()}"
            client.upload_file(str(path), bucket, key)
