"""Hearts: which segments, where they begin, how long, and that the same seed is the same heart."""

import pickle

import numpy as np
import pytest

from core.segments import SEGMENTS
from phantom.heart.anatomy import draw_anatomy

ALWAYS = {"left_main", "prox_lad", "mid_lad", "dist_lad", "D1", "prox_lcx", "mid_lcx", "dist_lcx"}


@pytest.fixture(scope="module")
def hearts():
    rng = np.random.default_rng(11)
    return [draw_anatomy(rng) for _ in range(600)]


def of_dominance(hearts, dominance):
    return next(heart for heart in hearts if heart.dominance == dominance)


def test_dominance_is_as_frequent_as_in_people(hearts):
    shares = [np.mean([heart.dominance == each for heart in hearts]) for each in ("right", "left")]
    assert shares == pytest.approx([0.80, 0.13], abs=0.05)


def test_segments_are_those_of_the_list(hearts):
    for heart in hearts:
        assert ALWAYS < heart.segments <= set(SEGMENTS)
    ramus = np.mean(["bx" in heart.segments for heart in hearts])
    assert ramus == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(
    ("dominance", "artery_of_pda", "absent"),
    [
        ("right", "right", {"lvp"}),
        ("left", "left", {"posterolateral", "dist_rca"}),
        ("co", "right", {"posterolateral"}),
    ],
)
def test_dominance_says_who_feeds_the_back(hearts, dominance, artery_of_pda, absent):
    heart = of_dominance(hearts, dominance)
    assert heart.artery("pda") == artery_of_pda
    assert not absent & heart.segments
    assert heart.tree(artery_of_pda).run("pda") is not None


def test_parents_come_first_and_every_segment_has_a_run(hearts):
    for heart in hearts[:20]:
        seen = set()
        for name, branch in heart.branches.items():
            assert branch.parent is None or branch.parent in seen
            assert 0 <= branch.at <= 1
            seen.add(name)
        runs = [run.segment for run in heart.left.runs + heart.right.runs]
        assert sorted(runs) == sorted(heart.segments)


def test_lengths_and_widths_are_a_heart_s(hearts):
    lengths: dict[str, list[float]] = {"left_main": [], "lad": [], "rca": []}
    for heart in hearts[:25]:
        by_name = {run.segment: run.length_mm for run in heart.left.runs + heart.right.runs}
        lengths["left_main"].append(by_name["left_main"])
        lengths["lad"].append(sum(by_name[f"{part}_lad"] for part in ("prox", "mid", "dist")))
        if heart.dominance == "right":
            parts = ("prox", "mid", "dist")
            lengths["rca"].append(sum(by_name[f"{part}_rca"] for part in parts))
        assert 1.6 < heart.left.radius_mm[0] < 2.9
    assert 6 < np.mean(lengths["left_main"]) < 20
    assert 80 < np.mean(lengths["lad"]) < 150
    assert 90 < np.mean(lengths["rca"]) < 150


def test_samples_follow_one_another_in_steps_of_a_vessel(hearts):
    tree = hearts[0].left
    for run in tree.runs:
        path = tree.path_mm[run.start : run.stop]
        assert np.all(np.diff(path) > 0)
        along = tree.along[run.start : run.stop]
        assert along[0] > 0
        assert along[-1] < 1
        assert np.all(np.diff(along) > 0)
    twigs = slice(tree.n_labelled, None)
    assert np.all(tree.segment[twigs] == -1)
    assert np.all(tree.root[twigs] < tree.n_labelled)
    assert np.all(tree.path_mm[twigs] > tree.path_mm[tree.root[twigs]])
    assert np.all(tree.radius_mm[twigs] < 1.2)


def test_the_same_seed_is_the_same_heart_also_after_pickling():
    first, again = (draw_anatomy(np.random.default_rng(3)) for _ in range(2))
    other = draw_anatomy(np.random.default_rng(4))
    sent = pickle.loads(pickle.dumps(first))
    for heart in (again, sent):
        np.testing.assert_array_equal(first.left.points, heart.left.points)
        np.testing.assert_array_equal(first.right.radius_mm, heart.right.radius_mm)
    assert other.left.points.shape != first.left.points.shape or not np.array_equal(
        other.left.points, first.left.points
    )
