"""What guarded workers are made to do in tests; a module of its own, so that they can import it."""

import os
import time
from pathlib import Path

import numpy as np

from core.outcomes import Code, InputRefused
from core.schema import View
from embedder.dicom.cine import read_header
from embedder.frames import Clip, read_clip
from embedder.inputs import CineFile, Input, read_input, read_input_clip
from embedder.movies.rows import MovieRow
from embedder.sampling import ClipRule

SECRET = "Doe^Jane"


def double(number: int) -> int:
    return 2 * number


def behave(order: str) -> str:
    """Do what is said: crash, hang, eat memory, refuse, raise, or come back."""
    match order.split(":")[0]:
        case "crash" | "leave" | "hang" | "spin" as way:
            never_return(way)
        case "eat":
            np.ones((65535, 65535), np.uint16)
        case "exhaust":
            raise MemoryError
        case "refuse":
            raise InputRefused(Code.TRUNCATED, "cut")
        case "raise":
            raise KeyError(SECRET)
        case "recurse":
            return behave(order) + "!"
    return order


def never_return(way: str) -> None:
    if way == "crash":
        os.abort()
    if way == "leave":
        os._exit(3)
    while True:
        if way == "hang":
            time.sleep(60)


def array_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.uint8).reshape(shape)


def unpicklable(_: int) -> object:
    return lambda: None


def modules(_: int) -> list[str]:
    import sys

    return [name for name in ("torch", "lancedb", "pandas", "pytest") if name in sys.modules]


def limits(_: int) -> tuple[int, int, str]:
    import resource

    core, _hard = resource.getrlimit(resource.RLIMIT_CORE)
    space, _hard = resource.getrlimit(resource.RLIMIT_AS)
    return core, space, os.environ["OMP_NUM_THREADS"]


def pid(_: int) -> int:
    return os.getpid()


def print_a_lot(number: int) -> int:
    os.write(1, b"noise\n" * 20_000)
    os.write(2, b"noise\n" * 20_000)
    return number


_seen: list[int] = []


def crash_when_used(number: int) -> int:
    """Crash on item 3 unless the process is fresh: an earlier item damaged it, as it were."""
    if number == 3 and _seen:
        os.abort()
    _seen.append(number)
    return number


def display(path: Path) -> Clip:
    return read_clip(path, rule=ClipRule("display"))


MOVIE = MovieRow(
    study_uid="1.2.3", sop_uid="", series_uid="", patient_id="", patient_known=False,
    patient_sex=None, patient_age_years=None, study_date=None, series_time=None,
    instance_number=None, view=View.OTHER, primary_angle_deg=None, secondary_angle_deg=None,
    frame_time_ms=None,
)  # fmt: skip


def read_movie(path: Path) -> tuple[str, float, int]:
    """Do what the embedder does with a movie; give its end, the seconds, and the peak memory."""
    import resource

    started = time.monotonic()
    try:
        cine, _ = read_input(Input(path, MOVIE), modalities=frozenset({"XA"}))
        read_input_clip(CineFile(path, cine.n_frames), rule=ClipRule("display"))
        end = "embedded"
    except InputRefused as refusal:
        end = f"{refusal.status.value} {refusal.reason.value}"
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return end, time.monotonic() - started, peak_kib


def read_all(path: Path) -> tuple[str, float, int]:
    """Do what the embedder does with a file; give its end, the seconds, and the peak memory."""
    import resource

    started = time.monotonic()
    try:
        read_header(path, modalities=frozenset({"XA", "RF", "US", "MR", "CT"}))
        read_clip(path, rule=ClipRule("display"))
        end = "embedded"
    except InputRefused as refusal:
        end = f"{refusal.status.value} {refusal.reason.value}"
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return end, time.monotonic() - started, peak_kib
