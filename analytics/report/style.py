"""How every figure looks: nothing is told by colour alone."""

from __future__ import annotations

from typing import Final

import plotly.graph_objects as go

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")
_FONT: Final = {"family": "Helvetica, Arial, sans-serif", "size": 13, "color": "#222"}
GREY: Final = "#888"


def fill(colour: str) -> str:
    """Return a colour that lets through what is behind it, for bands."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.12)"


def styled(figure: go.Figure, *, height: int = 430, bottom: int = 60, left: int = 70) -> go.Figure:
    """Give a figure the size, margins and letters of all, and return it."""
    figure.update_layout(
        template="simple_white",
        font=_FONT,
        height=height + max(0, bottom - 60),
        width=760,
        margin={"l": left, "r": 20, "t": 20, "b": bottom},
        # From its foot up: of several rows none hides what is drawn.
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    # The template draws lines across a figure with no width.
    figure.update_shapes(line={"width": 1.5}, opacity=1)
    return figure
