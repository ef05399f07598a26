"""Where things stand on a page, and what leads from one to another."""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def cells(count: int, *, in_a_row: int) -> Iterator[DeltaGenerator]:
    """Yield so many places of one width, row after row."""
    for first in range(0, count, in_a_row):
        yield from st.columns(in_a_row)[: count - first]


def open_case(study_uid: str, label: str = "Open case") -> None:
    """Draw the link to the page of an exam."""
    st.page_link(
        "views/case.py",
        label=label,
        icon=":material/open_in_full:",
        query_params={"study": study_uid},
    )


def say_empty() -> None:
    """Say what to do where nothing is in the store."""
    st.info("Nothing is in the store yet.", icon=":material/inbox:")
    st.caption("Next step: `angioatlas embed FOLDER --store STORE`")
