"""How figures look on a page: one template in light and in dark, the letters of the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

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
_UNTOUCHED: Final = "<style>.selectionlayer path { pointer-events: none !important; }</style>"
"""An outline does not take the mouse, so that another one may begin within it."""
_SEEN: Final = 0.25
"""How much is seen of dots that are not selected."""


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


def selectable(figure: go.Figure) -> go.Figure:
    """Return a copy of a figure in the page's colours, on which an area is drawn at once."""
    drawn = themed(figure)
    drawn.update_layout(
        dragmode="lasso",
        margin={"l": 8, "r": 8, "t": 32, "b": 8},
        modebar={"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": ink()},
        newselection={"line": {"color": ink(), "width": 2, "dash": "dot"}},
    )
    drawn.update_traces(
        selected={"marker": {"opacity": 0.9}},
        unselected={"marker": {"opacity": _SEEN}},
        selector={"type": "scattergl"},
    )
    return drawn


def selection(figure: go.Figure, *, alt: str, key: str, on_select: Callable[[], None]) -> None:
    """Show a figure on which areas are drawn.

    Parameters
    ----------
    figure : Figure
        Made by `selectable`: of many dots that takes a while, and is done once.
    alt : str
        What it shows, for who does not see it.
    key : str
        Where the session has what is selected: its ``selection`` has ``box`` and ``lasso``, in the
        coordinates of the axes.
    on_select : callable
        Called when something is drawn, or nothing any more.
    """
    st.html(_UNTOUCHED)
    st.plotly_chart(
        figure,
        theme=None,
        key=key,
        config={**_CONFIG, "scrollZoom": True},
        alt=alt,
        on_select=on_select,
        selection_mode=("lasso", "box"),
    )
