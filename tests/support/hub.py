"""A hub on localhost: the few answers of the Hugging Face hub that a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    files: Mapping[str, bytes]
    repo: str
    token: str | None

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *_args: Any) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0]
        if not path.startswith((f"/api/models/{self.repo}", f"/{self.repo}/")):
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
        elif self.token and self.headers.get("Authorization") != f"Bearer {self.token}":
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
        elif path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in self.files]
            info = {"id": self.repo, "sha": COMMIT, "siblings": siblings, "tags": []}
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": _etag(data)}
                for name, data in self.files.items()
            ]
            answer = tree if "/tree/" in path else info
            self._send(200, json.dumps(answer).encode(), {}, body=body)
        else:
            name = path.split("/resolve/")[1].split("/", 1)[1]
            data = self.files[name]
            headers = {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": COMMIT}
            self._send(200, data, headers, body=body)

    def _send(self, code: int, data: bytes, headers: Mapping[str, str], *, body: bool) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@contextmanager
def hub(repo: str, files: Mapping[str, bytes], *, token: str | None = None) -> Iterator[str]:
    """Serve one repository; yields the endpoint."""
    handler = type("Handler", (_Handler,), {"repo": repo, "files": dict(files), "token": token})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
