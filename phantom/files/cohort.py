"""Write a cohort of phantoms: a DICOM file for every run, label tables, the truth.

The folder::

    dicom/<patient id>/<study number>/<run number>.dcm
    labels/*.csv      what a hospital would know, as the store imports it
    truth/*.csv       everything, the oracle's risk included
    cohort.json       settings and counts; written last: a folder that has it is complete

Each file is written whole or not at all, and depends on the settings alone: a cohort whose writing
was interrupted is taken up where it ended, and ends in the same bytes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from core.errors import AtlasError, UsageError
from core.provenance import RESEARCH_USE, software_version
from phantom.files.cohort_runs import draw, run_files, write_files
from phantom.files.cohort_settings import INVENTED, CohortReport, CohortSettings
from phantom.files.tables import write_tables
from phantom.files.transfer_syntax import DEFAULT_SYNTAX, TransferSyntax

OnProgress = Callable[[str, int, int | None], None]
"""Phase, done, total."""

COHORT_FILE: Final = "cohort.json"
BEGUN_FILE: Final = "cohort.partial.json"
"""Holds the settings while the cohort is being written."""
_FORMAT: Final = 1


def write_cohort(
    out: Path,
    *,
    patients: int,
    seed: int,
    size: int = 512,
    fps: float | None = None,
    transfer_syntax: TransferSyntax = DEFAULT_SYNTAX,
    runs: int | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> CohortReport:
    """Write a cohort, or what is missing of it.

    Parameters
    ----------
    out : Path
        A new or empty folder, or one in which the same cohort was begun.
    patients, seed, size, fps, transfer_syntax, runs
        See `CohortSettings`.
    workers : int, optional
        Processes, by cores when absent.  The files do not depend on it.
    on_progress : callable, optional
        Told (phase, done, total) as patients are drawn and runs written.

    Returns
    -------
    CohortReport

    Raises
    ------
    UsageError
        When a setting is out of range, or the folder holds something else.
    AtlasError
        When a file cannot be written, or a process was killed.
    """
    settings = CohortSettings(patients, seed, size, fps, transfer_syntax, runs)
    settings.check()
    begun = time.monotonic()
    tell = on_progress or (lambda phase, done, total: None)
    drawn = []
    with _writing(out):
        _claim(out, settings)
        for index in range(patients):
            drawn.append(draw(settings, index))
            tell("patients", index + 1, patients)
        files = [file for patient in drawn for file in run_files(out, settings, patient)]
        missing = [file for file in files if not file.path.exists()]
        write_files(
            missing,
            workers=workers or os.cpu_count() or 1,
            on_done=lambda done: tell("runs", done, len(missing)),
        )
        write_tables(out, drawn)
        counts = {
            "patients": patients,
            "studies": sum(len(patient.exams) for patient in drawn),
            "runs": len(files),
        }
        _put_json(out / COHORT_FILE, _described(settings) | {"counts": counts})
        (out / BEGUN_FILE).unlink(missing_ok=True)
        return CohortReport(
            folder=out,
            runs_written=len(missing),
            bytes=sum(file.path.stat().st_size for file in files),
            seconds=time.monotonic() - begun,
            **counts,
        )


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AtlasError(
            f"{out} could not be written: {error.strerror or type(error).__name__}",
            "check that it is writable and has space; the same command resumes",
        ) from error


def _claim(out: Path, settings: CohortSettings) -> None:
    """Make the folder this cohort's, or refuse it."""
    wanted = _described(settings)
    for name in (COHORT_FILE, BEGUN_FILE):
        file = out / name
        if file.is_file():
            _compare(file, wanted)
            return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} is not empty and holds no phantom cohort", "name a new or an empty folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    _put_json(out / BEGUN_FILE, wanted)


def _compare(file: Path, wanted: dict[str, Any]) -> None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        differing = [name for name in wanted if found.get(name) != wanted[name]]
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{file} describes no phantom cohort", "name another folder") from error
    if differing:
        told = ", ".join(f"{name} {found.get(name)}" for name in differing)
        asked = ", ".join(f"{name} {wanted[name]}" for name in differing)
        raise UsageError(
            f"{file.parent} holds another phantom cohort: {told}; asked for {asked}",
            "name another folder, or delete this one",
        )


def _described(settings: CohortSettings) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": software_version(),
        **asdict(settings),
        "notice": f"{INVENTED} {RESEARCH_USE}",
    }


def _put_json(file: Path, value: dict[str, Any]) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    part.replace(file)
