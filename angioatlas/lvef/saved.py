"""Saved models of LVEF: what they say of other exams, and how good they are elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from analytics.leakage import refuse
from analytics.lvef.models import LEVELS
from analytics.lvef.persistence import load_model
from analytics.lvef.study import Plan, validate_elsewhere
from analytics.lvef.target import Target
from analytics.model_files import spec_values
from angioatlas.cohorts import CohortMembers
from angioatlas.lvef.gather import gather
from angioatlas.lvef.study import KIND, LvefResult
from angioatlas.model_store import described, in_training
from angioatlas.studied import StudyOptions, join_predictors
from store.registry import SavedModel
from store.store import Store


def predict(
    store: Store, saved: SavedModel, cohort: CohortMembers, *, encoder_id: str
) -> pd.DataFrame:
    """Return what a saved model says of the index exams of a cohort.

    Returns
    -------
    DataFrame
        study_uid, patient_id, index_date, lvef_percent, and lower_<level> and upper_<level> of the
        prediction intervals, percent.

    Raises
    ------
    UsageError
        The model reads embeddings of another encoder, or no exam has a vector.
    """
    told = described(saved, KIND, encoder_id)
    model, _ = load_model(saved.payload, sha256=saved.model_id)
    with store.snapshot(cohort.store_version) as snapshot:
        index, x, _ = join_predictors(
            snapshot, cohort, told["clinical"], encoder_id=encoder_id, sets=(told["predictors"],)
        )
    found = index[["study_uid", "patient_id", "index_date"]].reset_index(drop=True)
    found[told["target"]["name"]] = model.predict(x[told["predictors"]])
    for level in LEVELS:
        low, high = model.limits(found[told["target"]["name"]], level)
        found[f"lower_{level * 100:g}"], found[f"upper_{level * 100:g}"] = low, high
    return found


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
