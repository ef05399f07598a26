"""Serial exams whose truth is known: pairs, floors, findings, and what a study says of them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from analytics.progression.change import (
    change_of,
    mean_views,
    noise_floor,
    split_halves,
)
from analytics.progression.findings import has_progressed, segment_changes
from analytics.progression.pairs import are_unchanged, mark_between, serial_pairs
from analytics.progression.study import Inputs, Plan, run_study
from analytics.progression.timeline import timeline
from benchmarks.progression_coverage import draw
from core.errors import UsageError

DAY = dt.date(2020, 1, 1)


def on(days):
    return DAY + dt.timedelta(days=days)


def exams(*rows):
    return pd.DataFrame(
        [(uid, who, None if days is None else on(days)) for uid, who, days in rows],
        columns=["study_uid", "patient_id", "date"],
    )


def procedures(*rows):
    return pd.DataFrame(
        [(who, on(days), kind, segments) for who, days, kind, segments in rows],
        columns=["patient_id", "date", "kind", "segments"],
    )


def events(*rows):
    return pd.DataFrame([(who, on(days)) for who, days in rows], columns=["patient_id", "date"])


def test_each_exam_stands_beside_the_one_before_it():
    found = serial_pairs(
        exams(("b", "p1", 40), ("a", "p1", 0), ("c", "p1", 400), ("d", "p2", 3), ("e", "p1", None))
    )
    assert found[["prior_uid", "study_uid", "number", "days"]].values.tolist() == [
        ["a", "b", 2, 40],
        ["b", "c", 3, 360],
    ]
    assert serial_pairs(exams(("a", "p1", 0))).empty


def test_what_is_done_on_the_day_of_an_exam_is_done_after_its_pictures():
    pairs = serial_pairs(exams(("a", "p1", 0), ("b", "p1", 40), ("c", "p1", 80)))
    done = procedures(
        ("p1", 40, "pci", ["mid_lad"]), ("p1", 60, "cabg", None), ("p2", 20, "pci", ["om1"])
    )
    found = mark_between(pairs, done, events(("p1", 0), ("p1", 40), ("p1", 41)))
    assert found["treatment"].tolist() == ["", "cabg+pci"]
    assert found["treated_segments"].tolist() == [(), ("mid_lad",)]
    assert found["events"].tolist() == [1, 1]
    nothing = mark_between(pairs, done.iloc[:0], events())
    assert nothing["treatment"].tolist() == ["", ""]
    assert are_unchanged(nothing, days=90).tolist() == [True, True]
    assert are_unchanged(nothing, days=30).tolist() == [False, False]
    assert not are_unchanged(found, days=90).any()


def test_two_exams_of_one_day_have_the_intervention_between_them():
    pairs = serial_pairs(exams(("a", "p1", 0), ("b", "p1", 0)))
    found = mark_between(pairs, procedures(("p1", 0, "pci", ["om1"])), events())
    assert found["treatment"].tolist() == ["pci"]
    assert not are_unchanged(found).any()


def test_change_is_one_minus_the_cosine():
    one = np.array([[1.0, 0], [1, 0], [2, 0]])
    other = np.array([[3.0, 0], [0, 1], [-1, 0]])
    np.testing.assert_allclose(change_of(one, other), [0, 1, 2], atol=1e-12)


def test_a_floor_is_what_one_more_unchanged_patient_stays_below():
    values = np.arange(1.0, 40.0) / 100
    floor = noise_floor(values, np.arange(39), "unchanged pairs")
    assert floor.threshold == pytest.approx(0.38)
    assert floor.median == pytest.approx(0.2)
    np.testing.assert_allclose(floor.scores([0.38, 0.76]), [1, 2])
    np.testing.assert_allclose(floor.p([0.0, 0.5]), [1, 1 / 40])
    with pytest.raises(UsageError, match="unchanged pairs of 18 patients are too few"):
        noise_floor(values[:18], np.arange(18), "unchanged pairs")


def test_halves_of_an_exam_differ_as_two_whole_exams_of_it_would():
    rng = np.random.default_rng(0)
    views = 2 * rng.normal(size=(3, 60))

    def shot(count):
        """Each view twice, with noise: an exam of `count` patients whose arteries never change."""
        clean = rng.normal(size=(count, 1, 60)) + np.repeat(views, 2, axis=0)
        noisy = clean[:, :, :] + 0.0
        pair = [noisy + 0.5 * rng.normal(size=noisy.shape) for _ in (0, 1)]
        return [each / np.linalg.norm(each, axis=2, keepdims=True) for each in pair]

    first, second = shot(300)
    exam = np.repeat(np.arange(300), 6)
    between = change_of(
        mean_views(first.reshape(-1, 60), exam, 300), mean_views(second.reshape(-1, 60), exam, 300)
    )
    halves, which = split_halves(first.reshape(-1, 60), exam)
    assert len(which) == 300
    assert np.median(halves) == pytest.approx(np.median(between), rel=0.1)
    few, none = split_halves(first[:, :3].reshape(-1, 60), np.repeat(np.arange(300), 3))
    assert len(few) == len(none) == 0


def test_treated_segments_are_no_natural_change():
    pairs = pd.DataFrame({"treated_segments": [("b",), (), ()]})
    prior = np.array([[40, 90, 10], [60, 10, 10], [np.nan, np.nan, np.nan]])
    now = np.array([[55, 0, 31], [79, 10, 5], [np.nan, 5, np.nan]])
    found = segment_changes(pairs, prior, now, ["a", "b", "c"])
    assert found["new_disease"].tolist()[:2] == [1, 0]
    assert found["worsened"].tolist()[:2] == [1, 0]
    assert found["net_change"].tolist()[:2] == [36, 14]
    assert found["absolute_change"].tolist()[:2] == [36, 24]
    assert found["max_increase"].tolist()[:2] == [21, 19]
    assert found["treated_change"].tolist()[0] == -90
    assert np.isnan(found["treated_change"][1])
    assert found.loc[2].isna().all()
    assert has_progressed(found).tolist()[:2] == [True, False]
    assert has_progressed(found).isna().tolist() == [False, False, True]


@pytest.fixture(scope="module")
def drawn():
    return draw(np.random.default_rng(3), 300)


def test_a_study_finds_who_changed_and_who_was_treated(drawn):
    study = run_study(Plan(repeats=100), drawn.inputs)
    assert study.floor.source == "unchanged pairs"
    pairs = study.pairs
    still = (drawn.moved == 0) & ~drawn.treated
    assert pairs["beyond"].to_numpy()[drawn.moved > 0.5].mean() > 0.95
    assert pairs["beyond"].to_numpy()[still].mean() < 0.07
    assert (pairs["treatment"] == "pci").to_numpy().tolist() == drawn.treated.tolist()
    # Treatment goes away from disease, growth toward it.
    toward = pairs["toward_disease"].to_numpy()
    assert np.median(toward[drawn.treated]) < -2 < 2 < np.median(toward[drawn.moved > 0.5])
    assert np.corrcoef(toward[~drawn.treated], drawn.moved[~drawn.treated])[0, 1] > 0.9
    (treated,) = study.comparisons.to_dict("records")
    assert treated["lower"] < treated["auc"] < treated["upper"]
    assert treated["auc"] > 0.75
    assert study.rates["pairs"].tolist()[0] == 300


def test_halves_stand_in_where_nobody_came_again_unchanged(drawn):
    few = Plan(unchanged_days=1, repeats=10)
    study = run_study(few, drawn.inputs)
    assert study.floor.source == "split halves"
    still = (drawn.moved == 0) & ~drawn.treated
    assert study.pairs["beyond"].to_numpy()[still].mean() <= 0.05
    assert study.pairs["beyond"].to_numpy()[drawn.moved > 0.8].mean() > 0.7
    with pytest.raises(UsageError, match="unchanged pairs of 0 patients are too few"):
        run_study(Plan("unchanged", unchanged_days=1), drawn.inputs)


def test_one_exam_each_is_refused_with_the_next_step(drawn):
    empty = Inputs(**{**vars(drawn.inputs), "pairs": drawn.inputs.pairs.iloc[:0]})
    with pytest.raises(UsageError, match="no patient of the cohort has two exams") as refused:
        run_study(Plan(), empty)
    assert "--index every" in refused.value.hint


def test_a_timeline_tells_a_day_in_the_order_in_which_it_went():
    found = timeline(
        exams(("a", "p1", 0), ("b", "p1", 400)),
        pd.DataFrame({"study_uid": ["b"], "score": [1.7]}),
        pd.DataFrame(
            [("b", on(400), "lvef_percent", 45.0)],
            columns=["study_uid", "date", "name", "value"],
        ),
        procedures(("p1", 400, "pci", ["om1", "om2"])),
        pd.DataFrame({"date": [on(400)], "kind": ["mi"]}),
    )
    assert found["kind"].tolist() == [
        "exam",
        "event",
        "exam",
        "change",
        "measurement",
        "procedure",
    ]
    assert found["what"].tolist()[-1] == "pci om1 om2"
    assert found["value"].tolist()[3:5] == [1.7, 45.0]
