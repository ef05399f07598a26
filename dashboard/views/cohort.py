"""Cohort: who is studied, chosen with a filter, saved, and up to four of them side by side."""

from __future__ import annotations

from typing import Final

import streamlit as st

from angioatlas.atlas import Atlas
from dashboard.parts.choosing import show_choosing
from dashboard.parts.comparing import show_comparing
from dashboard.parts.layout import say_empty
from dashboard.parts.saved_cohorts import show_saved
from dashboard.parts.ways import PART, bring
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
        say_empty()
        return
    bring()
    _PARTS[part or "Choose"](atlas)


show(acting())
