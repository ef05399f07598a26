"""Damaged movies: each ends embedded, skipped or quarantined, in bounded time and memory."""

import time
from collections import Counter

import pytest

from core.outcomes import OUTCOMES, Code, InputRefused
from embedder.guard.pool import GuardedPool
from tests.support import guard_tasks
from tests.support.dicom import moving_frames
from tests.support.movies import write_movie
from tests.support.mutate import mutant

SEEDS = (
    ("a.avi", "mjpeg", "yuvj420p"),
    ("a.mp4", "libx264", "yuv420p"),
    ("b.avi", "mpeg4", "yuv420p"),
    ("c.avi", "ffv1", "gray"),
    ("b.mp4", "mjpeg", "yuvj420p"),
    ("d.avi", "rawvideo", "bgr24"),
)
SECONDS = 9.0
ENDS = {"embedded", *(f"{outcome.status} {code}" for code, outcome in OUTCOMES.items())}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    frames = moving_frames(18, 64, 72)
    paths = [write_movie(folder / n, frames, codec=c, pixels=p) for n, c, p in SEEDS]
    return [path.read_bytes() for path in paths]


def run(seeds, folder, count):
    """Read `count` mutants, each from a file of its own that is gone afterwards."""

    def mutants():
        for number in range(count):
            path = folder / str(number)
            path.write_bytes(mutant(seeds[number % len(seeds)], number))
            yield path

    ends: Counter[str] = Counter()
    slowest, peak_kib = 0.0, 0
    started = time.monotonic()
    with GuardedPool(2, seconds=SECONDS) as pool:
        for path, result in pool.map(guard_tasks.read_movie, mutants(), fallback=Code.BAD_HEADER):
            path.unlink()
            if isinstance(result, InputRefused):
                end = f"{result.status.value} {result.reason.value}"
                if result.reason is Code.BAD_HEADER:
                    end += f" (worker: {result.message})"
            else:
                end, seconds, kib = result
                slowest, peak_kib = max(slowest, seconds), max(peak_kib, kib)
            ends[end] += 1
    return ends, slowest, peak_kib / 1024, time.monotonic() - started


def check(ends, slowest, peak_mib, count):
    assert sum(ends.values()) == count
    assert set(ends) <= ENDS, set(ends) - ENDS
    assert slowest < SECONDS
    assert peak_mib < 1024


def test_the_seeds_themselves_are_read(seeds, tmp_path):
    for number, content in enumerate(seeds):
        (tmp_path / str(number)).write_bytes(content)
        assert guard_tasks.read_movie(tmp_path / str(number))[0] == "embedded"


def test_three_hundred_mutants(seeds, tmp_path):
    ends, slowest, peak_mib, _ = run(seeds, tmp_path, 300)
    check(ends, slowest, peak_mib, 300)
    assert len(ends) >= 5  # the damage reaches many kinds of reason


@pytest.mark.slow
def test_many_mutants(seeds, tmp_path, capsys):
    count = 6000
    ends, slowest, peak_mib, seconds = run(seeds, tmp_path, count)
    with capsys.disabled():
        report = "".join(f"\n{n:6} {end}" for end, n in ends.most_common())
        print(  # noqa: T201
            f"\n{count} mutants of {len(seeds)} movies in {seconds:.0f} s; slowest that came back "
            f"{slowest:.2f} s, largest worker {peak_mib:.0f} MiB{report}"
        )
    check(ends, slowest, peak_mib, count)
