"""Long work: begun by a request, asked after by others, in whichever process they arrive.

Jobs of all processes stand in one file; each is done by the process that began it, one at a time,
so that uploads never take the processors from searches.  An answer is kept for an hour.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, final

from angioatlas.access.database import Database
from api.problems import Failure, public
from core.errors import NotFoundError, TooManyRequestsError

MOST_WAITING: Final = 8
"""Jobs of one process that wait or run."""
_KEPT: Final = dt.timedelta(hours=1)
_SAY_EVERY_S: Final = 0.2
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, status TEXT NOT NULL, phase TEXT NOT NULL,
    done INTEGER NOT NULL, total INTEGER, answer TEXT, updated_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

OnProgress = Callable[[str, int, int | None], None]
Work = Callable[[OnProgress], str]
"""Does a job and returns its answer as JSON."""


class JobStatus(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in (JobStatus.DONE, JobStatus.FAILED)


_LOST: Final = {
    JobStatus.WAITING: dt.timedelta(minutes=30),
    JobStatus.RUNNING: dt.timedelta(minutes=2),
}
"""A job of which nothing was heard for so long is not being done: its process is gone."""


@dataclass(frozen=True)
class Job:
    """A job as it stands.

    Attributes
    ----------
    id : str
    status : JobStatus
    phase : str
        What is being done.
    done : int
    total : int or None
        How much of it, where that is known.
    answer : dict or None
        Of a job that is done what it found; of one that failed its `code`, `detail` and `hint`.
    """

    id: str
    status: JobStatus
    phase: str
    done: int
    total: int | None
    answer: dict[str, Any] | None


@final
class Jobs:
    """The jobs of one installation.

    Parameters
    ----------
    path : Path
        Of their file.
    """

    def __init__(self, path: Path) -> None:
        self._file = Database(path, "list of jobs", _SCHEMA, synchronous="NORMAL")
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="job")
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    def begin(self, owner: str, work: Work) -> str:
        """Let work be done, and return the id of its job.

        Parameters
        ----------
        owner : str
            `Principal.id`; nobody else may ask after it.
        work : callable

        Raises
        ------
        TooManyRequestsError
            Too much waits already.
        """
        if not self._places.acquire(blocking=False):
            raise TooManyRequestsError("too many exams are being read", "try again in a minute")
        job = uuid.uuid4().hex
        try:
            self._write_down(job, owner)
            self._pool.submit(self._do, job, work)
        except BaseException:
            self._places.release()
            raise
        return job

    def _write_down(self, job: str, owner: str) -> None:
        with self._file.writing() as connection:
            old = (dt.datetime.now(dt.UTC) - _KEPT).isoformat()
            connection.execute("DELETE FROM jobs WHERE updated_at < ?", (old,))
            connection.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, '', 0, NULL, NULL, ?)",
                (job, owner, JobStatus.WAITING, _now()),
            )

    def get(self, job: str, owner: str) -> Job:
        """Return a job as it stands.

        Raises
        ------
        NotFoundError
            There is none (any more), or it is another's.
        """
        rows = self._file.rows(
            "SELECT status, phase, done, total, answer, updated_at FROM jobs "
            "WHERE id = ? AND owner = ?",
            job,
            owner,
        )
        if not rows:
            raise NotFoundError("there is no such job", "an answer is kept for an hour")
        status, phase, done, total, answer, updated_at = rows[0]
        silent = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(updated_at)
        if silent > _LOST.get(JobStatus(status), dt.timedelta.max):
            lost = asdict(Failure(503, "lost", "the server was stopped meanwhile", "send it again"))
            return Job(job, JobStatus.FAILED, phase, done, total, lost)
        told = None if answer is None else json.loads(answer)
        return Job(job, JobStatus(status), phase, done, total, told)

    def close(self) -> None:
        """Let the job that runs end, and forget those that wait."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._file.close()

    def _do(self, job: str, work: Work) -> None:
        said = 0.0

        def on_progress(phase: str, done: int, total: int | None) -> None:
            nonlocal said
            if time.monotonic() - said > _SAY_EVERY_S:
                said = time.monotonic()
                self._say(job, JobStatus.RUNNING, phase, done, total)

        try:
            self._say(job, JobStatus.RUNNING, "start", 0, None)
            answer, status = work(on_progress), JobStatus.DONE
        except Exception as error:  # noqa: BLE001 - whatever it was, who waits must learn of it
            answer, status = json.dumps(asdict(public(error, job))), JobStatus.FAILED
        finally:
            self._places.release()
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE jobs SET status = ?, answer = ?, updated_at = ? WHERE id = ?",
                (status, answer, _now(), job),
            )

    def _say(self, job: str, status: JobStatus, phase: str, done: int, total: int | None) -> None:
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE jobs SET status = ?, phase = ?, done = ?, total = ?, updated_at = ? "
                "WHERE id = ?",
                (status, phase, done, total, _now(), job),
            )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()
