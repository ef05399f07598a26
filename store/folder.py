"""A store in a folder of a local disk."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, final

from core.errors import StoreError
from store.commit_log import COMMITS, CommitLog, Rows, TableLog
from store.lease import LOCK_FILE, Lease, LeaseInfo, holder
from store.locks import Pins, held
from store.place import Place, ReaderPins, WriterLease
from store.whole_files import whole_files

_REGISTRY_LOCK: Final = "registry.lock"


@final
class Folder:
    """A folder on a local disk, whose locks are flocks.

    Parameters
    ----------
    root : Path
    """

    is_fenced = False

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    @property
    def uri(self) -> str:
        """The absolute path."""
        return str(self.root.resolve())

    @property
    def folder(self) -> Path | None:
        """The folder."""
        return self.root

    @contextmanager
    def making(self) -> Iterator[Place]:
        """Give a folder aside, which is renamed when it is complete."""
        root = self.root
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise StoreError(
                f"{root} exists already and is not an empty folder", "choose another folder"
            )
        aside = root.with_name(f".{root.name}.{uuid.uuid4().hex[:8]}.new")
        try:
            aside.mkdir(parents=True)
            (aside / "spaces").mkdir()
            (aside / LOCK_FILE).touch()
            Pins(aside / "pins").create()
            yield Folder(aside)
            aside.replace(root)
        except OSError as error:
            raise StoreError(f"the store {root} cannot be made: {error.strerror}") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def reach(self) -> None:
        """Do nothing: a disk answers by itself."""

    def connect(self, database: str) -> Any:
        """Open a LanceDB database of the store."""
        import lancedb  # takes 1.5 s, so only who opens a store waits for it

        return lancedb.connect(self.root / database)

    def writing(self, database: str, table: str) -> AbstractContextManager[None]:
        """Take back what the block writes to a table, unless it is whole; see `whole_files`."""
        return whole_files(self._table(database, table))

    def has_table(self, database: str, table: str) -> bool:
        """Whether a table was ever made."""
        return (self._table(database, table) / "_versions").is_dir()

    def spaces(self) -> list[tuple[str, str]]:
        """Return (encoder_id, table) of all vector tables, committed or not."""
        spaces = self.root / "spaces"
        found = spaces.glob("*/*.lance") if spaces.is_dir() else ()
        return sorted((path.parent.name, path.stem) for path in found)

    def log(self, tables: Rows) -> CommitLog:
        """Return the log of commits: a table.

        Raises
        ------
        StoreError
            When the folder is a copy of a store that was written in a bucket.
        """
        if (self.root / COMMITS).exists():
            raise StoreError(
                f"{self.root} is a copy of a store in a bucket",
                "copy it into a bucket again, and open it there (docs/operations.md)",
            )
        return TableLog(tables)

    def pins(self) -> ReaderPins:
        """Return which versions are being read."""
        return Pins(self.root / "pins")

    def lease(self, run_id: str) -> WriterLease:
        """Take the lease, or raise `LeaseHeldError`."""
        return Lease.take(self.root, run_id)

    def holder(self) -> LeaseInfo | None:
        """Return who holds the lease, or died with it."""
        return holder(self.root)

    @contextmanager
    def registry_lock(self) -> Iterator[None]:
        """Hold the lock of saved things."""
        file = self.root / _REGISTRY_LOCK
        file.touch()
        with held(file, exclusive=True):
            yield

    def size(self) -> int:
        """Return how many bytes all files have."""
        total = 0
        for path in self.root.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:  # a writer replaced it meanwhile
                continue
        return total

    def _table(self, database: str, table: str) -> Path:
        return self.root / database / f"{table}.lance"
