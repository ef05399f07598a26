"""One writer at a time, where there is no flock: a lease that is one object of a bucket.

The object is only ever written over the state that was read (a conditional put), so of two who want
the lease at the same moment one gets it.  The holder writes it again every few seconds from a
thread.  Whether it is alive is told by the server's clock alone: by how long ago the object was
written.  A holder that is taken for dead although it was only stopped does no harm: what it commits
after that is refused (`store.commit_log`), and here it is told why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final, Self, final

from core.errors import LeaseHeldError, StoreError
from store.lease import LeaseInfo, held_by, now_text
from store.objects import Found, Mark, Objects

LEASE: Final = "lease.json"
REGISTRY: Final = "registry.json"
_BEATS: Final = 6
"""How often the holder writes in the time after which it counts as dead."""
_LEAST_BEAT_S: Final = 0.5
_POLL_S: Final = (0.05, 1.0)


@final
class ObjectLease:
    """The lease of one store in a bucket, held from `take` to `release`.

    Attributes
    ----------
    info : LeaseInfo
        This holder.
    took_over : LeaseInfo or None
        The previous holder, when it died without giving the lease back.
    epoch : int
        Grows by one with every holder.
    """

    def __init__(
        self,
        objects: Objects,
        name: str,
        info: LeaseInfo,
        before: _Held | None,
        *,
        dead_after_s: float,
    ) -> None:
        self._objects = objects
        self._name = name
        self._dead_after_s = dead_after_s
        self._token = uuid.uuid4().hex
        self._mark: Mark | None = None
        self._lost = False
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._confirmed = time.monotonic()
        self.info = info
        self.epoch = 1 + (before.epoch if before else 0)
        self.took_over = before.info if before else None

    @classmethod
    def take(cls, objects: Objects, run_id: str, *, dead_after_s: float, name: str = LEASE) -> Self:
        """Take the lease.

        Raises
        ------
        LeaseHeldError
            When a living process holds it; the message names process, host and since when.
        """
        found = objects.get(name)
        before = None if found is None else _read(found)
        if found and before and before.info and objects.age(found) < dead_after_s:
            raise _refusal(before.info, dead_after_s)
        now = now_text()
        info = LeaseInfo(socket.gethostname(), os.getpid(), run_id, now, now)
        lease = cls(objects, name, info, before, dead_after_s=dead_after_s)
        lease._mark = None if found is None else found.mark
        if not lease._write():
            raise _refusal(holder(objects, name), dead_after_s)
        threading.Thread(target=lease._keep_beating, name=f"keeps {name}", daemon=True).start()
        return lease

    def beat(self) -> None:
        """Note that the holder is alive.

        Raises
        ------
        LeaseHeldError
            When somebody else has taken the lease over.
        """
        self.info = dataclasses.replace(self.info, heartbeat_at=now_text())
        if not self._write():
            raise self.lost()

    def check(self) -> None:
        """Make sure that the lease is still held; asks the server only after a long silence.

        Raises
        ------
        LeaseHeldError
            When somebody else has taken it over.
        """
        if self._lost:
            raise self.lost()
        if time.monotonic() - self._confirmed > self._dead_after_s / 2:
            self.beat()

    def lost(self) -> LeaseHeldError:
        """Return the error that says who has taken the lease over."""
        with contextlib.suppress(StoreError):
            taken = holder(self._objects, self._name)
            if taken is not None:
                return LeaseHeldError(
                    f"this process was out of touch with the store for too long, and process "
                    f"{taken.pid} on {taken.host} (run {taken.run_id}) has taken over; nothing is "
                    "visible of what came after the last commit",
                    "run the same command again when that run has ended",
                )
        return LeaseHeldError(
            "this process was out of touch with the store for too long, and another one has "
            "written meanwhile; nothing is visible of what came after the last commit",
            "run the same command again",
        )

    def release(self) -> None:
        """Give the lease back; where the server cannot be reached, it ends by itself."""
        self._ended.set()
        with contextlib.suppress(StoreError):
            self._write(is_held=False)

    def _keep_beating(self) -> None:
        pause = max(self._dead_after_s / _BEATS, _LEAST_BEAT_S)
        while not self._ended.wait(pause) and not self._lost:
            # A server that cannot be reached may be reached the next time.
            with contextlib.suppress(StoreError):
                self.beat()

    def _write(self, *, is_held: bool = True) -> bool:
        """Write the object over the state that is known, and tell whether it was that."""
        with self._writing:
            if self._lost or (is_held and self._ended.is_set()):
                return not self._lost
            began = time.monotonic()
            # No two are equal: an ETag may be a hash of what is written.
            own = {"token": self._token, "put": uuid.uuid4().hex, "epoch": self.epoch}
            said = {**dataclasses.asdict(self.info), **own, "is_held": is_held}
            data = json.dumps(said).encode()
            mark = self._objects.put(self._name, data, self._mark)
            if mark is None and self._is_own():
                mark = self._objects.put(self._name, data, self._mark)
            self._lost = mark is None
            if mark is not None:
                self._mark, self._confirmed = mark, began
            return not self._lost

    def _is_own(self) -> bool:
        """Whether an earlier put was done whose answer never came; its state is known then."""
        found = self._objects.get(self._name)
        if found is None or self._token.encode() not in found.data:
            return False
        self._mark = found.mark
        return True


@contextlib.contextmanager
def mutex(objects: Objects, name: str, *, dead_after_s: float) -> Iterator[None]:
    """Hold a lease for a short block, after everybody else who does.

    Raises
    ------
    StoreError
        At the end, when the process was stopped meanwhile and somebody else has gone on.
    """
    pause, longest = _POLL_S
    while True:
        try:
            lease = ObjectLease.take(objects, "registry", dead_after_s=dead_after_s, name=name)
            break
        except LeaseHeldError:
            time.sleep(pause)
            pause = min(2 * pause, longest)
    try:
        yield
        lease.check()
    except LeaseHeldError as error:
        raise StoreError(
            "this process was out of touch with the store for too long while it saved something, "
            "and another one has saved meanwhile",
            "look whether it is there, and save it again if not",
        ) from error
    finally:
        lease.release()


def holder(objects: Objects, name: str = LEASE) -> LeaseInfo | None:
    """Return who holds the lease, or died with it; None when nobody."""
    found = objects.get(name)
    held = None if found is None else _read(found)
    return None if held is None else held.info


@dataclasses.dataclass(frozen=True)
class _Held:
    epoch: int
    info: LeaseInfo | None
    """None when it was given back."""


def _read(found: Found) -> _Held | None:
    """Return what the object says; None when it cannot be understood."""
    try:
        said: dict[str, Any] = json.loads(found.data)
        names = [each.name for each in dataclasses.fields(LeaseInfo)]
        info = LeaseInfo(**{name: said[name] for name in names})
        return _Held(int(said["epoch"]), info if said["is_held"] else None)
    except (ValueError, TypeError, KeyError):
        return None


def _refusal(info: LeaseInfo | None, dead_after_s: float) -> LeaseHeldError:
    return LeaseHeldError(
        held_by(info),
        "wait for it to end, or stop that process; readers go on. If it died, the store is free "
        f"{dead_after_s:g} seconds after its last sign of life",
    )
