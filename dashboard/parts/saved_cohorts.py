"""Saved cohorts, and the one that was drawn round on a map: who is in, how chosen, downloads."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from analytics.cohort import CohortDefinition
from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from angioatlas.cohorts import CohortMembers
from core.errors import AtlasError
from dashboard.parts.choosing import show_attrition
from dashboard.parts.downloads import offer_exports, offer_members
from dashboard.parts.drawn import drawn_cohort
from dashboard.parts.layout import open_case
from dashboard.parts.ways import offer_to_choose, offer_to_compare, offer_to_save, saved
from dashboard.session import literal, remembered, show_error

_LISTED: Final[dict[str, Any]] = {
    "name": "Name",
    "studies": st.column_config.NumberColumn("Exams", format="localized"),
    "patients": st.column_config.NumberColumn("Patients", format="localized"),
    "store_version": "Store version",
    "stale": st.column_config.CheckboxColumn(
        "Older than the store", help="Chosen from a version that is not the newest one"
    ),
    "where": st.column_config.TextColumn("Filter", width="large"),
    "created_at": st.column_config.DatetimeColumn("Saved (UTC)", format="YYYY-MM-DD HH:mm"),
}


def show_saved(atlas: Atlas) -> None:
    """List the cohorts, and show one."""
    listing = atlas.cohorts()
    lasso = drawn_cohort(atlas)
    if listing.empty and lasso is None:
        nothing_saved()
        return
    if len(listing):
        st.dataframe(listing[[*_LISTED]], hide_index=True, column_config=_LISTED)
    names = [*([lasso[0]] if lasso else []), *listing["name"]]
    # None by default: a default does not stand in the address, and the first may be another soon.
    name = st.selectbox(
        "Open",
        names,
        index=None,
        key="name",
        bind="query-params",
        placeholder="Who is in, how they were chosen, downloads",
        width=420,
    )
    if lasso is not None and name == lasso[0]:
        _show_lasso(atlas, lasso[1])
    elif name is not None:
        _show_one(atlas, name)


def nothing_saved() -> None:
    """Say what to do where no cohort is saved."""
    st.info("No cohort is saved yet.", icon=":material/groups:")
    st.caption("Next step: choose one, and save it; or `angioatlas cohort create NAME`")
    offer_to_choose()


def _show_lasso(atlas: Atlas, cohort: CohortMembers) -> None:
    st.caption("Drawn round on a map, and forgotten at the end of the session unless it is saved.")
    show_attrition(cohort)
    _show_members(cohort)
    offer_members(cohort, "lasso")
    offer_to_save(
        atlas,
        "island",
        lambda name: atlas.choose_cohort(
            members=[*cohort.members["study_uid"]], index=cohort.definition.index, name=name
        ),
    )


def _show_one(atlas: Atlas, name: str) -> None:
    definition = atlas.cohort_definition(name)
    _show_definition(definition)
    try:
        with st.spinner("Choosing it again, as it was …"):
            cohort = remembered(atlas, ("cohort", name), lambda: atlas.cohort(name))
    except AtlasError as error:  # its version is gone: it can still be chosen anew, or deleted
        show_error(error)
        _offer_changes(atlas, name, definition)
        return
    _show_staleness(atlas, cohort)
    show_attrition(cohort)
    _show_members(cohort)
    with st.container(horizontal=True):
        offer_members(cohort, name)
        offer_exports(atlas, name)
        offer_to_compare(name)
    st.caption(f"Id `{cohort.cohort_id}`: the same store, version, definition and members give it.")
    _offer_changes(atlas, name, definition)


def _show_definition(definition: CohortDefinition) -> None:
    rule = definition.index
    told = [f"{rule.which} exam of each patient"]
    told += [f"with {rule.min_views} cines or more"] if rule.min_views > 1 else []
    told += [f"since {rule.since}"] if rule.since else []
    told += [f"until {rule.until}"] if rule.until else []
    told += [f"of a list of {definition.listed:,}"] if definition.listed is not None else []
    told += [f"findings of encoder {definition.encoder_id}"] if definition.encoder_id else []
    if definition.where is not None:
        st.code(definition.where, language="sql", wrap_lines=True)
    words = ", ".join(told)
    st.caption(f"{literal(words[0].upper() + words[1:])}.")


def _show_staleness(atlas: Atlas, cohort: CohortMembers) -> None:
    with st.spinner("Looking what would be chosen now …"):
        found = remembered(
            atlas, ("stale", cohort.cohort_id), lambda: atlas.cohort_staleness(cohort)
        )
    if not found.is_stale:
        return
    told = f"The store has moved on from version {found.store_version} to {found.latest_version}"
    if found.joined is None:
        changed = "who would be chosen now cannot be told of a list"
    elif found.joined or found.left:
        changed = f"now {found.joined:,} exams would join and {found.left:,} leave"
    else:
        changed = "the same exams would be chosen now"
    st.warning(f"{told}: {changed}.", icon=":material/update:")


def _show_members(cohort: CohortMembers) -> None:
    with st.expander(f"Members: {len(cohort.members):,} exams"):
        chosen = st.dataframe(
            cohort.members[["study_uid", "index_date"]],
            hide_index=True,
            on_select="rerun",
            selection_mode="single-row",
            column_config={
                "study_uid": "Study",
                "index_date": st.column_config.DateColumn("Index date"),
            },
        )
        rows = chosen.selection.rows
        if not rows:
            st.caption("Select a row to open its exam.")
            return
        open_case(cohort.members["study_uid"].iloc[rows[0]])


def _offer_changes(atlas: Atlas, name: str, definition: CohortDefinition) -> None:
    if not atlas.principal.allows(Scope.WRITE):
        return
    with st.container(horizontal=True):
        if definition.listed is None:
            _offer_anew(atlas, name)
        with st.popover("Delete", icon=":material/delete:"):
            st.markdown(f"Delete the cohort **{literal(name)}**? Studies, labels and models stay.")
            if st.button("Delete for good", type="primary"):
                atlas.drop_cohort(name)
                st.rerun()


def _offer_anew(atlas: Atlas, name: str) -> None:
    with st.popover("Choose again as the store is now", icon=":material/refresh:"):
        with st.form("anew", border=False):
            other = st.text_input("Save as", placeholder=f"{name}-now")
            asked = st.form_submit_button("Choose and save", type="primary")
        if asked and other.strip():
            saved(lambda: atlas.choose_cohort(like=name, name=other.strip()))
