"""What runs in each process of a cluster: an encoder, decode processes, and the local engine.

Nothing here raises to Ray, which would write the text of the error into its own files: what goes
wrong is given back as a value, and the process that called says it to its user.
"""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from core.errors import AtlasError
from core.provenance import software_version
from embedder.cluster.portions import Portion
from embedder.cluster.shards import Shards
from embedder.encoders.spec import Encoder, Precision
from embedder.engine import LocalEngine
from embedder.guard.pool import GuardedPool
from embedder.stages import Stages


@dataclass(frozen=True)
class Duty:
    """What a process needs to know before its first portion.

    Attributes
    ----------
    load : callable
        Gives the encoder.
    encoder_id : str
        Its id on the machine that commits.
    version : str
        The version of AngioAtlas there.
    store_url, run_id : str
        Where embedded studies go, see `Shards`.
    decoders : int or None
        Decode processes of each encoder; one for each CPU of the process when None.
    seconds, memory_bytes : float, int
        What one cine may cost.
    batch_size : int or None
        Clips per encoder call; the encoder's own when None.
    """

    load: Callable[[], Encoder]
    encoder_id: str
    version: str
    store_url: str
    run_id: str
    decoders: int | None
    seconds: float
    memory_bytes: int
    batch_size: int | None


@dataclass(frozen=True)
class Ready:
    """A process that can begin.

    Attributes
    ----------
    machine : str
    sees_archive : bool
        Whether the file that it was asked about is there; for the one who asked to judge.
    precision : Precision
        What its encoder computes in.
    """

    machine: str
    sees_archive: bool
    precision: Precision


@dataclass(frozen=True)
class Failed:
    """What went wrong, for the one who can tell somebody.

    Attributes
    ----------
    machine : str
    message, hint : str
        As of an `AtlasError`.
    trace : str
        Where, when it was none.
    """

    machine: str
    message: str
    hint: str
    trace: str = ""


@final
class Worker:
    """The body of an actor; it does one thing at a time."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._machine = socket.gethostname()
        self._idle_since: float | None = None

    def begin(self, archived: Path, cpus: int) -> Ready | Failed:
        """Load the encoder, start the decode processes, and see that all is as it must be.

        Parameters
        ----------
        archived : Path
            A file of the archive.
        cpus : int
            That this process has.
        """
        duty = self._duty
        if software_version() != duty.version:
            return Failed(
                self._machine,
                f"it has AngioAtlas {software_version()}, the machine that commits {duty.version}",
                f"install {duty.version} there",
            )
        try:
            self._shards = Shards(duty.store_url, duty.run_id)
            if not self._shards.has_begun():
                return Failed(
                    self._machine,
                    "it does not see what the machine that commits writes into the store",
                    "mount the store's disk there, at the same path",
                )
            self._encoder = duty.load()
            if self._encoder.encoder_id != duty.encoder_id:
                return Failed(
                    self._machine,
                    f"its encoder is {self._encoder.encoder_id}, expected {duty.encoder_id}",
                    "share encoders_dir, or copy the encoder's folder there",
                )
            self._pool = GuardedPool(
                duty.decoders or cpus, seconds=duty.seconds, memory_bytes=duty.memory_bytes
            )
            self._pool.__enter__()  # it ends with this process
        except Exception as error:  # noqa: BLE001  said where somebody reads it
            return self._failed(error)
        return Ready(self._machine, archived.exists(), self._encoder.precision)

    def embed(self, portion: Portion) -> Stages | Failed:
        """Embed a portion and hand in its file; return where the time went."""
        engine = LocalEngine(self._encoder, self._pool, batch_size=self._duty.batch_size)
        stages = engine.stages
        if self._idle_since is not None:
            # Nothing to do while there is more: whoever commits was not fast enough.
            stages.write_s += time.perf_counter() - self._idle_since
        try:
            studies = list(engine.embed(portion.studies))
            with stages.timed("write"):
                self._shards.write(portion.name, studies)
        except Exception as error:  # noqa: BLE001  said where somebody reads it
            return self._failed(error)
        self._idle_since = time.perf_counter()
        return stages

    def _failed(self, error: Exception) -> Failed:
        if isinstance(error, AtlasError):
            return Failed(self._machine, error.message, error.hint)
        # Its text may hold a path; `--debug` shows it.
        return Failed(self._machine, type(error).__name__, "", traceback.format_exc())
