"""The beat: where the wall goes, and that it goes further the greater the ejection fraction."""

import numpy as np
import pytest

from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import Disease
from phantom.heart.motion import HeartShape, contraction, place, shifted
from phantom.picture.run_facts import wall_motion

SHAPE = HeartShape(88.0, 38.0, 0.3, (0.62, -0.55, -0.56))


def test_systole_is_the_first_part_of_a_beat():
    times = np.linspace(0, 1, 101).astype(np.float32)
    c = contraction(times, heart_rate_bpm=60, phase=0.0)
    assert c[0] == 0
    assert np.argmax(c) == 38
    assert c.max() == pytest.approx(1, abs=1e-3)
    assert c[-2] < 0.02
    np.testing.assert_allclose(contraction(times + 1, heart_rate_bpm=60, phase=0.0), c, atol=1e-3)


def test_walls_shorten_by_the_stated_share_of_the_ejection_fraction():
    ring = np.array([[0.0, phi, 1.0] for phi in range(0, 360, 30)], np.float32)
    apex = np.array([[1.0, 0.0, 1.0]], np.float32)
    points = np.concatenate([ring, apex])
    rest, squeezed = place(SHAPE, points, np.array([0, 1], np.float32), ejection_fraction=0.6)
    axis = SHAPE.frame()[0]
    long = [(each[-1] - each[:-1].mean(axis=0)) @ axis for each in (rest, squeezed)]
    assert long[1] / long[0] == pytest.approx(1 - 0.18, abs=0.01)


def test_offsets_along_the_wall_are_millimetres():
    points = np.array([[0.3, -20.0, 1.0], [0.1, 90.0, 0.8]], np.float32)
    still = np.zeros(1, np.float32)
    before = place(SHAPE, points, still, ejection_fraction=0)[0]
    for offset in np.eye(3, dtype=np.float32)[[1, 2]]:
        moved = shifted(SHAPE, points, offset)
        after = place(SHAPE, moved, still, ejection_fraction=0)[0]
        np.testing.assert_allclose(np.linalg.norm(after - before, axis=1), 1, rtol=0.05)


def test_wall_motion_follows_ejection_fraction_with_the_stated_scatter():
    rng = np.random.default_rng(2)
    hearts = [draw_anatomy(rng) for _ in range(400)]
    errors = np.array([100 * wall_motion(heart, Disease({}, 50.0)) - 50 for heart in hearts])
    assert abs(errors.mean()) < 0.8
    assert errors.std() == pytest.approx(3.5, abs=0.5)
    levels = [20, 35, 50, 65]
    means = [np.mean([wall_motion(heart, Disease({}, ef)) for heart in hearts]) for ef in levels]
    assert np.all(np.diff(means) > 0.1)


def test_an_unchanged_heart_moves_the_same_at_every_exam():
    heart = draw_anatomy(np.random.default_rng(8))
    assert wall_motion(heart, Disease({}, 43.21)) == wall_motion(heart, Disease({}, 43.21))
    assert wall_motion(heart, Disease({}, 43.21)) != wall_motion(heart, Disease({}, 44.0))
