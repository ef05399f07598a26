"""Read a DICOMDIR: which files it references, and nothing outside its own folder.

A File ID is up to eight components of up to eight characters (PS3.10 8.2 and 8.5), written in
upper case; media copied to a disk often end up in lower case, so names are matched ignoring case
when the exact one is absent.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.uid import MediaStorageDirectoryStorage

from core.outcomes import Code, InputRefused
from embedder.dicom.attributes import Attributes
from embedder.dicom.header import open_regular, parse_header

MAX_BYTES = 512 * 2**20
"""A DICOMDIR over this size (millions of records) is refused."""
_HEAD = 132 + 512


def is_dicomdir(path: Path) -> bool:
    """Say whether a file is a DICOMDIR, by its name or by its media storage class.

    Parameters
    ----------
    path : Path
        A file; a special file is never opened.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    if head[128:132] != b"DICM":
        return False
    return path.name.upper() == "DICOMDIR" or MediaStorageDirectoryStorage.encode() in head


def referenced_files(dicomdir: Path) -> list[tuple[Path, str]]:
    """List the files that a DICOMDIR references, in the order of its records.

    Parameters
    ----------
    dicomdir : Path
        The DICOMDIR.

    Returns
    -------
    list of (Path, str)
        The file, and a line saying why it cannot be read, empty when it can.

    Raises
    ------
    InputRefused
        `BAD_HEADER` or `UNREADABLE`, when the DICOMDIR itself cannot be read.
    """
    return [_reference(dicomdir.parent, components) for components in _file_ids(dicomdir)]


def _reference(folder: Path, components: list[str]) -> tuple[Path, str]:
    named = folder.joinpath(*(_plain(part) for part in components))
    if not all(_is_safe(part) for part in components):
        return named, "the DICOMDIR references a file outside its own folder"
    found = _resolve(folder, components)
    return (named, "referenced by the DICOMDIR and not there") if found is None else (found, "")


def _file_ids(dicomdir: Path) -> list[list[str]]:
    tags = frozenset({tag_for_keyword("DirectoryRecordSequence") or 0})
    file, status = open_regular(dicomdir)
    with file:
        if status.st_size > MAX_BYTES:
            raise InputRefused(Code.BAD_CLAIM, f"a DICOMDIR of {status.st_size} bytes")
        header = parse_header(file, status.st_size, tags=tags)
        records = header.data.items("DirectoryRecordSequence")
    if header.error or not records:
        raise InputRefused(Code.BAD_HEADER, "the directory records cannot be read")
    return [parts for record in records if (parts := _parts(record))]


def _parts(record: Attributes) -> list[str]:
    return [part for part in record.texts("ReferencedFileID") if part]


def _is_safe(part: str) -> bool:
    return part not in {".", ".."} and not set(part) & {"/", "\0"}


def _plain(part: str) -> str:
    return part if _is_safe(part) else "_"


def _resolve(folder: Path, components: list[str]) -> Path | None:
    """Find a file below a folder without following links out of it, ignoring case if need be."""
    current = folder
    for part in components:
        exact = current / part
        if not os.path.lexists(exact):
            match = _ignoring_case(current, part)
            if match is None:
                return None
            exact = match
        current = exact
    inside = current.resolve().is_relative_to(folder.resolve())
    return current if inside and current.is_file() else None


def _ignoring_case(folder: Path, name: str) -> Path | None:
    # Some media add the ISO 9660 version suffix or a dot to the names they show.
    wanted = name.casefold()
    try:
        for entry in sorted(folder.iterdir()):
            if entry.name.casefold().removesuffix(";1").rstrip(".") == wanted:
                return entry
    except OSError:
        pass
    return None
