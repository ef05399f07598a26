"""Who was selected on a map: a cohort to keep, what became of them, and some of their cines."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import streamlit as st

from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from angioatlas.cohorts import CohortMembers
from core.errors import AtlasError
from dashboard.cine import Place, show_cines
from dashboard.parts.characteristics import show_characteristics
from dashboard.parts.downloads import offer_members
from dashboard.parts.drawn import keep_drawn
from dashboard.parts.lasso import forget, in_address
from dashboard.parts.layout import cells, open_case
from dashboard.parts.outcomes import (
    SURVIVAL,
    curve_choice,
    endpoint_choice,
    horizon_choice,
    show_comparison,
)
from dashboard.parts.reports import offer_report, reported
from dashboard.session import literal, remembered, show_error

NAME: Final = "Lasso"
"""What the selected are called beside everybody else."""
_CINES: Final = 4
_HEIGHT: Final = 192
_LISTED: Final = 1_000
_SAVED: Final = "saved on the map"
_COLUMNS: Final[dict[str, Any]] = {
    "study_date": st.column_config.DateColumn("Date"),
    "patient_age_years": st.column_config.NumberColumn("Age, years", format="%.0f"),
    "patient_sex": "Sex",
    "n_videos": "Cines",
    "study_uid": "Study",
}


def cohort_of(atlas: Atlas, name: str, studies: tuple[str, ...]) -> CohortMembers:
    """Return the cohort of what is selected on a map, the first exam of each patient.

    Other pages find it, too.
    """
    found = remembered(
        atlas, ("drawn round", studies), lambda: atlas.choose_cohort(members=[*studies])
    )
    keep_drawn(found, name)
    return found


def show_selected(atlas: Atlas, studies: tuple[str, ...], cohort: CohortMembers) -> None:
    """Tell how many were selected, and offer what can be done with them.

    Parameters
    ----------
    atlas : Atlas
    studies : tuple of str
        All that were selected.
    cohort : CohortMembers
        The first exam of each patient among them.
    """
    patients = len(cohort.members)
    st.markdown(
        f"## {_count(len(studies), 'exam')} of {_count(patients, 'patient')}", width="content"
    )
    if len(studies) > patients:
        st.caption("As a cohort: the first of the selected exams of each patient.")
    with st.container(horizontal=True):
        _offer_to_save(atlas, studies)
        offer_members(cohort, "lasso")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            "views/cohort.py",
            label="Compare with saved cohorts",
            icon=":material/groups:",
            query_params={"part": "Compare"},
        )
        st.button("Clear", on_click=forget, icon=":material/close:", type="tertiary")
    if not in_address():
        st.caption("This outline is too long for a link: a saved cohort can be linked to.")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _offer_to_save(atlas: Atlas, studies: tuple[str, ...]) -> None:
    if not atlas.principal.allows(Scope.WRITE):
        return
    # One that was saved in stays open; with another key it is a new one, and closed.
    of, saved_as = st.session_state.get(_SAVED, (None, ""))
    with (
        st.popover("Save as cohort", icon=":material/save:", type="primary", key=f"as {saved_as}"),
        st.form("save cohort", border=False),
    ):
        name = st.text_input("Name", placeholder="island-1")
        if st.form_submit_button("Save", type="primary") and name.strip():
            try:
                saved = atlas.choose_cohort(members=[*studies], name=name.strip())
            except AtlasError as error:
                show_error(error)
            else:
                st.session_state[_SAVED] = (studies, saved.name)
                st.rerun()
    if of == studies:
        st.page_link(
            "views/cohort.py",
            label=f"Saved as {literal(saved_as)}",
            icon=":material/check:",
            query_params={"part": "Saved", "name": saved_as},
        )


def show_fate(atlas: Atlas, cohort: CohortMembers) -> None:
    """Show what became of the selected patients beside everybody else, and how they differ."""
    st.header("What became of them")
    st.caption("Beside everybody else in the store, each patient by the first exam that counts.")
    with st.container(border=True, key="question"):
        left, middle, right = st.columns(3)
        with left:
            endpoint = endpoint_choice(atlas)
        with middle:
            horizons = horizon_choice((365,))
        with right:
            survival = curve_choice(SURVIVAL)
    try:
        with st.spinner("Following the patients …"):
            found, document = remembered(
                atlas,
                ("drawn round, beside the rest", cohort.cohort_id, endpoint, horizons),
                lambda: reported(
                    atlas.compare_cohorts(
                        [cohort], names=[NAME], rest=True, endpoint=endpoint, horizons=horizons
                    )
                ),
            )
    except AtlasError as error:  # nobody is left beside them
        show_error(error)
        return
    show_comparison(found, survival=survival)
    st.header("How they differ")
    st.caption("At the exam that counts. They were selected by their pictures: no cause is told.")
    show_characteristics(found)
    offer_report(document, "lasso")


def show_exams(atlas: Atlas, studies: tuple[str, ...]) -> None:
    """Show the selected exams: all as a table, some with a cine."""
    st.header("The selected exams")
    with st.spinner("Reading the exams …"):
        rows = remembered(atlas, ("exams drawn round", studies), lambda: _rows(atlas, studies))
    if len(rows) < len(studies):
        st.caption(f"The first {len(rows):,}; members to download are all of them.")
    picked = st.dataframe(
        rows,
        hide_index=True,
        height=248,
        column_config=_COLUMNS,
        on_select="rerun",
        selection_mode="single-row",
        key="exams",
    )
    at = picked.selection.rows
    if at and at[0] < len(rows):
        open_case(rows["study_uid"].iloc[at[0]], "Open the selected case")
    else:
        st.caption("Select a row to open its case.")
    places = []
    for cell, uid in zip(
        cells(min(_CINES, len(rows)), in_a_row=_CINES), rows["study_uid"], strict=False
    ):
        with cell.container(border=True):
            places += _place(atlas, uid)
            open_case(uid)
    show_cines(atlas, places, height=_HEIGHT)


def _rows(atlas: Atlas, studies: tuple[str, ...]) -> pd.DataFrame:
    found = atlas.studies()
    return found.loc[found["study_uid"].isin(studies), [*_COLUMNS]].sort_values(
        ["study_date", "study_uid"], ignore_index=True
    )[:_LISTED]


def _place(atlas: Atlas, uid: str) -> list[Place]:
    videos = remembered(atlas, ("videos", uid), lambda: atlas.videos_of_study(uid))
    first = min(videos, key=lambda each: (each["series_time"] or "~", each["sop_uid"]))
    st.markdown(f"**{first['view']}**")
    return [Place(first["sop_uid"], f"view {first['view']}", st.empty())]
