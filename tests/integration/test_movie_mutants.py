"""Damaged movies: each ends embedded, skipped or quarantined, in bounded time and memory."""

import pytest

from tests.support import guard_tasks
from tests.support.dicom import moving_frames
from tests.support.fuzz import fuzz
from tests.support.movies import write_movie

SEEDS = (
    ("a.avi", "mjpeg", "yuvj420p"),
    ("a.mp4", "libx264", "yuv420p"),
    ("b.avi", "mpeg4", "yuv420p"),
    ("c.avi", "ffv1", "gray"),
    ("b.mp4", "mjpeg", "yuvj420p"),
    ("d.avi", "rawvideo", "bgr24"),
)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    frames = moving_frames(18, 64, 72)
    paths = [write_movie(folder / n, frames, codec=c, pixels=p) for n, c, p in SEEDS]
    return [path.read_bytes() for path in paths]


def test_the_seeds_themselves_are_read(seeds, tmp_path):
    for number, content in enumerate(seeds):
        (tmp_path / str(number)).write_bytes(content)
        assert guard_tasks.read_movie(tmp_path / str(number))[0] == "embedded"


def test_three_hundred_mutants(seeds, tmp_path):
    found = fuzz(guard_tasks.read_movie, seeds, tmp_path, 300)
    found.check(300)
    assert len(found.ends) >= 5  # the damage reaches many kinds of reason


@pytest.mark.slow
def test_many_mutants(seeds, tmp_path, capsys):
    found = fuzz(guard_tasks.read_movie, seeds, tmp_path, 6000)
    with capsys.disabled():
        print(found)  # noqa: T201
    found.check(6000)
