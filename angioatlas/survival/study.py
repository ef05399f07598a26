"""A survival study of a cohort: done, reported, its model saved."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from analytics.predictors import AGE, SEX
from analytics.report.document import plain
from analytics.report.survival import survival_report
from analytics.splits import Split, by_site, temporal
from analytics.survival.models import EMBEDDING
from analytics.survival.persistence import dump_model
from analytics.survival.protocol import risk_thresholds
from analytics.survival.study import Inputs, OnStep, Plan, SurvivalStudy, run_study
from angioatlas.cohorts import CohortMembers
from angioatlas.survival.gather import (
    BOTH,
    CLINICAL,
    EMBEDDINGS,
    SETS,
    Gathered,
    SurvivalOptions,
    check,
    gather,
    provenance,
)
from core.errors import UsageError
from store.registry import Registry, SavedModel
from store.store import Store


@final
@dataclass(frozen=True, eq=False)
class SurvivalResult:
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
        found: dict[str, Any] = json.loads(survival_report(self.study).json())
        return found

    def write(self, html: Path) -> tuple[Path, Path]:
        """Write the report, and the figures behind it as JSON beside it; return both paths.

        Raises
        ------
        UsageError
            They cannot be written there.
        """
        document = survival_report(self.study)
        beside = html.with_suffix(".json")
        for path, text in ((html, document.html()), (beside, document.json())):
            part = path.with_name(f"{path.name}.part")
            try:
                part.write_text(text, encoding="utf-8")
                part.replace(path)
            except OSError as error:
                raise UsageError(
                    f"{path} cannot be written: {error.strerror}", "name another file"
                ) from error
        return html, beside


def survival(
    store: Store,
    cohort: CohortMembers,
    plan: Plan,
    options: SurvivalOptions,
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
    options : SurvivalOptions
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
    sets = _wanted_sets(options)
    if options.since is not None and store.identity.shift_dates:
        raise UsageError(
            "the store shifted the dates of each patient by a constant of its own: dates of two "
            "patients cannot be compared",
            "hold out a site, or leave --since out for a cross-validation",
        )
    with store.snapshot(cohort.store_version) as snapshot:
        gathered = gather(snapshot, cohort, plan, options, encoder_id=encoder_id, sets=sets)
        checks = check(snapshot, gathered, options, encoder_id=encoder_id)
    inputs = Inputs(
        outcomes=gathered.outcomes,
        sets=gathered.sets,
        predictors=gathered.words,
        subgroups=gathered.subgroups,
        attrition=gathered.attrition,
        participants=gathered.participants,
        checks=checks,
        provenance=provenance(store, cohort, encoder_id),
        held_out=_held_out(gathered, options),
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
    if predictors not in result.study.models:
        raise UsageError(
            f"there is no model of {predictors!r} fitted to the whole cohort",
            "leave the hold-out away, or name one of " + ", ".join(result.study.models or ["none"]),
        )
    study = result.study
    payload = dump_model(study.models[predictors], result.thresholds[predictors])
    description = {
        "endpoint": {
            "name": study.plan.endpoint.name,
            "components": study.plan.endpoint.components,
        },
        "rules": vars(study.plan.rules),
        "horizons_days": study.plan.horizons_days,
        "predictors": predictors,
        "clinical": [
            name for name in study.models[predictors].columns if not name.startswith(EMBEDDING)
        ],
        "summary": study.summary()[lambda rows: rows["predictors"] == predictors],
    }
    return Registry(store.tables).save_model(
        SavedModel(
            name,
            hashlib.sha256(payload).hexdigest(),
            "survival",
            result.cohort_id,
            result.encoder_id if predictors != CLINICAL else "",
            json.dumps(plain(description), sort_keys=True),
            payload,
        )
    )


def _wanted_sets(options: SurvivalOptions) -> tuple[str, ...]:
    sets = options.sets or ((EMBEDDINGS, CLINICAL, BOTH) if options.clinical else (EMBEDDINGS,))
    unknown = [each for each in sets if each not in SETS]
    if unknown:
        raise UsageError(
            f"no such predictors: {', '.join(unknown)}", f"there are {', '.join(SETS)}"
        )
    if {CLINICAL, BOTH} & set(sets) and not options.clinical:
        raise UsageError(
            "clinical predictors are asked for and none is named",
            f"name some, such as --clinical {AGE},{SEX},diabetes",
        )
    return tuple(sets)


def _held_out(gathered: Gathered, options: SurvivalOptions) -> tuple[Split, ...]:
    table = gathered.outcomes.table
    if options.since is not None and options.site is not None:
        raise UsageError("two hold-outs at once", "give --since or --site")
    if options.since is not None:
        return (temporal(table["index_date"], table["patient_id"], since=options.since),)
    if options.site is not None:
        return (by_site(table["site"], table["patient_id"], held_out=options.site),)
    return ()
