"""The dossier of a survival study."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from analytics.report import survival_figures as figures
from analytics.report.blocks import facts, with_limits
from analytics.report.document import Block, Document, Section
from analytics.report.protocol import protocol_in_words
from analytics.report.sides import kind_of
from analytics.report.tripod import TRIPOD_AI, tripod_section
from analytics.survival.study import SurvivalStudy
from analytics.survival.validation import Validation

_MEASURES = {
    "harrell_c": "Harrell's C",
    "uno_c": "Uno's C",
    "auc": "AUC",
    "brier": "Brier score",
    "scaled_brier": "scaled Brier score, 1 − score : null model",
    "integrated_brier": "Brier score, mean over the horizons",
}


def survival_report(study: SurvivalStudy) -> Document:
    """Return the report of a study."""
    encoder = study.provenance.get("encoder_id", "no encoder")
    endpoint = study.plan.endpoint.name
    cohort = study.provenance.get("cohort", "a cohort")
    return Document(
        title=f"{endpoint.upper() if endpoint == 'mace' else endpoint}: prediction in {cohort}",
        subtitle=f"{kind_of(study.applied, study.split)}; embeddings of {encoder}.",
        sections=[
            _summary(study),
            _participants(study),
            Section("Protocol", [Block(each) for each in protocol_in_words(study)]),
            _discrimination(study),
            _calibration(study),
            _groups(study),
            _decisions(study),
            _subgroups(study),
            _checks(study),
            tripod_section(TRIPOD_AI),
            Section("Provenance", [Block(facts(study.provenance))]),
        ],
        data=_data(study),
    )


def _summary(study: SurvivalStudy) -> Section:
    verdict = study.first
    table = study.summary()
    shown = pd.DataFrame(
        {
            "predictors": table["predictors"],
            "C": _with_limits(table, "c"),
            f"AUC at {table['horizon_days'].iloc[0]} days": _with_limits(table, "auc"),
            "observed : expected": table["observed_to_expected"],
            "calibration slope": table["slope"],
            "Brier score": table["brier"],
        }
    )
    cut = (
        [Block("Not judged, for want of data: " + "; ".join(verdict.cut) + ".")]
        if verdict.cut
        else []
    )
    who = (
        f"{verdict.subjects:,} exams of {verdict.patients:,} patients, {verdict.events:,} events, "
        f"{verdict.competing:,} competing events. All figures are of people that the models had "
        "not seen."
    )
    return Section("Summary", [Block(who), Block(shown, "95 % intervals in brackets"), *cut])


def _participants(study: SurvivalStudy) -> Section:
    ends = pd.DataFrame(
        [(kind.replace("_", " "), n) for kind, n in study.ends.items()],
        columns=["follow-up ended with", "exams"],
    )
    notes = [Block(note[0].upper() + note[1:] + ".") for note in study.notes]
    return Section(
        "Participants",
        [
            Block(study.attrition, "Who was left after each step"),
            Block(study.participants, "Who was analysed"),
            Block(ends, "How follow-up ended"),
            *notes,
        ],
    )


def _discrimination(study: SurvivalStudy) -> Section:
    blocks = []
    for name, verdict in study.verdicts.items():
        table = verdict.measures
        shown = pd.DataFrame(
            {
                "measure": table["measure"].map(_MEASURES),
                "horizon in days": table["horizon"].map(lambda h: "all" if h != h else f"{h:.0f}"),
                "estimate": table["estimate"],
                "lower": table["lower"],
                "upper": table["upper"],
            }
        )
        blocks.append(Block(shown, f"Predictors: {name}"))
        hazards = verdict.hazards.rename_axis("hazard").reset_index()
        blocks.append(
            Block(hazards, f"Hazard ratio of one standard deviation of the score, {name}")
        )
        proportional = verdict.proportional.loc["score"]
        blocks.append(
            Block(
                f"Is the first of these constant in time? Score test on 1 degree of freedom, "
                f"chi-squared {proportional['chi2']:.2f}, p = {proportional['p']:.3f} ({name})."
            )
        )
    return Section("Discrimination", blocks)


def _calibration(study: SurvivalStudy) -> Section:
    blocks = []
    for i, horizon in enumerate(each.horizon for each in study.first.calibrations):
        found = {
            name: verdict.calibrations[i]
            for name, verdict in study.verdicts.items()
            if len(verdict.calibrations) > i
        }
        blocks.append(Block(figures.calibration(found), f"At {horizon:.0f} days; dots are tenths"))
    rows = [
        {
            "predictors": name,
            "horizon in days": f"{each.horizon:.0f}",
            "predicted": each.predicted,
            "observed": each.observed,
            "observed : expected": with_limits(each.ratio, each.ratio_lower, each.ratio_upper),
            "slope": with_limits(each.slope, each.slope_lower, each.slope_upper),
            "ICI": each.ici,
            "E50": each.e50,
            "E90": each.e90,
        }
        for name, verdict in study.verdicts.items()
        for each in verdict.calibrations
    ]
    return Section("Calibration", [Block(pd.DataFrame(rows)), *blocks])


def _groups(study: SurvivalStudy) -> Section:
    blocks = []
    for name, verdict in study.verdicts.items():
        until = verdict.calibrations[-1].horizon
        drawn = figures.incidence(verdict.incidence, until=until)
        blocks.append(Block(drawn, f"Cumulative incidence by thirds of predicted risk: {name}"))
        if verdict.differ is not None:
            blocks.append(Block(f"Log-rank test, {name}: {_tested(verdict)}."))
    return Section("Risk groups", blocks)


def _decisions(study: SurvivalStudy) -> Section:
    return Section(
        "Decision curves",
        [
            Block(figures.decisions(study.verdicts, each.horizon), f"At {each.horizon:.0f} days")
            for each in study.first.calibrations
        ],
    )


def _subgroups(study: SurvivalStudy) -> Section:
    blocks = []
    for name, verdict in study.verdicts.items():
        if verdict.subgroups["c"].notna().any():
            blocks.append(Block(figures.subgroups(verdict), f"C-index: {name}"))
        if len(verdict.subgroups):
            blocks.append(Block(verdict.subgroups, f"{name}; – where there are too few events"))
    return Section("Subgroups", blocks or [Block("There are none.")])


def _checks(study: SurvivalStudy) -> Section:
    found = "Looked for, and not found: " + "; ".join(study.checks) + "."
    return Section("Checks", [Block(found)])


def _with_limits(table: pd.DataFrame, name: str) -> list[str]:
    columns = table[[name, f"{name}_lower", f"{name}_upper"]].itertuples(index=False)
    return [with_limits(*row) for row in columns]


def _tested(verdict: Validation) -> str:
    assert verdict.differ is not None
    p = verdict.differ.p
    told = "p < 0.001" if p < 1e-3 else f"p = {p:.3f}"
    return (
        f"chi-squared {verdict.differ.chi2:.1f} on {verdict.differ.df} degrees of freedom, {told}"
    )


def _data(study: SurvivalStudy) -> dict[str, Any]:
    return {
        "protocol": protocol_in_words(study),
        "plan": asdict(study.plan),
        "attrition": study.attrition,
        "participants": study.participants,
        "ends": dict(study.ends),
        "notes": list(study.notes),
        "checks": list(study.checks),
        "predictors": {name: list(each) for name, each in study.predictors.items()},
        "chosen": dict(study.chosen),
        "summary": study.summary(),
        "results": {name: _verdict(verdict) for name, verdict in study.verdicts.items()},
        "tripod_ai": [asdict(item) for item in TRIPOD_AI],
        "provenance": dict(study.provenance),
    }


def _verdict(verdict: Validation) -> dict[str, Any]:
    return {
        "subjects": verdict.subjects,
        "patients": verdict.patients,
        "events": verdict.events,
        "competing": verdict.competing,
        "cut": list(verdict.cut),
        "measures": verdict.measures,
        "calibration": [vars(each) for each in verdict.calibrations],
        "decisions": verdict.decisions,
        "hazards": verdict.hazards.rename_axis("hazard").reset_index(),
        "proportional": verdict.proportional.rename_axis("term").reset_index(),
        "log_rank": None if verdict.differ is None else vars(verdict.differ),
        "subgroups": verdict.subgroups,
        "incidence": {
            figures.GROUP_NAMES[group]: {
                "time": curve.time,
                "estimate": curve.estimate,
                "lower": curve.lower,
                "upper": curve.upper,
                "at_risk": curve.at_risk,
            }
            for group, curve in verdict.incidence.items()
        },
    }
