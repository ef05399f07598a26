"""A live Atlas of a large store: "find similar cases", with explanations, by many clients at once.

python -m benchmarks.live --store FOLDER              # 200,000 studies, 2 cores: some minutes
python -m benchmarks.live --studies 2000 --seconds 2  # seconds

Studies are made vectors (`benchmarks.made_vectors`), turned to where `phantom-mini` places
sentences, of three videos each, in commits of 10,000.  Clients are threads that ask without a
pause, each for the ten cases most similar to another study.  Then the store moves on while they
ask: a commit of 64 studies, and the deletion of a patient.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from angioatlas.atlas import Atlas
from angioatlas.by_position import position_of
from angioatlas.phantom_mini import SHIPPED
from angioatlas.reference_queries import REFERENCE_QUERIES
from benchmarks.live_store import batch_of, large_store, turned_to, uid
from benchmarks.record import write
from core.settings import Settings
from embedder.encoders.registry import load_text_encoder
from store.maintain import hide_patient
from store.store import Store

CLIENTS: Final = 16
COMMIT: Final = 64
TEXTS: Final = ("proximal LAD occlusion", "mid RCA stenosis", "calcified left main")


def ask_alone(ask: Callable[[int], object], times: int) -> dict[str, float]:
    """Ask one after the other, and say how long a call took and how much CPU the process used."""
    wall, cpu = [], []
    for at in range(times):
        began, used = time.perf_counter(), time.process_time()
        ask(at)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return percentiles(wall) | {"cpu_p50_ms": 1000 * float(np.median(cpu))}


def percentiles(seconds: list[float]) -> dict[str, float]:
    p50, p95, p99 = (1000 * np.percentile(seconds, [50, 95, 99])).tolist()
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def ask_together(
    ask: Callable[[int], object], clients: int, meanwhile: Callable[[], object]
) -> dict[str, float]:
    """Let clients ask without a pause for as long as `meanwhile` takes."""
    stop = threading.Event()
    seconds: list[float] = []
    errors: list[str] = []

    def client(number: int) -> None:
        rng = np.random.default_rng(number)
        try:
            while not stop.is_set():
                began = time.perf_counter()
                ask(int(rng.integers(0, 2**31)))
                seconds.append(time.perf_counter() - began)
        except Exception as error:  # noqa: BLE001 - it is told
            errors.append(repr(error))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    meanwhile()
    stop.set()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    return percentiles(seconds) | {"calls_per_s": len(seconds) / took, "errors": len(errors)}


def until_followed(atlas: Atlas) -> float:
    began = time.perf_counter()
    while True:
        with atlas.snapshot() as snapshot:
            if position_of(snapshot) == atlas.store.position():
                return time.perf_counter() - began
        time.sleep(0.05)


def memory() -> dict[str, float]:
    """Return what the process holds, in MB: its own, and what is mapped and shared with others."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    told = dict(line.split(":", 1) for line in lines)
    names = {"own_mb": "RssAnon", "mapped_mb": "RssFile"}
    held = {name: int(told[field].split()[0]) / 1024 for name, field in names.items()}
    return held | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200_000)
    parser.add_argument("--store", type=Path, help="made where it is not there, and kept")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 2, CLIENTS])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    # The cores are the clients': torch would open threads of its own.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as aside:
        figures = measure(given, given.store or Path(aside) / "store")
    print(figures)
    if given.record:
        write("live", figures)


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    reader = load_text_encoder(SHIPPED, device="cpu")
    sentences = reader.encode(REFERENCE_QUERIES)
    if not folder.exists():
        large_store(folder, given.studies, reader.encoder_id, sentences)
    figures: dict[str, Any] = {"studies": given.studies}
    settings = Settings(state_dir=folder.with_name(f"{folder.name}-state"))
    began = time.perf_counter()
    with Atlas.open(folder, settings=settings, follow=True) as atlas:

        def say(name: str, told: Any) -> None:
            figures[name] = told
            print(f"{name}: {told}", flush=True)

        def similar(at: int) -> object:
            return atlas.similar(uid(at % given.studies), k=10, explain=True)

        def pause() -> None:
            time.sleep(given.seconds)

        say("opened_s", time.perf_counter() - began)
        similar(0)
        say("alone", ask_alone(similar, 300))
        say("texts", ask_alone(lambda at: atlas.search(TEXTS[at % len(TEXTS)], k=10), 60))
        for clients in given.clients:
            say(f"{clients} clients", ask_together(similar, clients, pause))
        say("memory", memory())
        store, turn = Store.open(folder), turned_to(sentences)

        def commit() -> None:
            first = 10 * given.studies + COMMIT * store.latest_version
            rows = range(first, first + COMMIT)
            with store.writer("bench") as writer:
                writer.commit(batch_of(rows, np.arange(COMMIT) + first, reader.encoder_id, turn))
            figures["followed_a_commit_s"] = until_followed(atlas)

        def delete() -> None:
            with atlas.snapshot() as snapshot:
                last = snapshot.studies()["patient_id"][-1].as_py()
            hide_patient(store, last)
            figures["followed_a_deletion_s"] = until_followed(atlas)

        say("2 clients while a commit is followed", ask_together(similar, 2, commit))
        say("2 clients while a deletion is followed", ask_together(similar, 2, delete))
        say("memory afterwards", memory())
    return figures


if __name__ == "__main__":
    main()
