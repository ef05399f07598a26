"""Cohort: who is studied, chosen with a filter, saved, and up to four of them side by side."""

from __future__ import annotations

from typing import Final

import streamlit as st

from angioatlas.atlas import Atlas
from dashboard.choosing import show_choosing
from dashboard.cohort_parts import PART, bring
from dashboard.comparing import show_comparing
from dashboard.saved_cohorts import show_saved
from dashboard.session import acting

_PARTS: Final = {"Choose": show_choosing, "Saved": show_saved, "Compare": show_comparing}


def show(atlas: Atlas) -> None:
    """Draw the page."""
    st.title("Cohort")
    part = st.segmented_control(
        "Part",
        [*_PARTS],
        default="Choose",
        required=True,
        key=PART,
        bind="query-params",
        label_visibility="collapsed",
    )
    if not atlas.holdings().studies:
        st.info("Nothing is in the store yet.", icon=":material/inbox:")
        st.caption("Next step: `angioatlas embed FOLDER --store STORE`")
        return
    bring()
    _PARTS[part or "Choose"](atlas)


show(acting())
