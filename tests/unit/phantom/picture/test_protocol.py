"""The runs of an exam: enough views, all segments in the picture, and variety."""

import numpy as np
import pytest

from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import Disease
from phantom.picture.acquisition import draw_protocol, laboratory
from phantom.picture.camera import camera
from phantom.picture.exposure import blades, draw_look

HEALTHY = Disease({}, 55.0)
GRID = 64


@pytest.fixture(scope="module")
def exams():
    rng = np.random.default_rng(21)
    return [draw_protocol(rng) for _ in range(300)]


def test_every_exam_sees_both_arteries_and_the_left_from_both_sides(exams):
    for runs in exams:
        left = [run for run in runs if run.artery == "left"]
        right = [run for run in runs if run.artery == "right"]
        assert 3 <= len(left) <= 5
        assert 1 <= len(right) <= 3
        assert max(run.primary_deg for run in left) > 15
        assert min(run.primary_deg for run in left) < -5


def test_settings_vary_within_what_laboratories_do(exams):
    runs = [run for exam in exams for run in exam]
    seconds = np.array([run.n_frames * run.frame_time_ms / 1000 for run in runs])
    fields = np.array([run.field_of_view_mm for run in runs])
    rates = {round(1000 / run.frame_time_ms, 1) for run in runs}
    assert 2.0 <= seconds.min() < 2.8
    assert 4.8 < seconds.max() <= 5.6
    assert 95 <= fields.min() < 105
    assert 135 < fields.max() <= 150
    assert rates == {7.5, 10.0, 12.5, 15.0, 25.0, 30.0}
    assert len({run.seed for run in runs}) == len(runs)


def test_one_laboratory_an_exam(exams):
    assert all(len({laboratory(run) for run in runs}) == 1 for runs in exams)
    assert len({laboratory(runs[0]) for runs in exams}) == len(exams)


def in_picture(heart, run):
    """Return the share of each segment's length that the collimated picture shows."""
    times = np.linspace(0, 0.9, 4).astype(np.float32) * run.n_frames * run.frame_time_ms / 1000
    seen = camera(heart, HEALTHY, run, times)
    tree = heart.tree(run.artery)
    plane = seen.look(seen.place(tree.points[: tree.n_labelled]))[0] / run.field_of_view_mm
    column, row = np.moveaxis(np.floor((plane * (1, -1) + 0.5) * GRID).astype(int), -1, 0)
    inside = (column >= 0) & (column < GRID) & (row >= 0) & (row < GRID)
    open_ = blades(draw_look(run), GRID) > 0.5
    inside &= open_[row.clip(0, GRID - 1), column.clip(0, GRID - 1)]
    return {each.segment: inside[:, each.start : each.stop].mean() for each in tree.runs}


def test_every_segment_is_in_the_picture_of_nearly_every_exam():
    rng = np.random.default_rng(33)
    complete = []
    for _ in range(40):
        heart = draw_anatomy(rng)
        best = dict.fromkeys(heart.segments, 0.0)
        for run in draw_protocol(rng):
            for segment, share in in_picture(heart, run).items():
                best[segment] = max(best[segment], share)
        complete.append(min(best.values()) > 0.8)
    assert np.mean(complete) >= 0.95
