"""The cohort that was drawn round on a map and is not saved, as long as the session lasts."""

from __future__ import annotations

from typing import Final

import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.cohorts import CohortMembers
from dashboard.session import remembered

_CHOSEN: Final = "chosen"
_MAP: Final = "chosen on"


def keep_lasso(cohort: CohortMembers, map_name: str) -> None:
    """Keep a cohort for the other pages, and which map it was drawn on."""
    st.session_state[_CHOSEN] = cohort
    st.session_state[_MAP] = map_name


def kept_lasso(atlas: Atlas) -> tuple[str, CohortMembers] | None:
    """Return what the cohort is called and the cohort, None when nothing was drawn round.

    It is forgotten when its store version cannot be read any more: a patient was deleted then.
    """
    cohort = st.session_state.get(_CHOSEN)
    if cohort is None:
        return None
    versions = remembered(atlas, "versions", atlas.versions)
    if cohort.store_version not in {each["version"] for each in versions}:
        del st.session_state[_CHOSEN]
        return None
    name = st.session_state.get(_MAP)
    return (f"Lasso on map {name}" if name else "Lasso on a map"), cohort
