"""The public keys of an identity provider, kept while they are good and fetched when they are not.

A token names the key that signed it.  Whoever invents names must not make this installation ask
the provider again and again, so an unknown name asks at most once in `PAUSE_S`, and nobody waits
for that answer who can be refused without it.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

import jwt

from core.addresses import is_loopback
from core.errors import IssuerError, UsageError

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Signatures that are accepted: those that only the provider can make.  Never `none`, and never
HS256 and its like, whose secret would be the provider's public key."""
FRESH_S: Final = 600.0
"""Keys older than this are fetched again, so that one that was withdrawn is refused soon."""
GOOD_S: Final = 3600.0
"""Keys older than this are not used, if the provider could not be asked meanwhile."""
PAUSE_S: Final = 30.0
"""Between two fetches, at the least."""
FETCH_S: Final = 5.0
"""A fetch takes no longer: not to connect, not between two pieces, not as a whole."""
MOST_BYTES: Final = 2**18
"""Of a document of the provider."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    # A redirect might lead from https to http, or to a service inside this network.
    def redirect_request(self, *_: Any) -> None:
        return None


@final
class ProviderKeys:
    """The keys of one provider, for all threads of this process.

    Parameters
    ----------
    issuer : str
        The provider, which is asked for its discovery document.
    source : str, optional
        Address or file of the key set (RFC 7517), instead of the one that the provider names.

    Raises
    ------
    UsageError
        An address is neither https nor one of this machine.
    """

    def __init__(self, issuer: str, source: str | None = None) -> None:
        self._issuer = issuer
        self._source = source
        if source is None or "://" in source:
            checked_address(source or issuer)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._tried = -float("inf")
        self._fetching = threading.Lock()

    def get(self, name: str) -> jwt.PyJWK | None:
        """Return the key with a name (`kid`), or None when the provider has none.

        Raises
        ------
        IssuerError
            The provider cannot be asked, and no keys of it are good any more.
        """
        age = time.monotonic() - self._fetched
        if name not in self._keys or age > FRESH_S:
            # Only who could not be answered at all waits for a fetch of another thread.
            if self._fetching.acquire(blocking=age > GOOD_S):
                try:
                    self._refresh()
                finally:
                    self._fetching.release()
            if time.monotonic() - self._fetched > GOOD_S:
                raise IssuerError(
                    f"the keys of {self._issuer} cannot be fetched",
                    "see whether this machine reaches it: serve.oidc_issuer, serve.oidc_jwks",
                )
        return self._keys.get(name)

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._tried < PAUSE_S:
            return
        self._tried = now
        try:
            keys = _usable(self._document())
        except (OSError, ValueError, LookupError, TypeError, AttributeError, jwt.PyJWTError):
            return  # the keys that there are stay good for a while
        self._keys, self._fetched = keys, time.monotonic()

    def _document(self) -> Any:
        if self._source is not None and "://" not in self._source:
            with Path(self._source).open("rb") as file:
                return json.loads(file.read(MOST_BYTES))
        where = self._source
        if where is None:
            told = _fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if told["issuer"] != self._issuer:
                raise ValueError("the discovery document is another issuer's")
            where = told["jwks_uri"]
        return _fetch(where)


def checked_address(url: str) -> str:
    """Return an address of a provider, or refuse it.

    Raises
    ------
    UsageError
        What is fetched from it could be changed on its way.
    """
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or plain):
        raise UsageError(
            f"{parts.scheme}://{parts.hostname or ''} is no address of an identity provider",
            "give one that begins with https://",
        )
    return url


def _fetch(url: str) -> Any:
    handlers: list[Any] = [_NoRedirect()]
    if is_loopback(urlsplit(checked_address(url)).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    until = time.monotonic() + FETCH_S
    read = b""
    with urllib.request.build_opener(*handlers).open(url, timeout=FETCH_S) as answer:
        while piece := answer.read1(2**16):
            read += piece
            if len(read) > MOST_BYTES or time.monotonic() > until:
                raise ValueError("the document is too large, or too slow")
    return json.loads(read)


def _usable(document: Any) -> dict[str, jwt.PyJWK]:
    """Return the keys that sign, by name; one that is of no use here leaves the others be."""
    keys = {}
    for each in document["keys"]:
        try:
            key = jwt.PyJWK(each)
        except jwt.PyJWTError:
            continue
        signs = key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS
        if signs and isinstance(key.key_id, str):
            keys[key.key_id] = key
    return keys
