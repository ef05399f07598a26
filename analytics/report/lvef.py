"""The dossier of a study of LVEF."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

import pandas as pd

from analytics.lvef.study import LvefStudy
from analytics.lvef.validation import Verdict
from analytics.preparation import FILLING
from analytics.report import lvef_figures as figures
from analytics.report.blocks import facts, with_limits
from analytics.report.document import Block, Document, Section
from analytics.report.sides import kind_of, sides_in_words
from analytics.report.tripod import TRIPOD_AI, tripod_section

_KINDS: Final = {
    "ridge": "Ridge regression",
    "elastic-net": "Regression with an elastic-net penalty",
    "kernel": "Ridge regression on a Gaussian kernel",
    "boosting": "Gradient boosting on principal components of the embedding",
}
_MEASURES: Final = {
    "mae": "mean absolute error",
    "mae_of_mean": "the same, of the training side's mean",
    "rmse": "root mean squared error",
    "r2": "R²",
    "correlation": "Pearson's correlation",
    "concordance": "Lin's concordance",
    "bias": "bias, predicted − measured",
    "sd": "standard deviation of the difference",
    "lower": "lower limit of agreement",
    "upper": "upper limit of agreement",
    "intercept": "calibration intercept",
    "slope": "calibration slope",
    "auc": "AUC of being below",
    "average_precision": "average precision of being below",
    "below": "share that is below",
    "coverage": "share within the prediction interval",
    "width": "width of the prediction interval",
}
_OWN: Final = {
    "10": ("Participants", "exams and patients; justify the size"),
    "15": ("Protocol", "a number with prediction intervals"),
    "22": ("Provenance", "saved with the store, see `lvef models`"),
    "23a": ("Agreement", "and Calibration"),
    "12e": ("Agreement", ""),
    "26": ("missing", "the authors'; thresholds that were cut are in Summary"),
}
_TRIPOD: Final = tuple(
    replace(item, found=_OWN[item.number][0], note=_OWN[item.number][1])
    if item.number in _OWN
    else item
    for item in TRIPOD_AI
)


def lvef_report(study: LvefStudy) -> Document:
    """Return the report of a study."""
    told = study.inputs.provenance
    cohort = told.get("cohort", "a cohort")
    kind = kind_of(study.applied, study.inputs.held_out)
    return Document(
        title=f"LVEF: prediction in {cohort}",
        subtitle=f"{kind}; embeddings of {told.get('encoder_id', 'no encoder')}.",
        sections=[
            _summary(study),
            _participants(study),
            Section("Protocol", [Block(each) for each in protocol_in_words(study)]),
            _agreement(study),
            _calibration(study),
            _intervals(study),
            _thresholds(study),
            _subgroups(study),
            Section(
                "Checks",
                [Block("Looked for, and not found: " + "; ".join(study.inputs.checks) + ".")],
            ),
            tripod_section(_TRIPOD),
            Section("Provenance", [Block(facts(told))]),
        ],
        data=_data(study),
    )


def protocol_in_words(study: LvefStudy) -> list[str]:
    """Return the protocol, one paragraph a string."""
    plan, target = study.plan, study.plan.target
    sets = "; ".join(f"{name}: {', '.join(own)}" for name, own in study.inputs.predictors.items())
    by = f" by {target.method}" if target.method else " by any method"
    return [
        f"What is predicted: {target.name}{by}, the measurement nearest to the exam and within "
        f"{target.window_days} days of it, before or after.",
        f"Predictors, as they were known on the day of the exam: {sets}. Missing values: "
        f"{FILLING}.",
        sides_in_words(
            study.applied,
            study.inputs.held_out,
            folds=plan.outer_folds,
            spread="",
            kept="prediction intervals are those",
        ),
        f"{_KINDS[plan.spec.kind]}. Its hyper-parameters were chosen by the squared error of "
        f"{plan.spec.inner_folds} folds of patients within the training side. Prediction intervals "
        "are conformal: predictions plus and minus a quantile of the errors of these folds, each "
        "patient weighing the same. They are of one width, and hold on average, not for every kind "
        "of patient.",
        "Limits of agreement are bias ± 1.96 standard deviations (Bland and Altman). The "
        "calibration line is that of measured on predicted numbers. Intervals are from bootstrap "
        "samples of patients.",
        f"Seed {plan.seed}; {plan.repeats} bootstrap samples.",
    ]


def _summary(study: LvefStudy) -> Section:
    verdict, unit = study.first, study.plan.target.unit
    rows = []
    for name, each in study.verdicts.items():
        row = {"predictors": name, f"MAE, {unit}": _with(each, "mae"), "R²": _with(each, "r2")}
        row["bias"] = _with(each, "bias")
        row["limits of agreement"] = (
            f"{each.measure('lower')['estimate']:.1f} to {each.measure('upper')['estimate']:.1f}"
        )
        row["within the 90 % interval"] = _with(each, "coverage", 0.9)
        row |= {f"AUC below {at:g}": _with(each, "auc", at) for at in _thresholds_of(each)}
        rows.append(row)
    mean = float(verdict.measure("mae_of_mean")["estimate"])
    who = (
        f"{verdict.rows:,} exams of {verdict.patients:,} patients. All figures are of people that "
        f"the models had not seen. Who says the training side's mean of everybody is wrong by "
        f"{mean:.2f} {unit} on average."
    )
    cut = (
        [Block("Thresholds not judged, for want of data: " + "; ".join(verdict.cut) + ".")]
        if verdict.cut
        else []
    )
    return Section(
        "Summary",
        [Block(who), Block(pd.DataFrame(rows), "95 % intervals in brackets"), *cut],
    )


def _participants(study: LvefStudy) -> Section:
    inputs = study.inputs
    return Section(
        "Participants",
        [
            Block(inputs.attrition, "Who was left after each step"),
            Block(inputs.participants, "Who was analysed"),
            *(Block(note[0].upper() + note[1:] + ".") for note in inputs.notes),
        ],
    )


def _agreement(study: LvefStudy) -> Section:
    blocks = []
    for name, verdict in study.verdicts.items():
        drawn = figures.bland_altman(verdict, unit=study.plan.target.unit)
        table = verdict.measures
        shown = table[table["at"].isna()]
        blocks += [
            Block(drawn, f"Bland and Altman's plot, predictors: {name}"),
            Block(
                pd.DataFrame(
                    {
                        "measure": shown["measure"].map(_MEASURES),
                        "estimate": shown["estimate"],
                        "lower": shown["lower"],
                        "upper": shown["upper"],
                    }
                ),
                f"Predictors: {name}",
            ),
        ]
    return Section("Agreement", blocks)


def _calibration(study: LvefStudy) -> Section:
    blocks = []
    for name, verdict in study.verdicts.items():
        drawn = figures.scatter(verdict, unit=study.plan.target.unit)
        slope, intercept = _with(verdict, "slope"), _with(verdict, "intercept")
        blocks += [
            Block(drawn, f"Predictors: {name}"),
            Block(f"Line of measured on predicted: slope {slope}, intercept {intercept}."),
        ]
    return Section("Calibration", blocks)


def _intervals(study: LvefStudy) -> Section:
    rows = [
        {
            "predictors": name,
            "level": f"{level:.0%}",
            "measured within it": _with(verdict, "coverage", level),
            f"mean width, {study.plan.target.unit}": float(
                verdict.measure("width", level)["estimate"]
            ),
        }
        for name, verdict in study.verdicts.items()
        for level in _levels_of(verdict)
    ]
    return Section("Prediction intervals", [Block(pd.DataFrame(rows))])


def _thresholds(study: LvefStudy) -> Section:
    unit = study.plan.target.unit
    blocks = [
        Block(figures.roc(study.verdicts, at), f"Below {at:g} {unit}; area in brackets")
        for at in _thresholds_of(study.first)
    ]
    rows = [
        {
            "predictors": name,
            f"below, {unit}": f"{at:g}",
            "share": float(verdict.measure("below", at)["estimate"]),
            "AUC": _with(verdict, "auc", at),
            "average precision": _with(verdict, "average_precision", at),
        }
        for name, verdict in study.verdicts.items()
        for at in _thresholds_of(verdict)
    ]
    if not rows:
        return Section("Thresholds", [Block("None could be judged.")])
    return Section("Thresholds", [*blocks, Block(pd.DataFrame(rows))])


def _subgroups(study: LvefStudy) -> Section:
    blocks = [
        Block(verdict.subgroups, f"{name}; – where there are too few exams")
        for name, verdict in study.verdicts.items()
        if len(verdict.subgroups)
    ]
    return Section("Subgroups", blocks or [Block("There are none.")])


def _thresholds_of(verdict: Verdict) -> list[float]:
    table = verdict.measures
    return [float(at) for at in table[table["measure"] == "auc"]["at"]]


def _levels_of(verdict: Verdict) -> list[float]:
    table = verdict.measures
    return [float(at) for at in table[table["measure"] == "coverage"]["at"]]


def _with(verdict: Verdict, name: str, at: float | None = None) -> str:
    row = verdict.measure(name, at)
    return with_limits(row["estimate"], row["lower"], row["upper"])


def _data(study: LvefStudy) -> dict[str, Any]:
    inputs = study.inputs
    return {
        "protocol": protocol_in_words(study),
        "plan": asdict(study.plan),
        "attrition": inputs.attrition,
        "participants": inputs.participants,
        "notes": list(inputs.notes),
        "checks": list(inputs.checks),
        "predictors": {name: list(own) for name, own in inputs.predictors.items()},
        "chosen": dict(study.chosen),
        "summary": study.summary(),
        "results": {
            name: {
                "exams": verdict.rows,
                "patients": verdict.patients,
                "cut": list(verdict.cut),
                "measures": verdict.measures,
                "calibration": verdict.calibration,
                "subgroups": verdict.subgroups,
            }
            for name, verdict in study.verdicts.items()
        },
        "tripod_ai": [asdict(item) for item in _TRIPOD],
        "provenance": dict(inputs.provenance),
    }
