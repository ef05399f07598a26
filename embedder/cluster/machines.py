"""The cluster: joined, or started for one run on this machine; how many processes it has room for.

The only module that knows how Ray is reached.  A cluster that is started here answers on the
loopback interface alone, asks for a token that nobody else has, shows no dashboard, reports to
nobody, and leaves no file behind.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Final

from core.errors import ClusterError
from core.optional import import_optional

_CPUS: Final = 4
"""Of a process without a GPU, unless it is said otherwise."""
_OBJECT_STORE_BYTES: Final = 80 * 2**20
"""Little more than the least that Ray takes: vectors go by files, and messages are small."""
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0"}
_PRIVATE: Final = {
    # By its name for other systems; here as well it makes Ray answer on 127.0.0.1 only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}


@dataclass(frozen=True)
class Room:
    """Processes that a cluster has room for.

    Attributes
    ----------
    processes : int
        0 when there is room for none.
    cpus, gpus : int
        Of each.
    """

    processes: int
    cpus: int
    gpus: int


def room(machines: Iterable[Mapping[str, float]], *, cpus: int | None, use_gpus: bool) -> Room:
    """Tell how many processes there is room for: one a GPU, or one for some CPUs each.

    Parameters
    ----------
    machines : iterable of mapping
        The resources of each machine: `CPU` and `GPU`, where it has some.
    cpus : int, optional
        Of each process.  When absent, those of a machine are shared out among its GPUs (as on the
        machine that has the fewest for each); without GPUs it is 4, or as many as there are.
    use_gpus : bool
        Use GPUs where there are some, and then nothing else.
    """
    all_of_them = [(int(each.get("CPU", 0)), int(each.get("GPU", 0))) for each in machines]
    with_gpus = [(c, g) for c, g in all_of_them if c and g] if use_gpus else []
    if with_gpus:
        each = cpus or max(1, min(c // g for c, g in with_gpus))
        return Room(sum(min(g, c // each) for c, g in with_gpus), each, 1)
    each = cpus or min(_CPUS, max((c for c, _ in all_of_them), default=0))
    return Room(sum(c // each for c, _ in all_of_them) if each else 0, each, 0)


@contextmanager
def joined(address: str | None) -> Iterator[ModuleType]:
    """Give Ray, connected: to a cluster, or to one that is started here and stopped at the end.

    Parameters
    ----------
    address : str, optional
        Of a cluster: ``auto`` (of this machine), ``host:port`` or ``ray://host:port``.

    Raises
    ------
    MissingDependencyError
        Ray is not installed.
    ClusterError
        The cluster cannot be reached, or none can be started.
    """
    ray = import_optional("ray", needed_for="--engine ray", extra="ray")
    if ray.is_initialized():  # by a notebook, which goes on with it
        with _silent(ray):
            yield ray
        return
    with _environment(ray, is_private=address is None), _folder(address) as folder:
        try:
            _connect(ray, address, folder)
            with _silent(ray):
                yield ray
        finally:
            ray.shutdown()


def _connect(ray: ModuleType, address: str | None, folder: str | None) -> None:
    options: dict[str, Any] = {
        "address": address or "local",
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if folder is not None:
        options |= {
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            # Ray opens its folder to everybody; the one around it is its owner's.
            "_temp_dir": f"{folder}/ray",
        }
    try:
        with _same_sigterm(), warnings.catch_warnings():
            # Said in each child of this process; those of Ray are other programs at once.
            warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
            ray.init(**options)
    # Whatever goes wrong inside Ray, from its many parts: none of it is this program's.
    except Exception as error:
        if address is None:
            raise ClusterError(
                f"no cluster could be started on this machine: {_first_line(error)}",
                "use --engine local; `ray start --head` tells more",
            ) from error
        raise ClusterError(
            f"the cluster {address} cannot be joined: {_first_line(error)}",
            "does `ray status` show it on this machine, with the same versions of Ray and Python, "
            "and the same token? Without --ray-address a cluster is started here",
        ) from error


@contextmanager
def _environment(ray: ModuleType, *, is_private: bool) -> Iterator[None]:
    """Set what Ray reads of the environment, unless somebody did."""
    wanted = dict(_QUIET)
    if is_private:
        wanted |= _PRIVATE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    wanted = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(wanted)
    _read_again(ray, is_private=is_private)
    try:
        yield
    finally:
        for name in wanted:
            os.environ.pop(name, None)
        _read_again(ray, is_private=False)


def _read_again(ray: ModuleType, *, is_private: bool) -> None:
    """Have Ray heed the environment as it is now: it reads it once in a process.

    Without this a second run of one process would use the token of the first.
    """
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = not is_private
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


def _folder(address: str | None) -> AbstractContextManager[str | None]:
    """Make a folder for a cluster that is started here, and remove it afterwards."""
    if address is not None:
        return nullcontext()
    # Not where the user's TMPDIR is: the paths of Ray's sockets must be short.
    return TemporaryDirectory(prefix="angioatlas-", dir="/tmp", ignore_cleanup_errors=True)


@contextmanager
def _silent(ray: ModuleType) -> Iterator[None]:
    """Keep Ray from printing what it knows of a lost process, on standard output.

    `log_to_driver` does not cover it; this is what Ray's own debugger does.
    """
    inside = ray._private.worker
    before, inside._worker_logs_enabled = inside._worker_logs_enabled, False
    try:
        yield
    finally:
        inside._worker_logs_enabled = before


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """Undo that Ray takes SIGTERM over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
