"""The dossier of a study of serial exams."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analytics.progression.change import LEVEL
from analytics.progression.findings import NEW_PERCENT, WORSE_POINTS
from analytics.progression.study import ProgressionStudy
from analytics.report.blocks import facts, with_limits
from analytics.report.document import Block, Document, Section
from analytics.report.style import COLOURS, GREY, styled
from analytics.report.style import fill as fill_of

_SYMBOLS = ("circle", "diamond", "square")
_DISTRIBUTION = "Pairs by their change; natural courses without those that count as unchanged"
_PATHS = 40
"""Patients of each course whose paths are drawn; more could not be told apart."""


def progression_report(study: ProgressionStudy) -> Document:
    """Return the report of a study."""
    told = study.inputs.provenance
    return Document(
        title=f"Serial exams: change in {told.get('cohort', 'a cohort')}",
        subtitle=f"Embeddings of {told.get('encoder_id', 'no encoder')}.",
        sections=[
            _summary(study),
            Section(
                "Participants",
                [
                    Block(study.inputs.attrition, "Who was left after each step"),
                    *(Block(each[0].upper() + each[1:] + ".") for each in study.inputs.notes),
                ],
            ),
            Section("Protocol", [Block(each) for each in protocol_in_words(study)]),
            Section("Change", [Block(distribution(study), _DISTRIBUTION), *_over_time(study)]),
            _disease(study),
            _treatment(study),
            _trajectories(study),
            _years(study),
            Section("Provenance", [Block(facts(told))]),
        ],
        data=_data(study),
    )


def protocol_in_words(study: ProgressionStudy) -> list[str]:
    """Return the protocol, one paragraph a string."""
    floor, plan = study.floor, study.plan
    if floor.source == "unchanged pairs":
        against = (
            f"Change is 1 − cosine of the embeddings of two studies. The noise floor is that of "
            f"{len(floor.values)} pairs of {floor.patients} patients that are at most "
            f"{plan.unchanged_days} days apart, with no procedure and no event in between."
        )
    else:
        against = (
            "Change is 1 − cosine of the mean embeddings of the views of two exams. The noise "
            f"floor is that of {len(floor.values)} exams of {floor.patients} patients, parted "
            "into halves: the views that look most alike go one to each half; the distance of "
            "halves is halved, since the distance of means grows with 1/n + 1/m views."
        )
    return [
        against + f" The threshold is what a pair of one more unchanged patient stays below with "
        f"{LEVEL:.0%} probability; a score is change over threshold.",
        "Pairs are exams that follow each other. What is done on the day of an exam is done after "
        "its pictures. Pairs with a procedure in between are no natural course: they are told "
        "apart, and their treated segments are not counted as changes of disease.",
        f"New disease: a segment that crosses {NEW_PERCENT:g} % diameter stenosis; worsened: one "
        f"whose stenosis grew by more than {WORSE_POINTS:g} points; a pair with either, in "
        "segments that were not treated in between, has progressed.",
        "Toward disease: how much further an exam stands along the direction that leads there "
        "(see Participants), in standard deviations of unchanged pairs.",
        "Before and after PCI: one pair a patient, that around the first intervention if it is PCI "
        "alone, or the first pair of who had none. Limits of the difference are of the studentised "
        "bootstrap, p is the share of exchanges of the groups that differ as much, and the "
        "adjusted difference is of least squares on the years between the exams (HC3).",
        "Trajectories: how far exams stand along directions, in standard deviations of all exams.",
        "Slopes are of linear mixed models with an intercept of each patient, and a slope where "
        "the data bear it, of exams until a first treatment. Progression is known between two "
        "exams only: its share is Turnbull's estimate for interval-censored times. Hazard ratios "
        f"are of {plan.endpoint.name}, cause-specific: of change until the second exam among those "
        "who had one, and of change as it becomes known, from 0 at the first exam of everybody.",
        f"AUC and Spearman's correlation with intervals from {plan.repeats} bootstrap samples of "
        "patients; Mann and Whitney's test on the first pair of each patient. Seed "
        f"{plan.seed}.",
    ]


def distribution(study: ProgressionStudy) -> go.Figure:
    """Draw the scores of natural courses, treated pairs and the noise floor."""
    pairs, figure = study.pairs, go.Figure()
    treated = pairs["treatment"] != ""
    groups = {
        "noise floor": study.floor.scores(study.floor.values),
        "natural course": pairs["score"][~treated & ~pairs["unchanged"]].to_numpy(),
        "treated in between": pairs["score"][treated].to_numpy(),
    }
    highest = max(float(each.max()) for each in groups.values() if len(each))
    for i, (name, scores) in enumerate(groups.items()):
        if len(scores):
            figure.add_histogram(
                x=scores.round(3),
                name=f"{name} ({len(scores)})",
                histnorm="probability",
                xbins={"start": 0, "end": highest, "size": highest / 40},
                marker={"color": COLOURS[i], "pattern": {"shape": ("", "/", ".")[i]}},
                opacity=0.55,
            )
    figure.add_vline(x=1, line={"color": GREY, "dash": "dash"}, annotation_text="threshold")
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title="change, in units of the threshold")
    figure.update_yaxes(title="share", tickformat=".0%")
    return styled(figure)


def _over_time(study: ProgressionStudy) -> list[Block]:
    pairs, figure = study.pairs, go.Figure()
    treated = (pairs["treatment"] != "").to_numpy(bool)
    for i, (name, chosen) in enumerate(
        {"natural course": ~treated, "treated in between": treated}.items()
    ):
        part = pairs[chosen]
        figure.add_scatter(
            x=(part["days"] / 365.25).round(2),
            y=part["score"].round(3),
            mode="markers",
            name=name,
            marker={"color": COLOURS[i + 1], "symbol": _SYMBOLS[i], "size": 6, "opacity": 0.6},
        )
    figure.add_hline(y=1, line={"color": GREY, "dash": "dash"})
    figure.update_xaxes(title="years between the exams")
    figure.update_yaxes(title="change, in units of the threshold")
    return [Block(styled(figure), "Each dot is a pair of exams; the line is the threshold")]


def _summary(study: ProgressionStudy) -> Section:
    pairs = study.pairs
    who = (
        f"{len(pairs):,} pairs of exams of {pairs['patient_id'].nunique():,} patients. Change "
        f"beyond the noise floor in {pairs['beyond'].mean():.0%} of them."
    )
    return Section(
        "Summary",
        [
            Block(who),
            Block(study.rates, "Share of pairs whose change is beyond the threshold"),
            Block(study.comparisons, "Who changed more?")
            if len(study.comparisons)
            else Block("Groups are too small to be compared."),
        ],
    )


def _disease(study: ProgressionStudy) -> Section:
    pairs = study.pairs
    if "progressed" not in pairs:
        return Section("Disease", [Block("No stenoses of segments are known.")])
    natural = pairs[(pairs["treatment"] == "") & pairs["progressed"].notna()]
    counts = pd.DataFrame(
        [
            (
                name,
                f"{count}" if count < _MANY else f"{_MANY} or more",
                len(rows),
                float(rows["score"].mean()),
                float(rows["score"].std(ddof=1)) if len(rows) > 1 else np.nan,
            )
            for name in ("new_disease", "worsened")
            for count, rows in natural.groupby(natural[name].clip(upper=_MANY).astype(int))
        ],
        columns=["segments with", "number", "pairs", "mean_score", "sd"],
    )
    return Section(
        "Disease",
        [
            Block(counts, "Natural course: change by how many segments are new or worse"),
            Block(study.correlations, "Spearman's correlation, natural course")
            if len(study.correlations)
            else Block("Too few pairs for a correlation."),
        ],
    )


_MANY = 3


def _treatment(study: ProgressionStudy) -> Section:
    if not len(study.treated):
        return Section(
            "Before and after PCI", [Block("Too few patients, with PCI or without, to compare.")]
        )
    told = study.treated
    limits = {
        name: [with_limits(*each) for each in told[list(columns)].itertuples(index=False)]
        for name, columns in (
            ("difference", ("difference", "lower", "upper")),
            ("equally far apart", ("adjusted", "adjusted_lower", "adjusted_upper")),
        )
    }
    means = ["measure", "treated", "untreated", "mean_treated", "mean_untreated"]
    return Section(
        "Before and after PCI",
        [
            Block(
                told[means].assign(**limits, p=told["p"]),
                "Pairs around the first PCI against first pairs of patients without intervention: "
                "means, their difference, and the difference between pairs equally far apart",
            )
        ],
    )


def _trajectories(study: ProgressionStudy) -> Section:
    blocks = []
    if len(study.steps):
        blocks.append(
            Block(
                study.steps,
                "Mean step from one exam to the next, in standard deviations of all exams",
            )
        )
    blocks.append(
        Block(
            trajectories(study),
            f"Patients from exam to exam on {_plane(study)}; the larger sign is the last exam",
        )
    )
    return Section("Trajectories", blocks)


def _plane(study: ProgressionStudy) -> str:
    if study.inputs.plane is None:
        return "the first two principal components of the exams"
    return "the map"


def trajectories(study: ProgressionStudy) -> go.Figure:
    """Draw the paths of the first patients, those who had an intervention in between apart."""
    found, figure = study.positions.dropna(subset=["x", "y"]), go.Figure()
    figure.add_scatter(
        x=found["x"].round(3),
        y=found["y"].round(3),
        mode="markers",
        name="all exams",
        marker={"color": GREY, "size": 3, "opacity": 0.4},
    )
    again = found[found["number"] > 1]
    treated = again.loc[again["treatment"] != "", "patient_id"].unique()
    courses = {
        "natural course": again.loc[~again["patient_id"].isin(treated), "patient_id"].unique(),
        "treated in between": treated,
    }
    for i, (name, patients) in enumerate(courses.items()):
        xs: list[float | None] = []
        ys: list[float | None] = []
        sizes: list[int] = []
        for patient in patients[:_PATHS]:
            path = found[found["patient_id"] == patient]
            # A gap after each path: all of a course are one line to the figure.
            xs += [*path["x"].round(3), None]
            ys += [*path["y"].round(3), None]
            sizes += [4] * (len(path) - 1) + [9, 4]
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines+markers",
            name=name,
            line={"color": COLOURS[i + 1], "dash": ("solid", "dot")[i], "width": 1},
            marker={"symbol": _SYMBOLS[i], "size": sizes},
        )
    figure.update_xaxes(title="x", showticklabels=False)
    figure.update_yaxes(title="y", showticklabels=False)
    return styled(figure)


def _years(study: ProgressionStudy) -> Section:
    years, blocks = study.years, []
    if len(years.slopes):
        blocks.append(
            Block(years.slopes, "Mean change a year until a first treatment, mixed model of exams")
        )
    if years.progression is not None:
        blocks.append(
            Block(
                _progression_curve(years.progression),
                "Share that has progressed; between exams it may lie anywhere in the band",
            )
        )
    if len(years.hazards):
        blocks.append(
            Block(
                years.hazards,
                f"Hazard ratio of one unit, {study.plan.endpoint.name}, cause-specific (Cox)",
            )
        )
    if years.untold:
        blocks.append(Block("Could not be told: " + "; ".join(years.untold) + "."))
    return Section("Years and events", blocks)


def _progression_curve(table: pd.DataFrame) -> go.Figure:
    figure = go.Figure()
    for name, fill in (("upper", None), ("lower", "tonexty")):
        figure.add_scatter(
            x=table["years"].round(3),
            y=table[name].round(4),
            mode="lines",
            line={"color": COLOURS[0], "shape": "hv", "width": 1},
            fill=fill,
            fillcolor=fill_of(COLOURS[0]),
            showlegend=False,
        )
    figure.update_xaxes(title="years since the first exam", rangemode="tozero")
    figure.update_yaxes(title="share that has progressed", tickformat=".0%", rangemode="tozero")
    return styled(figure)


def _data(study: ProgressionStudy) -> dict[str, Any]:
    floor = study.floor
    return {
        "protocol": protocol_in_words(study),
        "plan": asdict(study.plan),
        "attrition": study.inputs.attrition,
        "notes": list(study.inputs.notes),
        "floor": {
            "source": floor.source,
            "pairs": len(floor.values),
            "patients": floor.patients,
            "median": floor.median,
            "threshold": floor.threshold,
        },
        "rates": study.rates,
        "comparisons": study.comparisons,
        "correlations": study.correlations,
        "before_and_after": study.treated,
        "steps": study.steps,
        "slopes": study.years.slopes,
        "time_to_progression": study.years.progression,
        "hazards": study.years.hazards,
        "untold": list(study.years.untold),
        "provenance": dict(study.inputs.provenance),
    }
