"""Where a cine that is in the store can be read from now.

Archives are moved, copied and tidied.  A study that is embedded again reads its cines from where
they were read before; where that file is gone or damaged, from a known copy, byte for byte the
same.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable
from dataclasses import replace

from core.outcomes import InputRefused, Status
from core.schema import Cine
from core.uris import path_of
from store.inputs import InputRow, Ledger


class Sources:
    """The known files of instances.

    Parameters
    ----------
    ledger : Ledger
    settled : iterable of InputRow
        Rows of this run; they count more than the ledger's.
    gone : collection of str
        Uris that left the archive or now hold something else.
    """

    def __init__(self, ledger: Ledger, settled: Iterable[InputRow], gone: Collection[str]) -> None:
        self._ledger = ledger
        self._settled = {row.uri: row for row in settled}
        self._gone = gone
        self._new_copies: dict[str | None, list[InputRow]] = {}
        for row in self._settled.values():
            self._new_copies.setdefault(row.sop_uid, []).append(row)

    def row(self, uri: str) -> InputRow | None:
        """Return where an input stands, if it is known."""
        return self._settled.get(uri) or self._ledger.get(uri)

    def of(self, cine: Cine) -> Cine | None:
        """Return the cine with a source that is intact, if any is known.

        Without one, the cine as it is (reading it will tell why it cannot be read), or None if
        its file left the archive.
        """
        own = self.row(cine.source_uri)
        gone = cine.source_uri in self._gone
        if not gone and own is not None and own.status is Status.EMBEDDED and is_intact(own):
            return cine
        for row in (
            *self._new_copies.get(cine.sop_uid, ()),
            *self._ledger.of_instance(cine.sop_uid),
        ):
            if row.status is Status.DUPLICATE and row.uri not in self._gone and is_intact(row):
                return replace(cine, source_uri=row.uri)
        return None if gone else cine


def is_intact(row: InputRow) -> bool:
    """Whether the file of an input still has the size and time it was known by."""
    try:
        status = path_of(row.uri).stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (row.size, row.mtime_ns)


def is_gone(uri: str) -> bool:
    """Whether there is no such file; False also where nobody may look."""
    try:
        path_of(uri).stat()
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    except ValueError:  # a name with a null byte, which a table may hold
        return True
    return False


def left(row: InputRow, refusal: InputRefused) -> InputRow:
    """Return the ledger row of an input that left its study, and why."""
    return replace(
        row, status=refusal.status, code=refusal.reason, message=refusal.message, sha256=None
    )
