"""A server of a large store: "find similar cases" over HTTP, while the store moves on.

python -m benchmarks.served --store FOLDER            # 200,000 studies, 2 cores: ten minutes
python -m benchmarks.served --studies 2000 --seconds 20 --pause 0.1

The store is that of `benchmarks.live`.  Clients are threads of this process, each with a connection
of its own; each asks for the ten cases most similar to a study, reads the answer with its
explanations, pauses (a time drawn from an exponential distribution) and asks again.  Meanwhile
another process commits 64 studies, deletes a patient and builds the index anew: three swaps.
Server time is from the head of a request to the end of its answer, as the server's log has it: what
waits for a processor or for Python's lock is in it.  Clients and server share the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from angioatlas.phantom_mini import SHIPPED
from angioatlas.reference_queries import REFERENCE_QUERIES
from benchmarks.live import CLIENTS, COMMIT, percentiles
from benchmarks.live_store import batch_of, large_store, turned_to
from benchmarks.record import ROOT, write
from embedder.encoders.registry import load_text_encoder
from store.maintain import hide_patient
from store.store import Store

K: Final = 10
_SIMILAR: Final = "/v1/studies:similar"
_LINE: Final = re.compile(rf"POST {_SIMILAR} (\d+) ([\d.]+) ms")
_READY_S: Final = 900.0
_SETTLE_S: Final = 10.0


@dataclass
class Asked:
    """What the clients of one load met."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Server:
    """`angioatlas serve`, as a process with its workers.

    Parameters
    ----------
    store : Path
    env : dict of str to str
    workers : int
    log : Path
    """

    def __init__(self, store: Path, env: dict[str, str], workers: int, log: Path) -> None:
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._log = log
        self._out: IO[bytes] = log.open("wb")
        command = ["serve", "--store", store, "--port", self.port, "--workers", workers]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "angioatlas.cli.main", *map(str, command), "--insecure-local"],
            cwd=ROOT,
            env=env,
            stdout=self._out,
            stderr=self._out,
            start_new_session=True,
        )

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection of its own for a client."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def wait(self, workers: int) -> float:
        """Wait until every worker is ready; a new connection is answered by any of them."""
        began, good = time.perf_counter(), 0
        while good < 8 * workers:
            if self._process.poll() is not None or time.perf_counter() - began > _READY_S:
                raise RuntimeError(self._log.read_text()[-2000:])
            try:
                with contextlib.closing(self.connection()) as connection:
                    good = good + 1 if _ask(connection, "GET", "/readyz")[0] == 200 else 0
            except OSError:
                good = 0
            time.sleep(0.2)
        return time.perf_counter() - began

    def memory_mb(self) -> dict[str, float]:
        """Return what all its processes hold: resident, and of that their own."""
        held = {"rss_mb": 0.0, "own_mb": 0.0}
        for process in self._members():
            with contextlib.suppress(OSError):
                told = dict(
                    line.split(":", 1)
                    for line in (process / "status").read_text(encoding="ascii").splitlines()
                )
                held["rss_mb"] += int(told["VmRSS"].split()[0]) / 1024
                held["own_mb"] += int(told["RssAnon"].split()[0]) / 1024
        return held

    def _members(self) -> Iterator[Path]:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.getsid(int(process.name)) == self._process.pid:
                    yield process

    def answered(self, since: int) -> tuple[list[float], list[int]]:
        """Return seconds and statuses of the searches that the log has from a byte on."""
        with self._log.open("rb") as log:
            log.seek(since)
            lines = _LINE.findall(log.read().decode())
        return [float(took) / 1000 for _, took in lines], [int(status) for status, _ in lines]

    def log_length(self) -> int:
        """Return how many bytes the log has."""
        return self._log.stat().st_size

    def stop(self) -> int:
        """End it as an administrator does, and return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(90)
        finally:
            self._out.close()


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None
) -> tuple[int, bytes]:
    sent = None if body is None else json.dumps(body)
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path, sent, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def load(
    server: Server, uids: list[str], *, clients: int, pause: float, meanwhile: Callable[[], object]
) -> Asked:
    """Let clients ask for as long as `meanwhile` takes."""
    asked, stop = Asked(), threading.Event()

    def client(number: int) -> None:
        rng = np.random.default_rng(number)
        with contextlib.closing(server.connection()) as connection:
            while not stop.wait(rng.exponential(pause) if pause else 0):
                body = {"uid": uids[rng.integers(len(uids))], "k": K}
                began = time.perf_counter()
                try:
                    status, told = _ask(connection, "POST", _SIMILAR, body)
                except (OSError, http.client.HTTPException) as error:
                    asked.errors.append(repr(error))
                    connection.close()
                    continue
                asked.seconds.append(time.perf_counter() - began)
                if status != 200 or not _is_whole(told):
                    asked.errors.append(f"{status} {told[:200]!r}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    meanwhile()
    stop.set()
    for thread in threads:
        thread.join()
    return asked


def _asked_about(server: Server) -> list[str]:
    """Return the UIDs of all studies, but those of the patient that `move` deletes."""
    found: list[tuple[str, str]] = []
    cursor = ""
    with contextlib.closing(server.connection()) as connection:
        while True:
            page = json.loads(_ask(connection, "GET", f"/v1/studies?limit=1000{cursor}")[1])
            found += [(study["study_uid"], study["patient_id"]) for study in page["studies"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
    return [uid for uid, patient in found if patient != found[-1][1]]


def _is_whole(told: bytes) -> bool:
    hits = json.loads(told)["hits"]
    return len(hits) == K and all(hit["why"]["matched"] for hit in hits)


def moves(folder: Path, env: dict[str, str], studies: int) -> dict[str, Callable[[], object]]:
    """Return what moves the store on, each in a process of its own."""

    def run(*words: object) -> Callable[[], object]:
        command = [sys.executable, "-m", *map(str, words), "--store", str(folder)]
        return lambda: subprocess.run(
            command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL
        )

    ours = ("benchmarks.served", "--studies", studies, "--move")
    return {
        "commit": run(*ours, "commit"),
        "delete": run(*ours, "delete"),
        "build": run("angioatlas.cli.main", "index", "build", "--level", "study"),
    }


def move(what: str, folder: Path, studies: int) -> None:
    """Commit 64 studies, or delete a patient."""
    store = Store.open(folder)
    if what == "delete":
        with store.snapshot() as snapshot:
            hide_patient(store, snapshot.studies()["patient_id"][-1].as_py())
        return
    reader = load_text_encoder(SHIPPED, device="cpu")
    turn = turned_to(reader.encode(REFERENCE_QUERIES))
    first = 10 * studies + COMMIT * store.latest_version
    owners = np.arange(COMMIT) + first
    with store.writer("bench") as writer:
        writer.commit(batch_of(range(first, first + COMMIT), owners, reader.encoder_id, turn))


def measure(given: argparse.Namespace, folder: Path, log: Path) -> dict[str, Any]:
    if not folder.exists():
        reader = load_text_encoder(SHIPPED, device="cpu")
        large_store(folder, given.studies, reader.encoder_id, reader.encode(REFERENCE_QUERIES))
    state = folder.with_name(f"{folder.name}-state")
    env = os.environ | {
        "ANGIOATLAS_STATE_DIR": str(state),
        "ANGIOATLAS_SERVE__REQUESTS_PER_SECOND": "0",
        "OMP_NUM_THREADS": "1",
    }
    figures: dict[str, Any] = vars(given) | {"store": None}
    server = Server(folder, env, given.workers, log)
    try:
        figures["ready_s"] = server.wait(given.workers)
        uids = _asked_about(server)
        time.sleep(_SETTLE_S)
        memory: list[dict[str, float]] = []
        took: dict[str, float] = {}

        def meanwhile() -> None:
            began = time.perf_counter()

            def until(share: float) -> None:
                time.sleep(max(0.0, began + share * given.seconds - time.perf_counter()))

            # None of the moves is begun in the first fifth, and the last one can be followed.
            begin = dict(zip((3, 5, 7), moves(folder, env, given.studies).items(), strict=True))
            for tenth in range(2, 11):
                until(tenth / 10)
                memory.append(server.memory_mb())
                if tenth in begin:
                    what, do = begin[tenth]
                    at = time.perf_counter()
                    do()
                    took[what] = time.perf_counter() - at
            took["all"] = time.perf_counter() - began

        since = server.log_length()
        asked = load(server, uids, clients=given.clients, pause=given.pause, meanwhile=meanwhile)
        seconds, statuses = server.answered(since)
        figures |= {
            "requests": len(asked.seconds),
            "requests_per_s": len(asked.seconds) / took["all"],
            "errors": len(asked.errors),
            "first_errors": asked.errors[:3],
            "other_statuses": sum(status != 200 for status in statuses),
            "server": percentiles(seconds),
            "client": percentiles(asked.seconds),
            "moves_took_s": took,
            "memory_from_a_fifth_on": memory,
            "rss_growth": memory[-1]["rss_mb"] / memory[0]["rss_mb"] - 1,
            "own_growth": memory[-1]["own_mb"] / memory[0]["own_mb"] - 1,
        }
    finally:
        figures["exit"] = server.stop()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=200_000)
    parser.add_argument("--store", type=Path, help="made where it is not there, and kept")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds, on average")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--move", choices=["commit", "delete"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.move:
        move(given.move, given.store, given.studies)
        return
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        figures = measure(given, given.store or folder / "store", folder / "server.log")
    print(json.dumps(figures, indent=1))
    if given.record:
        write("served", figures)


if __name__ == "__main__":
    main()
