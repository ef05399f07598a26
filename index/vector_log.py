"""Vectors that are written once, read by row ever after, and added to at the end.

A folder holds one file of float32 rows, and files that say what the rows are, one for each time
that some were added.  `log.json` names them and counts the rows; it is swapped last, so a row that
it counts is whole, and what a killed writer left beyond is overwritten.  It is a cache: what is
damaged or of another format is taken for nothing, and written anew.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import StoreError
from index.keys import Keys
from index.row_file import RowFile

ABOUT_FILE: Final = "log.json"
_FORMAT: Final = 1
_MOST_KEY_FILES: Final = 64
"""Beyond, they are written as one."""

Fill = Callable[[NDArray[np.float32]], None]
"""Writes rows [m, width] into the array that it is given."""


@final
class VectorLog:
    """The rows of a folder as they were when it was opened; threads and processes may share it.

    Made by `VectorLog.open` and `VectorLog.extended`.

    Attributes
    ----------
    keys : Keys
        Row i of the keys belongs to row i of the vectors.
    """

    def __init__(self, folder: Path, width: int, about: dict[str, Any] | None) -> None:
        self._folder = folder
        self._width = width
        self._about = about
        self.keys = Keys([], [])
        self._file: RowFile | None = None
        if about is not None and about["rows"]:
            tables = [pq.read_table(folder / name) for name in about["keys"]]
            table = pa.concat_tables(tables)
            self.keys = Keys(table["uid"], table["commit_id"])
            self._file = RowFile(folder / about["vectors"], width)
            if self._file.size_bytes < 4 * width * len(self.keys):
                raise ValueError("the file of vectors is too short")
        if about is not None and len(self.keys) != about["rows"]:
            raise ValueError(f"{len(self.keys)} keys of {about['rows']} rows")

    @classmethod
    def open(cls, folder: Path, width: int) -> Self:
        """Open the rows of a folder; without any, or where they are damaged, there are none.

        Parameters
        ----------
        folder : Path
        width : int
            Numbers of a row.
        """
        about = _read_about(folder, width)
        while True:
            try:
                return cls(folder, width, about)
            except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
                # Replaced after log.json was read?  Then it names other files by now.
                newer = _read_about(folder, width)
                about = None if newer == about else newer

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return a copy of some rows, [m, width]."""
        if self._file is None:
            return np.empty((0, self._width), np.float32)
        return self._file[rows.astype(np.int64, copy=False)]

    @property
    def size_bytes(self) -> int:
        """Of the vectors."""
        return 4 * self._width * len(self)

    def read_ahead(self) -> None:
        """Let the system read all vectors before they are asked for."""
        if self._file is not None:
            self._file.read_ahead()

    def continues(self, other: VectorLog) -> bool:
        """Whether the first rows of this log are those of the other one."""
        if self._about is None or other._about is None:
            return False
        return self._about["vectors"] == other._about["vectors"] and len(self) >= len(other)

    def is_current(self) -> bool:
        """Whether the folder still holds these rows and no others."""
        return self._about == _read_about(self._folder, self._width)

    def extended(self, keys: Keys, fill: Fill) -> VectorLog:
        """Add rows at the end, and return the log that has them; this one stays as it is.

        The caller sees to it that nobody else does so, and that this log `is_current`.

        Parameters
        ----------
        keys : Keys
            Of the new rows.
        fill : callable
            Writes the new rows.

        Raises
        ------
        StoreError
            When a file cannot be written.
        """
        before, first = self._about, len(self)
        stem = uuid.uuid4().hex[:12]
        vectors = f"{stem}.f32" if before is None else before["vectors"]
        names = [] if before is None else list(before["keys"])
        if len(names) >= _MOST_KEY_FILES:
            names, written = [], _joined(self.keys, keys)
        else:
            written = keys
        names.append(f"{stem}.parquet")
        about = {
            "format": _FORMAT,
            "width": self._width,
            "rows": first + len(keys),
            "vectors": vectors,
            "keys": names,
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(self._folder / vectors, first, len(keys), self._width, fill)
            columns = {"uid": written.uids, "commit_id": written.commit_ids}
            pq.write_table(pa.table(columns), self._folder / names[-1])
            aside = self._folder / f".{ABOUT_FILE}.{stem}"
            aside.write_text(json.dumps(about), encoding="utf-8")
            aside.replace(self._folder / ABOUT_FILE)
        except OSError as error:
            raise StoreError(f"the vectors in {self._folder} cannot be written") from error
        _remove_all_but(self._folder, {vectors, *names})
        return VectorLog.open(self._folder, self._width)

    def without_rows(self) -> VectorLog:
        """Return a log of the folder without any rows, to write it anew."""
        return VectorLog(self._folder, self._width, None)


def _read_about(folder: Path, width: int) -> dict[str, Any] | None:
    try:
        about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
        usable = (about["format"], about["width"]) == (_FORMAT, width)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return about if usable else None


def _write(file: Path, first: int, count: int, width: int, fill: Fill) -> None:
    row_bytes = 4 * width
    with file.open("r+b" if first else "w+b") as opened:
        # Where the disk is full this says so; a write to a map would end the process.
        os.posix_fallocate(opened.fileno(), first * row_bytes, max(count, 1) * row_bytes)
        rows = np.memmap(opened, np.float32, "r+", offset=first * row_bytes, shape=(count, width))
        fill(rows)
        rows.flush()
        os.fsync(opened.fileno())


def _joined(one: Keys, other: Keys) -> Keys:
    return Keys(
        pa.concat_arrays([one.uids, other.uids]),
        pa.concat_arrays([one.commit_ids, other.commit_ids]),
    )


def _remove_all_but(folder: Path, names: set[str]) -> None:
    # Readers that have opened an old file keep it until they let it go.
    for path in folder.iterdir():
        if path.suffix in {".f32", ".parquet"} and path.name not in names:
            with suppress(OSError):
                path.unlink()
