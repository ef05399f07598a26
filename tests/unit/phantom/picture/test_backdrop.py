"""What is behind the vessels: solids as thick as they are, a beating heart, a panning table."""

import numpy as np
import pytest

from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import Disease
from phantom.picture.acquisition import Acquisition
from phantom.picture.backdrop import Backdrop
from phantom.picture.camera import camera
from phantom.picture.organs import ellipsoid
from phantom.picture.projection import projection
from phantom.picture.run_facts import run_facts

HEART = draw_anatomy(np.random.default_rng(6))
HEALTHY = Disease({}, 65.0)


def run(seed, primary=-30.0):
    return Acquisition("right", primary, 0.0, 120.0, 60, 1000 / 15, 60.0, seed)


def backdrop(acquisition, times, size=120):
    first = camera(HEART, HEALTHY, acquisition, np.zeros(1, np.float32))
    seen = camera(HEART, HEALTHY, acquisition, np.asarray(times, np.float32))
    return seen, np.stack(list(Backdrop(acquisition, first, size=size).frames(seen)))


@pytest.mark.parametrize("angles", [(0, 0), (40, 25), (-25, -22)])
def test_the_ray_through_the_middle_of_a_ball_is_its_diameter(angles):
    view = projection(*angles)
    centre = np.array([12.0, -7.0, 20.0])
    u, v = view.flat(centre).astype(np.float32)
    picture = np.zeros((1, 2), np.float32)
    ball = ellipsoid(view, centre, np.eye(3) / 50.0**2, 0.01)
    ball.add_to(picture, np.array([u, u + 51], np.float32), np.array([v], np.float32))
    assert picture[0, 0] == pytest.approx(1.0, rel=0.15)
    assert picture[0, 0] < 1.0
    assert picture[0, 1] == 0


def test_the_silhouette_moves_with_the_beat():
    of_seed = {seed: run_facts(run(seed)) for seed in range(99)}
    quiet = next(
        n for n, facts in of_seed.items() if not facts.breath_mm and not any(facts.table_mm)
    )
    facts = of_seed[quiet]
    diastole = (1 - facts.beat_phase) % 1
    _, frames = backdrop(run(quiet), [diastole, diastole + 0.38, diastole + 1.0])
    changed = np.abs(frames[1] - frames[0])
    assert changed.max() > 0.1
    assert np.abs(frames[2] - frames[0]).max() < 0.02


def test_a_panning_table_moves_the_bones_too():
    panning = next(seed for seed in range(999) if np.abs(run_facts(run(seed)).table_mm).min() > 5)
    acquisition = run(panning)
    seen, frames = backdrop(acquisition, [0.0, 3.0])
    right, up = np.rint(seen.centre_mm[1] - seen.centre_mm[0]).astype(int)
    assert np.hypot(right, up) > 7
    after = np.roll(frames[1], (-up, right), axis=(0, 1))
    inner = slice(30, -30)
    same = np.corrcoef(frames[0][inner, inner].ravel(), after[inner, inner].ravel())[0, 1]
    unmoved = np.corrcoef(frames[0][inner, inner].ravel(), frames[1][inner, inner].ravel())[0, 1]
    assert same > 0.93
    assert same > unmoved + 0.02
