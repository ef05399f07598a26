"""What must hold of conditional incidence whatever the neighbours."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.neighbours import conditional_incidence, nearest
from analytics.survival.times import follow_up


@st.composite
def neighbours(draw):
    """Few distinct times and similarities, so that there are ties of every kind."""
    n = draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    time = rng.integers(1, 10, n).astype(float)
    similarity = np.round(rng.uniform(-1, 1, n), draw(st.integers(1, 6)))
    return follow_up(time, rng.integers(0, 3, n)), similarity, draw(st.integers(1, n - 1)), rng


@given(neighbours(), st.floats(1e-6, 1e6))
def test_the_scale_of_weights_does_not_matter(drawn, scale):
    times, similarity, k, _ = drawn
    found = nearest(similarity, k)
    own = times[found.rows]
    one, other = (conditional_incidence(own, found.weight * each) for each in (1, scale))
    for name in ("estimate", "se", "lower", "upper"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), atol=1e-7)


@given(neighbours())
def test_the_order_of_patients_does_not_matter(drawn):
    times, similarity, k, rng = drawn
    order = rng.permutation(len(times))
    one, other = nearest(similarity, k), nearest(similarity[order], k)
    at = np.arange(1, 10)
    curves = [
        conditional_incidence(times[rows], found.weight).at(at)
        for found, rows in ((one, one.rows), (other, order[other.rows]))
    ]
    if one.similarity[-1] > one.edge:  # those that are all alike are a choice
        np.testing.assert_allclose(curves[0], curves[1], atol=1e-7)


@given(neighbours())
def test_incidence_rises_within_its_limits_and_the_three_sum_to_one(drawn):
    times, similarity, k, _ = drawn
    found = nearest(similarity, k)
    own = times[found.rows]
    curve = conditional_incidence(own, found.weight)
    assert (np.diff(curve.estimate) >= -1e-12).all()
    assert (curve.lower >= 0).all()
    assert (curve.upper <= 1).all()
    assert (curve.lower <= curve.estimate + 1e-12).all()
    assert (curve.estimate <= curve.upper + 1e-12).all()
    parts = [
        aalen_johansen(own, weights=found.weight, of=of).estimate
        for of in ("event", "competing", "neither")
    ]
    np.testing.assert_allclose(sum(parts), 1)
