"""The demo over HTTP: its store is served, and asked with an exam that is not in it."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx2
import pandas as pd
from pydantic import BaseModel

from angioatlas.demo_report import DemoServed, held_against
from angioatlas.demo_settings import HITS, SIMILAR_TO, DemoPlaces, DemoSettings
from core.errors import AtlasError
from core.settings import EmbedSettings, ServeSettings, Settings
from phantom.files.cohort_runs import RunFile, draw, write_files
from phantom.files.cohort_settings import CohortSettings
from phantom.files.truth_tables import StudyTruth
from phantom.heart.disease import visible
from phantom.words.concepts import EVALUATION_QUERIES, holds

PORT: Final = 8000
"""Where `make serve` answers."""
_READY_S: Final = 120.0
_ANSWER_S: Final = 120.0
_END_S: Final = 30.0
_PATH: Final = "/v1/exams:similar"


def ask_over_http(
    places: DemoPlaces,
    truth: Mapping[str, StudyTruth],
    *,
    settings: Settings,
    options: DemoSettings,
) -> DemoServed:
    """Serve the demo's store for one call: an exam is sent as a viewer would send it.

    Parameters
    ----------
    places : DemoPlaces
        The exam is written here, unless it is there.
    truth : mapping
        Of the studies of the store, by study UID.
    settings : Settings
        The server's.
    options : DemoSettings

    Raises
    ------
    AtlasError
        When the server does not start, or does not answer.
    """
    case, files = _new_exam(places, options, workers=settings.embed.workers)
    others = {uid: of for uid, of in truth.items() if of.patient_id != case.patient_id}
    with _served(places, settings) as address:
        began = time.monotonic()
        hits = pd.DataFrame(_sent(address, files)["hits"])
        seconds = round(time.monotonic() - began, 1)
    return DemoServed(_command(files), seconds, held_against(others, hits, case=case))


def _new_exam(
    places: DemoPlaces, options: DemoSettings, *, workers: int | None
) -> tuple[StudyTruth, list[Path]]:
    """Write the first exam of the first patient beyond the cohort whom the question is true of."""
    settings, concept = CohortSettings(**asdict(options)), EVALUATION_QUERIES[SIMILAR_TO]
    for index in count(options.patients):
        patient = draw(settings, index)
        exam = patient.exams[0]
        disease = visible(patient.anatomy, exam.disease)
        if holds(concept, patient.anatomy, disease):
            break
    runs = [
        RunFile(places.exam / f"{run + 1}.dcm", settings, index, 0, run)
        for run in range(len(exam.acquisitions))
    ]
    missing = [run for run in runs if not run.path.exists()]
    write_files(missing, workers=workers or os.cpu_count() or 1, on_done=lambda done: None)
    truth = StudyTruth(
        exam.study_uid, patient.patient_id, patient.anatomy.dominance, disease, exam.log_hazard
    )
    return truth, [run.path for run in runs]


@contextmanager
def _served(places: DemoPlaces, settings: Settings) -> Iterator[str]:
    """Run `angioatlas serve` at a free port until the block ends; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "angioatlas.cli.main", "serve", "--insecure-local"]
    words = ["--store", str(places.store), "--port", str(port)]
    with (places.folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *words], env=_environment(settings), stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, places)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    """Return an environment in which these settings, as they are, are what is configured."""
    # What a person has set for an archive, or a server of theirs, is not for the demo.
    embed = EmbedSettings(device=settings.embed.device, workers=settings.embed.workers)
    served = settings.model_copy(update={"embed": embed, "serve": ServeSettings(), "store": None})
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ANGIOATLAS_")
    }
    for name in Settings.model_fields:
        value = getattr(served, name)
        if isinstance(value, Path):
            value = value.absolute()
        if value is not None:
            told = value.model_dump_json() if isinstance(value, BaseModel) else str(value)
            environment[f"ANGIOATLAS_{name.upper()}"] = told
    return environment


def _wait(address: str, process: subprocess.Popen[bytes], places: DemoPlaces) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx2.get(f"{address}/readyz").status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.25)
    raise AtlasError(
        "the demo's server does not answer",
        f"{places.folder / 'serve.log'} says why; the demo itself is whole",
    )


def _sent(address: str, files: list[Path]) -> dict[str, Any]:
    with ExitStack() as opened, httpx2.Client(base_url=address, timeout=_ANSWER_S) as client:
        sent = [("files", (path.name, opened.enter_context(path.open("rb")))) for path in files]
        try:
            job = client.post(_PATH, files=sent, data={"k": str(HITS)}).json()
            while job.get("status") in ("waiting", "running"):
                time.sleep(0.2)
                job = client.get(f"/v1/jobs/{job['job_id']}").json()
        except (httpx2.HTTPError, ValueError) as error:
            raise AtlasError("the demo's server did not answer the exam") from error
    if job.get("answer") is None:
        told = job.get("failure") or job
        raise AtlasError(f"the demo's server refused the exam: {told.get('detail')}")
    answer: dict[str, Any] = job["answer"]
    return answer


def _command(files: list[Path]) -> str:
    numbers = ",".join(path.stem for path in files)
    every = f"{shlex.quote(str(files[0].parent))}/{{{numbers}}}.dcm"
    return f"curl http://127.0.0.1:{PORT}{_PATH} -Fk={HITS} -Ffiles=@{every}"
