"""Saved models of LVEF: what they say of other exams, and how good they are elsewhere."""

from __future__ import annotations

from dataclasses import replace

from analytics.leakage import refuse
from analytics.lvef.models import LEVELS
from analytics.lvef.persistence import load_model
from analytics.lvef.study import Plan, validate_elsewhere
from analytics.lvef.target import Target
from analytics.model_files import spec_values
from analytics.preparation import taken_as_words
from angioatlas.cohorts import CohortMembers
from angioatlas.lvef.gather import gather
from angioatlas.lvef.study import KIND, LvefResult
from angioatlas.model_store import described, in_training
from angioatlas.predictions import Asked, Predictions
from angioatlas.studied import StudyOptions
from store.registry import SavedModel
from store.store import Store


def predict(store: Store, saved: SavedModel, asked: Asked) -> Predictions:
    """Return what a saved model says of exams.

    Returns
    -------
    Predictions
        Its table has lvef_percent, and lower_<level> and upper_<level> of the prediction intervals,
        percent.

    Raises
    ------
    UsageError
        The model is of another kind, reads embeddings of another encoder, or no exam has a vector.
    """
    told = described(saved, KIND, asked.encoder_id)
    model, _ = load_model(saved.payload, sha256=saved.model_id)
    said, x = asked.predictors(told, as_words=taken_as_words(model.estimator[0]))
    said[told["target"]["name"]] = model.predict(x)
    for level in LEVELS:
        low, high = model.limits(said[told["target"]["name"]], level)
        said[f"lower_{level * 100:g}"], said[f"upper_{level * 100:g}"] = low, high
    return Predictions.of(store, saved, told, asked, said, x)


def validate_saved(
    store: Store,
    saved: SavedModel,
    cohort: CohortMembers,
    *,
    encoder_id: str,
    trained_on: frozenset[str] = frozenset(),
) -> LvefResult:
    """Judge a saved model on another cohort, of this store or of another one.

    Raises
    ------
    LeakageError
        Patients of the cohort were in the model's or the encoder's training.
    UsageError
        The model reads embeddings of another encoder.
    """
    told = described(saved, KIND, encoder_id)
    model, mean = load_model(saved.payload, sha256=saved.model_id)
    target = Target(**spec_values(told["target"]))
    refuse(in_training(store, saved, cohort))
    options = StudyOptions(clinical=tuple(told["clinical"]), trained_on=trained_on)
    with store.snapshot(cohort.store_version) as snapshot:
        gathered = gather(
            store,
            snapshot,
            cohort,
            target,
            options,
            encoder_id=encoder_id,
            sets=(told["predictors"],),
        )
    inputs = replace(
        gathered,
        checks=("patients of the model's own training", *gathered.checks[1:]),
        provenance={**gathered.provenance, "model": saved.name},
    )
    study = validate_elsewhere(Plan(target, model.spec), inputs, saved.name, model, mean)
    return LvefResult(study, cohort.cohort_id, encoder_id)
