"""Processes that render: spawned, of one thread each, ended by their parent and with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Final

from core.errors import AtlasError

_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def renderers(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes; what is still waiting when it is left is not begun.

    Parameters
    ----------
    workers : int
        Processes.  Threads of their own would be in each other's way: rendering with two threads
        in each of two processes takes three times as long.

    Raises
    ------
    AtlasError
        One of them was killed.
    """
    # Spawned, not forked: a parent that has threads may not be copied.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    with _one_thread(), pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise AtlasError(
                "a process that renders phantoms was killed, perhaps for want of memory",
                "give fewer --workers; the same command resumes",
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    # The parent alone answers Ctrl-C: it ends its processes, each after the run in hand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # When the parent is killed, a pool's process would wait for more work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let the processes that are started meanwhile have one thread each: one is one core."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
