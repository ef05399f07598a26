"""A study of LVEF: one cohort, one measured number, one or several sets of predictors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import numpy as np
import pandas as pd

from analytics.lvef.models import RegressionModel, RegressionSpec, fit
from analytics.lvef.protocol import Judged, apply, cross_validate, hold_out
from analytics.lvef.target import Target
from analytics.lvef.validation import REPEATS, Verdict, validate
from analytics.splits import Split

OnStep = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    target : Target
    spec : RegressionSpec
    outer_folds : int
        Of the cross-validation; without effect when a side is held out.
    seed : int
    repeats : int
        Bootstrap samples.
    """

    target: Target = field(default_factory=Target)
    spec: RegressionSpec = field(default_factory=RegressionSpec)
    outer_folds: int = 5
    seed: int = 0
    repeats: int = REPEATS


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a study is made of, gathered by whoever knows the store.

    Attributes
    ----------
    table : DataFrame
        study_uid, patient_id, measured, apart_days of the exams, one a row.
    sets : mapping of str to DataFrame
        Predictors by set, one row an exam, in order.
    predictors : mapping of str to tuple of str
        What is in each set, in words.
    subgroups : DataFrame
        One row an exam.
    attrition, participants : DataFrame
    notes, checks : tuple of str
        What was left out; what was looked for and not found.
    provenance : mapping
    held_out : tuple of Split
        In place of a cross-validation; empty for one.
    """

    table: pd.DataFrame
    sets: Mapping[str, pd.DataFrame]
    predictors: Mapping[str, tuple[str, ...]]
    subgroups: pd.DataFrame
    attrition: pd.DataFrame
    participants: pd.DataFrame
    notes: tuple[str, ...]
    checks: tuple[str, ...]
    provenance: Mapping[str, Any]
    held_out: tuple[Split, ...] = ()


@final
@dataclass(frozen=True, eq=False)
class LvefStudy:
    """What a study found.

    Attributes
    ----------
    plan : Plan
    inputs : Inputs
    verdicts : mapping of str to Verdict
        By set of predictors.
    models : mapping of str to RegressionModel
        By set of predictors, fitted to everybody; empty when a side was held out.
    chosen : mapping of str to list
        Hyper-parameters that were chosen in each fold.
    applied : str
        Name of the model that was applied without refitting; empty when models were fitted here.
    """

    plan: Plan
    inputs: Inputs
    verdicts: Mapping[str, Verdict]
    models: Mapping[str, RegressionModel]
    chosen: Mapping[str, list[dict[str, float]]]
    applied: str = ""

    @property
    def first(self) -> Verdict:
        """One of the verdicts, for what all share: exams, patients, thresholds."""
        return next(iter(self.verdicts.values()))

    def summary(self) -> pd.DataFrame:
        """Return the main measures of each set of predictors, one a row."""
        rows = []
        for name, verdict in self.verdicts.items():
            row: dict[str, Any] = {"predictors": name}
            for measure in ("mae", "mae_of_mean", "rmse", "r2", "bias", "lower", "upper"):
                row[measure] = verdict.measure(measure)["estimate"]
            row |= {
                "mae_lower": verdict.measure("mae")["lower"],
                "mae_upper": verdict.measure("mae")["upper"],
                "slope": verdict.measure("slope")["estimate"],
            }
            areas = verdict.measures[verdict.measures["measure"] == "auc"]
            row |= {f"auc_below_{each['at']:g}": each["estimate"] for _, each in areas.iterrows()}
            row["coverage_90"] = verdict.measure("coverage", 0.9)["estimate"]
            rows.append(row)
        return pd.DataFrame(rows)


def run_study(plan: Plan, inputs: Inputs, *, on_step: OnStep | None = None) -> LvefStudy:
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
        There are too few exams.
    """
    tell = on_step or (lambda phase, done, total: None)
    y, patient = _answers(inputs)
    verdicts, models, chosen = {}, {}, {}
    for name, x in inputs.sets.items():
        judged = _judged(plan, inputs, x, partial(tell, name))
        tell(f"judging {name}", 0, None)
        verdicts[name] = validate(
            judged.predictions,
            thresholds=plan.target.thresholds,
            subgroups=inputs.subgroups.iloc[judged.rows].reset_index(drop=True),
            repeats=plan.repeats,
            seed=plan.seed,
        )
        chosen[name] = [dict(model.chosen) for model in judged.models]
        if not inputs.held_out:
            tell(f"fitting {name}", 0, None)
            models[name] = fit(plan.spec, x, y, patient, range=plan.target.range)
    return LvefStudy(plan, inputs, verdicts, models, chosen)


def validate_elsewhere(
    plan: Plan, inputs: Inputs, name: str, model: RegressionModel, mean: float
) -> LvefStudy:
    """Judge a fitted model on another cohort, without refitting anything.

    Parameters
    ----------
    plan : Plan
        What the model was fitted for.
    inputs : Inputs
        Of the other cohort, with one set of predictors.
    name : str
        Of the model.
    model : RegressionModel
    mean : float
        Of the measurements that the model was fitted to.
    """
    y, patient = _answers(inputs)
    ((predictors, x),) = inputs.sets.items()
    verdict = validate(
        apply(model, x, y, patient, mean),
        thresholds=plan.target.thresholds,
        subgroups=inputs.subgroups,
        repeats=plan.repeats,
        seed=plan.seed,
    )
    return LvefStudy(plan, inputs, {predictors: verdict}, {}, {}, applied=name)


def _answers(inputs: Inputs) -> tuple[Any, Any]:
    table = inputs.table
    return table["measured"].to_numpy(np.float64), table["patient_id"].to_numpy(str)


def _judged(
    plan: Plan, inputs: Inputs, x: pd.DataFrame, on_fold: Callable[[int, int], None]
) -> Judged:
    y, patient = _answers(inputs)
    known: dict[str, Any] = {"range": plan.target.range, "on_fold": on_fold}
    if inputs.held_out:
        return hold_out(plan.spec, x, y, patient, inputs.held_out, **known)
    return cross_validate(
        plan.spec, x, y, patient, outer_folds=plan.outer_folds, seed=plan.seed, **known
    )
