"""Where things stand on a page."""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def cells(count: int, *, in_a_row: int) -> Iterator[DeltaGenerator]:
    """Yield so many places of one width, row after row."""
    for first in range(0, count, in_a_row):
        yield from st.columns(in_a_row)[: count - first]
