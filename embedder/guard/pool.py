"""Run a function on untrusted bytes in worker processes, with a time and a memory limit.

`GuardedPool.map` gives every item back with its result or with the reason it was refused; nothing
that happens in a worker (a crash of a decoder, a hang, a huge allocation) reaches the caller as
anything else.  Workers come from `embedder.guard.nursery`.

Why not a process pool of the standard library or pebble: those import the caller's main program
in each worker (for a command-line program that is PyTorch, seconds and gigabytes of address
space), and fail a whole chunk for its one bad item, so that hundreds of thousands of small tasks
are either slow or not attributable.  Here a worker answers item by item, so the item at fault is
known, and the rest of its chunk goes to another worker.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from core.outcomes import Code, InputRefused
from embedder.guard import wire
from embedder.guard.nursery import GuardError, Nursery

T = TypeVar("T")
R = TypeVar("R")

DEFAULT_SECONDS = 10.0
"""Time for one item; the largest real cines need well under two."""
DEFAULT_MEMORY_BYTES = 3 * 2**30
"""Address space of a worker: libraries take 0.3 GiB of it, a clip of 16 frames of 4096 x 4096
pixels 0.25 GiB, its largest compressed frame in flight as much again."""
PRELOAD = ("embedder.inputs",)


@dataclass(eq=False)
class _Task:
    """One item on its way."""

    item: Any
    result: Any = None
    done: bool = False
    second_try: bool = False


@dataclass(eq=False)
class _Worker:
    """One worker process as seen from here."""

    pid: int
    link: socket.socket
    tasks: deque[_Task] = field(default_factory=deque)
    answered: int = 0
    deadline: float = 0.0


class GuardedPool:
    """Worker processes with a time limit per item and an address-space limit; a context manager.

    Parameters
    ----------
    workers : int
        Number of processes, at least 1.
    seconds : float
        Time limit of one item.  A worker over it is killed and replaced.
    memory_bytes : int
        Address-space limit (RLIMIT_AS) of a worker, libraries included.
    preload : sequence of str
        Modules imported once, before workers are forked.

    Notes
    -----
    The limits protect from accidents and bombs in files.  They are not a sandbox.
    """

    def __init__(
        self,
        workers: int,
        *,
        seconds: int | float = DEFAULT_SECONDS,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        if workers < 1 or seconds <= 0 or memory_bytes <= 0:
            raise ValueError("workers, seconds and memory_bytes must be positive")
        self.workers = workers
        self.seconds = seconds
        self.memory_bytes = memory_bytes
        self._preload = tuple(preload)
        self._nursery: Nursery | None = None
        self._free: list[_Worker] = []
        self._run: _Run | None = None

    def __enter__(self) -> GuardedPool:
        self._nursery = Nursery(self._preload)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._run is not None:
            self._run.abandon()
        for worker in self._free:
            worker.link.close()
        self._free.clear()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        ahead: int | None = None,
        fallback: Code = Code.DECODE_FAILED,
        chunk: int = 1,
        seconds: int | float | None = None,
    ) -> Generator[tuple[T, R | InputRefused], None, None]:
        """Apply `function` to every item in the workers; yield in the order of `items`.

        Parameters
        ----------
        function : callable
            Importable by name in the workers (or a `functools.partial` of such a function).
        items : iterable
            Consumed lazily: at most `ahead` items are taken and not yet given back.
        ahead : int, optional
            See `items`; at least 1.  Bounds the memory held in results.  By default enough to
            keep the workers busy past one slow item.
        fallback : Code
            The code of an exception that is not an `InputRefused`.
        chunk : int
            Items sent to a worker at once; more than 1 pays for tasks of under a millisecond.
        seconds : float, optional
            Time limit of one item, in place of the pool's.

        Yields
        ------
        tuple of (item, result or InputRefused)
            The refusal is what the function raised, or `TIME_LIMIT`, `MEMORY_LIMIT`,
            `DECODER_CRASHED` (the last two only after a try in a fresh worker), or `fallback`.

        Raises
        ------
        GuardError
            When the workers cannot be started, or another `map` of this pool is running.
        """
        if ahead is None:
            ahead = 4 * self.workers * chunk
        if ahead < 1 or chunk < 1 or (seconds is not None and seconds <= 0):
            raise ValueError("ahead, chunk and seconds must be positive")
        return self._map(function, items, ahead, chunk, fallback, seconds or self.seconds)

    def _map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        ahead: int,
        chunk: int,
        fallback: Code,
        seconds: int | float,
    ) -> Generator[tuple[T, R | InputRefused], None, None]:
        if self._nursery is None:
            raise GuardError("the pool is not open", "use it in a `with` statement")
        if self._run is not None:
            raise GuardError("the pool is already mapping", "finish or close the other map first")
        staff = _Staff(self._nursery, self._free, self.workers, self.memory_bytes)
        self._run = run = _Run(staff, function, fallback, seconds)
        try:
            yield from run.results(items, ahead, chunk)
        finally:
            run.abandon()
            self._run = None


class _Staff:
    """Workers that are free, and how to get and lose them."""

    def __init__(self, nursery: Nursery, free: list[_Worker], most: int, memory_bytes: int) -> None:
        self.nursery = nursery
        self.free = free
        self.most = most
        self.memory_bytes = memory_bytes

    def take(self, *, fresh: bool, busy: int) -> _Worker:
        """Give a worker, a new one if `fresh`; never more than `most` in all."""
        if self.free and not fresh:
            return self.free.pop()
        if self.free and len(self.free) + busy >= self.most:
            self.retire(self.free.pop())
        try:
            pid, link = self.nursery.fork(self.memory_bytes)
        except (OSError, EOFError) as error:
            raise GuardError(
                "a guarded worker process could not be started",
                "is the machine out of memory or of processes?",
            ) from error
        return _Worker(pid, link)

    def retire(self, worker: _Worker) -> int:
        """Kill and bury a worker; give its wait status."""
        worker.link.close()
        try:
            return self.nursery.end(worker.pid)
        except (OSError, EOFError) as error:
            raise GuardError("the guarded worker processes are gone", "run it again") from error


class _Run:
    """One `map`: which worker does what, and what came back."""

    def __init__(
        self, staff: _Staff, function: Callable[[Any], Any], fallback: Code, seconds: int | float
    ) -> None:
        self.staff = staff
        self.function = function
        self.fallback = fallback
        self.seconds = seconds
        self.busy: dict[int, _Worker] = {}  # by the file descriptor of the link
        self.again: deque[_Task] = deque()  # tasks whose worker was lost
        self.poller = select.poll()

    def results(
        self, items: Iterable[Any], ahead: int, chunk: int
    ) -> Generator[tuple[Any, Any], None, None]:
        """Hand out, collect and give back in order."""
        window: deque[_Task] = deque()
        source = iter(items)
        more = True
        while True:
            while len(self.busy) < self.staff.most:
                tasks = [self.again.popleft()] if self.again else []
                room = min(chunk, ahead - len(window))
                if not tasks and more and room > 0:
                    tasks = [_Task(item) for item in itertools.islice(source, room)]
                    window.extend(tasks)
                    more = len(tasks) == room
                if not tasks:
                    break
                self._assign(tasks)
            if not window:
                return
            if window[0].done:
                task = window.popleft()
                yield task.item, task.result
            else:
                self._collect()

    def abandon(self) -> None:
        """Kill the workers that are still at it: nobody waits for them."""
        for worker in list(self.busy.values()):
            self._unlist(worker)
            self.staff.retire(worker)

    def _assign(self, tasks: list[_Task]) -> None:
        worker = self.staff.take(fresh=tasks[0].second_try, busy=len(self.busy))
        worker.tasks.extend(tasks)
        worker.link.settimeout(self.seconds)
        worker.deadline = time.monotonic() + self.seconds
        self.busy[worker.link.fileno()] = worker
        self.poller.register(worker.link, select.POLLIN)
        # A worker that died while it was free is found out when its answer is waited for.
        with contextlib.suppress(OSError):
            wire.send(worker.link, (self.function, [task.item for task in tasks], self.fallback))

    def _collect(self) -> None:
        """Wait until something happens: an answer, a death, or a time limit."""
        wait = min(worker.deadline for worker in self.busy.values()) - time.monotonic()
        ready = {fd for fd, _ in self.poller.poll(max(0.0, wait) * 1000 + 1)}
        now = time.monotonic()
        for fd, worker in list(self.busy.items()):
            if fd in ready:
                self._receive(worker)
            elif now >= worker.deadline:
                self._lose(worker, Code.TIME_LIMIT)

    def _receive(self, worker: _Worker) -> None:
        try:
            result = wire.receive(worker.link)
        except TimeoutError:
            self._lose(worker, Code.TIME_LIMIT)
            return
        except (EOFError, OSError):
            self._lose(worker, Code.DECODER_CRASHED)
            return
        if isinstance(result, InputRefused) and result.reason is Code.MEMORY_LIMIT:
            self._lose(worker, Code.MEMORY_LIMIT)
            return
        task = worker.tasks.popleft()
        task.result, task.done = result, True
        worker.answered += 1
        worker.deadline = time.monotonic() + self.seconds
        if not worker.tasks:
            self._unlist(worker)
            self.staff.free.append(worker)

    def _lose(self, worker: _Worker, code: Code) -> None:
        """Replace a worker; its current task is to blame, the others are done elsewhere."""
        self._unlist(worker)
        status = self.staff.retire(worker)
        task = worker.tasks.popleft()
        self.again.extendleft(reversed(worker.tasks))
        if code is not Code.TIME_LIMIT and worker.answered and not task.second_try:
            # An earlier item may have damaged the worker: only a fresh one gives a sure verdict.
            task.second_try = True
            self.again.appendleft(task)
            return
        task.result, task.done = InputRefused(code, self._detail(code, status)), True

    def _detail(self, code: Code, status: int) -> str:
        if code is Code.TIME_LIMIT:
            return f"no result within {self.seconds:g} seconds"
        if code is Code.MEMORY_LIMIT:
            return f"needed more than {self.staff.memory_bytes / 2**30:.3g} GiB of address space"
        if os.WIFSIGNALED(status):
            return f"the reading process died of {signal.Signals(os.WTERMSIG(status)).name}"
        return f"the reading process ended by itself with status {os.WEXITSTATUS(status)}"

    def _unlist(self, worker: _Worker) -> None:
        self.poller.unregister(worker.link)
        del self.busy[worker.link.fileno()]
