"""What is drawn on a map: kept in the address, and on the map while that is drawn anew.

The address is what counts.  The browser keeps what somebody drew there as long as it is sent the
same figure, and a figure of many dots is long: so one is made for what the address has when a map
comes up, and is sent again unchanged while only the selection changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.maps.areas import areas_as_word, areas_of_word, drawn_areas
from core.errors import AtlasError
from dashboard.charts import ink, is_dark, selectable, selection
from dashboard.drawn import forget_drawn
from dashboard.session import literal, remembered

_AREA: Final = "area"
_PLOT: Final = "plot"
_KEPT: Final = "area of a map"
_SHOWN: Final = "areas on the map"
_LONGEST: Final = 2_000
"""Letters that an area may have in an address: a hundred vertices and more."""


def area(name: str) -> str:
    """Return what is drawn on a map, as a word; empty when nothing is.

    Who opened a case and comes back finds it again, though the address has lost it.
    """
    word = st.query_params.get(_AREA)
    if word is None:
        of, kept = st.session_state.get(_KEPT, (name, ""))
        word = kept if of == name else ""
    _keep(name, word)
    return word


def in_address() -> bool:
    """Tell whether the address has what is drawn."""
    return _AREA in st.query_params


def forget() -> None:
    """Take away what is drawn."""
    forget_drawn()
    _keep("", "")


def _keep(name: str, word: str) -> None:
    st.session_state[_KEPT] = (name, word)
    if 0 < len(word) <= _LONGEST:
        st.query_params[_AREA] = word
    else:
        st.query_params.pop(_AREA, None)


def lasso(atlas: Atlas, name: str, colour: str, make: Callable[[], go.Figure], *, alt: str) -> None:
    """Show a map to draw on; `area` then has what was drawn.

    Parameters
    ----------
    atlas : Atlas
    name, colour : str
        Of the map.
    make : callable
        Draws it.
    alt : str
        What it shows, for who does not see it.
    """
    word, view = area(name), (name, colour, atlas.position(), is_dark())
    shown = st.session_state.get(_SHOWN)
    # Whoever was on another page, or went back, has a map without what was drawn on it since.
    if _PLOT not in st.session_state or shown is None or shown[0] != view or shown[2] != word:
        shown = (view, word, word)
    st.session_state[_SHOWN] = shown
    figure = remembered(
        atlas, ("map to draw on", view, shown[1]), lambda: _with_areas(selectable(make()), word)
    )
    selection(figure, alt=alt, key=_PLOT, on_select=_drawn)


def _drawn() -> None:
    """Keep what was drawn in the browser, which shows it already."""
    found = st.session_state[_PLOT].selection
    try:
        word = areas_as_word(drawn_areas([*found.box, *found.lasso]))
    except AtlasError as error:
        st.toast(f"{literal(error.message)}: {literal(error.hint)}")
        return
    forget_drawn()
    view, drawn, _ = st.session_state[_SHOWN]
    _keep(view[0], word)
    st.session_state[_SHOWN] = (view, drawn, word)


def _with_areas(figure: go.Figure, word: str) -> go.Figure:
    figure.layout.selections = [_outline(each) for each in areas_of_word(word)]
    return figure


def _outline(drawn: Any) -> dict[str, Any]:
    line = {"line": {"color": ink(), "width": 2, "dash": "dot"}, "xref": "x", "yref": "y"}
    if len(drawn.x) == 2:
        (x0, x1), (y0, y1) = drawn.x, drawn.y
        return {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1, **line}
    path = "L".join(f"{x},{y}" for x, y in zip(drawn.x, drawn.y, strict=True))
    return {"type": "path", "path": f"M{path}Z", **line}
