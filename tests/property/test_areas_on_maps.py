"""What must hold of dots in areas; coordinates are small integers, so all arithmetic is exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analytics.maps.inside import Area, inside

SIZE = 6
GRID = np.stack(np.meshgrid(np.arange(-1, SIZE + 2), np.arange(-1, SIZE + 2)), axis=-1)
DOTS = GRID.reshape(-1, 2).astype(float)
corner = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE))
polygons = st.lists(corner, min_size=3, max_size=9)


def area(vertices):
    x, y = zip(*vertices, strict=True)
    return Area(tuple(map(float, x)), tuple(map(float, y)))


def edges(vertices):
    return zip(vertices, [*vertices[1:], vertices[0]], strict=True)


def crossings(x, y, vertices):
    """Count the edges right of a dot; of an edge the lower end counts, the upper one does not."""
    count = 0
    for (x0, y0), (x1, y1) in edges(vertices):
        if min(y0, y1) <= y < max(y0, y1):
            count += x < x0 + Fraction((y - y0) * (x1 - x0), y1 - y0)
    return count


def on_an_edge(x, y, vertices):
    return any(
        (x1 - x0) * (y - y0) == (x - x0) * (y1 - y0)
        and min(x0, x1) <= x <= max(x0, x1)
        and min(y0, y1) <= y <= max(y0, y1)
        for (x0, y0), (x1, y1) in edges(vertices)
    )


@given(polygons)
def test_a_dot_is_inside_where_it_has_an_odd_number_of_edges_to_its_right(vertices):
    expected = [crossings(int(x), int(y), vertices) % 2 == 1 for x, y in DOTS]
    np.testing.assert_array_equal(inside(DOTS, [area(vertices)]), expected)


@given(polygons, st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_moving_all_changes_nothing(vertices, right, up):
    moved = area([(x + right, y + up) for x, y in vertices])
    found = inside(np.add(DOTS, (right, up)), [moved])
    np.testing.assert_array_equal(found, inside(DOTS, [area(vertices)]))


@given(polygons, st.integers(1, 3))
def test_turning_all_changes_nothing_but_on_edges(vertices, quarters):
    turned, dots = [*vertices], DOTS
    for _ in range(quarters):
        turned = [(-y, x) for x, y in turned]
        dots = np.stack([-dots[:, 1], dots[:, 0]], axis=1)
    off = ~np.array([on_an_edge(x, y, vertices) for x, y in DOTS])
    found, before = inside(dots, [area(turned)]), inside(DOTS, [area(vertices)])
    np.testing.assert_array_equal(found[off], before[off])


@given(polygons, st.integers(0, 8), st.booleans())
def test_it_does_not_matter_where_and_which_way_a_polygon_begins(vertices, first, backwards):
    at = first % len(vertices)
    again = vertices[at:] + vertices[:at]
    found = inside(DOTS, [area(again[::-1] if backwards else again)])
    np.testing.assert_array_equal(found, inside(DOTS, [area(vertices)]))


@given(corner, corner)
def test_a_box_is_its_polygon_and_has_its_lower_and_left_edges(one, other):
    (x0, y0), (x1, y1) = one, other
    box = inside(DOTS, [area([one, other])])
    polygon = inside(DOTS, [area([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])])
    np.testing.assert_array_equal(box, polygon)
    x, y = DOTS.T
    expected = (min(x0, x1) <= x) & (x < max(x0, x1)) & (min(y0, y1) <= y) & (y < max(y0, y1))
    np.testing.assert_array_equal(box, expected)


@given(corner, st.integers(0, SIZE), st.integers(0, SIZE))
def test_areas_that_share_an_edge_share_no_dot_and_lose_none(middle, bottom, right):
    """Three triangles that fill one, around a vertex."""
    whole = [(0, 0), (SIZE, bottom), (right, SIZE)]
    parts = [area([one, other, middle]) for one, other in edges(whole)]
    if crossings(middle[0], middle[1], whole) % 2 == 0:
        return
    counts = sum(inside(DOTS, [each]).astype(int) for each in parts)
    np.testing.assert_array_equal(counts, inside(DOTS, [area(whole)]).astype(int))
    np.testing.assert_array_equal(inside(DOTS, parts), counts > 0)
