"""The private way back: which surrogate stands for which original identifier.

The map lives beside the key, never in the store.  It is a convenience (originals cannot be computed
from their hashes), so a store works without it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from core.closing import Closing
from core.errors import IdentityError
from core.sqlite import connect, transaction

_BATCH: Final = 500
"""Surrogates of one DELETE; SQLite allows 32,766 parameters."""


class IdentityMap(Closing):
    """Surrogates and their originals, in an SQLite file that only its owner can read.

    Parameters
    ----------
    path : Path
        The file; made with mode 0600 when absent.

    Raises
    ------
    IdentityError
        When the file cannot be made or is not such a map.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = connect(path)
            try:
                # Forgotten rows are overwritten with zeros, not only unlinked.
                self._connection.execute("PRAGMA secure_delete = ON")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS identity ("
                    "surrogate TEXT PRIMARY KEY, kind TEXT NOT NULL, original TEXT NOT NULL"
                    ") WITHOUT ROWID"
                )
            except sqlite3.Error:
                self._connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise IdentityError(f"the identity map {path} cannot be opened") from error

    def __repr__(self) -> str:
        return f"IdentityMap({str(self._path)!r})"

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def record(self, pairs: Iterable[tuple[str, str, str]]) -> None:
        """Remember (kind, surrogate, original) triples; those known already are left alone.

        Parameters
        ----------
        pairs : iterable of (kind, surrogate, original)
            `kind` is one word, such as ``"patient"``, ``"study"`` or ``"sop"``.
        """
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT OR IGNORE INTO identity (kind, surrogate, original) VALUES (?, ?, ?)", pairs
            )

    def original(self, surrogate: str) -> str | None:
        """Return the original behind `surrogate`, or None when it is not known."""
        with closing(
            self._connection.execute(
                "SELECT original FROM identity WHERE surrogate = ?", (surrogate,)
            )
        ) as cursor:
            row = cursor.fetchone()
        return None if row is None else str(row[0])

    def forget(self, surrogates: Iterable[str]) -> int:
        """Remove the rows of `surrogates`, bytes included, and return how many there were."""
        wanted = list(surrogates)
        removed = 0
        with transaction(self._connection):
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                marks = ",".join("?" * len(batch))
                cursor = self._connection.execute(
                    f"DELETE FROM identity WHERE surrogate IN ({marks})", batch
                )
                removed += cursor.rowcount
        # The log may still hold the pages as they were.
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed
