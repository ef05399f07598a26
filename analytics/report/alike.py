"""The report of what became of patients like one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go

from analytics.endpoints import Endpoint
from analytics.report import survival_figures as figures
from analytics.report.blocks import facts, with_limits
from analytics.report.document import Block, Document, Section
from analytics.survival.alike import FEWEST_EFFECTIVE, FEWEST_FOLLOWED, MEANING, Alike
from analytics.survival.validation import FEWEST_AT_RISK, FEWEST_EVENTS

NAMES: Final = ("patients like this", "whole cohort")
_LISTED: Final = 20


@dataclass(frozen=True, eq=False)
class Asked:
    """What was asked, and who was compared with.

    Attributes
    ----------
    exam : str
        What the exam is called.
    endpoint : Endpoint
    neighbours : DataFrame
        study_uid, similarity, weight and more; the most similar first.
    participants : DataFrame
        what, neighbours, cohort.
    attrition : DataFrame
    notes : tuple of str
        What was contradictory in the labels.
    provenance : mapping
    """

    exam: str
    endpoint: Endpoint
    neighbours: pd.DataFrame
    participants: pd.DataFrame
    attrition: pd.DataFrame
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]


def alike_report(found: Alike, asked: Asked) -> Document:
    """Return the report."""
    name = asked.endpoint.name
    return Document(
        title=f"{name.upper() if name == 'mace' else name}: patients like one",
        subtitle=f"Like exam {asked.exam}, by embeddings of {asked.provenance['encoder_id']}.",
        sections=[
            _answer(found),
            _neighbours(found, asked),
            Section("Protocol", [Block(each) for each in protocol_in_words(found, asked)]),
            Section(
                "Cohort",
                [
                    Block(asked.attrition, "Who was left after each step"),
                    *(Block(each[0].upper() + each[1:] + ".") for each in asked.notes),
                ],
            ),
            Section("Provenance", [Block(facts(asked.provenance))]),
        ],
        data={
            "meaning": MEANING,
            "query": asked.exam,
            "endpoint": vars(asked.endpoint),
            "horizons": found.horizons,
            "not_told": list(found.cut),
            "k": found.tuned.k,
            "effective_size": found.neighbours.effective,
            "bandwidth": 1 - found.neighbours.edge,
            "nearness": found.nearness,
            "limit": found.tuned.limit,
            "tried": found.tuned.scores,
            "curve": found.steps(),
            "cohort_curve": found.cohort_steps(),
            "neighbours": asked.neighbours,
            "participants": asked.participants,
            "attrition": asked.attrition,
            "provenance": dict(asked.provenance),
        },
    )


def curves(found: Alike) -> go.Figure:
    """Draw the cumulative incidence of the neighbours and of the cohort."""
    return figures.incidence({0: found.curve, 1: found.everybody}, until=found.until, names=NAMES)


def protocol_in_words(found: Alike, asked: Asked) -> list[str]:
    """Return how it was done, one paragraph a string."""
    tuned, edge = found.tuned, found.neighbours.edge
    chosen = (
        f"{tuned.k} was chosen among {', '.join(str(k) for k in tuned.scores['k'])}: of these it "
        f"had the lowest Brier score when {tuned.asked:,} members of the cohort were asked about "
        "in turn, each predicted from the others."
        if len(tuned.scores) > 1
        else f"{tuned.k} was given."
    )
    return [
        f"Endpoint {asked.endpoint.name}: the first of {', '.join(asked.endpoint.components)}. "
        "Time runs in days from the index exam; events on that day belong to it. Other deaths, "
        "and those of unknown cause, are competing events. Follow-up ends with the last known "
        "date. One exam of each patient is compared with, none of the patient who is asked about.",
        f"The {tuned.k} most similar patients count, each by what the cosine of the two exams' "
        f"embeddings exceeds {edge:.3f} by, that of the next one. {chosen}",
        "Cumulative incidence is Aalen and Johansen's with these weights; without competing "
        "events, one minus Beran's conditional Kaplan-Meier estimate. Intervals are pointwise, by "
        "Wilson's formula at the effective sample size. They are of the neighbours' average "
        "risk: how far that is from the risk of the patient who is asked about, they do not tell.",
        f"Refused is: an exam whose {tuned.k}th most similar patient has a cosine below "
        f"{tuned.limit:.3f}, as 1 in 100 of the cohort's own have (here it is "
        f"{found.nearness:.3f}); an effective size below {FEWEST_EFFECTIVE:g}; an exam that shares "
        f"a run with another patient; a horizon that fewer than {FEWEST_FOLLOWED} neighbours would "
        f"reach had nothing happened to them, or that fewer than {FEWEST_AT_RISK} of the cohort "
        "reach, or before which the cohort has fewer than "
        f"{FEWEST_EVENTS} events.",
    ]


def _answer(found: Alike) -> Section:
    table = found.horizons
    near = 100 * table[["incidence", "lower", "upper"]]
    whole = 100 * table[["cohort_incidence", "cohort_lower", "cohort_upper"]]
    shown = pd.DataFrame(
        {
            "days": table["horizon_days"].astype(str),
            f"{NAMES[0]}, %": [with_limits(*row, digits=1) for row in near.to_numpy()],
            "events": table["events"],
            "competing": table["competing"],
            "at risk": table["at_risk"],
            "effective at risk": table["effective_at_risk"].map("{:.0f}".format),
            f"{NAMES[1]}, %": [with_limits(*row, digits=1) for row in whole.to_numpy()],
            "at risk in it": table["cohort_at_risk"],
        }
    )
    cut = [Block("Not told: " + "; ".join(found.cut) + ".")] if found.cut else []
    return Section(
        "Answer",
        [
            Block(MEANING),
            Block(shown, "Cumulative incidence; 95 % intervals in brackets"),
            Block(curves(found), "With the numbers of patients at risk; bands are 95 % intervals"),
            *cut,
        ],
    )


def _neighbours(found: Alike, asked: Asked) -> Section:
    own = found.neighbours
    told = (
        f"{len(own)} patients, who count as much as {own.effective:.0f} equally similar ones. "
        f"Cosines from {own.similarity[-1]:.3f} to {own.similarity[0]:.3f}; "
        f"{found.own.event.sum()} had the event and {found.own.competing.sum()} a competing one in "
        "all of their follow-up."
    )
    listed = asked.neighbours.head(_LISTED)
    return Section(
        "Neighbours",
        [
            Block(told),
            Block(asked.participants, "Who they are, without weights, beside the cohort"),
            Block(listed, f"The {len(listed)} most similar; state 1 is the event, 2 competes"),
        ],
    )
