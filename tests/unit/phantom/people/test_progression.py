"""What time, an infarct and a stent do to a heart."""

import numpy as np
import pytest

from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import Disease, SegmentState
from phantom.heart.lesions import draw_disease
from phantom.heart.mixes import NATURAL
from phantom.people.progression import destabilise, evolve, infarct, stented


@pytest.fixture
def rng():
    return np.random.default_rng(9)


@pytest.fixture
def anatomy(rng):
    return draw_anatomy(rng)


def test_time_takes_nothing_away(rng):
    for _ in range(200):
        anatomy = draw_anatomy(rng)
        before = draw_disease(rng, anatomy, NATURAL)
        after = evolve(rng, anatomy, before, years=2, pace=1)
        assert before.segments.keys() <= after.segments.keys() <= anatomy.segments
        for name, was in before.segments.items():
            now = after.state(name)
            assert now.calcification >= was.calcification
            assert now.stent == was.stent
            assert now.cto >= was.cto
            assert now.stenosis_percent >= was.stenosis_percent
        assert not after.state("left_main").occluded


def test_no_time_changes_no_artery(rng, anatomy):
    before = draw_disease(rng, anatomy, NATURAL)
    assert evolve(rng, anatomy, before, years=0, pace=1) == before


def test_occlusions_become_chronic_and_thrombus_heals(rng, anatomy):
    before = Disease(
        {"mid_rca": SegmentState(100.0), "prox_lad": SegmentState(40.0, thrombus=True)}, 50.0
    )
    soon = evolve(rng, anatomy, before, years=0.05, pace=1)
    later = evolve(rng, anatomy, before, years=0.5, pace=1)
    assert (soon.state("mid_rca").cto, soon.state("prox_lad").thrombus) == (False, True)
    assert (later.state("mid_rca").cto, later.state("prox_lad").thrombus) == (True, False)


def test_risk_sets_the_pace(rng, anatomy):
    before = Disease({"mid_lad": SegmentState(40.0)}, 60.0)

    def growth(pace):
        after = [evolve(rng, anatomy, before, years=1, pace=pace) for _ in range(400)]
        return np.mean([each.state("mid_lad").stenosis_percent for each in after]) - 40

    slow, fast = growth(0.5), growth(2)
    assert 0 < slow < fast
    assert fast / slow == pytest.approx(4, rel=0.5)


def test_restenosis_is_rare(rng, anatomy):
    before = Disease({"mid_lad": SegmentState(5.0, stent=True)}, 60.0)
    after = [evolve(rng, anatomy, before, years=1, pace=1).state("mid_lad") for _ in range(600)]
    assert 0.01 < np.mean([state.stenosis_percent >= 50 for state in after]) < 0.07


def test_a_silent_occlusion_costs_muscle(rng, anatomy):
    before = Disease({"prox_lad": SegmentState(98.0)}, 60.0)
    after = [evolve(rng, anatomy, before, years=1, pace=1) for _ in range(300)]
    lost = {
        occluded: np.mean(
            [60 - d.lvef_percent for d in after if d.state("prox_lad").occluded == occluded]
        )
        for occluded in (True, False)
    }
    assert lost[True] > lost[False] + 4


def test_an_infarct_has_a_culprit_and_costs_muscle(rng, anatomy):
    before = Disease({"prox_lad": SegmentState(60.0, calcification=0.5)}, 60.0)
    for _ in range(300):
        after = infarct(rng, anatomy, before)
        changed = {n for n in anatomy.segments if after.state(n) != before.state(n)}
        assert len(changed) == 1
        culprit = after.state(changed.pop())
        assert (culprit.occluded and not culprit.cto) or culprit.thrombus
        assert after.lvef_percent < before.lvef_percent
        assert after.state("prox_lad").calcification == 0.5
        assert after.state("prox_lad").stenosis_percent >= 60
        assert not after.state("left_main").occluded


def test_tight_lesions_are_culprits_more_often(rng, anatomy):
    tight = Disease({"mid_rca": SegmentState(90.0)}, 60.0)
    none = Disease({}, 60.0)

    def share(before):
        after = [infarct(rng, anatomy, before) for _ in range(500)]
        return np.mean([each.state("mid_rca") != before.state("mid_rca") for each in after])

    assert share(tight) > 2 * share(none)


def test_destabilised_is_severe_at_once(rng, anatomy):
    before = Disease({"mid_lad": SegmentState(30.0, stent=True)}, 55.0)
    for _ in range(100):
        after = destabilise(rng, anatomy, before)
        (changed,) = {n for n in anatomy.segments if after.state(n) != before.state(n)}
        assert 70 <= after.state(changed).stenosis_percent < 100
        assert after.state("mid_lad").stent
        assert after.lvef_percent == 55


def test_where_all_is_occluded_nothing_can_rupture(rng, anatomy):
    shut = {n: SegmentState(100.0) for n in anatomy.segments if n != "left_main"}
    before = Disease(shut, 40.0)
    assert destabilise(rng, anatomy, before) is before
    after = infarct(rng, anatomy, before)
    assert after.segments == before.segments
    assert after.lvef_percent < 40


def test_a_stent_opens_and_stays(rng):
    before = Disease({"prox_rca": SegmentState(100.0, cto=True, calcification=0.7)}, 50.0)
    state = stented(rng, before, ["prox_rca"]).state("prox_rca")
    assert state.stenosis_percent <= 10
    assert (state.stent, state.cto, state.thrombus, state.calcification) == (
        True,
        False,
        False,
        0.7,
    )
    assert 10 <= state.length_mm <= 18
