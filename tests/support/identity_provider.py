"""An identity provider on loopback: keys, its two documents, and tokens good and bad."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "angioatlas"


class Provider:
    """Signs tokens, and says with which keys."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.fetches = 0
        self.down = False
        self.issuer = ""

    def add_key(self, name: str, kind: str = "RSA") -> None:
        """Make a key and publish it."""
        self.keys[name] = (
            rsa.generate_private_key(65537, 2048)
            if kind == "RSA"
            else ec.generate_private_key(ec.SECP256R1())
        )

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return good claims, but for what is changed; None leaves a claim out."""
        now = int(time.time())
        good = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "viewer",
            "iat": now,
            "exp": now + 300,
            "scope": "openid angioatlas:search",
        }
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, key: str = "first", **changed: Any) -> str:
        """Sign good claims, but for what is changed."""
        private = self.keys[key]
        algorithm = "RS256" if isinstance(private, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**changed), private, algorithm, {"kid": key})

    def document(self, path: str) -> Any:
        """Return what stands at a path."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        self.fetches += 1
        return {"keys": [self._public(name) for name in self.keys]}

    def _public(self, name: str) -> dict[str, Any]:
        private = self.keys[name]
        family = (
            jwt.algorithms.RSAAlgorithm
            if isinstance(private, rsa.RSAPrivateKey)
            else jwt.algorithms.ECAlgorithm
        )
        public: dict[str, Any] = json.loads(family.to_jwk(private.public_key()))
        return public | {"kid": name, "use": "sig"}


@contextmanager
def provided() -> Iterator[Provider]:
    """Let a provider answer at a loopback port until the block ends."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = json.dumps(provider.document(self.path)).encode()
            self.send_response(503 if provider.down else 200)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
