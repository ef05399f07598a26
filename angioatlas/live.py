"""A store as a server reads it: one snapshot that all calls share, and that follows the store.

Opening a snapshot of a large store and making it ready takes seconds, so it is done in a thread of
its own, beside the calls; they get the new one when a search of it takes milliseconds.  Only a
deletion they wait for: the patient's rows leave the snapshot that is there, before a new one is
opened.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Callable
from typing import Final, final

import pyarrow as pa

from angioatlas.by_position import position_of
from core.closing import Closing
from core.errors import AtlasError, StoreError
from store.snapshot import Snapshot
from store.store import Store

POLL_S: Final = 1.0
"""Seconds between two looks at the store."""
_PATIENCE_S: Final = 30.0
"""How long a call waits for a snapshot without a patient who was deleted."""
_LINGER_S: Final = 2.0
"""How long calls of what was replaced are waited for; those that take minutes are not."""
_REACH_S: Final = 300.0
"""How long who has written waits until that can be read; no request waits for it."""
_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Of the GNU C library, which else keeps what its threads let go of."""
_log = logging.getLogger(__name__)

Prepare = Callable[[Snapshot], None]
"""Does for a snapshot what need not be done in a call."""


@final
class LiveStore(Closing):
    """Lends the newest snapshot of a store; threads may share it.

    Parameters
    ----------
    store : Store
    warm : callable
        Makes a snapshot ready before it is lent.
    settle : callable
        Is given a snapshot when it has been lent for the first time, for what may take long; while
        a deletion is unfinished it is one without a pin.
    every_s : float
        Seconds between two looks at the store.

    Raises
    ------
    AtlasError
        When the store cannot be read.
    """

    def __init__(
        self, store: Store, *, warm: Prepare, settle: Prepare, every_s: float = POLL_S
    ) -> None:
        self._store = store
        self._warm = warm
        self._settle = settle
        self._every_s = every_s
        self._changed = threading.Condition()
        self._is_hiding = False
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._lent: Snapshot | None = self._warmed(store.snapshot())
        # Before there is somebody who waits.
        self._settle(self._lent)
        _give_back()
        self._thread = threading.Thread(target=self._follow, name="live store", daemon=True)
        self._thread.start()

    def snapshot(self) -> Snapshot:
        """Lend the newest snapshot that is ready; close it to give it back.

        Raises
        ------
        StoreError
            When this is closed, or a patient was deleted and the store cannot be read since.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_hiding or self._lent is None, _PATIENCE_S)
            if self._lent is None:
                raise StoreError("the store is followed no more", "open it again")
            if self._is_hiding:
                raise StoreError(
                    "a patient was deleted, and the store cannot be read without them yet",
                    "ask again; the log says what is wrong",
                )
            return self._lent.lend()

    def reach(self, version: int) -> None:
        """Wait until a version of the store, or a newer one, is lent.

        Raises
        ------
        StoreError
            When it is not, after some minutes.
        """
        if not self._is_at(version):
            self._wanted.set()
        with self._changed:
            self._changed.wait_for(lambda: self._is_at(version), _REACH_S)
            if not self._is_at(version):
                raise StoreError(
                    f"the store is at version {version}, which cannot be read here yet",
                    "ask again; the log says what is wrong",
                )

    def _is_at(self, version: int) -> bool:
        return self._lent is not None and self._lent.version >= version

    def close(self) -> None:
        """Follow the store no more, and let its version go when the last call has ended."""
        self._stop.set()
        self._wanted.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(_PATIENCE_S)
        self._swap(None)

    def _follow(self) -> None:
        seen = None
        while not self._is_stopped_while_waiting():
            try:
                stamp = self._store.stamp()
                if stamp != seen:
                    self.look()
                    seen = stamp
                # Every time: calls that were running held what the look before has replaced.
                _give_back()
            except Exception as error:  # noqa: BLE001 - the thread outlives whatever it meets
                # Not the text of what is not ours: it may quote values of patients.
                said = error.message if isinstance(error, AtlasError) else type(error).__name__
                _log.warning("the store moved on and cannot be followed yet: %s", said)

    def _is_stopped_while_waiting(self) -> bool:
        self._wanted.wait(self._every_s)
        self._wanted.clear()
        return self._stop.is_set()

    def look(self) -> None:
        """Look whether the store moved on, and follow it."""
        position, lent = self._store.position(), self._lent
        is_deleting = self._store.tombstones().unfinished() > 0
        if lent is None or (position == position_of(lent) and lent.is_pinned is not is_deleting):
            return
        if is_deleting:  # whoever deletes waits until nobody reads the bytes
            lent.unpin()
        replaced = [lent]
        if position.deletions != lent.deletions:
            with self._changed:
                self._is_hiding = True
            replaced.append(self._warmed(lent.hiding(self._store.tombstones())))
            self._swap(replaced[-1])
        ready = self._warmed(self._store.snapshot(after=lent))
        self._swap(ready)
        if is_deleting:
            ready.unpin()
        self._let_end(replaced)
        self._settle(ready)

    def _let_end(self, replaced: list[Snapshot]) -> None:
        """Wait for the calls that were running, or they would derive anew what is forgotten."""
        until = time.monotonic() + _LINGER_S
        while not all(each.is_closed for each in replaced) and time.monotonic() < until:
            if self._stop.wait(_LINGER_S / 100):
                return

    def _warmed(self, snapshot: Snapshot) -> Snapshot:
        try:
            self._warm(snapshot)
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    def _swap(self, ready: Snapshot | None) -> None:
        with self._changed:
            before, self._lent = self._lent, None if self._stop.is_set() else ready
            self._is_hiding = False
            self._changed.notify_all()
            if self._lent is None and ready is not None:  # closed while it was made ready
                ready.close()
        if before is not None:
            before.close()


def _give_back() -> None:
    """Give memory back to the system: opening a snapshot takes as much again as it holds."""
    # Not where it was opened: what lives until the end of those calls would stay.
    pa.default_memory_pool().release_unused()
    if _TRIM is not None:
        _TRIM(0)
