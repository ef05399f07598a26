"""The cohort that was drawn round on a map and is not saved, as long as the session lasts."""

from __future__ import annotations

from typing import Final

import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.cohorts import CohortMembers
from dashboard.session import remembered

_DRAWN: Final = "drawn round"


def keep_drawn(cohort: CohortMembers, map_name: str) -> None:
    """Keep a cohort for the other pages, and which map it was drawn on."""
    st.session_state[_DRAWN] = (cohort, map_name)


def forget_drawn() -> None:
    """Forget it."""
    st.session_state.pop(_DRAWN, None)


def drawn_cohort(atlas: Atlas) -> tuple[str, CohortMembers] | None:
    """Return what the cohort is called and the cohort, None when nothing was drawn round.

    It is forgotten when its store version cannot be read any more: a patient was deleted then.
    """
    if _DRAWN not in st.session_state:
        return None
    cohort, map_name = st.session_state[_DRAWN]
    versions = remembered(atlas, "versions", atlas.versions)
    if cohort.store_version not in {each["version"] for each in versions}:
        forget_drawn()
        return None
    return f"Lasso on map {map_name}", cohort
