"""How figures look on a page: one template in light and in dark, the letters of the page."""

from __future__ import annotations

import json
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from analytics.report.style import COLOURS

_FONT: Final = {"family": "Source Sans, Source Sans Pro, sans-serif", "size": 14}
_INK: Final = {"light": "#0C1620", "dark": "#E8EEF3"}
_LINES: Final = {"light": "#8A97A3", "dark": "#6C7B89"}
_LIFTED: Final = {
    COLOURS[0]: "#3A94D6",
    **dict.fromkeys(("#000000", "#000", "#222"), _INK["dark"]),
}
"""On a dark page: what reports draw in black is not seen, and their blue not read as letters."""
_CONFIG: Final = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["autoScale2d", "toggleSpikelines"],
    "toImageButtonOptions": {"format": "svg"},
}


def is_dark() -> bool:
    """Tell whether the page is shown dark."""
    return st.context.theme.type == "dark"


def ink() -> str:
    """Return the colour of the page's letters."""
    return _INK["dark" if is_dark() else "light"]


def themed(figure: go.Figure) -> go.Figure:
    """Return a copy of a figure of a report, as wide as there is room, in the page's colours."""
    mode = "dark" if is_dark() else "light"
    text = figure.to_json()
    if mode == "dark":
        for colour, lifted in _LIFTED.items():
            text = text.replace(f'"{colour}"', f'"{lifted}"')
    drawn = go.Figure(json.loads(text))
    axis = {"linecolor": _LINES[mode], "tickcolor": _LINES[mode], "zerolinecolor": _LINES[mode]}
    drawn.update_layout(
        width=None,
        autosize=True,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={**_FONT, "color": _INK[mode]},
        hoverlabel={"font": _FONT},
    )
    drawn.update_xaxes(**axis)
    drawn.update_yaxes(**axis)
    return drawn


def chart(figure: go.Figure, *, alt: str, key: str | None = None) -> None:
    """Show a figure.

    Parameters
    ----------
    figure : Figure
    alt : str
        What it shows, for who does not see it.
    key : str, optional
    """
    st.plotly_chart(themed(figure), theme=None, key=key, config=_CONFIG, alt=alt)


def selection(figure: go.Figure, *, alt: str, key: str) -> Any:
    """Show a figure on which an area is drawn, and return what was selected.

    Returns
    -------
    PlotlyState
        Its ``selection`` has ``box`` and ``lasso``, in the coordinates of the axes.
    """
    config = {**_CONFIG, "modeBarButtonsToAdd": ["lasso2d", "select2d"], "scrollZoom": True}
    return st.plotly_chart(
        themed(figure),
        theme=None,
        key=key,
        config=config,
        alt=alt,
        on_select="rerun",
        selection_mode=("lasso", "box"),
    )
