"""Small objects below a prefix of a bucket: read, listed, and written only if nothing came between.

The one place that says how a bucket is reached.  Credentials, endpoint and region come from the
environment, as obstore and LanceDB read it; no secret passes through here.  A bucket that cannot be
used is said in one sentence, within seconds.
"""

from __future__ import annotations

import datetime as dt
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, final

from core.errors import StoreError

CONNECT_S: Final = 4
_REQUEST_S: Final = 7
_RETRY_S: Final = 7
_RETRIES: Final = 2
"""So a server that takes a request and is silent is given up after 7 to 14 seconds."""
_FRESH_S: Final = 5.0
CLOCK: Final = "clock"

Mark = Mapping[str, str]
"""What names one state of one object: its ETag, or generation."""

_BLAMED: Final = (
    (
        ("NoSuchBucket", "ContainerNotFound", "specified bucket does not exist"),
        "there is no such bucket",
        "make the bucket, or correct the name",
    ),
    (
        ("169.254.169.254", "CredentialsNotLoaded", "MissingAccessKey"),
        "no credentials were found",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or their like (docs/operations.md)",
    ),
    (
        ("SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "401 Unauthorized"),
        "the credentials are not accepted",
        "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or their like",
    ),
    (
        ("configured region", "AuthorizationHeaderMalformed", "PermanentRedirect"),
        "it is in another region",
        "set AWS_REGION to the bucket's region",
    ),
    (
        ("403 Forbidden", "AccessDenied", "necessary privileges"),
        "access is denied",
        "ask for the right to list, read, write and delete objects there",
    ),
    (
        ("builder error",),
        "its endpoint is without TLS",
        "give an https endpoint, or set AWS_ALLOW_HTTP=true on a network of your own",
    ),
    (
        ("error sending request", "timed out", "operation timeout", "dns error", "connect error"),
        "its server cannot be reached",
        "check the network and AWS_ENDPOINT_URL",
    ),
    (
        ("503 Service", "500 Internal", "502 Bad", "504 Gateway", "SlowDown"),
        "its server is out of order or busy",
        "try again in a minute",
    ),
)
"""Words of an answer, what they mean, and what to do."""


def opened(uri: str) -> Any:
    """Open a prefix of a bucket with obstore: no request of it waits for long."""
    from obstore.store import from_url

    options: Any = {
        "connect_timeout": f"{CONNECT_S}s",
        "timeout": f"{_REQUEST_S}s",
        # Read here since options that are given replace those of the environment.
        "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true"},
    }
    retry: Any = {"max_retries": _RETRIES, "retry_timeout": dt.timedelta(seconds=_RETRY_S)}
    return from_url(uri, client_options=options, retry_config=retry)


@dataclass(frozen=True)
class Found:
    """An object as it was read.

    Parameters
    ----------
    data : bytes
    mark : Mark
        Its state, to replace no other one.
    modified : datetime
        UTC, by the server's clock, to the second.
    """

    data: bytes = field(repr=False)
    mark: Mark
    modified: dt.datetime


def what_is_wrong(uri: str, answer: str) -> StoreError:
    """Return the error that says what an answer of an object store means for who asked.

    Parameters
    ----------
    uri : str
        Of the store.
    answer : str
        What obstore or LanceDB raised; of it, nothing is repeated.
    """
    for words, meaning, hint in _BLAMED:
        if any(word in answer for word in words):
            return StoreError(f"the store {uri} cannot be used: {meaning}", hint)
    return StoreError(
        f"the store {uri} cannot be used: its server gave an answer that is not understood",
        "try again; `--debug` shows the answer",
    )


@final
class Objects:
    """The objects below one prefix.

    Parameters
    ----------
    uri : str
        ``s3://bucket/prefix`` or the like.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._connected: Any = None
        self._answered = float("-inf")

    @property
    def _store(self) -> Any:
        if self._connected is None:
            with self._answers():
                self._connected = opened(self.uri)
        return self._connected

    def get(self, name: str) -> Found | None:
        """Return an object; None when there is none."""
        import obstore

        store = self._store
        with self._answers():
            try:
                result = obstore.get(store, name)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None
            return Found(bytes(result.bytes()), _mark(result.meta), result.meta["last_modified"])

    def put(self, name: str, data: bytes, over: Mark | None) -> Mark | None:
        """Write an object over one state of it, and return the new one.

        Parameters
        ----------
        name : str
        data : bytes
            Like nothing that was ever written there.
        over : Mark or None
            None where there is no such object yet.

        Returns
        -------
        Mark or None
            None when it has another state, or is gone: nothing is written then.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        store = self._store
        with self._answers():
            try:
                mode: Any = "create" if over is None else dict(over)
                return _mark(obstore.put(store, name, data, mode=mode, use_multipart=False))
            except (AlreadyExistsError, PreconditionError):
                # The answer to a put that was done may have been lost, and the put tried again.
                found = self.get(name)
                return found.mark if found is not None and found.data == data else None

    def reach(self) -> None:
        """Make sure that the server answers, unless it just did.

        Before LanceDB is asked: where a server is gone, it tries for minutes.

        Raises
        ------
        StoreError
            When it does not, or not as it should.
        """
        if time.monotonic() - self._answered > _FRESH_S:
            self.state(CLOCK)

    def check_conditions(self) -> None:
        """Make sure that the server refuses a put whose condition does not hold.

        Raises
        ------
        StoreError
            When it does not, so that two writers could not be told apart.
        """
        name = f"{CLOCK}-{uuid.uuid4().hex}"
        first = self.put(name, b"1", None)
        is_kept = first is not None and self.put(name, b"2", None) is None
        second = self.put(name, b"3", first) if is_kept else None
        is_kept = second is not None and self.put(name, b"4", first) is None
        with self._answers():
            self._store.delete(name)
        if not is_kept:
            raise StoreError(
                f"the store {self.uri} cannot be used: its server does not heed If-None-Match and "
                "If-Match when an object is written",
                "use one that does (docs/operations.md), or a folder",
            )

    def state(self, name: str) -> str | None:
        """Return what changes whenever the object does; None when there is none."""
        import obstore

        store = self._store
        with self._answers():
            try:
                meta = obstore.head(store, name)
            except FileNotFoundError:
                return None
        return repr(sorted(_mark(meta).items()))

    def age(self, found: Found) -> float:
        """Return for how many seconds an object has been as it is, by the server's clock alone."""
        import obstore

        store = self._store
        with self._answers():
            # Of another object that is written now: two times of one clock.
            obstore.put(store, CLOCK, b"")
            now = obstore.head(store, CLOCK)["last_modified"]
        return float((now - found.modified).total_seconds())

    def folders(self, prefix: str = "") -> list[str]:
        """Return the last names of the folders directly below a prefix, sorted."""
        return [path.rpartition("/")[2] for path in self._level(prefix)["common_prefixes"]]

    def names(self) -> list[str]:
        """Return the names of the objects at the top, without those in folders."""
        return sorted(meta["path"] for meta in self._level("")["objects"])

    def is_any(self, prefix: str) -> bool:
        """Whether any object lies in the folder."""
        import obstore

        store = self._store
        with self._answers():
            return any(len(chunk) > 0 for chunk in obstore.list(store, prefix, chunk_size=1))

    def size(self) -> int:
        """Return how many bytes all objects have."""
        import obstore

        store = self._store
        with self._answers():
            return sum(meta["size"] for chunk in obstore.list(store) for meta in chunk)

    def _level(self, prefix: str) -> Any:
        import obstore

        store = self._store
        with self._answers():
            return obstore.list_with_delimiter(store, prefix or None)

    @contextmanager
    def _answers(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
            self._answered = time.monotonic()
        except (BaseError, OSError, ValueError) as error:
            raise what_is_wrong(self.uri, str(error)) from error


def _mark(meta: Mapping[str, Any]) -> Mark:
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name) is not None}
