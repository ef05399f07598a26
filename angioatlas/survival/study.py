"""A survival study of a cohort: done, reported, its model saved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from analytics.preparation import EMBEDDING
from analytics.report.document import Document
from analytics.report.survival import survival_report
from analytics.survival.persistence import dump_model
from analytics.survival.protocol import risk_thresholds
from analytics.survival.study import Inputs, OnStep, Plan, SurvivalStudy, run_study
from angioatlas.cohorts import CohortMembers
from angioatlas.model_store import chosen_model, store_model
from angioatlas.report_files import Reported
from angioatlas.studied import (
    StudyOptions,
    check_dates,
    held_out,
    provenance,
    wanted_sets,
)
from angioatlas.survival.gather import gather
from store.registry import SavedModel
from store.store import Store

KIND = "survival"
"""Of saved models."""


@final
@dataclass(frozen=True, eq=False)
class SurvivalResult(Reported):
    """A study of a store.

    Attributes
    ----------
    study : SurvivalStudy
    cohort_id : str
    encoder_id : str
    thresholds : mapping of str to array
        Between groups of risk, of the models that were fitted to everybody.
    """

    study: SurvivalStudy
    cohort_id: str
    encoder_id: str
    thresholds: dict[str, np.ndarray]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        found: dict[str, Any] = json.loads(self.document().json())
        return found

    def document(self) -> Document:
        """Return the report."""
        return survival_report(self.study)


def survival(
    store: Store,
    cohort: CohortMembers,
    plan: Plan,
    options: StudyOptions,
    *,
    encoder_id: str,
    on_step: OnStep | None = None,
) -> SurvivalResult:
    """Do a survival study of a cohort, on the store version that the cohort was chosen from.

    Parameters
    ----------
    store : Store
    cohort : CohortMembers
    plan : Plan
    options : StudyOptions
    encoder_id : str
        The space of the embeddings.
    on_step : callable, optional

    Raises
    ------
    LeakageError
        Something would make the figures too good.
    UsageError
        There is too little to work with, or dates were shifted and a hold-out by date is asked for.
    """
    sets = wanted_sets(options)
    check_dates(store, options)
    with store.snapshot(cohort.store_version) as snapshot:
        gathered = gather(snapshot, cohort, plan, options, encoder_id=encoder_id, sets=sets)
    inputs = Inputs(
        outcomes=gathered.outcomes,
        sets=gathered.sets,
        predictors=gathered.words,
        subgroups=gathered.subgroups,
        attrition=gathered.attrition,
        participants=gathered.participants,
        checks=gathered.checks,
        provenance=provenance(store, cohort, encoder_id),
        held_out=held_out(gathered.outcomes.table, options),
    )
    study = run_study(plan, inputs, on_step=on_step)
    last = float(plan.horizons_days[-1])
    thresholds = {
        name: risk_thresholds(model.risks(gathered.sets[name], [last])[:, 0])
        for name, model in study.models.items()
    }
    return SurvivalResult(study, cohort.cohort_id, encoder_id, thresholds)


def save_model(store: Store, result: SurvivalResult, name: str, predictors: str) -> SavedModel:
    """Save the model of one set of predictors that was fitted to the whole cohort.

    Raises
    ------
    UsageError
        A side was held out, so that there is no model of everybody, or the name is taken.
    """
    study = result.study
    model = chosen_model(study.models, predictors)
    payload = dump_model(model, result.thresholds[predictors])
    description = {
        "endpoint": {
            "name": study.plan.endpoint.name,
            "components": study.plan.endpoint.components,
        },
        "rules": vars(study.plan.rules),
        "horizons_days": study.plan.horizons_days,
        "predictors": predictors,
        "clinical": [each for each in model.columns if not each.startswith(EMBEDDING)],
        "fitted_to": {
            "exams": study.first.subjects,
            "patients": study.first.patients,
            "events": study.first.events,
            "competing": study.first.competing,
        },
        "summary": study.summary()[lambda rows: rows["predictors"] == predictors],
    }
    return store_model(
        store,
        name,
        KIND,
        payload,
        description,
        cohort_id=result.cohort_id,
        encoder_id=result.encoder_id,
    )
