"""The spline: it goes through its points, and a line stays a line."""

import numpy as np

from phantom.heart.curves import chord_lengths, even_steps, spline


def test_it_goes_through_the_points_and_keeps_a_straight_line():
    knots = np.array([0.0, 1.0, 2.5, 4.0])
    values = np.array([[0.0, 1.0], [2.0, 0.0], [-1.0, 3.0], [5.0, 5.0]])
    np.testing.assert_allclose(spline(knots, values, knots), values, atol=1e-12)
    line = np.stack([3 * knots - 1, -knots], axis=1)
    at = np.linspace(0, 4, 17)
    np.testing.assert_allclose(spline(knots, line, at), np.stack([3 * at - 1, -at], 1), atol=1e-12)


def test_it_follows_a_sine():
    knots = np.linspace(0, 2 * np.pi, 15)
    at = np.linspace(0, 2 * np.pi, 200)
    error = spline(knots, np.sin(knots)[:, None], at)[:, 0] - np.sin(at)
    assert np.abs(error).max() < 2e-3


def test_even_steps_are_even():
    angle = np.linspace(0, np.pi, 400) ** 1.5
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    along = chord_lengths(circle)
    places = even_steps(circle, along, np.linspace(0, along[-1], 20))
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-2)
