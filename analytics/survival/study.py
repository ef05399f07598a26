"""A survival study: one cohort, one endpoint, one or several sets of predictors side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.endpoints import Endpoint, Outcomes, Rules
from analytics.splits import Split
from analytics.survival.models import ModelSpec, SurvivalModel, fit
from analytics.survival.protocol import OUTER_FOLDS, Judged, apply, cross_validate, hold_out
from analytics.survival.validation import REPEATS, Validation, validate
from core.errors import UsageError

OnStep = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    endpoint : Endpoint
    rules : Rules
    horizons_days : tuple of int
    spec : ModelSpec
    outer_folds : int
        Of the cross-validation; without effect when `held_out` is given.
    seed : int
    repeats : int
        Bootstrap samples.
    """

    endpoint: Endpoint
    rules: Rules = field(default_factory=Rules)
    horizons_days: tuple[int, ...] = (30, 180, 365, 730)
    spec: ModelSpec = field(default_factory=ModelSpec)
    outer_folds: int = OUTER_FOLDS
    seed: int = 0
    repeats: int = REPEATS


@final
@dataclass(frozen=True, eq=False)
class SurvivalStudy:
    """What a study found.

    Attributes
    ----------
    plan : Plan
    attrition : DataFrame
        step, studies, patients: from the store to who was analysed.
    participants : DataFrame
        name, value: of who was analysed.
    ends : mapping of str to int
        How follow-ups ended.
    notes : tuple of str
        What was contradictory in the labels.
    checks : tuple of str
        What was looked for that would make figures too good; nothing of it was found.
    split : tuple of Split
        The side that was held out; empty for a cross-validation.
    applied : str
        Name of the model that was applied without refitting; empty when models were fitted here.
    predictors : mapping of str to tuple of str
        Predictors of each set, in words.
    verdicts : mapping of str to Validation
        By set of predictors.
    models : mapping of str to SurvivalModel
        By set of predictors, fitted to everybody; empty when a side was held out.
    chosen : mapping of str to list
        Hyper-parameters that were chosen in each fold.
    provenance : mapping
    """

    plan: Plan
    attrition: pd.DataFrame
    participants: pd.DataFrame
    ends: Mapping[str, int]
    notes: tuple[str, ...]
    checks: tuple[str, ...]
    split: tuple[Split, ...]
    predictors: Mapping[str, tuple[str, ...]]
    verdicts: Mapping[str, Validation]
    models: Mapping[str, SurvivalModel]
    chosen: Mapping[str, list[dict[str, float]]]
    provenance: Mapping[str, Any]
    applied: str = ""

    @property
    def first(self) -> Validation:
        """One of the verdicts, for what all share: exams, patients, events, horizons."""
        return next(iter(self.verdicts.values()))

    def summary(self) -> pd.DataFrame:
        """Return the main measures of each set of predictors, one a row."""
        rows = []
        for name, verdict in self.verdicts.items():
            c = verdict.measure("harrell_c")
            last = verdict.calibrations[-1]
            area = verdict.measure("auc", last.horizon)
            rows.append(
                {
                    "predictors": name,
                    "c": c["estimate"],
                    "c_lower": c["lower"],
                    "c_upper": c["upper"],
                    "horizon_days": int(last.horizon),
                    "auc": area["estimate"],
                    "auc_lower": area["lower"],
                    "auc_upper": area["upper"],
                    "observed_to_expected": last.ratio,
                    "slope": last.slope,
                    "brier": verdict.measure("brier", last.horizon)["estimate"],
                }
            )
        return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a study is made of, gathered by whoever knows the store.

    Attributes
    ----------
    outcomes : Outcomes
        Of the index exams that can be analysed.
    sets : mapping of str to DataFrame
        Predictors by set, one row an index exam of the outcomes, in order.
    predictors : mapping of str to tuple of str
        What is in each set, in words.
    subgroups : DataFrame
        One row an index exam.
    attrition, participants : DataFrame
    checks : tuple of str
    provenance : mapping
    held_out : tuple of Split
        In place of a cross-validation; empty for one.
    """

    outcomes: Outcomes
    sets: Mapping[str, pd.DataFrame]
    predictors: Mapping[str, tuple[str, ...]]
    subgroups: pd.DataFrame
    attrition: pd.DataFrame
    participants: pd.DataFrame
    checks: tuple[str, ...]
    provenance: Mapping[str, Any]
    held_out: tuple[Split, ...] = field(default=())


def run_study(plan: Plan, inputs: Inputs, *, on_step: OnStep | None = None) -> SurvivalStudy:
    """Do a study.

    Parameters
    ----------
    plan : Plan
    inputs : Inputs
    on_step : callable, optional
        Called with (phase, done, total).

    Raises
    ------
    UsageError
        There are too few events, or no horizon is supported.
    """
    tell = on_step or (lambda phase, done, total: None)
    table = inputs.outcomes.table
    patient = table["patient_id"].to_numpy(str)
    verdicts, models, chosen = {}, {}, {}
    for name, x in inputs.sets.items():
        judged = _judged(plan, inputs, x, patient, partial(tell, name))
        subgroups = inputs.subgroups.iloc[judged.rows].reset_index(drop=True)
        tell(f"judging {name}", 0, None)
        verdicts[name] = validate(
            judged.predictions, subgroups=subgroups, repeats=plan.repeats, seed=plan.seed
        )
        chosen[name] = [dict(model.chosen) for model in judged.models]
        if not inputs.held_out:
            tell(f"fitting {name}", 0, None)
            models[name] = fit(plan.spec, x, inputs.outcomes.times, patient)
    return SurvivalStudy(
        plan=plan,
        attrition=inputs.attrition,
        participants=inputs.participants,
        ends=inputs.outcomes.counts(),
        notes=inputs.outcomes.notes,
        checks=inputs.checks,
        split=inputs.held_out,
        predictors=inputs.predictors,
        verdicts=verdicts,
        models=models,
        chosen=chosen,
        provenance=inputs.provenance,
    )


def _judged(
    plan: Plan, inputs: Inputs, x: pd.DataFrame, patient: Any, on_fold: Callable[[int, int], None]
) -> Judged:
    times, horizons = inputs.outcomes.times, plan.horizons_days
    if inputs.held_out:
        return hold_out(
            plan.spec, x, times, patient, inputs.held_out, horizons=horizons, on_fold=on_fold
        )
    return cross_validate(
        plan.spec,
        x,
        times,
        patient,
        horizons=horizons,
        outer_folds=plan.outer_folds,
        seed=plan.seed,
        on_fold=on_fold,
    )


@dataclass(frozen=True, eq=False)
class Applied:
    """A fitted model that is to be judged elsewhere.

    Attributes
    ----------
    name : str
    model : SurvivalModel
    thresholds : array of shape (groups - 1,)
    """

    name: str
    model: SurvivalModel
    thresholds: NDArray[np.floating[Any]]


def validate_elsewhere(plan: Plan, inputs: Inputs, applied: Applied) -> SurvivalStudy:
    """Judge a fitted model on another cohort, without refitting anything.

    Parameters
    ----------
    plan : Plan
        The endpoint and rules that the model was fitted for.
    inputs : Inputs
        Of the other cohort, with one set of predictors.
    applied : Applied
    """
    table = inputs.outcomes.table
    ((name, x),) = inputs.sets.items()
    said = apply(
        applied.model,
        x,
        inputs.outcomes.times,
        table["patient_id"].to_numpy(str),
        horizons=plan.horizons_days,
        thresholds=applied.thresholds,
    )
    verdict = validate(said, subgroups=inputs.subgroups, repeats=plan.repeats, seed=plan.seed)
    return SurvivalStudy(
        plan=plan,
        attrition=inputs.attrition,
        participants=inputs.participants,
        ends=inputs.outcomes.counts(),
        notes=inputs.outcomes.notes,
        checks=inputs.checks,
        split=(),
        predictors=inputs.predictors,
        verdicts={name: verdict},
        models={},
        chosen={},
        provenance=inputs.provenance,
        applied=applied.name,
    )


def horizons_of(words: Sequence[int]) -> tuple[int, ...]:
    """Return horizons in ascending order, each once.

    Raises
    ------
    UsageError
        There is none, or one is not positive.
    """
    if not words or min(words) < 1:
        raise UsageError("horizons are days, 1 or more", "such as 30 180 365 730")
    return tuple(sorted(set(words)))
