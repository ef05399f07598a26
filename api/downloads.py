"""Exports as downloads: sent from a file that has no name any more, so that none is left behind."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO, Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from core.errors import StoreError
from core.schema import Format

_PIECE: Final = 2**18
_ABANDONED_S: Final = 86_400
"""What is as old was left by a process that was killed while it wrote."""
MEDIA_TYPES: Final = {
    Format.DUCKDB: "application/octet-stream",
    Format.PARQUET: "application/zip",
    Format.CSV: "application/zip",
}


class Download(StreamingResponse):
    """An open file, sent once, and closed whatever happens.

    Parameters
    ----------
    file : binary file
    name : str
        Under which it may be saved; ASCII.
    media_type : str
    """

    def __init__(self, file: BinaryIO, *, name: str, media_type: str) -> None:
        headers = {
            "Content-Length": str(os.fstat(file.fileno()).st_size),
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        }
        super().__init__(_pieces(file), headers=headers, media_type=media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def written(downloads: Path, format: Format, write: Callable[[Path], object]) -> BinaryIO:
    """Return what an export writes, open: DuckDB's file, or an archive of one file a table.

    Parameters
    ----------
    downloads : Path
        A folder to write in, of which nothing is left.
    format : Format
    write : callable
        Writes the export to a path.

    Raises
    ------
    StoreError
        The disk does not take it.
    """
    try:
        downloads.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(downloads)
        folder = Path(mkdtemp(dir=downloads))
    except OSError as error:
        raise StoreError(f"an export cannot be written: {error.strerror}") from error
    try:
        out = folder / format.value
        write(out)
        return (out if format is Format.DUCKDB else _packed(out, format)).open("rb")
    except OSError as error:
        raise StoreError(f"an export cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _packed(tables: Path, format: Format) -> Path:
    # Parquet is compressed already.
    kind = zipfile.ZIP_DEFLATED if format is Format.CSV else zipfile.ZIP_STORED
    packed = tables.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for table in sorted(tables.iterdir()):
            archive.write(table, table.name)
    return packed


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _sweep(downloads: Path) -> None:
    for folder in downloads.iterdir():
        with suppress(FileNotFoundError):  # another process is done with it
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
