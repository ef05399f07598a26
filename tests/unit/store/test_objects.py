"""What an object store that cannot be used is said to be, and how soon."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.errors import NotFoundError, StoreError
from store.objects import what_is_wrong
from store.store import Store
from tests.support.bucket import lead_to, new_prefix, object_store
from tests.support.store_cases import KEPT

URI = "s3://bucket/atlas"


@contextmanager
def server_that_says(status: int, code: str):
    class Says(BaseHTTPRequestHandler):
        def _say(self) -> None:
            body = f"<Error><Code>{code}</Code><Message>secret-of-a-test</Message></Error>".encode()
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = _say

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Says) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "words", "hint"),
    [
        (404, "NoSuchBucket", "there is no such bucket", "make the bucket"),
        (403, "AccessDenied", "access is denied", "right to list, read, write"),
        (403, "SignatureDoesNotMatch", "the credentials are not accepted", "AWS_SECRET_ACCESS_KEY"),
        (403, "InvalidAccessKeyId", "the credentials are not accepted", "AWS_ACCESS_KEY_ID"),
        (400, "AuthorizationHeaderMalformed", "it is in another region", "AWS_REGION"),
        (301, "PermanentRedirect", "it is in another region", "AWS_REGION"),
        (503, "SlowDown", "its server is out of order or busy", "try again"),
        (418, "Teapot", "gave an answer that is not understood", "--debug"),
    ],
)
@pytest.mark.parametrize("act", ["open", "create"])
def test_answers(monkeypatch, status, code, words, hint, act):
    with server_that_says(status, code) as endpoint, monkeypatch.context() as patch:
        lead_to(patch, endpoint)
        with pytest.raises(StoreError, match=words) as caught:
            Store.open(URI) if act == "open" else Store.create(URI, identity=KEPT)
    assert caught.value.message.startswith(f"the store {URI} cannot be used: ")
    assert hint in caught.value.hint
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"


def test_a_server_that_is_not_there(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        lead_to(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(StoreError, match="its server cannot be reached"):
            Store.open(URI)
        assert time.monotonic() - began < 15


@pytest.mark.slow
def test_a_server_that_never_answers(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        lead_to(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(StoreError, match="its server cannot be reached"):
            Store.open(URI)
        assert time.monotonic() - began < 15


def test_an_endpoint_without_tls_has_to_be_meant(monkeypatch):
    lead_to(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(StoreError, match="its endpoint is without TLS") as caught:
        Store.open(URI)
    assert "AWS_ALLOW_HTTP=true" in caught.value.hint


def test_no_credentials():
    answer = "Error performing PUT http://169.254.169.254/latest/api/token in 3s - HTTP error"
    error = what_is_wrong(URI, answer)
    assert error.message == f"the store {URI} cannot be used: no credentials were found"
    assert "AWS_ACCESS_KEY_ID" in error.hint


def test_a_server_without_conditional_puts():
    with object_store(heeds_conditions=False):
        uri = new_prefix("unconditional")
        with pytest.raises(StoreError, match="does not heed If-None-Match and If-Match"):
            Store.create(uri, identity=KEPT)
        with pytest.raises(NotFoundError):
            Store.open(uri)


def test_a_bucket_that_is_not_there():
    with object_store():
        new_prefix("another")
        with pytest.raises(StoreError, match="there is no such bucket"):
            Store.open("s3://never-made/atlas")
