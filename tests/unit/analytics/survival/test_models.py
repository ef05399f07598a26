"""Every kind of model finds what drives the hazard, fills gaps inside, and gives honest risks."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.preparation import EMBEDDING, preparation
from analytics.survival.baseline import baseline, partial_likelihoods
from analytics.survival.calibration import calibrate
from analytics.survival.discrimination import harrell
from analytics.survival.kaplan_meier import kaplan_meier
from analytics.survival.models import KINDS, ModelSpec, fit
from analytics.survival.risk_sets import risk_sets
from analytics.survival.times import follow_up
from core.errors import UsageError
from tests.support.cohorts import world

HORIZONS = (180.0, 365.0, 730.0)
TRAIN, TEST = world(900, seed=1), world(900, seed=2)
ORACLE = harrell(TEST.times, TEST.truth).c


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return fit(ModelSpec(request.param, components=(4, 8)), TRAIN.x, TRAIN.times, TRAIN.patient)


def test_it_finds_what_drives_the_hazard(model):
    c = harrell(TEST.times, model.scores(TEST.x)).c
    assert c > ORACLE - (0.04 if model.spec.kind in ("elastic-net", "components") else 0.07)


def test_its_risks_are_probabilities_that_rise_with_time_and_are_of_the_right_size(model):
    risk = model.risks(TEST.x, HORIZONS)
    assert risk.shape == (900, 3)
    assert ((risk >= 0) & (risk <= 1)).all()
    assert (np.diff(risk, axis=1) >= 0).all()
    found = calibrate(TEST.times, risk[:, 2], HORIZONS[2])
    assert 0.8 < found.ratio < 1.25


def test_gaps_in_the_test_side_are_filled_by_what_the_training_side_knows(model):
    gaps = TEST.x.assign(age=np.nan, sex=None)
    assert np.isfinite(model.scores(gaps)).all()
    assert np.isfinite(model.scores(TEST.x.assign(sex="X"))).all()


def test_the_order_of_the_columns_does_not_matter_and_all_must_be_there(model):
    turned = TEST.x[TEST.x.columns[::-1]]
    np.testing.assert_allclose(model.scores(turned), model.scores(TEST.x))
    with pytest.raises(UsageError, match="predictors age are missing"):
        model.scores(TEST.x.drop(columns="age"))


def test_the_same_rows_give_the_same_model(model):
    again = fit(model.spec, TRAIN.x, TRAIN.times, TRAIN.patient)
    np.testing.assert_array_equal(again.scores(TEST.x), model.scores(TEST.x))


def test_the_test_side_is_not_looked_at():
    x = TRAIN.x.assign(age=TRAIN.x["age"] * 0 + 60.0)
    prepared = preparation(x, components=4).fit(x)
    centre = prepared.named_transformers_["numbers"].named_steps["standardscaler"].mean_[0]
    assert centre == 60
    prepared.transform(TEST.x)
    assert prepared.named_transformers_["numbers"].named_steps["standardscaler"].mean_[0] == 60


def test_scores_without_differences_give_everybody_the_incidence():
    times = follow_up(TRAIN.times.time, TRAIN.times.event)
    told = baseline(times, np.zeros(len(times))).risks([0.0], HORIZONS)[0]
    # Nelson and Aalen's exponential is not Kaplan and Meier's product, but near it.
    np.testing.assert_allclose(told, 1 - kaplan_meier(times).at(HORIZONS)[:, 0], atol=2e-3)


def test_what_competes_lowers_the_risk():
    alone = baseline(follow_up(TRAIN.times.time, TRAIN.times.event), TRAIN.truth)
    both = baseline(TRAIN.times, TRAIN.truth)
    scores = np.linspace(-2, 2, 9)
    assert (both.risks(scores, HORIZONS) < alone.risks(scores, HORIZONS)).all()
    assert alone.risks([0.0], [0.5])[0, 0] == 0


def test_the_partial_likelihood_is_that_of_the_risk_sets():
    x = TRAIN.truth[:, None]
    told = partial_likelihoods(TRAIN.times, np.concatenate([x, 0 * x], axis=1))
    stratum = np.zeros(len(x), np.int64)
    for beta, value in ((1.0, told[0]), (0.0, told[1])):
        at = np.array([beta])
        sets = risk_sets(TRAIN.times, x, at, stratum=stratum, ties="breslow")
        assert sets.log_likelihood(at) == pytest.approx(value)


def test_words_alone_and_embeddings_alone_will_do():
    spec = ModelSpec("elastic-net")
    clinical = fit(spec, TRAIN.x[["age", "sex"]], TRAIN.times, TRAIN.patient)
    pictures = fit(spec, TRAIN.x.drop(columns=["age", "sex"]), TRAIN.times, TRAIN.patient)
    both = fit(spec, TRAIN.x, TRAIN.times, TRAIN.patient)
    c = [harrell(TEST.times, each.scores(TEST.x)).c for each in (clinical, pictures, both)]
    assert c[0] < c[1] < c[2] + 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_cohort_has_fewer_components_than_people(kind):
    few = world(45, seed=3, dim=128, yearly=0.6)
    x = few.x.filter(like=EMBEDDING)
    found = fit(ModelSpec(kind), x, few.times, few.patient)
    assert np.isfinite(found.scores(x)).all()
    assert found.chosen.get("components", 0) < 30
