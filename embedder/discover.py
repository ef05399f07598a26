"""Paths to inputs: walk files and folders, follow a DICOMDIR that was given.

Every file met gives one `Offered`, in an order that depends only on the names.  Nothing is opened
here except a DICOMDIR that was given as a path, and memory does not grow with the archive except
for one small number per file (so that overlapping paths offer a file once).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import NotFoundError
from core.outcomes import Code, InputRefused
from core.uris import uri_of
from embedder.dicom.dicomdir import is_dicomdir, referenced_files


@dataclass(frozen=True)
class Offered:
    """One input as the walk met it.

    Attributes
    ----------
    path : Path
        Absolute, symbolic links in it not resolved.
    uri : str
        The ledger's key, see `uri_of`.
    size : int
        Bytes; 0 where unknown.
    mtime_ns : int
        Time of last modification, nanoseconds since 1970; 0 where unknown.
    refusal : InputRefused or None
        Why it need not be read at all.
    """

    path: Path
    uri: str
    size: int
    mtime_ns: int
    refusal: InputRefused | None = None


ReadDicomdir = Callable[[Path], "References | InputRefused"]
References = list[tuple[Path, str]]
"""What a DICOMDIR references: the file, and why it cannot be read (empty when it can)."""


def discover(
    paths: Iterable[Path],
    *,
    read_dicomdir: ReadDicomdir | None = None,
) -> Iterator[Offered]:
    """Walk paths into inputs.

    Parameters
    ----------
    paths : iterable of Path
        Files, folders (walked deep, hidden files included), and DICOMDIR files, whose referenced
        files are then the inputs.
    read_dicomdir : callable, optional
        Reads each DICOMDIR among `paths`, all of them before anything is yielded.  The default
        does it in this process.

    Yields
    ------
    Offered
        Each file once, however many paths and symbolic links lead to it; the entries of a folder
        sorted by name, files before folders.  A symbolic link to a folder is not followed when
        met inside a folder.  What is not a regular file is refused as `SPECIAL_FILE`; what cannot
        be reached, as `UNREADABLE`; a file of zero bytes, as `EMPTY_FILE`.

    Raises
    ------
    NotFoundError
        When one of `paths` does not exist, before anything is yielded.
    """
    given = existing(paths)
    read = read_dicomdir or _read_here
    return _walk_all(given, {path: read(path) for path in given if is_dicomdir(path)})


def existing(paths: Iterable[Path]) -> list[Path]:
    """Return the paths made absolute.

    Raises
    ------
    NotFoundError
        When one of them does not exist.
    """
    given = [path.absolute() for path in paths]
    for path in given:
        if not os.path.lexists(path):
            raise NotFoundError(f"no such file or folder: {path}", "check the spelling")
    return given


def _read_here(dicomdir: Path) -> References | InputRefused:
    try:
        return referenced_files(dicomdir)
    except InputRefused as refusal:
        return refusal


_Met = tuple[str, Offered]
"""The path with all symbolic links resolved, which tells files apart, and the input."""


def _walk_all(
    given: list[Path], dicomdirs: Mapping[Path, References | InputRefused]
) -> Iterator[Offered]:
    seen: set[int] = set()
    for path in given:
        found = _follow(path, dicomdirs[path]) if path in dicomdirs else _expand(path)
        for real, offered in found:
            # 64 bits of hash and not the name keep millions of files cheap.
            key = hash(real)
            if key not in seen:
                seen.add(key)
                yield offered


def _expand(path: Path) -> Iterator[_Met]:
    if path.is_dir():
        yield from _walk(path)
    else:
        yield os.path.realpath(path), _offer(path)


def _walk(folder: Path) -> Iterator[_Met]:
    """Give what is in and below a folder; folders wait on a stack, so depth is no limit."""
    waiting = [(folder, os.path.realpath(folder))]
    while waiting:
        current, real = waiting.pop()
        try:
            with os.scandir(current) as scan:
                entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
                folders = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError as error:
            yield real, _unreadable(current, error)
            continue
        for entry in entries:
            path = current / entry.name
            if not entry.is_symlink():
                if not entry.is_dir():
                    yield f"{real}/{entry.name}", _offer(path)
            elif not path.is_dir():
                yield os.path.realpath(path), _offer(path)
        waiting += [(current / name, f"{real}/{name}") for name in reversed(folders)]


def _offer(path: Path) -> Offered:
    try:
        status = path.stat()
    except OSError as error:
        return _unreadable(path, error)
    refusal = None
    if not stat.S_ISREG(status.st_mode):
        refusal = InputRefused(Code.SPECIAL_FILE)
    elif status.st_size == 0:
        refusal = InputRefused(Code.EMPTY_FILE)
    return Offered(path, uri_of(path), status.st_size, status.st_mtime_ns, refusal)


def _unreadable(path: Path, error: OSError) -> Offered:
    refusal = InputRefused(Code.UNREADABLE, error.strerror or type(error).__name__)
    return Offered(path, uri_of(path), 0, 0, refusal)


def _follow(dicomdir: Path, references: References | InputRefused) -> Iterator[_Met]:
    if isinstance(references, InputRefused):
        yield os.path.realpath(dicomdir), replace(_offer(dicomdir), refusal=references)
        return
    for path, problem in references:
        offered = _offer(path)
        if problem:
            offered = Offered(path, uri_of(path), 0, 0, InputRefused(Code.UNREADABLE, problem))
        yield os.path.realpath(path), offered
