"""A study of LVEF of a cohort: done, reported, its model saved."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, final

from analytics.lvef.persistence import dump_model
from analytics.lvef.study import LvefStudy, OnStep, Plan, run_study
from analytics.preparation import EMBEDDING
from analytics.report.document import Document
from analytics.report.lvef import lvef_report
from angioatlas.cohorts import CohortMembers
from angioatlas.lvef.gather import gather
from angioatlas.model_store import chosen_model, store_model
from angioatlas.report_files import Reported
from angioatlas.studied import StudyOptions, check_dates, wanted_sets
from store.registry import SavedModel
from store.store import Store

KIND = "lvef"
"""Of saved models."""


@final
@dataclass(frozen=True, eq=False)
class LvefResult(Reported):
    """A study of a store.

    Attributes
    ----------
    study : LvefStudy
    cohort_id : str
    encoder_id : str
    """

    study: LvefStudy
    cohort_id: str
    encoder_id: str

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        found: dict[str, Any] = json.loads(self.document().json())
        return found

    def document(self) -> Document:
        """Return the report."""
        return lvef_report(self.study)


def lvef(
    store: Store,
    cohort: CohortMembers,
    plan: Plan,
    options: StudyOptions,
    *,
    encoder_id: str,
    on_step: OnStep | None = None,
) -> LvefResult:
    """Do a study of a cohort, on the store version that the cohort was chosen from.

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
        inputs = gather(
            store, snapshot, cohort, plan.target, options, encoder_id=encoder_id, sets=sets
        )
    return LvefResult(run_study(plan, inputs, on_step=on_step), cohort.cohort_id, encoder_id)


def save_model(store: Store, result: LvefResult, name: str, predictors: str) -> SavedModel:
    """Save the model of one set of predictors that was fitted to the whole cohort.

    Raises
    ------
    UsageError
        A side was held out, so that there is no model of everybody, or the name is taken.
    """
    study = result.study
    model = chosen_model(study.models, predictors)
    payload = dump_model(model, float(study.inputs.table["measured"].mean()))
    description = {
        "target": asdict(study.plan.target),
        "predictors": predictors,
        "clinical": [each for each in model.columns if not each.startswith(EMBEDDING)],
        "fitted_to": {"exams": study.first.rows, "patients": study.first.patients},
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
