"""What pictures can show: nothing but calcium and stents behind an occlusion."""

import numpy as np
import pytest

from phantom.heart.anatomy import Anatomy, draw_anatomy
from phantom.heart.course import Branch
from phantom.heart.disease import Disease, SegmentState, visible

TIGHT = SegmentState(80.0, thrombus=True, calcification=0.4, stent=True, length_mm=14.0)
OCCLUDED = SegmentState(100.0, centre=0.5)
CHRONIC = SegmentState(100.0, cto=True, centre=0.5)


@pytest.fixture(scope="module")
def heart():
    rng = np.random.default_rng(1)
    drawn = draw_anatomy(rng)
    while drawn.dominance != "right" or "D2" not in drawn.segments:
        drawn = draw_anatomy(rng)
    return drawn


def with_branch(heart, segment, at):
    branches = dict(heart.branches)
    branches[segment] = Branch(branches[segment].parent, at)
    return Anatomy(heart.dominance, branches, heart.shape, heart.seed)


@pytest.mark.parametrize("occlusion", [OCCLUDED, CHRONIC])
def test_downstream_only_calcium_and_stents_are_left(heart, occlusion):
    shown = visible(heart, Disease({"prox_lad": occlusion, "dist_lad": TIGHT}, 55.0))
    assert shown.state("prox_lad") == occlusion
    behind = shown.state("dist_lad")
    assert (behind.stenosis_percent, behind.thrombus) == (0, False)
    assert (behind.calcification, behind.stent, behind.length_mm) == (0.4, True, 14.0)
    assert shown.lvef_percent == 55.0


def test_an_occlusion_behind_an_occlusion_is_not_seen(heart):
    shown = visible(heart, Disease({"prox_rca": OCCLUDED, "pda": CHRONIC}, 55.0))
    assert not shown.state("pda").occluded
    assert not shown.state("pda").cto


def test_elsewhere_nothing_changes(heart):
    disease = Disease({"prox_lad": OCCLUDED, "mid_lcx": TIGHT, "mid_rca": TIGHT}, 55.0)
    shown = visible(heart, disease)
    assert shown.state("mid_lcx") == TIGHT
    assert shown.state("mid_rca") == TIGHT


def test_a_tight_stenosis_hides_nothing(heart):
    disease = Disease({"prox_lad": SegmentState(99.0), "mid_lad": TIGHT}, 55.0)
    assert visible(heart, disease) == disease


@pytest.mark.parametrize(("at", "seen"), [(0.3, True), (0.5, False), (0.9, False)])
def test_a_branch_before_the_occlusion_is_open(heart, at, seen):
    branched = with_branch(heart, "D2", at)
    shown = visible(branched, Disease({"mid_lad": OCCLUDED, "D2": TIGHT}, 55.0))
    assert (shown.state("D2") == TIGHT) is seen


def test_a_segment_that_the_heart_does_not_have_is_gone(heart):
    assert "lvp" not in heart.segments
    assert "lvp" not in visible(heart, Disease({"lvp": TIGHT}, 55.0)).segments
