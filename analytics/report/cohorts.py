"""The report of cohorts that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analytics.balance import CONVENTION as CONVENTION  # pages show it, too
from analytics.balance import IMBALANCE, Balance
from analytics.endpoints import Endpoint
from analytics.report import survival_figures as figures
from analytics.report.blocks import facts
from analytics.report.document import Block, Document, Section
from analytics.report.style import COLOURS, GREY, styled
from analytics.survival.curves import Floats
from analytics.survival.groups import Fates

MEANING: Final = (
    "Who is in each group, and what became of them: a description. Groups that differ in what "
    "became of them may differ for any of the reasons that the characteristics show, and for "
    "others that they do not."
)
DIFFERENCES: Final = (
    f"Largest absolute SMD of each characteristic; filled from {IMBALANCE} on, the dashed line; a "
    "triangle is infinite."
)
_FAINT: Final = "rgba(136,136,136,0.2)"
"""Of lines that lead the eye on light and dark alike."""
_LONGEST_STEP: Final = 32
"""Letters beside a bar."""
_LINES: Final = (
    "With the numbers of patients at risk; bands are pointwise 95 % intervals. Drawn while a tenth "
    "of all patients is followed."
)


@dataclass(frozen=True, eq=False)
class Compared:
    """What is reported.

    Attributes
    ----------
    groups : sequence of mapping
        What describes each group.
    endpoint : Endpoint
    balance : Balance
    outcomes : Fates or None
    not_told : str or None
        Why there are none.
    excluded : DataFrame
        group, reason, patients.
    notes : tuple of str
    provenance : mapping
    """

    groups: Sequence[Mapping[str, Any]]
    endpoint: Endpoint
    balance: Balance
    outcomes: Fates | None
    not_told: str | None
    excluded: pd.DataFrame
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]


def cohorts_report(told: Compared) -> Document:
    """Return the report."""
    notes = [Block(f"{each[0].upper()}{each[1:]}.") for each in told.notes]
    groups = pd.DataFrame(told.groups)
    shown = groups.assign(cohort_id=groups["cohort_id"].str[:12])
    return Document(
        title=f"Cohorts compared: {', '.join(told.balance.groups)}",
        subtitle=MEANING,
        sections=[
            Section("Groups", [Block(shown), *notes]),
            Section(
                "Characteristics",
                [
                    Block(told.balance.table(), CONVENTION),
                    Block(differences_figure(told.balance), DIFFERENCES),
                ],
            ),
            _outcomes(told),
            Section("Provenance", [Block(facts(told.provenance))]),
        ],
        data={
            "meaning": MEANING,
            "groups": groups,
            "notes": list(told.notes),
            "characteristics": told.balance.rows,
            "differences": told.balance.differences,
            "endpoint": vars(told.endpoint),
            "outcomes": _as_data(told.outcomes),
            "not_told": told.not_told,
            "excluded": told.excluded,
            "provenance": dict(told.provenance),
        },
    )


def attrition_figure(attrition: pd.DataFrame) -> go.Figure:
    """Draw who was left after each step, from all studies on.

    Parameters
    ----------
    attrition : DataFrame
        step, studies, patients; see `analytics.cohort.Selection`.
    """
    shown = attrition.iloc[::-1]
    figure = go.Figure(
        go.Bar(
            x=shown["studies"],
            # Steps may be called alike.
            y=[*range(len(shown))],
            orientation="h",
            marker={"color": COLOURS[0]},
            text=[
                f"{studies:,} studies, {patients:,} patients"
                for studies, patients in zip(shown["studies"], shown["patients"], strict=True)
            ],
            textposition="auto",
            insidetextfont={"color": "white"},
            hoverinfo="skip",
        )
    )
    names = [_shortened(step) for step in shown["step"]]
    figure.update_yaxes(tickvals=[*range(len(shown))], ticktext=names, ticklen=0)
    figure.update_xaxes(title="studies", rangemode="tozero")
    left = 30 + 7 * max(map(len, names))
    return styled(figure, height=100 + 40 * len(shown), left=left)


def differences_figure(balance: Balance) -> go.Figure:
    """Draw how far apart groups are: the largest absolute difference of each variable, by size.

    What is infinite stands beside the right edge as a triangle; what is not known is left out.
    """
    found = balance.largest().dropna().sort_values(kind="stable")
    finite = found[np.isfinite(found)]
    edge = 1.15 * max(finite.max() if len(finite) else 0.0, 2 * IMBALANCE)
    names = [str(name).replace("_", " ") for name in found.index]
    apart = found.to_numpy() >= IMBALANCE
    colours = np.where(apart, COLOURS[1], COLOURS[0])
    figure = go.Figure(
        go.Scatter(
            x=found.clip(upper=edge),
            y=names,
            mode="markers",
            marker={
                "size": 11,
                "color": colours,
                "symbol": np.select(
                    [np.isinf(found), apart], ["triangle-right", "circle"], "circle-open"
                ),
                "line": {"width": 2, "color": colours},
            },
            cliponaxis=False,
            text=[f"{value:.2f}" for value in found],
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    figure.add_vline(x=IMBALANCE, line={"dash": "dash", "color": GREY})
    figure.update_xaxes(title="|SMD|", range=[0, 1.05 * edge])
    figure.update_yaxes(showgrid=True, gridcolor=_FAINT, type="category")
    left = 40 + 7 * max(map(len, names), default=0)
    return styled(figure, height=110 + 24 * len(found), left=left)


def survival_figure(outcomes: Fates) -> go.Figure:
    """Draw the survival of every group, by Kaplan and Meier."""
    curves = {i: each.survival for i, each in enumerate(outcomes.groups.values())}
    return figures.survival(curves, until=outcomes.until, names=[*outcomes.groups])


def incidence_figure(outcomes: Fates) -> go.Figure:
    """Draw the cumulative incidence of every group, by Aalen and Johansen."""
    curves = {i: each.incidence for i, each in enumerate(outcomes.groups.values())}
    return figures.incidence(curves, until=outcomes.until, names=[*outcomes.groups])


def followed_table(outcomes: Fates) -> pd.DataFrame:
    """Return how many of each group were followed, for how long, and how it ended."""
    rows = outcomes.summary()
    days = rows[["follow_up_days", "follow_up_lower", "follow_up_upper"]].to_numpy(float)
    told = {
        "group": rows["group"],
        "patients": rows["patients"],
        "events": rows["events"],
        "expected": rows["expected_events"].map("{:.1f}".format),
        "competing": rows["competing"],
        "median follow-up, days": [_limited(row, digits=0) for row in days],
    }
    if outcomes.test is None:
        del told["expected"]
    return pd.DataFrame(told)


def risks_table(outcomes: Fates) -> pd.DataFrame:
    """Return the groups at the horizons, estimates in percent with their intervals."""
    rows = outcomes.horizons
    told = {
        name: [
            _limited(100 * row, digits=1)
            for row in rows[[name, f"{name}_lower", f"{name}_upper"]].to_numpy(float)
        ]
        for name in ("survival", "incidence")
    }
    return pd.DataFrame(
        {
            "group": rows["group"],
            "days": rows["horizon_days"].astype(str),
            "at risk": rows["at_risk"],
            "events": rows["events"],
            "competing": rows["competing"],
            "Kaplan-Meier, %": told["survival"],
            "incidence, %": told["incidence"],
        }
    )


def tested(outcomes: Fates) -> str:
    """Tell the log-rank test in words, or why there is none."""
    test = outcomes.test
    if test is None:
        return " ".join(f"{each[0].upper()}{each[1:]}." for each in outcomes.notes)
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    degrees = f"{test.df} degree{'s' if test.df > 1 else ''} of freedom"
    return f"Log-rank test that all groups have one hazard: chi² {test.chi2:.2f}, {degrees}, {p}."


def _outcomes(told: Compared) -> Section:
    title = told.endpoint.name.upper() if told.endpoint.name == "mace" else told.endpoint.name
    found = told.outcomes
    if found is None:
        return Section("Outcomes", [Block(f"Not told: {told.not_told}.")])
    left_out = (
        [Block(told.excluded, "Patients without follow-up, who count above and not here")]
        if len(told.excluded)
        else []
    )
    return Section(
        "Outcomes",
        [
            Block(
                f"{title}: the first of {', '.join(told.endpoint.components)}. Time runs in days "
                "from the index exam. Other deaths, and those of unknown cause, are competing "
                "events: Kaplan-Meier counts them as censored, the cumulative incidence does not."
            ),
            Block(followed_table(found), "Median follow-up by reversed Kaplan-Meier"),
            Block(tested(found)),
            Block(risks_table(found), "95 % intervals in brackets; at risk until just before"),
            Block(survival_figure(found), f"Survival without the event. {_LINES}"),
            Block(incidence_figure(found), f"Cumulative incidence. {_LINES}"),
            *left_out,
        ],
    )


def _shortened(step: str) -> str:
    # A predicate may be as long as it likes; the table has all of it.
    return step if len(step) <= _LONGEST_STEP else f"{step[: _LONGEST_STEP - 1]}…"


def _limited(row: Floats, *, digits: int) -> str:
    """Tell an estimate with its limits, as far as they are known."""
    value, low, high = ("–" if np.isnan(each) else f"{each:.{digits}f}" for each in row)
    return value if value == "–" else f"{value} ({low} to {high})"


def _as_data(outcomes: Fates | None) -> dict[str, Any] | None:
    if outcomes is None:
        return None
    return {
        "groups": outcomes.summary(),
        "horizons": outcomes.horizons,
        "log_rank": vars(outcomes.test) if outcomes.test else None,
        "notes": list(outcomes.notes),
        "curves": outcomes.steps(),
    }
