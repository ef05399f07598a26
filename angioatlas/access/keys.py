"""API keys: made once, shown once, and never stored as they are.

A token is ``aa_<id>_<secret>``: the id is public, the secret 256 random bits.  Kept is its SHA-256:
what cannot be guessed needs no slow hash, which is for passwords.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from angioatlas.access.database import Database
from angioatlas.access.principal import Principal, Scope, checked_name, not_accepted
from core.closing import Closing
from core.errors import NotFoundError, UsageError

State = Literal["in force", "expired", "revoked"]

_TOKEN: Final = re.compile(r"aa_([0-9a-f]{12})_[0-9a-f]{64}")
_NOBODY: Final = bytes(hashlib.sha256().digest_size)
"""Compared with when there is no such key, so that whether there is one costs no time apart."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, scopes TEXT NOT NULL, digest BLOB NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT
) STRICT, WITHOUT ROWID;
"""
_FACTS: Final = "id, name, scopes, created_at, expires_at, revoked_at"


@final
@dataclass(frozen=True)
class KeyFacts:
    """What may be known of a key.

    Attributes
    ----------
    id : str
        The public part of its token.
    name : str
    scopes : frozenset of Scope
    created_at : datetime
        UTC, as the others.
    expires_at, revoked_at : datetime or None
        From when on it is refused.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None

    def state(self, now: dt.datetime) -> State:
        """Tell whether the key is accepted at a time, or why not."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "in force"


@final
class KeyBook(Closing):
    """The keys of one installation, in an SQLite file that only its owner can read.

    Nothing of it is kept in memory: a key that is revoked stops at once, in every process.

    Parameters
    ----------
    path : Path
        Made with the first key.
    """

    def __init__(self, path: Path) -> None:
        # A revocation outlives a power cut.
        self._file = Database(path, "book of keys", _SCHEMA, synchronous="FULL")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def create(
        self,
        name: str,
        scopes: Iterable[Scope | str],
        expires_at: dt.datetime | None,
        *,
        now: dt.datetime,
    ) -> tuple[KeyFacts, str]:
        """Make a key.

        Parameters
        ----------
        name : str
            Whose it is, as the trail will say; of one key in force at a time.
        scopes : iterable of Scope
        expires_at : datetime or None
            With its time zone, as `now`; None is never.
        now : datetime

        Returns
        -------
        KeyFacts, str
            The token is nowhere else: it can be shown now, and never again.

        Raises
        ------
        UsageError
            The name is none or taken, a scope is unknown, there is none, or the end is past.
        """
        checked_name(name)
        now, end = _utc(now), None if expires_at is None else _utc(expires_at)
        if end is not None and end <= now:
            raise UsageError(f"the key would end at {end}, which is past", "give a later day")
        facts = KeyFacts(secrets.token_hex(6), name, _scopes(scopes), now, end)
        token = f"aa_{facts.id}_{secrets.token_hex(32)}"
        with self._file.writing() as connection:
            rows = connection.execute(f"SELECT {_FACTS} FROM keys WHERE name = ?", (name,))
            if any(_facts(row).state(now) == "in force" for row in rows.fetchall()):
                raise UsageError(
                    f"there is a key with the name {name!r}",
                    "give another name, or revoke that key first: angioatlas keys list",
                )
            connection.execute(
                "INSERT INTO keys (id, name, scopes, digest, created_at, expires_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    facts.id,
                    name,
                    " ".join(sorted(facts.scopes)),
                    _digest(token),
                    now.isoformat(),
                    None if end is None else end.isoformat(),
                ),
            )
        return facts, token

    def verify(self, token: str, *, now: dt.datetime) -> Principal:
        """Return whose token this is.

        Raises
        ------
        UnauthenticatedError
            It is none, unknown, wrong, expired or revoked: always in the same words, so that nobody
            learns from them which keys there are.
        StoreError
            When the book cannot be read.
        """
        read = _TOKEN.fullmatch(token)
        if read is None:
            raise not_accepted()
        rows = self._file.rows(f"SELECT {_FACTS}, digest FROM keys WHERE id = ?", read[1])
        *facts, digest = rows[0] if rows else (_NOBODY,)
        if not hmac.compare_digest(_digest(token), digest) or not rows:
            raise not_accepted()
        key = _facts(facts)
        if key.state(_utc(now)) != "in force":
            raise not_accepted()
        return Principal(key.name, key.scopes, "key")

    def list(self) -> list[KeyFacts]:
        """Return what may be known of every key, the oldest first; revoked ones included."""
        rows = self._file.rows(f"SELECT {_FACTS} FROM keys ORDER BY created_at, id")
        return [_facts(row) for row in rows]

    def revoke(self, key_id: str, *, now: dt.datetime) -> KeyFacts:
        """End a key, from now on; one that is revoked stays as it is.

        Raises
        ------
        NotFoundError
            There is no such key.
        """
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
                (_utc(now).isoformat(), key_id),
            )
            row = connection.execute(
                f"SELECT {_FACTS} FROM keys WHERE id = ?", (key_id,)
            ).fetchone()
        if row is None:
            raise NotFoundError("there is no key with this id", "angioatlas keys list")
        return _facts(row)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _scopes(wanted: Iterable[Scope | str]) -> frozenset[Scope]:
    names = {str(each) for each in wanted}
    unknown = names - {*Scope}
    if unknown or not names:
        raise UsageError(
            f"no scope is called {min(unknown)!r}" if unknown else "a key needs a scope",
            f"scopes are {', '.join(Scope)}",
        )
    return frozenset(Scope(name) for name in names)


def _facts(row: Sequence[Any]) -> KeyFacts:
    key_id, name, scopes, *times = row
    created, *ends = (None if each is None else dt.datetime.fromisoformat(each) for each in times)
    assert created is not None  # NOT NULL
    return KeyFacts(key_id, name, frozenset(map(Scope, scopes.split())), created, *ends)


def _utc(time: dt.datetime) -> dt.datetime:
    if time.tzinfo is None:
        raise UsageError(f"the time {time} has no time zone", "give it in UTC")
    return time.astimezone(dt.UTC)
