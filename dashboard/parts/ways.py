"""Ways from one part of the cohort page to another, and what is wanted there.

No links: to the page that is open already Streamlit follows them, and leaves the address as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import streamlit as st

from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from angioatlas.cohorts import CohortMembers
from core.errors import AtlasError
from dashboard.session import literal, show_error

PART: Final = "part"
_WANTED: Final = "wanted"


def bring() -> None:
    """Give the part that is drawn next what it was opened with."""
    for key, value in st.session_state.pop(_WANTED, {}).items():
        st.session_state[key] = value
        # Of a widget that was never drawn Streamlit does not write what is set into the address.
        st.query_params[key] = "true" if value is True else value


def offer_to_choose() -> None:
    """Draw the way to the filter."""
    _offer("Choose one", ":material/filter_alt:", "to choose", part="Choose")


def offer_to_compare(name: str, *, key: str = "to compare") -> None:
    """Draw the way to a cohort beside everybody else."""
    icon = ":material/compare:"
    _offer("Compare with everybody else", icon, key, part="Compare", cohorts=[name], rest=True)


def offer_to_save(atlas: Atlas, example: str, save: Callable[[str], CohortMembers]) -> None:
    """Offer to save a cohort under a name, and say where it is then; nothing for who may not write.

    Parameters
    ----------
    atlas : Atlas
    example : str
        Of a name.
    save : callable
        From the name.
    """
    if not atlas.principal.allows(Scope.WRITE):
        return
    with st.form("save", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Save as", placeholder=example, width=300)
        asked = st.form_submit_button("Save", icon=":material/save:")
    if asked and name.strip():
        saved(lambda: save(name.strip()))


def saved(save: Callable[[], CohortMembers]) -> None:
    """Save a cohort, and say where it is; or say what went wrong."""
    try:
        name = save().name or ""
    except AtlasError as error:
        show_error(error)
        return
    st.success(f"Saved as {literal(name)}.", icon=":material/check_circle:")
    with st.container(horizontal=True):
        _offer("Open it", ":material/folder_open:", "to open", part="Saved", name=name)
        offer_to_compare(name, key="to compare what was saved")


def _offer(label: str, icon: str, key: str, *, part: str, **wanted: object) -> None:
    st.button(label, key=key, icon=icon, type="tertiary", on_click=_go, args=(part, wanted))


def _go(part: str, wanted: dict[str, object]) -> None:
    st.session_state[PART] = part
    st.session_state[_WANTED] = wanted
