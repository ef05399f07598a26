"""Predictions of unseen rows, their judgement, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytics.leakage import LeakageError
from analytics.resampling import bootstrap, percentile_interval
from analytics.splits import Split
from analytics.survival.discrimination import harrell
from analytics.survival.models import ModelSpec, fit
from analytics.survival.protocol import apply, cross_validate, hold_out, risk_thresholds
from analytics.survival.validation import validate
from core.errors import UsageError
from tests.support.cohorts import world

HORIZONS = (180.0, 365.0, 730.0)
SPEC = ModelSpec("components", components=(4,))
DRAWN = world(1200, seed=3)


@pytest.fixture(scope="module")
def judged():
    return cross_validate(SPEC, DRAWN.x, DRAWN.times, DRAWN.patient, horizons=HORIZONS)


@pytest.fixture(scope="module")
def verdict(judged):
    sex = DRAWN.x["sex"].iloc[judged.rows].reset_index(drop=True)
    return validate(judged.predictions, subgroups=pd.DataFrame({"sex": sex}), repeats=60)


def test_every_row_is_predicted_once_by_a_model_that_has_not_seen_it(judged):
    assert sorted(judged.rows.tolist()) == list(range(1200))
    said = judged.predictions
    assert (said.patient == DRAWN.patient[judged.rows]).all()
    assert (said.times.time == DRAWN.times.time[judged.rows]).all()
    assert set(said.fold.tolist()) == {0, 1, 2, 3, 4}
    for number, (model, split) in enumerate(zip(judged.models, judged.splits, strict=True)):
        mine = said.fold == number
        assert (judged.rows[mine] == split.test).all()
        np.testing.assert_allclose(model.scores(DRAWN.x.iloc[split.test]), said.score[mine])


def test_the_verdict_has_everything(verdict):
    oracle = harrell(DRAWN.times, DRAWN.truth).c
    c = verdict.measure("harrell_c")
    assert c["lower"] < c["estimate"] < c["upper"]
    assert oracle - 0.05 < c["estimate"] < oracle + 0.02
    names = [*["auc"] * 3, *["brier"] * 3, *["scaled_brier"] * 3, "integrated_brier"]
    assert verdict.measures["measure"].tolist() == ["harrell_c", "uno_c", *names]
    limits = verdict.measures
    assert (limits["lower"] <= limits["estimate"]).all()
    assert (limits["estimate"] <= limits["upper"]).all()
    assert verdict.measure("auc", 365.0)["estimate"] > 0.65
    assert [each.horizon for each in verdict.calibrations] == list(HORIZONS)
    assert verdict.calibrations[2].slope_lower < 1 < verdict.calibrations[2].slope_upper
    curves = [verdict.incidence[group].at(730)[0] for group in (0, 1, 2)]
    assert curves == sorted(curves)
    assert verdict.differ is not None
    assert verdict.differ.p < 1e-6
    assert (verdict.hazards["hr"] > 1).all()
    assert len(verdict.hazards) == 3
    assert set(verdict.decisions["model"]) == {"model", "everybody", "nobody"}
    assert verdict.subgroups["value"].tolist() == ["F", "M"]
    assert verdict.subgroups["c"].between(0.6, 0.85).all()
    assert verdict.subjects == verdict.patients == 1200
    assert verdict.cut == ()


def test_the_same_seed_gives_the_same_verdict(judged):
    one, again = (validate(judged.predictions, repeats=20, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(one.measures, again.measures)


def test_horizons_that_the_data_do_not_support_are_cut_and_said():
    judged = cross_validate(
        SPEC, DRAWN.x, DRAWN.times, DRAWN.patient, horizons=(1.0, 365.0, 1990.0), outer_folds=3
    )
    verdict = validate(judged.predictions, repeats=5)
    assert [each.horizon for each in verdict.calibrations] == [365]
    assert verdict.cut[0].startswith("1 days: ")
    assert verdict.cut[1].startswith("1990 days: ")
    nothing = cross_validate(
        SPEC, DRAWN.x, DRAWN.times, DRAWN.patient, horizons=(1.0,), outer_folds=3
    )
    with pytest.raises(UsageError, match="no horizon is supported by the data"):
        validate(nothing.predictions)


def test_a_patient_on_both_sides_is_refused():
    split = Split("mine", np.arange(600), np.arange(599, 1200), np.zeros(0, np.int64))
    with pytest.raises(LeakageError, match=r"mine: patients on both sides \(1\): p00599"):
        hold_out(SPEC, DRAWN.x, DRAWN.times, DRAWN.patient, [split], horizons=HORIZONS)


def test_a_model_is_applied_to_another_cohort_without_refitting():
    other = world(700, seed=4)
    model = fit(SPEC, DRAWN.x, DRAWN.times, DRAWN.patient)
    thresholds = risk_thresholds(model.risks(DRAWN.x, HORIZONS)[:, -1])
    said = apply(
        model, other.x, other.times, other.patient, horizons=HORIZONS, thresholds=thresholds
    )
    verdict = validate(said, repeats=20)
    assert verdict.measure("harrell_c")["estimate"] > harrell(other.times, other.truth).c - 0.05
    np.testing.assert_array_equal(said.score, model.scores(other.x))
    assert np.bincount(said.group).min() > 150


def test_patients_are_drawn_whole():
    patient = np.repeat(np.arange(50), 3)
    drawn: list[np.ndarray] = []

    def statistic(rows):
        drawn.append(rows)
        return np.array([rows.mean()])

    samples = bootstrap(statistic, patient, repeats=30, seed=0)
    assert samples.shape == (30, 1)
    for rows in drawn:
        assert len(rows) == 150
        assert (np.bincount(patient[rows], minlength=50) % 3 == 0).all()
    low, high = percentile_interval(samples)
    assert low[0] < 74.5 < high[0]
