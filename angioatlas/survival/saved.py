"""Saved survival models: what they say of other exams, and how good they are elsewhere."""

from __future__ import annotations

import datetime as dt

import numpy as np

from analytics.endpoints import Endpoint, Rules
from analytics.leakage import refuse
from analytics.preparation import taken_as_words
from analytics.survival.persistence import load_model
from analytics.survival.study import Applied, Inputs, Plan, validate_elsewhere
from angioatlas.cohorts import CohortMembers
from angioatlas.model_store import described, in_training
from angioatlas.predictions import Asked, Predictions
from angioatlas.studied import StudyOptions, provenance
from angioatlas.survival.gather import gather
from angioatlas.survival.study import KIND, SurvivalResult
from store.registry import SavedModel
from store.store import Store


def predict(store: Store, saved: SavedModel, asked: Asked) -> Predictions:
    """Return what a saved model says of exams.

    Returns
    -------
    Predictions
        Its table has score, risk_<days>d for each horizon, risk_group (0 the lowest, by thresholds
        of the model's training).

    Raises
    ------
    UsageError
        The model is of another kind, reads embeddings of another encoder, or no exam has a vector.
    """
    told = described(saved, KIND, asked.encoder_id)
    model, thresholds = load_model(saved.payload, sha256=saved.model_id)
    said, x = asked.predictors(told, as_words=taken_as_words(model.prepare))
    risks = model.risks(x, told["horizons_days"])
    said["score"] = model.scores(x)
    for i, days in enumerate(told["horizons_days"]):
        said[f"risk_{days}d"] = risks[:, i]
    said["risk_group"] = np.searchsorted(thresholds, risks[:, -1], side="right")
    return Predictions.of(store, saved, told, asked, said, x)


def validate_saved(
    store: Store,
    saved: SavedModel,
    cohort: CohortMembers,
    *,
    encoder_id: str,
    trained_on: frozenset[str] = frozenset(),
) -> SurvivalResult:
    """Judge a saved model on another cohort, of this store or of another one.

    Raises
    ------
    LeakageError
        Patients of the cohort were in the model's or the encoder's training.
    UsageError
        The model reads embeddings of another encoder.
    """
    told = described(saved, KIND, encoder_id)
    model, thresholds = load_model(saved.payload, sha256=saved.model_id)
    rules = {**told["rules"]}
    if rules["until"]:
        rules["until"] = dt.date.fromisoformat(rules["until"])
    plan = Plan(
        endpoint=Endpoint(told["endpoint"]["name"], tuple(told["endpoint"]["components"])),
        rules=Rules(**rules),
        horizons_days=tuple(told["horizons_days"]),
        spec=model.spec,
    )
    refuse(in_training(store, saved, cohort))
    options = StudyOptions(clinical=tuple(told["clinical"]), trained_on=trained_on)
    with store.snapshot(cohort.store_version) as snapshot:
        gathered = gather(
            snapshot, cohort, plan, options, encoder_id=encoder_id, sets=(told["predictors"],)
        )
    inputs = Inputs(
        outcomes=gathered.outcomes,
        sets=gathered.sets,
        predictors=gathered.words,
        subgroups=gathered.subgroups,
        attrition=gathered.attrition,
        participants=gathered.participants,
        checks=("patients of the model's own training", *gathered.checks[1:]),
        provenance=provenance(store, cohort, encoder_id) | {"model": saved.name},
    )
    study = validate_elsewhere(plan, inputs, Applied(saved.name, model, thresholds))
    return SurvivalResult(study, cohort.cohort_id, encoder_id, {})
