"""What LanceDB writes into a folder is there as a whole, or it is taken back.

LanceDB 0.40 loses what the system says to its last write into a file: on a full disk an append may
report success while its file is cut short, and no later version of the table can be read then.
`tests/e2e/test_trouble.py` meets it with a disk of a few kilobytes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_END: Final = b"LANC"
"""The last bytes of every data file and every manifest."""


@contextmanager
def whole_files(table: Path) -> Iterator[None]:
    """Take back the versions that the block makes of a table, unless they are whole.

    A version is its manifest, which names its files.  What no manifest names may be what another
    process is about to write, and is let alone; so is every version that is whole.

    Parameters
    ----------
    table : Path
        Its folder, which need not be there yet.

    Raises
    ------
    OSError
        A file was cut short: the disk has no room for it.
    """
    versions, files = _versions(table), _files(table)
    taken_back = False
    try:
        yield
    finally:
        made = _files(table) - files
        for manifest in _versions(table) - versions:
            if not _stands(manifest, made):
                manifest.unlink(missing_ok=True)  # which needs no room
                taken_back = True
    if taken_back:
        raise OSError(errno.ENOSPC, "a file was cut short")


def _versions(table: Path) -> set[Path]:
    return {*table.glob("_versions/*.manifest")}


def _files(table: Path) -> set[Path]:
    return {*table.glob("data/*.lance")}


def _stands(manifest: Path, made: set[Path]) -> bool:
    """Tell whether a version's manifest is whole, and so is every new file that it names."""
    try:
        content = manifest.read_bytes()
    except FileNotFoundError:  # a cleaning took it meanwhile
        return True
    return content.endswith(_END) and all(
        _is_whole(file) for file in made if file.name.encode() in content
    )


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - len(_END)))
            return file.read() == _END
    except FileNotFoundError:
        return True
