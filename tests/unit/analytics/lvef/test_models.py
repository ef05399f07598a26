"""Every kind of regression: found truths, prediction intervals, gaps, the same twice, saved."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
import skops.io

from analytics.agreement import agreement
from analytics.conformal import upper_limits
from analytics.leakage import LeakageError
from analytics.lvef.models import KINDS, LEVELS, RegressionSpec, fit
from analytics.lvef.persistence import dump_model, load_model
from analytics.lvef.protocol import cross_validate, hold_out
from analytics.lvef.validation import validate
from analytics.model_files import ModelError
from analytics.splits import Split
from core.errors import UsageError
from tests.support.cohorts import world

RANGE = (0.0, 100.0)
NOISE = 4.0


def lvef_world(n, *, seed):
    """Subjects whose LVEF their traits tell, and what an echocardiogram says of it."""
    drawn = world(n, seed=seed)
    noise = np.random.default_rng(seed).normal(0, NOISE, n)
    return drawn, np.clip(50 + 8 * drawn.truth + noise, 10, 80)


DRAWN, MEASURED = lvef_world(400, seed=1)
OTHERS, THEIRS = lvef_world(400, seed=2)


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return fit(RegressionSpec(request.param), DRAWN.x, MEASURED, DRAWN.patient, range=RANGE)


def test_people_it_has_not_seen_are_predicted(model):
    said = model.predict(OTHERS.x)
    found = agreement(THEIRS, said)
    # Four percent of noise is a mean absolute error of 3.2; everybody's mean is wrong by 6.
    assert found.mae < 4.6
    assert abs(found.bias) < 1
    assert 0.85 < found.slope < 1.15


def test_intervals_hold_and_stay_in_the_range(model):
    said = model.predict(OTHERS.x)
    for level in LEVELS:
        low, high = model.limits(said, level)
        inside = ((low <= THEIRS) & (high >= THEIRS)).mean()
        assert inside == pytest.approx(level, abs=0.06)
        assert (low >= 0).all()
        assert (high <= 100).all()
    assert list(model.half_width.values()) == sorted(model.half_width.values())


def test_a_model_survives_and_says_the_same(model):
    payload = dump_model(model, 51.5)
    again, mean = load_model(payload, sha256=hashlib.sha256(payload).hexdigest())
    assert mean == 51.5
    assert again.spec == model.spec
    assert dict(again.half_width) == dict(model.half_width)
    np.testing.assert_array_equal(again.predict(OTHERS.x), model.predict(OTHERS.x))


def test_the_same_rows_give_the_same_model(model):
    again = fit(model.spec, DRAWN.x, MEASURED, DRAWN.patient, range=RANGE)
    np.testing.assert_array_equal(again.predict(OTHERS.x), model.predict(OTHERS.x))
    assert again.half_width == model.half_width


def test_missing_predictors_are_named(model):
    with pytest.raises(UsageError, match="predictors age are missing"):
        model.predict(OTHERS.x.drop(columns="age"))


class Harmful:
    def __reduce__(self):
        return os.system, ("touch /tmp/harm",)


def test_what_is_no_model_is_refused():
    payload = skops.io.dumps({"format": 1, "estimator": Harmful()})
    with pytest.raises(ModelError, match=r"holds what no model holds: .*"):
        load_model(payload, sha256=hashlib.sha256(payload).hexdigest())


def test_folds_hold_whole_patients_and_predict_everybody_once():
    patient = np.repeat(DRAWN.patient[:200], 2)
    judged = cross_validate(
        RegressionSpec(), DRAWN.x, MEASURED, patient, range=RANGE, outer_folds=4, seed=3
    )
    assert sorted(judged.rows.tolist()) == list(range(400))
    seen = judged.predictions
    np.testing.assert_array_equal(seen.measured, MEASURED[judged.rows])
    np.testing.assert_array_equal(seen.patient, patient[judged.rows])
    assert len(np.unique(seen.mean)) == 4


def test_a_patient_on_both_sides_is_refused():
    rows = np.arange(400)
    split = Split("half", rows[:200], rows[200:], rows[:0])
    patient = DRAWN.patient.copy()
    patient[399] = patient[0]
    with pytest.raises(LeakageError, match=f"half: patients on both sides .1.: {patient[0]}"):
        hold_out(RegressionSpec(), DRAWN.x, MEASURED, patient, [split], range=RANGE)


def test_few_patients_are_refused_with_the_next_step():
    with pytest.raises(UsageError, match="4 patients cannot be spread over 5 folds"):
        fit(RegressionSpec(), DRAWN.x[:4], MEASURED[:4], DRAWN.patient[:4], range=RANGE)


def test_half_widths_are_quantiles_of_errors_and_of_one_more():
    errors = np.arange(1.0, 100.0)
    assert upper_limits(errors, np.arange(99), [0.8, 0.9, 0.99]) == [80, 90, 99]
    # One in a hundred may be further off than all of 99.
    assert upper_limits(errors, np.arange(99), [0.995]) == [np.inf]
    # Whose exam is there nine times weighs as much as anybody.
    many = np.concatenate([np.full(9, 50.0), np.arange(1.0, 10.0)])
    who = np.array(["a"] * 9 + list("bcdefghij"))
    assert upper_limits(many, who, [0.8]) == [9.0]


def test_verdicts_tell_what_was_planted():
    judged = cross_validate(RegressionSpec(), DRAWN.x, MEASURED, DRAWN.patient, range=RANGE)
    sex = DRAWN.x[["sex"]].iloc[judged.rows].reset_index(drop=True)
    verdict = validate(judged.predictions, thresholds=(5, 40, 50), subgroups=sex, repeats=100)
    assert verdict.rows == verdict.patients == 400
    mae = verdict.measure("mae")
    error = np.abs(judged.predictions.predicted - judged.predictions.measured)
    assert mae["estimate"] == pytest.approx(error.mean())
    assert mae["lower"] < mae["estimate"] < mae["upper"]
    assert verdict.measure("mae_of_mean")["estimate"] > 1.3 * mae["estimate"]
    assert verdict.measure("auc", 40)["estimate"] > 0.85
    assert verdict.measure("below", 40)["estimate"] == pytest.approx((MEASURED < 40).mean())
    assert verdict.measure("coverage", 0.9)["estimate"] == pytest.approx(0.9, abs=0.04)
    assert verdict.cut == ("5: 0 of 400 are below (at least 5)",)
    assert verdict.calibration["rows"].sum() == 400
    assert verdict.subgroups["value"].tolist() == ["F", "M"]
    own = error[(sex["sex"] == "F").to_numpy()].mean()
    assert verdict.subgroups["mae"][0] == pytest.approx(own)
    with pytest.raises(KeyError, match="0 measures 'auc' at 45"):
        verdict.measure("auc", 45)
    with pytest.raises(UsageError, match="5 exams with a measurement are too few"):
        validate(judged.predictions[np.arange(5)], thresholds=())
