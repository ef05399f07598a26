"""The ledger: one current row for every input ever offered."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import pyarrow as pa

from core.outcomes import Code, Status
from store.tables import SCHEMAS

_TEXTS: Final = ("uri", "status", "code", "message", "sop_uid", "study_uid", "sha256")


@dataclass(frozen=True)
class InputRow:
    """What became of one input.

    Parameters
    ----------
    uri : str
        Where it is; the key of the ledger.
    size, mtime_ns : int
        Bytes, and time of last change in nanoseconds; with `uri`, the signs that it is unchanged.
    status, code, message
        How it ended, why, and one line of cause.  `code` is None for an embedded input.  The
        message never names a patient.
    sop_uid, study_uid, sha256 : str or None
        As far as they are known.  The UIDs are those of the store (surrogates, if so made).
    """

    uri: str
    size: int
    mtime_ns: int
    status: Status
    code: Code | None = None
    message: str = ""
    sop_uid: str | None = None
    study_uid: str | None = None
    sha256: str | None = None


def input_hash(videos: Iterable[tuple[str, str]]) -> str:
    """Return what identifies the set of videos that a study was embedded from.

    Parameters
    ----------
    videos : iterable of (sop_uid, sha256)
        In any order.

    Returns
    -------
    str
        64 hex digits, equal for equal sets.
    """
    digest = hashlib.sha256()
    for sop_uid, sha256 in sorted(set(videos)):
        digest.update(f"{sop_uid}\0{sha256}\n".encode())
    return digest.hexdigest()


def rows_to_arrow(rows: Sequence[InputRow], *, run_id: str, commit_id: str) -> pa.Table:
    """Return `rows` as rows of the table `inputs`."""
    columns: dict[str, list[Any]] = {
        "uri": [row.uri for row in rows],
        "commit_id": [commit_id] * len(rows),
        "run_id": [run_id] * len(rows),
        "status": [row.status.value for row in rows],
        "size": [row.size for row in rows],
        "mtime_ns": [row.mtime_ns for row in rows],
        "sop_uid": [row.sop_uid for row in rows],
        "study_uid": [row.study_uid for row in rows],
        "sha256": [row.sha256 for row in rows],
        "code": [None if row.code is None else row.code.value for row in rows],
        "message": [row.message for row in rows],
    }
    return pa.table(columns, schema=SCHEMAS["inputs"])


@final
class Ledger:
    """The current rows of the ledger, for look-up by uri, SOP instance and study.

    Parameters
    ----------
    rows : pa.Table
        Columns of `inputs`; one row a uri.
    """

    def __init__(self, rows: pa.Table) -> None:
        # A map to row numbers and two plain lists: 200,000 rows answer without an object each.
        self._by_uri: dict[str, int] = {uri: i for i, uri in enumerate(rows["uri"].to_pylist())}
        self._size: list[int] = rows["size"].to_pylist()
        self._mtime_ns: list[int] = rows["mtime_ns"].to_pylist()
        self._columns: dict[str, pa.Array] = {name: rows[name].combine_chunks() for name in _TEXTS}
        self._groups: dict[str, dict[str, list[int]]] = {}

    def __len__(self) -> int:
        return len(self._by_uri)

    def __iter__(self) -> Iterator[InputRow]:
        return (self._row(i) for i in range(len(self)))

    def __contains__(self, uri: object) -> bool:
        return uri in self._by_uri

    def get(self, uri: str) -> InputRow | None:
        """Return the row of `uri`, or None."""
        i = self._by_uri.get(uri)
        return None if i is None else self._row(i)

    def known(self, uri: str, size: int, mtime_ns: int) -> InputRow | None:
        """Return the row of `uri` if the input is unchanged by size and time; else None."""
        i = self._by_uri.get(uri)
        if i is None or self._size[i] != size or self._mtime_ns[i] != mtime_ns:
            return None
        return self._row(i)

    def of_instance(self, sop_uid: str) -> list[InputRow]:
        """Return the rows of a SOP instance, by uri: more than one when it has copies."""
        return self._of("sop_uid", sop_uid)

    def of_study(self, study_uid: str) -> list[InputRow]:
        """Return the rows of a study, by uri."""
        return self._of("study_uid", study_uid)

    def counts(self) -> dict[tuple[Status, Code | None], int]:
        """Return how many inputs ended with each status and code; the values sum to ``len``."""
        pairs = zip(
            self._columns["status"].to_pylist(), self._columns["code"].to_pylist(), strict=True
        )
        return {
            (Status(status), None if code is None else Code(code)): n
            for (status, code), n in Counter(pairs).items()
        }

    def _of(self, column: str, value: str) -> list[InputRow]:
        if column not in self._groups:
            groups: dict[str, list[int]] = {}
            for i, key in enumerate(self._columns[column].to_pylist()):
                if key is not None:
                    groups.setdefault(key, []).append(i)
            self._groups[column] = groups
        rows = [self._row(i) for i in self._groups[column].get(value, ())]
        return sorted(rows, key=lambda row: row.uri)

    def _row(self, i: int) -> InputRow:
        row = {name: column[i].as_py() for name, column in self._columns.items()}
        return InputRow(
            uri=row["uri"],
            size=self._size[i],
            mtime_ns=self._mtime_ns[i],
            status=Status(row["status"]),
            code=None if row["code"] is None else Code(row["code"]),
            message=row["message"] or "",
            sop_uid=row["sop_uid"],
            study_uid=row["study_uid"],
            sha256=row["sha256"],
        )
