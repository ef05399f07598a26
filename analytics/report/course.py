"""The course of one patient from exam to exam: a dossier that does not name the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analytics.progression.change import NoiseFloor
from analytics.report.blocks import facts
from analytics.report.document import Block, Document, Section
from analytics.report.style import COLOURS, DASHES, GREY, styled
from core.segments import SEGMENTS

LVEF: Final = "lvef_percent"
_SIGNS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_LANES: Final = {"event": "events", "procedure": "procedures", "exam": "exams"}
"""From the bottom up: what led to an exam, what was done after it, the exam."""
_LANE_SIGNS: Final = {"event": "x", "procedure": "triangle-up", "exam": "circle"}
_EVENTS: Final = {"mi": "myocardial infarction", "hf_hospitalisation": "heart failure"}
COURSES: Final = {"natural course": 1, "treated in between": 2}
"""As in the report of a cohort, so that both tell the courses apart alike: number of the colour."""
_PAIR_COLUMNS: Final = (
    *("prior_date", "date", "days", "treatment", "change", "score", "p", "beyond"),
    *("toward_disease", "new_disease", "worsened"),
)


def course_report(
    exams: pd.DataFrame,
    axes: Sequence[str],
    pairs: pd.DataFrame,
    dated: pd.DataFrame,
    *,
    notes: Sequence[str],
    provenance: Mapping[str, Any],
) -> Document:
    """Return the report of one patient.

    Parameters
    ----------
    exams : DataFrame
        See `analytics.progression.trajectory.positions`.
    axes : sequence of str
        Its columns that tell how far along a direction an exam stands.
    pairs : DataFrame
        See `analytics.progression.study.ProgressionStudy`; without scores where there is no floor.
    dated : DataFrame
        See `analytics.progression.timeline.timeline`.
    notes : sequence of str
    provenance : mapping
    """
    change = [Block(pair_table(pairs), "Each exam against the one before it")] if len(pairs) else []
    along = (
        [Block(trajectory(exams, axes, dated), "Where the exams stand; up is worse")]
        if len(axes) and len(exams)
        else [Block("No direction with a clinical meaning is known.")]
    )
    return Document(
        title="Serial exams of a patient",
        subtitle=f"Embeddings of {provenance.get('encoder_id', 'no encoder')}.",
        sections=[
            Section(
                "Course", [Block(course(dated, exams, pairs), "What is known by date"), *change]
            ),
            Section("Trajectory", along),
            Section("Notes", [Block(each[0].upper() + each[1:] + ".") for each in notes]),
            Section("Provenance", [Block(facts(provenance))]),
        ],
        data={
            "exams": exams.drop(columns="patient_id", errors="ignore"),
            "changes": pairs.drop(columns="patient_id", errors="ignore"),
            "dated": dated,
            "notes": list(notes),
            "provenance": dict(provenance),
        },
    )


def floor_facts(floor: NoiseFloor) -> dict[str, Any]:
    """Return what change is measured against."""
    return {
        "noise_floor": f"{floor.source} of {floor.patients} patients",
        "threshold": f"{floor.threshold:.4f} (1 − cosine)",
    }


def pair_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of pairs that a reader wants, as far as they are known."""
    return pairs[[name for name in _PAIR_COLUMNS if name in pairs]]


def course(dated: pd.DataFrame, exams: pd.DataFrame, pairs: pd.DataFrame) -> go.Figure:
    """Draw what is known of a patient by date: exams and what was done, change, LVEF.

    Lanes share the axis of dates; those of change and of LVEF are there where they are known.

    Parameters
    ----------
    dated, exams, pairs : DataFrame
        As for `course_report`.
    """
    lvef = dated[(dated["kind"] == "measurement") & (dated["what"] == LVEF)]
    heights = {"lanes": 190}
    if len(pairs) and "score" in pairs:
        heights["change"] = 210
    if len(lvef):
        heights["lvef"] = 120
    rows = {name: row for row, name in enumerate(heights, start=1)}
    figure = make_subplots(
        rows=len(rows), shared_xaxes=True, vertical_spacing=0.06, row_heights=[*heights.values()]
    )
    _draw_lanes(figure, rows["lanes"], dated, exams)
    if "change" in rows:
        _draw_change(figure, rows["change"], pairs)
    if "lvef" in rows:
        _draw_lvef(figure, rows["lvef"], lvef)
    figure.update_xaxes(type="date")
    return styled(figure, height=110 + sum(heights.values()), left=100)


def trajectory(exams: pd.DataFrame, axes: Sequence[str], dated: pd.DataFrame) -> go.Figure:
    """Draw where the exams of a patient stand along directions with a clinical meaning.

    Parameters
    ----------
    exams, axes, dated
        As for `course_report`; procedures are drawn as lines.
    """
    figure = go.Figure()
    for i, name in enumerate(axes):
        figure.add_scatter(
            x=exams["date"],
            y=exams[name].round(3),
            mode="lines+markers",
            name=name,
            line={"color": COLOURS[i % 6], "dash": DASHES[i % 6]},
            marker={"symbol": _SIGNS[i % 6], "size": 9},
        )
    for each in dated[dated["kind"] == "procedure"].to_dict("records"):
        figure.add_vline(x=each["date"], line={"color": GREY, "dash": "dot"})
        figure.add_annotation(
            x=each["date"],
            y=1,
            yref="paper",
            yanchor="bottom",
            text=each["what"].split()[0].upper(),
            showarrow=False,
        )
    figure.update_xaxes(type="date")
    figure.update_yaxes(title="standard deviations of all exams", zeroline=True)
    styled(figure)
    figure.update_layout(legend={"y": 1.1})
    return figure


def in_words(kind: str, what: str) -> str:
    """Return what was done or happened, as a reader would say it: ``PCI mid LAD``."""
    if kind != "procedure":
        return _EVENTS.get(what, what.replace("_", " "))
    done, *segments = what.split()
    where = ", ".join(SEGMENTS.get(each, each) for each in segments)
    return f"{done.upper().replace('+', ' and ')} {where}".strip()


def _draw_lanes(figure: go.Figure, row: int, dated: pd.DataFrame, exams: pd.DataFrame) -> None:
    number = dict(zip(exams["study_uid"], exams["number"], strict=True)) if len(exams) else {}
    for i, (kind, lane) in enumerate(_LANES.items()):
        rows = dated[dated["kind"] == kind]
        words = [in_words(kind, what) for what in rows["what"]]
        if kind == "exam":
            # One without a vector is known, and has no number.
            words = [f"exam {number.get(uid, '')}".rstrip() for uid in rows["study_uid"]]
        figure.add_scatter(
            x=rows["date"],
            y=[lane] * len(rows),
            mode="markers+text",
            text=words,
            textposition=_positions(rows["date"], dated["date"]),
            textfont={"size": 11},
            hovertemplate="%{text}<br>%{x|%Y-%m-%d}<extra></extra>",
            marker={"symbol": _LANE_SIGNS[kind], "size": 11, "color": COLOURS[(3, 2, 0)[i]]},
            showlegend=False,
            cliponaxis=False,
            row=row,
            col=1,
        )
    figure.update_yaxes(
        categoryorder="array", categoryarray=[*_LANES.values()], range=[-0.6, 2.6], row=row, col=1
    )


def _positions(dates: pd.Series, among: pd.Series) -> list[str]:
    """Return where words stand beside signs: toward the middle, and not over their neighbours."""
    middle = min(among) + (max(among) - min(among)) / 2 if len(among) else None
    return [
        f"{('top', 'bottom')[number % 2]} {'right' if date <= middle else 'left'}"
        for number, date in enumerate(dates)
    ]


def _draw_change(figure: go.Figure, row: int, pairs: pd.DataFrame) -> None:
    """Draw each pair as a line from the one exam to the other, as high as its score."""
    treated = pairs["treatment"] != ""
    for (name, number), chosen in zip(COURSES.items(), (~treated, treated), strict=True):
        xs: list[Any] = []
        ys: list[float | None] = []
        for pair in pairs[chosen].to_dict("records"):
            # A gap after each line: all of a course are one to the figure.
            xs += [pair["prior_date"], pair["date"], None]
            ys += [round(pair["score"], 3)] * 2 + [None]
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            name=name,
            line={"color": COLOURS[number], "dash": DASHES[(number - 1) * 2], "width": 3},
            hoverinfo="skip",
            row=row,
            col=1,
        )
    for word, beyond in (("within the noise floor", False), ("beyond the noise floor", True)):
        part = pairs[pairs["beyond"] == beyond]
        between = pd.to_datetime(part["prior_date"])
        between += (pd.to_datetime(part["date"]) - between) / 2
        figure.add_scatter(
            x=between,
            y=part["score"].round(3),
            mode="markers+text",
            name=word,
            text=[f"{score:.2f}{' beyond' if beyond else ''}" for score in part["score"]],
            textposition="top center",
            marker={
                "symbol": "diamond" if beyond else "circle-open",
                "size": 11,
                "color": "#000000",
            },
            hovertemplate="change %{text}<extra></extra>",
            row=row,
            col=1,
        )
    figure.add_hline(
        y=1,
        line={"color": GREY, "dash": "dash"},
        annotation_text="noise floor",
        annotation_position="bottom right",
        row=row,
        col=1,
    )
    highest = max(1.0, float(pairs["score"].max()))
    figure.update_yaxes(title="change /<br>noise floor", range=[0, 1.25 * highest], row=row, col=1)


def _draw_lvef(figure: go.Figure, row: int, lvef: pd.DataFrame) -> None:
    figure.add_scatter(
        x=lvef["date"],
        y=lvef["value"],
        mode="lines+markers+text",
        text=[f"{value:.0f}" for value in lvef["value"]],
        textposition="top center",
        line={"color": COLOURS[0], "width": 1.5},
        marker={"symbol": "square", "size": 8},
        hovertemplate="LVEF %{y:.0f} %<br>%{x|%Y-%m-%d}<extra></extra>",
        showlegend=False,
        row=row,
        col=1,
    )
    figure.update_yaxes(title="LVEF, %", range=[0, 85], row=row, col=1)
