"""What a report holds, on a page: the same words, tables and figures, and the report to keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from analytics.report.document import Block, Document, Section
from core.errors import NotFoundError
from dashboard.charts import chart
from dashboard.session import literal

if TYPE_CHECKING:
    from angioatlas.report_files import Reported

_Result = TypeVar("_Result", bound="Reported")
_SHARES: Final = ("beyond",)
_WORDS: Final = {"p": "p", "auc": "AUC", "sd": "SD", "se": "SE", "hr": "Hazard ratio"}
"""Heads that are not their columns' names with a capital letter."""


def reported(result: _Result) -> tuple[_Result, Document]:
    """Return a result with its report: they are kept, and forgotten, together."""
    return result, result.document()


def section_of(document: Document, title: str) -> Section:
    """Return the section of a report with a title.

    Raises
    ------
    NotFoundError
        It has none.
    """
    for section in document.sections:
        if section.title == title:
            return section
    raise NotFoundError(f"the report has no section {title!r}")


def show_section(section: Section, *, alt: str, key: str) -> None:
    """Draw a section under its title.

    Parameters
    ----------
    section : Section
    alt : str
        What its figures show, for who does not see them, with the main numbers.
    key : str
        One for each section on a page.
    """
    st.header(section.title)
    show_blocks(section.blocks, alt=alt, key=key)


def show_blocks(blocks: Iterable[Block], *, alt: str, key: str) -> None:
    """Draw paragraphs, tables and figures, each under its caption; see `show_section`."""
    for number, block in enumerate(blocks):
        content = block.content
        if isinstance(content, str):
            st.markdown(literal(content))
            continue
        if block.caption:
            st.markdown(f"**{literal(block.caption)}**")
        if isinstance(content, go.Figure):
            caption = f"{block.caption}. " if block.caption else ""
            chart(content, alt=f"{caption}{alt}", key=f"{key}-{number}")
        else:
            show_table(content)


def show_sections(document: Document, titles: Sequence[str], *, numbers: str) -> None:
    """Show parts of a report, one at a time.

    Parameters
    ----------
    document : Document
    titles : sequence of str
        Of the sections, in the order of the page.
    numbers : str
        The main figures in words, for who does not see the pictures.
    """
    sections = {section.title: section for section in document.sections}
    kept = [title for title in titles if title in sections]
    tabs = st.tabs(kept, key="show", bind="query-params")
    for title, tab in zip(kept, tabs, strict=True):
        if tab.open:
            with tab:
                show_blocks(sections[title].blocks, alt=f"{title}. {numbers}", key=title)


def show_table(table: pd.DataFrame) -> None:
    """Draw a table of a report: estimates with their limits, p as it is written."""
    shown = _in_words(table)
    config: dict[str, Any] = {}
    for name in shown.columns:
        words = str(name).replace("_", " ")
        label = _WORDS.get(words, words[:1].upper() + words[1:])
        is_number = pd.api.types.is_float_dtype(shown[name])
        config[name] = st.column_config.NumberColumn(label, format="%.3f") if is_number else label
    st.dataframe(shown, hide_index=True, column_config=config)


def offer_report(document: Document, name: str) -> None:
    """Offer a report as a page and as JSON; either is written when it is asked for.

    Parameters
    ----------
    document : Document
    name : str
        Of the files, without an ending.
    """
    with st.container(horizontal=True):
        for label, ending, mime, write in (
            ("Report (HTML)", "html", "text/html", document.html),
            ("Figures behind it (JSON)", "json", "application/json", document.json),
        ):
            st.download_button(
                label,
                write,
                f"{name}.{ending}",
                mime,
                key=f"{name} {ending}",
                on_click="ignore",
                icon=":material/download:",
            )


def p_value(p: float | None) -> str:
    """Tell a p-value as it is written, empty where there is none."""
    if p is None or pd.isna(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Put limits into the cell of what stands left of them, and write p and shares as one does."""
    shown: dict[str, Any] = {}
    for name in table.columns:
        if str(name).endswith("lower"):
            upper = f"{str(name).removesuffix('lower')}upper"
            estimate = next(reversed(shown))
            shown[estimate] = [
                "" if pd.isna(value) else f"{value:.2f} ({low:.2f} to {high:.2f})"
                for value, low, high in zip(shown[estimate], table[name], table[upper], strict=True)
            ]
        elif name == "p":
            shown[name] = [p_value(p) for p in table[name]]
        elif name in _SHARES:
            shown[name] = [f"{share:.0%}" for share in table[name]]
        elif str(name).endswith("upper"):
            continue
        elif pd.api.types.is_numeric_dtype(table[name]):
            shown[name] = table[name]
        else:
            shown[name] = [str(value).replace("_", " ") for value in table[name]]
    return pd.DataFrame(shown)
