"""Map: exams on a plane, coloured by what is known; who is drawn round becomes a cohort."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from analytics.report.maps import draw_picture, in_words, island_name
from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from angioatlas.maps.areas import areas_of_word
from core.errors import AtlasError
from dashboard.charts import is_dark
from dashboard.lasso import area, forget, lasso
from dashboard.reports import p_value
from dashboard.selected import cohort_of, show_exams, show_fate, show_selected
from dashboard.session import acting, encoder, literal, remembered, show_error
from dashboard.studies import in_store

_FIRST: Final = "exams"
"""What a map is called that is drawn here."""
_DENSE: Final = [[0, "#18222C"], [1, "#4A5967"]]
"""How density is drawn on a dark page."""


class _Shown(NamedTuple):
    """What is kept of a map besides its pictures: its quality, islands, and how many dots left."""

    quality: Any
    islands: pd.DataFrame
    gone: int


def show(atlas: Atlas) -> None:
    """Draw the page."""
    st.title("Map")
    if not in_store(atlas):
        return
    maps = atlas.maps()
    if maps.empty:
        _offer_to_draw(atlas)
        return
    newest = {
        row["name"]: row
        for row in maps.sort_values("created_at", ascending=False, kind="stable").to_dict("records")
    }
    plot, beside = st.columns([7, 4], gap="medium")
    with plot:
        name, colour = _choices(atlas, [*newest])
        _show_map(atlas, name, colour)
    word = area(name)
    studies: tuple[str, ...] = ()
    if word:
        studies = remembered(
            atlas,
            ("studies on map", name, word),
            lambda: tuple(atlas.studies_on_map(name, areas_of_word(word))),
        )
    cohort = cohort_of(atlas, name, studies) if studies else None
    with beside:
        if cohort is not None:
            show_selected(atlas, studies, cohort)
        else:
            _invite(is_empty=bool(word))
        with st.spinner("Comparing the islands …"):
            shown = remembered(atlas, ("map islands", name), lambda: _islands(atlas, name))
        _show_quality(shown, newest[name])
    _show_islands(shown, expanded=cohort is None)
    if cohort is not None:
        show_fate(atlas, cohort)
        show_exams(atlas, studies)


def _choices(atlas: Atlas, names: list[str]) -> tuple[str, str]:
    with st.container(horizontal=True):
        name = st.selectbox(
            "Map",
            names,
            key="map",
            bind="query-params",
            on_change=forget,
            help="The newest first. `angioatlas map draw NAME` draws another.",
            width=200,
        )
        with st.spinner("Reading what is known of the exams …"):
            colours = remembered(
                atlas,
                ("map colours", name),
                lambda: {each.title: each.name for each in atlas.map_colours(name)},
            )
        title = st.selectbox(
            "Colour", [*colours], key="colour", bind="query-params", help="Type to find one."
        )
    return str(name), colours[title]


def _show_map(atlas: Atlas, name: str, colour: str) -> None:
    with st.spinner("Drawing the map …"):
        picture = remembered(
            atlas,
            ("map picture", name, colour),
            lambda: atlas.map_picture(name, colour=colour),
        )
        told = in_words(picture)
        with st.container(key="map-plot"):
            lasso(
                atlas,
                name,
                colour,
                lambda: _drawn(picture),
                alt=f"Map {name}: {picture.total:,} dots, the nearer the more alike. {told}",
            )
    st.caption(f"{picture.total:,} dots. {literal(told)}")


def _drawn(picture: Any) -> go.Figure:
    figure = draw_picture(picture)
    # Who is in an area is asked of the Atlas: the browser need not know which study a dot is.
    figure.update_traces(customdata=None, selector={"type": "scattergl"})
    if is_dark():
        figure.update_traces(colorscale=_DENSE, selector={"type": "heatmap"})
    return figure


def _invite(*, is_empty: bool) -> None:
    if is_empty:
        st.info("No dot lies in what is drawn.", icon=":material/search_off:")
        st.button("Clear", on_click=forget, icon=":material/close:")
    st.markdown(
        "**Draw round dots** with the mouse, and see here who they are and what became of them.\n\n"
        "* Hold Shift to add another area; a double click takes all away.\n"
        "* The wheel zooms; the bar above the map has a box to select with, and the way back.\n"
        "* Each dot is an exam (of a map of videos: a run). The nearer, the more alike; how far "
        "apart islands lie means little."
    )


def _show_quality(shown: _Shown, saved: dict[Any, Any]) -> None:
    quality = shown.quality
    also = f"; {shown.gone:,} of its dots are gone since" if shown.gone else ""
    st.caption(
        f"Drawn by {saved['method'].upper()} from {saved['level']} embeddings of "
        f"`{saved['encoder_id']}` at store version {saved['store_version']}{also}. Trustworthiness "
        f"{quality.trustworthiness:.2f}; {quality.overlap:.0%} of the nearest "
        f"{quality.neighbours} stay among the nearest ({quality.rows:,} dots looked at)."
    )


def _show_islands(shown: _Shown, *, expanded: bool) -> None:
    with st.expander("What is frequent on the islands", expanded=expanded):
        if shown.islands.empty:
            st.markdown("Nothing that is known is more frequent on one than elsewhere.")
            return
        st.dataframe(shown.islands, hide_index=True, column_config=_ISLANDS)
        st.caption(
            "Fisher's exact test, q by Benjamini and Hochberg. Exams of one patient count one "
            "each: a guide, no proof."
        )


_ISLANDS: Final[dict[str, Any]] = {
    "island": "Island",
    "finding": "Finding",
    "share": "On it",
    "elsewhere": "Elsewhere",
    "q": "q",
}


def _islands(atlas: Atlas, name: str) -> _Shown:
    """Return what is kept of a map besides its picture, without its dots."""
    found = atlas.map(name)
    rows = found.islands
    told = rows.assign(
        island=rows["cluster"].map(island_name),
        finding=rows["finding"].str.replace("_", " "),
        share=rows["share"].map("{:.0%}".format),
        elsewhere=rows["elsewhere"].map("{:.0%}".format),
        q=rows["q"].map(p_value),
    )
    return _Shown(found.quality, told[[*_ISLANDS]], found.gone)


def _offer_to_draw(atlas: Atlas) -> None:
    st.info("No map is drawn yet.", icon=":material/scatter_plot:")
    st.markdown(
        "A map lays the exams out on a plane, by their embeddings: the nearer two dots, the more "
        "alike the pictures. On it one sees groups of exams, colours them by what is known, and "
        "draws round them to see what became of the patients."
    )
    if atlas.principal.allows(Scope.WRITE) and st.button(
        "Draw one", type="primary", icon=":material/draw:"
    ):
        try:
            with st.spinner("Drawing the map, which takes seconds to a minute …", show_time=True):
                atlas.draw_map(_FIRST, encoder=encoder())
        except AtlasError as error:
            show_error(error)
            return
        st.rerun()
    st.caption(f"Next step: `angioatlas map draw {_FIRST} --store STORE`")


show(acting())
