"""What LanceDB writes into a folder is there as a whole, or it is taken back.

LanceDB 0.40 loses what the system says to its last write into a file: on a full disk an append may
report success while its file is cut short, and no later version of the table can be read then.
`tests/e2e/test_trouble.py` meets it with a disk of a few kilobytes.  So every file that a write has
made is looked at.  Only writers do this, and a table has one at a time.
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
    """Take back what the block has written to a table, unless all of it is whole.

    Parameters
    ----------
    table : Path
        Its folder, which need not be there yet.

    Raises
    ------
    OSError
        A file was cut short: the disk has no room for it.
    """
    before = _files(table)
    try:
        yield
    finally:
        made = _files(table) - before
        cut = not all(_is_whole(path) for path in made)
        if cut:
            # That needs no room.  Without its manifest, nobody knows of a version.
            for path in sorted(made, key=lambda path: path.suffix != ".manifest"):
                path.unlink(missing_ok=True)
    if cut:
        raise OSError(errno.ENOSPC, "a file was cut short")


def _files(table: Path) -> set[Path]:
    return {*table.glob("data/*.lance"), *table.glob("_versions/*.manifest")}


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - len(_END)))
            return file.read() == _END
    except FileNotFoundError:  # a cleaning took it meanwhile
        return True
