"""The trail: what was done, by whom, in a chain that shows when somebody has changed it.

Every entry holds the hash of the one before, and its own over everything in it: to change, remove,
move or slip in an entry, one has to write all later ones anew.  Whoever can write the file can do
that; so the head of the chain (`AuditTrail.head`) is to be kept somewhere else from time to time,
and the chain be held against it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, final

from angioatlas.access.database import Database
from angioatlas.access.principal import Principal, Scope
from core.closing import Closing
from core.errors import UsageError

OK: Final = "ok"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, principal TEXT NOT NULL, via TEXT NOT NULL,
    action TEXT NOT NULL, object TEXT NOT NULL, outcome TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are not changed'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are not removed'); END;
"""
_COLUMNS: Final = "seq, at, principal, via, action, object, outcome, previous, hash"
_PAGE: Final = 1000
_BEFORE_ALL: Final = -(2**63)


class Action(StrEnum):
    """What kind of thing was done; `scope` says what it needs."""

    SEARCH = "search"
    SIMILAR = "similar"
    SIMILAR_TO_UPLOAD = "similar_to_upload"
    READ = "read"
    ANALYSE = "analyse"
    EXPORT = "export"
    COHORT = "cohort"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def scope(self) -> Scope:
        """The scope without which it is refused."""
        match self:
            case Action.SEARCH | Action.SIMILAR | Action.SIMILAR_TO_UPLOAD:
                return Scope.SEARCH
            case Action.WRITE:
                return Scope.WRITE
            case Action.ADMIN:
                return Scope.ADMIN
            case _:
                return Scope.READ


@final
@dataclass(frozen=True)
class Head:
    """The end of a chain: enough to tell later whether the chain up to here is still the same.

    Attributes
    ----------
    seq : int
        Number of the last entry; 0 when there is none.
    hash : str
        64 hex digits.
    """

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read ``SEQ:HASH``.

        Raises
        ------
        UsageError
            When it is not that.
        """
        read = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text)
        if read is None:
            raise UsageError(
                f"{text!r} is no head of a trail", "expected SEQ:HASH, as `audit verify` shows it"
            )
        return cls(int(read[1]), read[2])


BEGINNING: Final = Head(0, "0" * 64)
"""The head of an empty chain."""


@final
@dataclass(frozen=True)
class Entry:
    """One thing that was done.

    Attributes
    ----------
    seq : int
        1, 2, 3, …
    at : str
        UTC, ISO 8601.
    principal, via : str
        Who, and how that is known.
    action : str
        An `Action`.
    object : dict
        Plain facts of what it was done to; see docs/access.md.
    outcome : str
        ``ok``, or the code of the error.
    previous, hash : str
        Of the entry before, and of this one.
    """

    seq: int
    at: str
    principal: str
    via: str
    action: str
    object: dict[str, Any]
    outcome: str
    previous: str
    hash: str


class Break(StrEnum):
    """What is wrong where a chain breaks; the value says it of "entry N"."""

    CHANGED = "is not what was written"
    MISSING = "was removed"
    OUT_OF_PLACE = "does not follow the one before: moved, slipped in, or something was rewritten"
    TRUNCATED = "and all after it were removed, up to the head that was kept"
    REPLACED = "is another one than the head that was kept: the chain was written anew"


@final
@dataclass(frozen=True)
class Verdict:
    """Whether a chain holds.

    Attributes
    ----------
    entries : int
        Entries that hold, from the first on.
    head : Head
        The last of them.
    broken_at : int or None
        Number of the first entry that does not hold.
    reason : Break or None
    """

    entries: int
    head: Head
    broken_at: int | None = None
    reason: Break | None = None

    @property
    def intact(self) -> bool:
        """True when nothing is broken."""
        return self.reason is None

    def __str__(self) -> str:
        if self.intact:
            return f"{self.entries:,} entries, all as they were written"
        return f"broken: entry {self.broken_at} {self.reason}"


@final
class AuditTrail(Closing):
    """The trail of one installation, which any number of processes append to.

    Parameters
    ----------
    path : Path
        SQLite file, made with the first entry.

    Notes
    -----
    An entry outlives the process at once.  A power cut may take the last entries that the system
    had not yet written to the disk; what is left is still a chain.
    """

    def __init__(self, path: Path) -> None:
        self._file = Database(path, "audit trail", _SCHEMA, synchronous="NORMAL")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def ready(self) -> None:
        """Make sure that an entry can be written: what leaves none must not be done.

        Raises
        ------
        StoreError
            When it cannot.
        """
        with self._file.writing():
            pass

    def append(
        self,
        principal: Principal,
        action: Action,
        object: Mapping[str, Any],
        *,
        outcome: str = OK,
        at: dt.datetime | None = None,
    ) -> Head:
        """Write an entry, and return the head that the chain has with it.

        Parameters
        ----------
        principal : Principal
        action : Action
        object : mapping
            Texts, numbers and truth values by name.
        outcome : str
            ``ok``, or the code of an error.
        at : datetime, optional
            Now by default.

        Raises
        ------
        StoreError
            When the trail cannot be written.
        """
        # Escaped to ASCII: a text from a command line may hold what is no Unicode.
        facts = json.dumps(dict(object), sort_keys=True, separators=(",", ":"), allow_nan=False)
        with self._file.writing() as connection:
            last = connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
            before = Head(*(last.fetchone() or (BEGINNING.seq, BEGINNING.hash)))
            when = (at or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
            row = (
                before.seq + 1,
                when.isoformat(timespec="microseconds"),
                principal.name,
                principal.via,
                action.value,
                facts,
                outcome,
                before.hash,
            )
            head = Head(before.seq + 1, _hash(row))
            connection.execute(
                f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, head.hash),
            )
        return head

    def head(self) -> Head:
        """Return the end of the chain, to be kept elsewhere."""
        rows = self._file.rows("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
        return Head(*rows[0]) if rows else BEGINNING

    def entries(self, *, after: int = 0, limit: int = 100) -> list[Entry]:
        """Return entries as they stand, whether or not the chain holds.

        Parameters
        ----------
        after : int
            Number of the entry before the first.
        limit : int
        """
        return [_entry(*row) for row in self._page(after, limit)]

    def verify(self, expected_head: Head | None = None) -> Verdict:
        """Walk the chain from the first entry, and say where it breaks first, if it does.

        Parameters
        ----------
        expected_head : Head, optional
            A head of this chain that was kept elsewhere.  Without one, a chain that was cut at its
            end, or written anew as a whole, looks like any other.
        """
        head, kept = BEGINNING, expected_head
        for row in self._all():
            seq, previous, own = row[0], row[-2], row[-1]
            here = head.seq + 1
            if seq > here:
                return Verdict(head.seq, head, here, Break.MISSING)
            if seq != here or previous != head.hash:
                return Verdict(head.seq, head, here, Break.OUT_OF_PLACE)
            if own != _hash(row[:-1]):
                return Verdict(head.seq, head, here, Break.CHANGED)
            if kept is not None and kept.seq == here and kept.hash != own:
                return Verdict(head.seq, head, here, Break.REPLACED)
            head = Head(here, own)
        if kept is not None and kept.seq > head.seq:
            return Verdict(head.seq, head, head.seq + 1, Break.TRUNCATED)
        return Verdict(head.seq, head)

    def _all(self) -> Iterator[tuple[Any, ...]]:
        # A page at a time, so that who appends meanwhile does not wait for the whole.
        after = _BEFORE_ALL
        while page := self._page(after, _PAGE):
            yield from page
            after = page[-1][0]

    def _page(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        return self._file.rows(
            f"SELECT {_COLUMNS} FROM entries WHERE seq > ? ORDER BY seq LIMIT ?", after, limit
        )


def _entry(
    seq: int, at: str, principal: str, via: str, action: str, object: str, *rest: str
) -> Entry:
    try:
        read = json.loads(object)
    except ValueError:
        read = None
    # What somebody wrote into the file is still to be seen.
    facts = read if isinstance(read, dict) else {"unreadable": object}
    return Entry(seq, at, principal, via, action, facts, *rest)


def _hash(row: tuple[Any, ...]) -> str:
    """Hash everything of an entry but its hash; JSON, so that no two rows are written alike."""
    written = json.dumps(row, separators=(",", ":"), default=repr)
    return hashlib.sha256(written.encode()).hexdigest()
