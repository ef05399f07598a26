"""Areas in an address: the word gives the areas that were asked about, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.maps.inside import Area
from angioatlas.maps.areas import areas_as_word, areas_of_word, drawn_areas
from core.errors import UsageError

AT = st.floats(-1e6, 1e6, allow_nan=False)
SHAPES = st.lists(
    st.lists(st.tuples(AT, AT), min_size=2, max_size=30).map(
        lambda at: {"x": [x for x, _ in at], "y": [y for _, y in at]}
    ),
    max_size=4,
)


@given(SHAPES)
def test_a_word_gives_back_what_was_drawn(shapes):
    areas = drawn_areas(shapes)
    word = areas_as_word(areas)
    assert areas_of_word(word) == areas
    # Nothing in it is escaped in an address.
    assert re.fullmatch(r"[-0-9._~]*", word)
    for area, shape in zip(areas, shapes, strict=True):
        assert area.x == pytest.approx(shape["x"], abs=5.1e-4)
        assert area.y == pytest.approx(shape["y"], abs=5.1e-4)


def test_the_word_of_a_box_and_a_triangle():
    areas = (Area((0.0, -1.5), (2.0, 10.0)), Area((0.0, 1.0, 0.125), (0.0, 0.0, 100.0)))
    assert areas_as_word(areas) == "0_2_-1.5_10~0_0_1_0_0.125_100"
    assert areas_as_word(()) == ""
    assert areas_of_word("") == ()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("1_2_x_4", "no row of numbers"),
        ("1_2_3", "2 x and 1 y"),
        ("1_2", "of 1 vertices"),
        ("1_2_3_nan", "no finite number"),
        ("1_2_3_4~", "no row of numbers"),
    ],
)
def test_another_word_is_refused(word, told):
    with pytest.raises(UsageError, match=told) as caught:
        areas_of_word(word)
    assert caught.value.hint == "draw around the dots again"
