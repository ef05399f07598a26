"""The engine of several devices or machines: portions go out, and shards come back, over Ray.

Ray starts the processes, carries questions and answers, and notices who is gone.  Which portion is
done where, and what is done again, is decided here (`docs/adr/0020-engines.md` says why).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, Final, final

from core.errors import ClusterError
from core.uris import path_of
from embedder.cluster.machines import Room, joined, room
from embedder.cluster.portions import Portion, cut
from embedder.cluster.shards import Shards
from embedder.cluster.worker import Duty, Failed, Ready, Worker
from embedder.encoders.spec import Precision
from embedder.stages import Stages
from embedder.work import EmbeddedStudy, StudyToEmbed

_AHEAD: Final = 2
"""Portions that a process has: one to work on, one to begin with at once after it."""
_CINES: Final = 64
_CINES_GPU: Final = 256
"""Of a portion, at least.  At its end a process waits for clips, which is dearer with a GPU."""
_STARTS: Final = 3
"""Processes in a row that may be lost before they can begin."""
_GONE_S: Final = 5.0
"""For processes that are ended: until then one may still write a shard."""
_WAIT_S: Final = 600.0
"""For the first process, which may be on a machine that is yet to be started."""


@dataclass(eq=False)
class _Process:
    """A process as seen from here; it is given portions once it has said that it can begin."""

    actor: Any
    beginning: Any
    is_ready: bool = False
    portions: deque[tuple[Any, Portion]] = field(default_factory=deque)

    @property
    def awaited(self) -> Any | None:
        """What it says next; None when it was asked nothing."""
        if not self.is_ready:
            return self.beginning
        return self.portions[0][0] if self.portions else None


@final
class RayEngine:
    """An `Engine` that embeds in processes of a Ray cluster.

    Parameters
    ----------
    address : str or None
        Of the cluster; without one, a cluster of this machine is started, and stopped at the end.
    cpus : int, optional
        Of each process.
    use_gpus : bool
        One process a GPU, where there are some.
    duty : Duty
        Of each process.
    """

    def __init__(
        self, address: str | None, *, cpus: int | None, use_gpus: bool, duty: Duty
    ) -> None:
        self.stages = Stages()
        self.precision: Precision | None = None
        self.notes: list[str] = []
        self._address = address
        self._cpus = cpus
        self._use_gpus = use_gpus
        self._duty = duty

    def embed(self, studies: Iterable[StudyToEmbed]) -> Generator[EmbeddedStudy, None, None]:
        """Embed studies; they come back portion by portion, in any order.

        Raises
        ------
        ClusterError
            No process can begin, or one cannot do its part; which, and on which machine.
        StoreError
            Shards cannot be written or read.
        """
        ahead = iter(studies)
        first = next(ahead, None)
        if first is None:
            return
        with joined(self._address) as ray:
            machines = [each["Resources"] for each in ray.nodes() if each["Alive"]]
            found = room(machines, cpus=self._cpus, use_gpus=self._use_gpus)
            if not found.processes:
                raise ClusterError(
                    f"no machine of the cluster has {found.cpus or 1} CPUs",
                    "set embed.ray_cpus to what the largest of them has",
                )
            shards = Shards(self._duty.store_url, self._duty.run_id)
            shards.begin()
            portions = cut(chain([first], ahead), cines=_CINES_GPU if found.gpus else _CINES)
            crew = _Crew(ray, found, self._duty, path_of(first.cines[0].cine.source_uri))
            try:
                for portion, stages in crew.work(portions):
                    if stages is None:
                        yield from portion.refused()
                        continue
                    self.stages.add(stages)
                    handed_in = shards.read(portion.name)
                    shards.delete(portion.name)
                    yield from handed_in
            finally:
                self.precision = crew.precision
                self.notes += crew.notes()
                crew.dismiss()
                shards.end()


class _Crew:
    """The processes of a run: who has which portion, and what is done again.

    Parameters
    ----------
    ray : module
    found : Room
    duty : Duty
    archived : Path
        A file of the archive.

    Attributes
    ----------
    precision : Precision or None
        What clips are computed in; of several, that which is furthest from float32.
    """

    def __init__(self, ray: ModuleType, found: Room, duty: Duty, archived: Path) -> None:
        self._ray = ray
        # Never started again or asked again by Ray, which would do both without end.
        self._actor = ray.remote(
            num_cpus=found.cpus, num_gpus=found.gpus, max_restarts=0, max_task_retries=0
        )(Worker)
        self._duty = duty
        self._archived = archived
        self._cpus = found.cpus
        self.precision: Precision | None = None
        self._lost = 0
        self._lost_at_start = 0
        self._processes = [self._hire() for _ in range(found.processes)]

    def work(self, portions: Iterator[Portion]) -> Iterator[tuple[Portion, Stages | None]]:
        """Have portions embedded, each taken when a process has room for it.

        Yields
        ------
        tuple of (Portion, Stages or None)
            When its shard is there; None when it is given up.
        """
        again: deque[Portion] = deque()
        more = True
        while True:
            more = self._hand_out(again, portions) and more
            if not (more or again or any(process.portions for process in self._processes)):
                return
            process = self._next_to_speak()
            answer = self._answer(process)
            if isinstance(answer, Ready):
                self._admit(process, answer)
            elif isinstance(answer, Stages):
                yield process.portions.popleft()[1], answer
            else:
                for portion in self._replace(process):
                    if portion.is_given_up:
                        yield portion, None
                    else:
                        again.append(portion)

    def notes(self) -> list[str]:
        """Return what is worth telling of them."""
        if not self._lost:
            return []
        return [f"processes of the cluster that were lost: {self._lost}; others did their part"]

    def dismiss(self) -> None:
        """End all processes, whatever they are at, and wait until they are gone."""
        for process in self._processes:
            self._ray.kill(process.actor)
        owed = [process.awaited for process in self._processes if process.awaited is not None]
        if owed:
            self._ray.wait(owed, num_returns=len(owed), timeout=_GONE_S)
        self._processes.clear()

    def _hire(self) -> _Process:
        actor = self._actor.remote(self._duty)
        return _Process(actor, actor.begin.remote(self._archived, self._cpus))

    def _hand_out(self, again: deque[Portion], portions: Iterator[Portion]) -> bool:
        """Give processes what they have room for, in turns; return False when nothing is left."""
        for have in range(_AHEAD):
            for process in self._processes:
                if process.is_ready and len(process.portions) <= have:
                    portion = again.popleft() if again else next(portions, None)
                    if portion is None:
                        return False
                    process.portions.append((process.actor.embed.remote(portion), portion))
        return True

    def _some_ready(self) -> bool:
        return any(process.is_ready for process in self._processes)

    def _next_to_speak(self) -> _Process:
        by_awaited = {p.awaited: p for p in self._processes if p.awaited is not None}
        # With a process at work there is no limit: what takes long is limited in its own place.
        timeout = None if self._some_ready() else _WAIT_S
        spoken, _ = self._ray.wait(list(by_awaited), num_returns=1, timeout=timeout)
        if not spoken:
            raise ClusterError(
                f"no machine of the cluster had {self._cpus} CPUs free for a process within "
                f"{_WAIT_S:.0f} seconds",
                "`ray status` shows what is in use; embed.ray_cpus asks for less",
            )
        return by_awaited[spoken[0]]

    def _answer(self, process: _Process) -> Ready | Stages | None:
        """Return what a process says; None when it is lost."""
        try:
            answer: Ready | Stages | Failed = self._ray.get(process.awaited)
        except self._ray.exceptions.RayTaskError as error:
            raise ClusterError(
                f"a process of the cluster could not be asked: {type(error.cause).__name__}",
                "is the same AngioAtlas installed on every machine?",
            ) from error
        except self._ray.exceptions.RayError as error:
            if not process.is_ready:
                self._lost_at_start += 1
            if self._lost_at_start >= _STARTS and not self._some_ready():
                raise ClusterError(
                    f"processes of the cluster are lost before they can begin: {_last_line(error)}",
                    "is AngioAtlas installed on every machine, and is there memory for an encoder?",
                ) from error
            return None
        if isinstance(answer, Failed):
            failure = ClusterError(
                f"on the machine {answer.machine}: {answer.message}", answer.hint
            )
            if answer.trace:
                failure.add_note(answer.trace)
            raise failure
        return answer

    def _admit(self, process: _Process, ready: Ready) -> None:
        refuse_blind(ready, self._archived)
        process.is_ready = True
        self._lost_at_start = 0
        if self.precision is None or ready.precision.cosine < self.precision.cosine:
            self.precision = ready.precision

    def _replace(self, lost: _Process) -> Iterator[Portion]:
        """Put a new process in the place of a lost one; give the portions that it leaves."""
        self._lost += 1
        self._ray.kill(lost.actor)  # it may only be out of reach
        place = self._processes.index(lost)
        if lost.is_ready or self._lost_at_start < _STARTS:
            self._processes[place] = self._hire()
        else:  # where it was started it never can begin; others are at work
            del self._processes[place]
        for position, (_, portion) in enumerate(lost.portions):
            # It was at the first; the others are not to blame.
            if position == 0:
                yield from portion.again()
            else:
                yield portion


def refuse_blind(ready: Ready, archived: Path) -> None:
    """Refuse a machine that does not see a file of the archive, if it is to be seen here.

    It would quarantine every cine that it is given.

    Raises
    ------
    ClusterError
        With the name of the machine.
    """
    if not ready.sees_archive and archived.exists():
        raise ClusterError(
            f"the machine {ready.machine} does not see the archive: a file of it is not there",
            "mount the archive on every machine, at the same path",
        )


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
