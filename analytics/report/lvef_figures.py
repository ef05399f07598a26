"""Figures of a report on LVEF, in Plotly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from analytics.lvef.validation import Verdict
from analytics.report.style import COLOURS, DASHES, GREY, styled
from analytics.roc import curve

_FEW = 500
_MOST_DOTS = 4000
"""More than this are not drawn: a page stays small, and nobody sees them."""


def scatter(verdict: Verdict, *, unit: str) -> go.Figure:
    """Draw measured against predicted numbers, with the tenths of the calibration."""
    seen, groups = verdict.predictions, verdict.calibration
    shown = _shown(len(seen))
    figure = go.Figure()
    low = float(min(seen.measured.min(), seen.predicted.min()))
    high = float(max(seen.measured.max(), seen.predicted.max()))
    figure.add_scatter(
        x=[low, high], y=[low, high], mode="lines", name="ideal", line={"color": GREY, "width": 1}
    )
    figure.add_scatter(
        x=seen.predicted[shown].round(1),
        y=seen.measured[shown],
        mode="markers",
        name="exams",
        marker={"color": COLOURS[0], **_dots(len(shown))},
    )
    figure.add_scatter(
        x=groups["predicted"],
        y=groups["measured"],
        mode="lines+markers",
        name="tenths",
        line={"color": COLOURS[1]},
        marker={"size": 8, "symbol": "diamond"},
        error_y={
            "type": "data",
            "array": groups["upper"] - groups["measured"],
            "thickness": 1.5,
            "width": 0,
        },
    )
    figure.update_xaxes(title=f"predicted, {unit}")
    figure.update_yaxes(title=f"measured, {unit}")
    return styled(figure)


def bland_altman(verdict: Verdict, *, unit: str) -> go.Figure:
    """Draw the difference of each pair against its mean, with bias and limits of agreement."""
    seen = verdict.predictions
    shown = _shown(len(seen))
    figure = go.Figure()
    figure.add_scatter(
        x=((seen.predicted + seen.measured) / 2)[shown].round(1),
        y=(seen.predicted - seen.measured)[shown].round(1),
        mode="markers",
        showlegend=False,
        marker={"color": COLOURS[0], **_dots(len(shown))},
    )
    for name, dash in (("bias", "solid"), ("lower", "dash"), ("upper", "dash")):
        at = float(verdict.measure(name)["estimate"])
        figure.add_hline(
            y=at,
            line={"color": COLOURS[1], "dash": dash},
            annotation_text=f"{at:.1f}",
            annotation_position="top right",
        )
    figure.add_hline(y=0, line={"color": GREY, "width": 1})
    figure.update_xaxes(title=f"mean of predicted and measured, {unit}")
    figure.update_yaxes(title=f"predicted − measured, {unit}")
    return styled(figure)


def roc(verdicts: Mapping[str, Verdict], threshold: float) -> go.Figure:
    """Draw how well each set of predictors finds who is below a threshold."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="chance", line={"color": GREY, "width": 1}
    )
    for i, (name, verdict) in enumerate(verdicts.items()):
        seen = verdict.predictions
        false, true, _ = curve(seen.measured < threshold, -seen.predicted)
        area = float(verdict.measure("auc", threshold)["estimate"])
        figure.add_scatter(
            x=false.round(4),
            y=true.round(4),
            mode="lines",
            name=f"{name} ({area:.3f})",
            line={"color": COLOURS[i], "dash": DASHES[i], "shape": "hv"},
        )
    figure.update_xaxes(title="1 − specificity", range=[0, 1])
    figure.update_yaxes(title="sensitivity", range=[0, 1.01])
    return styled(figure)


def _dots(count: int) -> dict[str, float]:
    """Return how large and how dense dots are, so that a few are seen and many are told apart."""
    return {"size": 7, "opacity": 0.6} if count <= _FEW else {"size": 4, "opacity": 0.35}


def _shown(count: int) -> np.ndarray:
    every = np.arange(count)
    if count <= _MOST_DOTS:
        return every
    return np.sort(np.random.default_rng(0).choice(every, _MOST_DOTS, replace=False))
