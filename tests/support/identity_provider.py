"""An identity provider on loopback: keys, its two documents, tokens good and bad, and a login."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode

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
        self.person: dict[str, Any] = {}
        """Claims of whoever logs in, beside good ones."""
        self._nonces: dict[str, str] = {}

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
            return {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
            }
        self.fetches += 1
        return {"keys": [self._public(name) for name in self.keys]}

    def admit(self, asked: dict[str, str]) -> str:
        """Let somebody in who asks for nothing more, and return where they are sent with a code."""
        code = f"code-{len(self._nonces)}"
        self._nonces[code] = asked["nonce"]
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, given: dict[str, str]) -> dict[str, Any]:
        """Return the tokens that a code stands for, once."""
        nonce = self._nonces.pop(given["code"])
        token = self.token(**(self.person | {"nonce": nonce}))
        return {"access_token": "of-no-use", "token_type": "Bearer", "id_token": token}

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
            path, _, query = self.path.partition("?")
            if path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.admit(dict(parse_qsl(query))))
                self.end_headers()
                return
            told = json.dumps(provider.document(self.path)).encode()
            self.send_response(503 if provider.down else 200)
            self.end_headers()
            self.wfile.write(told)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told = json.dumps(provider.exchange(dict(parse_qsl(sent)))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
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
