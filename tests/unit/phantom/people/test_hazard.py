"""The hazard is the one that is stated."""

import math

import numpy as np
import pytest

from core.segments import SEGMENTS
from phantom.heart.disease import Disease, SegmentState
from phantom.people.hazard import BURDEN_WEIGHTS, HAZARD, MACE, burden


def log_hazard(*, burden=2.0, lvef=50.0, age=65.0, diabetes=False):
    return HAZARD.log_hazard(burden=burden, lvef_percent=lvef, age_years=age, diabetes=diabetes)


def test_burden_weighs_every_segment_by_the_square_of_its_stenosis():
    assert BURDEN_WEIGHTS.keys() == SEGMENTS.keys()
    assert burden(Disease({}, 60.0)) == 0
    assert burden(Disease({"prox_lad": SegmentState(100.0)}, 60.0)) == 3.5
    two = Disease({"prox_lad": SegmentState(50.0), "om1": SegmentState(80.0)}, 60.0)
    assert burden(two) == pytest.approx(3.5 * 0.25 + 0.64)


@pytest.mark.parametrize(
    ("changed", "factor"),
    [
        ({"burden": 3.0}, math.exp(0.28)),
        ({"lvef": 40.0}, math.exp(0.50)),
        ({"age": 75.0}, math.exp(0.45)),
        ({"diabetes": True}, math.exp(0.45)),
    ],
)
def test_hazard_ratios(changed, factor):
    assert math.exp(log_hazard(**changed) - log_hazard()) == pytest.approx(factor)


def test_without_anything_the_rate_is_the_stated_one():
    assert math.exp(log_hazard(burden=0.0)) == pytest.approx(0.044)
    assert HAZARD.other_hazard(65) == pytest.approx(0.009)
    assert HAZARD.other_hazard(75) / HAZARD.other_hazard(65) == pytest.approx(math.exp(0.9))


@pytest.mark.parametrize("split", [HAZARD.split, HAZARD.weak_split])
def test_the_components_are_all_of_mace(split):
    assert tuple(split) == MACE
    assert sum(split.values()) == pytest.approx(1)


def test_one_year_risk_is_the_share_that_is_drawn():
    rng = np.random.default_rng(4)
    rate, age = 0.25, 82.0
    mace = np.array([HAZARD.draw_mace_years(rng, math.log(rate)) for _ in range(20_000)])
    other = np.array([HAZARD.draw_other_death_years(rng, age) for _ in range(20_000)])
    share = np.mean((mace <= 1) & (mace < other))
    risk = HAZARD.one_year_risk(math.log(rate), age)
    assert share == pytest.approx(risk, abs=4 * math.sqrt(risk * (1 - risk) / 20_000))
    # Without competing death it would be more.
    assert risk < -math.expm1(-rate * math.expm1(0.045) / 0.045)


def test_a_weak_heart_fails():
    rng = np.random.default_rng(4)
    weak = [HAZARD.draw_kind(rng, 25) for _ in range(2000)]
    strong = [HAZARD.draw_kind(rng, 60) for _ in range(2000)]
    for kind in MACE:
        assert weak.count(kind) / 2000 == pytest.approx(HAZARD.weak_split[kind], abs=0.04)
        assert strong.count(kind) / 2000 == pytest.approx(HAZARD.split[kind], abs=0.04)
