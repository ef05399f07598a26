"""The coronary tree as a drawing, with what is known of each segment on it.

Seen from the front, as textbooks draw it: the right coronary artery on the left side.  No shape in
it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go

from analytics.report.style import COLOURS, GREY, styled
from core.segments import SEGMENTS, SIGNIFICANT_PERCENT

_PATHS: Final[Mapping[str, tuple[tuple[float, float], ...]]] = {
    "prox_rca": ((3.9, 9.0), (2.7, 8.6), (2.0, 7.3)),
    "mid_rca": ((2.0, 7.3), (1.75, 6.2), (1.9, 5.1)),
    "dist_rca": ((1.9, 5.1), (2.2, 3.8), (3.0, 3.0)),
    "pda": ((3.0, 3.0), (3.8, 2.2), (4.3, 1.0)),
    "posterolateral": ((3.0, 3.0), (3.9, 3.0), (4.6, 3.5)),
    "left_main": ((5.0, 9.0), (5.5, 8.9), (6.0, 8.6)),
    "prox_lad": ((6.0, 8.6), (6.6, 8.0), (6.9, 7.2)),
    "mid_lad": ((6.9, 7.2), (7.3, 6.3), (7.5, 5.3)),
    "dist_lad": ((7.5, 5.3), (7.6, 3.6), (7.1, 2.0)),
    "D1": ((6.9, 7.2), (8.1, 6.3), (8.8, 5.2)),
    "D2": ((7.5, 5.3), (8.4, 4.4), (8.8, 3.4)),
    "bx": ((6.0, 8.6), (7.8, 8.2), (9.1, 7.2)),
    "prox_lcx": ((6.0, 8.6), (5.8, 8.0), (5.75, 7.3)),
    "mid_lcx": ((5.75, 7.3), (5.6, 6.4), (5.5, 5.7)),
    "dist_lcx": ((5.5, 5.7), (5.3, 5.0), (5.2, 4.4)),
    "om1": ((5.75, 7.3), (6.3, 6.4), (6.5, 5.3)),
    "om2": ((5.5, 5.7), (6.1, 4.8), (6.3, 3.8)),
    "lvp": ((5.2, 4.4), (5.5, 3.5), (5.5, 2.4)),
}
"""Three points of each segment, from its origin on; without a unit."""
_STEPS: Final = ((30, "under 30 %", GREY, 3), (50, "30 to 50 %", COLOURS[5], 5))
_NARROW: Final = (f"50 to {SIGNIFICANT_PERCENT} %", COLOURS[4], 7)
_SIGNIFICANT: Final = (f"over {SIGNIFICANT_PERCENT} %", COLOURS[1], 9)
_UNKNOWN: Final = ("not known", GREY, 2)
_MARKS: Final = {"cto": "CTO", "thrombus": "thrombus", "calcification": "calcified"}
_SHORT: Final = _MARKS | {"calcification": "Ca"}
LEGEND: Final = "CTO: chronic total occlusion. Ca: calcified. Dotted: not known."


@dataclass(frozen=True)
class Segment:
    """What is known of one segment.

    Attributes
    ----------
    stenosis_percent : float or None
        Percent diameter stenosis.
    marks : tuple of str
        Of `cto`, `thrombus` and `calcification`, those that it has.
    """

    stenosis_percent: float | None
    marks: tuple[str, ...] = ()


def coronary_tree(segments: Mapping[str, Segment]) -> go.Figure:
    """Draw the tree: narrow segments thick and warm, with the number beside.

    Parameters
    ----------
    segments : mapping of str to Segment
        By short name; of those that are missing nothing is known.
    """
    figure = go.Figure()
    legend: set[str] = set()
    for name, path in _PATHS.items():
        known = segments.get(name, Segment(None))
        label, colour, width = _look(known.stenosis_percent)
        xs, ys = zip(*path, strict=True)
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            name=label,
            legendgroup=label,
            showlegend=label not in legend,
            line={
                "color": colour,
                "width": width,
                "shape": "spline",
                "dash": "dot" if known.stenosis_percent is None else "solid",
            },
            hoverinfo="skip",
        )
        legend.add(label)
    _add_words(figure, segments)
    figure.update_xaxes(visible=False, range=[1, 10], fixedrange=True)
    figure.update_yaxes(visible=False, range=[0.4, 9.6], fixedrange=True, scaleanchor="x")
    figure = styled(figure, height=460)
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 10, "b": 10}, legend={"orientation": "h", "y": -0.02}
    )
    return figure


def in_words(segments: Mapping[str, Segment]) -> str:
    """Return what the drawing shows, for who does not see it."""
    told = [
        f"{SEGMENTS[name]} {_said(known)}"
        for name, known in segments.items()
        if known.marks or (known.stenosis_percent or 0) >= _STEPS[-1][0]
    ]
    return "Coronary tree: " + ("; ".join(told) if told else "no segment is narrowed by half")


def _add_words(figure: go.Figure, segments: Mapping[str, Segment]) -> None:
    middles = {name: path[1] for name, path in _PATHS.items()}
    figure.add_scatter(
        x=[x for x, _ in middles.values()],
        y=[y for _, y in middles.values()],
        mode="markers+text",
        marker={"size": 14, "color": "rgba(0,0,0,0)"},
        text=[_word(segments.get(name)) for name in middles],
        textposition="middle right",
        textfont={"size": 13},
        hovertext=[
            f"{SEGMENTS[name]}: {_said(segments.get(name, Segment(None)))}" for name in middles
        ],
        hoverinfo="text",
        showlegend=False,
    )
    for x, y, name in ((3.3, 9.3, "RCA"), (5.4, 9.3, "LM"), (7.3, 1.6, "LAD"), (4.75, 5.2, "LCX")):
        figure.add_annotation(x=x, y=y, text=name, showarrow=False, font={"color": GREY})


def _look(percent: float | None) -> tuple[str, str, int]:
    if percent is None:
        return _UNKNOWN
    for below, label, colour, width in _STEPS:
        if percent < below:
            return label, colour, width
    return _SIGNIFICANT if percent > SIGNIFICANT_PERCENT else _NARROW


def _word(known: Segment | None) -> str:
    """Return what stands beside a segment: nothing where there is nothing to see."""
    if known is None:
        return ""
    narrow = known.stenosis_percent is not None and known.stenosis_percent >= _STEPS[-1][0]
    number = [_percent(known)] if narrow else []
    return " ".join([*number, *(_SHORT[mark] for mark in known.marks)])


def _said(known: Segment) -> str:
    return ", ".join([_percent(known), *(_MARKS[mark] for mark in known.marks)])


def _percent(known: Segment) -> str:
    if known.stenosis_percent is None:
        return "not known"
    # A regression of 0 or 100 spreads beyond them.
    return f"{min(max(known.stenosis_percent, 0), 100):.0f} %"
