"""C-arm geometry, and the anatomy that a cardiologist expects of each view."""

import numpy as np
import pytest

from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import Disease
from phantom.picture.acquisition import Acquisition
from phantom.picture.backdrop import Backdrop
from phantom.picture.camera import camera
from phantom.picture.projection import project, projection

HEALTHY = Disease({}, 60.0)


def right_dominant(seed):
    rng = np.random.default_rng(seed)
    heart = draw_anatomy(rng)
    while heart.dominance != "right":
        heart = draw_anatomy(rng)
    return heart


def view(artery, primary, secondary, seed=5):
    return Acquisition(artery, primary, secondary, 130.0, 45, 1000 / 15, 70.0, seed)


def seen(heart, run, segment):
    """Return a segment's samples at rest, millimetres (right, up) in the picture."""
    tree = heart.tree(run.artery)
    part = tree.run(segment)
    at = camera(heart, HEALTHY, run, np.zeros(1, np.float32))
    return at.look(at.place(tree.points[part.start : part.stop]))[0][0]


def test_straight_in_front_left_is_right_and_up_is_up():
    head_on = projection(0, 0)
    np.testing.assert_allclose(head_on.flat(np.array([10.0, 5.0, 3.0])), [10, 3], atol=1e-12)


def test_caudal_and_cranial_tilt_the_right_way():
    behind = np.array([0.0, 50.0, 0.0])
    assert projection(0, 30).flat(behind)[1] > 20
    assert projection(0, -30).flat(behind)[1] < -20


def test_nearer_to_the_focal_spot_is_larger():
    points = np.array([[[20.0, -60.0, 0.0], [20.0, 0.0, 0.0], [20.0, 60.0, 0.0]]], np.float32)
    plane, magnification = project(projection(0, 0), points)
    assert magnification[0, 1] == 1
    assert magnification[0, 0] < 1 < magnification[0, 2]
    np.testing.assert_allclose(plane[0, :, 0], 20 * magnification[0], rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_right_artery_is_a_c_open_to_the_right_in_lao(seed):
    heart, run = right_dominant(seed), view("right", 40, 0)
    first, middle, last = (seen(heart, run, f"{part}_rca") for part in ("prox", "mid", "dist"))
    assert middle[:, 0].mean() < first[0, 0] - 10
    assert middle[:, 0].mean() < last[-1, 0] - 30
    assert first[0, 1] > middle[:, 1].mean() > last[:, 1].mean()


@pytest.mark.parametrize("seed", range(4))
def test_the_descending_artery_goes_to_the_lower_right_in_rao(seed):
    heart, run = right_dominant(seed), view("left", -25, 25)
    start, end = seen(heart, run, "prox_lad")[0], seen(heart, run, "dist_lad")[-1]
    assert end[0] > start[0] + 25
    assert end[1] < start[1] - 35


@pytest.mark.parametrize("seed", range(4))
def test_the_circumflex_is_left_of_the_descending_artery_in_rao_caudal(seed):
    heart, run = right_dominant(seed), view("left", -25, -22)
    lad, lcx = seen(heart, run, "mid_lad").mean(axis=0), seen(heart, run, "mid_lcx").mean(axis=0)
    assert lcx[0] < lad[0] - 10


@pytest.mark.parametrize(("primary", "side"), [(-30, -1), (40, 1)])
def test_the_spine_is_left_in_rao_and_right_in_lao(primary, side):
    half = []
    for seed in range(6):
        heart, run = right_dominant(seed), view("right", primary, 0, seed=seed)
        at = camera(heart, HEALTHY, run, np.zeros(1, np.float32))
        behind = next(Backdrop(run, at, size=64).frames(at))
        half.append(behind[:24, 40:].mean() - behind[:24, :24].mean())
    assert np.sign(np.mean(half)) == side
