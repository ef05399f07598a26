"""What is no area is refused, and areas of many dots are answered soon."""

from __future__ import annotations

import time

import numpy as np
import pytest

from analytics.maps.inside import MOST_AREAS, MOST_VERTICES, Area, inside
from core.errors import UsageError

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((0.0, 1.0), (0.0,), "an area with 2 x and 1 y"),
        ((0.0,), (0.0,), "an area of 1 vertices; expected 2"),
        ((), (), "an area of 0 vertices"),
        ((0.0,) * (MOST_VERTICES + 1),) * 2 + ("an area of 2,001 vertices",),
        ((0.0, NAN), (0.0, 1.0), "no finite number"),
        ((0.0, 1.0), (-INFINITE, 1.0), "no finite number"),
        ((0, 10**400), (0, 1), "no finite number"),
        (("0", "1"), ("0", "1"), "no finite number"),
        ((None, 1.0), (0.0, 1.0), "no finite number"),
    ],
)
def test_what_is_no_area_is_refused(x, y, message):
    with pytest.raises(UsageError, match=message):
        Area(x, y)


def test_areas_are_limited_together():
    box = Area((0.0, 1.0), (0.0, 1.0))
    with pytest.raises(UsageError, match="101 areas of 202 vertices; expected up to 100"):
        inside(np.zeros((1, 2)), [box] * (MOST_AREAS + 1))
    long = Area((0.0,) * 1500, (0.0,) * 1500)
    with pytest.raises(UsageError, match="2 areas of 3,000 vertices"):
        inside(np.zeros((1, 2)), [long, long])
    assert not inside(np.zeros((1, 2)), []).any()
    assert inside(np.zeros((0, 2)), [box]).shape == (0,)


def test_a_loop_within_a_loop_is_a_hole():
    x = (0, 4, 4, 0, 0, 1, 1, 3, 3, 1, 0)
    y = (0, 0, 4, 4, 0, 1, 3, 3, 1, 1, 0)
    dots = [(2, 2), (0.5, 2), (3.5, 3.5), (5, 5)]
    assert inside(dots, [Area(x, y)]).tolist() == [False, True, True, False]


def test_the_worst_area_of_many_dots_takes_no_minute():
    """Each edge passes all dots."""
    dots = np.random.default_rng(0).random((20_000, 2))
    count = MOST_VERTICES
    jagged = Area(tuple(np.linspace(0, 1, count)), tuple(np.arange(count) % 2 * 4.0 - 2))
    begun = time.process_time()
    inside(dots, [jagged])
    assert time.process_time() - begun < 5
