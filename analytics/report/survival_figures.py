"""Figures of a survival report, in Plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from analytics.report.style import COLOURS, DASHES, GREY, fill, styled
from analytics.survival.calibration import Calibration
from analytics.survival.curves import Curve
from analytics.survival.validation import Validation

GROUP_NAMES: Final = ("low", "middle", "high")
_FIRST_ROW_PX: Final = 64
_ROW_PX: Final = 20
"""Of the numbers at risk below the axis: the first under its title."""
_TICKS: Final = (1, 7, 30, 90, 180, 365, 730, 1825)
"""Days between two ticks."""
_MOST_TICKS: Final = 6
_GROUPS: Final = tuple(f"{name} risk" for name in GROUP_NAMES)


def incidence(
    curves: Mapping[int, Curve], *, until: float, names: Sequence[str] = _GROUPS
) -> go.Figure:
    """Draw the cumulative incidence of groups, with the numbers at risk below.

    Parameters
    ----------
    curves : mapping of int to Curve
        By group; of risk by default, 0 the lowest.
    until : float
        Last day.
    names : sequence of str
        Of the groups.
    """
    return _followed(curves, names, until, title="cumulative incidence").update_yaxes(
        rangemode="tozero"
    )


def survival(curves: Mapping[int, Curve], *, until: float, names: Sequence[str]) -> go.Figure:
    """Draw the survival of groups, by Kaplan and Meier, with the numbers at risk below.

    Parameters
    ----------
    curves : mapping of int to Curve
        By group.
    until : float
        Last day.
    names : sequence of str
        Of the groups.
    """
    return _followed(curves, names, until, title="without the event").update_yaxes(range=[0, 1.01])


def _followed(
    curves: Mapping[int, Curve], names: Sequence[str], until: float, *, title: str
) -> go.Figure:
    """Draw step functions of time with their bands, and the numbers at risk below."""
    figure = go.Figure()
    step = next((each for each in _TICKS if until / each <= _MOST_TICKS), _TICKS[-1])
    ticks = np.arange(0, until + 1, step)
    for position, (group, curve) in enumerate(sorted(curves.items())):
        _draw_steps(figure, curve, until, names[group], COLOURS[group], DASHES[group])
        below = _FIRST_ROW_PX + _ROW_PX * (position + 1)
        _write_below(figure, below, names[group], COLOURS[group])
        for tick, left in zip(ticks, curve.left(ticks), strict=True):
            figure.add_annotation(
                x=tick,
                y=0,
                yref="paper",
                yshift=-below,
                text=f"{left:,}",
                showarrow=False,
                font={"color": COLOURS[group], "size": 12},
            )
    _write_below(figure, _FIRST_ROW_PX, "at risk", GREY)
    figure.update_xaxes(
        title={"text": "days since the index exam", "standoff": 4},
        range=[0, until],
        tickvals=ticks,
        tickformat=",d",
    )
    figure.update_yaxes(title=title, tickformat=".0%")
    widest = max(len(names[group]) for group in curves)
    styled(figure, bottom=90 + _ROW_PX * len(curves), left=max(120, 40 + 7 * widest))
    # Bands turn the order of the legend round.
    return figure.update_layout(margin={"t": 40}, legend={"traceorder": "normal", "y": 1.14})


def _draw_steps(
    figure: go.Figure, curve: Curve, until: float, name: str, colour: str, dash: str
) -> None:
    shown = curve.time <= until
    # What would come after the last follow-up is not known.
    end = min(until, float(curve.time[-1]))
    x = np.concatenate([[0.0], curve.time[shown], [end]])
    y, low, high = (
        np.concatenate([[curve.start], each[shown], [curve.at(end)[column]]])
        for column, each in ((0, curve.estimate), (2, curve.lower), (3, curve.upper))
    )
    edge = {
        "x": x,
        "mode": "lines",
        "line": {"width": 0, "shape": "hv"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    figure.add_scatter(y=high, **edge)
    figure.add_scatter(y=low, fill="tonexty", fillcolor=fill(colour), **edge)
    line = {"color": colour, "dash": dash, "shape": "hv"}
    figure.add_scatter(x=x, y=y, mode="lines", name=name, line=line)


def _write_below(figure: go.Figure, below_px: int, text: str, colour: str) -> None:
    figure.add_annotation(
        x=-0.05,
        xref="paper",
        xanchor="right",
        y=0,
        yref="paper",
        yshift=-below_px,
        text=text,
        showarrow=False,
        font={"color": colour, "size": 12},
    )


def calibration(found: Mapping[str, Calibration]) -> go.Figure:
    """Draw observed against predicted risk at one horizon, of one or several models."""
    figure = go.Figure()
    highest = max(
        max(float(each.groups["predicted"].max()), float(each.groups["observed"].max()))
        for each in found.values()
    )
    end = min(1.0, 1.1 * highest)
    figure.add_scatter(
        x=[0, end], y=[0, end], mode="lines", name="ideal", line={"color": GREY, "width": 1}
    )
    for i, (name, each) in enumerate(found.items()):
        groups, curve = each.groups, each.curve[each.curve["predicted"] <= end]
        figure.add_scatter(
            x=curve["predicted"],
            y=curve["observed"],
            mode="lines",
            name=name,
            line={"color": COLOURS[i], "dash": DASHES[i]},
        )
        figure.add_scatter(
            x=groups["predicted"],
            y=groups["observed"],
            mode="markers",
            name=f"{name}, tenths",
            marker={"color": COLOURS[i], "size": 7},
            showlegend=False,
            error_y={
                "type": "data",
                "symmetric": False,
                "thickness": 1,
                "width": 0,
                "array": (groups["upper"] - groups["observed"]).fillna(0),
                "arrayminus": (groups["observed"] - groups["lower"]).fillna(0),
            },
        )
    figure.update_xaxes(title="predicted risk", range=[0, end], tickformat=".0%")
    figure.update_yaxes(title="observed risk", range=[0, end], tickformat=".0%")
    return styled(figure)


def decisions(verdicts: Mapping[str, Validation], horizon: float) -> go.Figure:
    """Draw the net benefit of acting on each model at one horizon."""
    figure = go.Figure()
    lowest = 0.0
    for i, (name, verdict) in enumerate(verdicts.items()):
        table = verdict.decisions[verdict.decisions["horizon"] == horizon]
        drawn = {"model": (name, COLOURS[i], DASHES[i])}
        if i == 0:
            drawn |= {"everybody": ("everybody", GREY, "dot"), "nobody": ("nobody", "#000", "dot")}
        for model, (label, colour, dash) in drawn.items():
            rows = table[table["model"] == model]
            figure.add_scatter(
                x=rows["threshold"],
                y=rows["net_benefit"],
                mode="lines",
                name=label,
                line={"color": colour, "dash": dash},
            )
        best = float(table["net_benefit"].max())
        lowest = max(lowest, best)
    figure.update_xaxes(title="threshold risk", tickformat=".0%")
    figure.update_yaxes(title="net benefit per patient", range=[-0.25 * lowest, 1.1 * lowest])
    return styled(figure)


def subgroups(verdict: Validation) -> go.Figure:
    """Draw the C-index of each subgroup with its interval."""
    table = verdict.subgroups.dropna(subset=["c"])[::-1]
    labels = [
        f"{row.subgroup} {row.value} ({row.events} of {row.subjects})" for row in table.itertuples()
    ]
    figure = go.Figure()
    figure.add_scatter(
        x=table["c"],
        y=labels,
        mode="markers",
        marker={"color": COLOURS[0], "size": 9},
        showlegend=False,
        error_x={
            "type": "data",
            "symmetric": False,
            "thickness": 1.5,
            "width": 0,
            "array": table["upper"] - table["c"],
            "arrayminus": table["c"] - table["lower"],
        },
    )
    whole = float(verdict.measure("harrell_c")["estimate"])
    figure.add_vline(x=whole, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(title="C-index (events of subjects)")
    return styled(figure, height=140 + 34 * len(labels), left=200)
