"""Laying mass on pixels: none is lost, cylinders have chord profiles."""

import numpy as np
import pytest

from phantom.picture.splat import splat


def one(row, column, radius, mass, size=40, edge=1.0):
    shape = (1, 1)
    arrays = [np.full(shape, each, np.float32) for each in (row, column, radius, mass)]
    return splat(*arrays, size=size, edge=edge)[0]


@pytest.mark.parametrize("radius", [0.1, 0.6, 1.3, 4.0, 11.0])
@pytest.mark.parametrize("edge", [1.0, 2.5])
def test_mass_is_kept(radius, edge):
    assert one(19.3, 20.8, radius, 7.0, edge=edge).sum() == pytest.approx(7.0, rel=1e-4)


def test_the_centre_of_mass_is_where_the_ball_is():
    picture = one(12.25, 23.5, 2.0, 1.0)
    rows, columns = np.mgrid[:40, :40]
    assert (picture * rows).sum() == pytest.approx(12.25, abs=0.02)
    assert (picture * columns).sum() == pytest.approx(23.5, abs=0.02)


def test_a_row_of_balls_is_a_cylinder():
    radius, area, step = 6.0, np.pi * 36, 0.25
    columns = np.arange(-30, 90, step, dtype=np.float32)[None]
    n = columns.shape
    picture = splat(
        np.full(n, 30, np.float32),
        columns,
        np.full(n, radius, np.float32),
        np.full(n, area * step, np.float32),
        size=61,
    )[0]
    across = np.arange(61) - 30
    chord = 2 * np.sqrt(np.maximum(radius**2 - across**2, 0))
    inside = np.abs(across) < 5
    np.testing.assert_allclose(picture[inside, 30], chord[inside], rtol=0.05)
    assert picture[np.abs(across) > 7, 30].max() == 0


def test_balls_at_the_border_give_what_falls_inside():
    whole = one(20, 20, 3.0, 1.0)
    assert one(20, -0.5, 3.0, 1.0).sum() == pytest.approx(whole.sum() / 2, abs=0.02)
    assert one(20, 43.4, 3.0, 1.0).sum() == 0
    assert one(-50, 20, 3.0, 1.0).sum() == 0


def test_frames_are_apart_and_negative_mass_takes_away():
    row = np.array([[5.0, 5.0], [30.0, 30.0]], np.float32)
    mass = np.array([[2.0, -0.5], [1.0, 0.0]], np.float32)
    frames = splat(row, row, np.full((2, 2), 2, np.float32), mass, size=40)
    np.testing.assert_allclose(frames.sum(axis=(1, 2)), [1.5, 1.0], rtol=1e-4)
    assert frames[0, 20:].sum() == 0
