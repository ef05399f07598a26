"""Cohorts to keep: made when somebody asks for them, and not before."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.cohorts import CohortMembers
from core.schema import Format
from dashboard.session import encoder


def offer_members(cohort: CohortMembers, name: str) -> None:
    """Offer the index exams as CSV: study_uid, index_date."""
    st.download_button(
        "Members (CSV)",
        lambda: cohort.members[["study_uid", "index_date"]].to_csv(index=False),
        file_name=f"{name}.csv",
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
    )


def offer_exports(atlas: Atlas, name: str) -> None:
    """Offer everything that is known of a saved cohort."""
    space = encoder()
    for label, format, end in (
        ("Everything (DuckDB)", Format.DUCKDB, "duckdb"),
        ("Everything (Parquet)", Format.PARQUET, "zip"),
    ):
        st.download_button(
            label,
            partial(exported, atlas, name, format, encoder=space),
            file_name=f"{name}.{end}",
            mime="application/octet-stream" if end == "duckdb" else "application/zip",
            on_click="ignore",
            icon=":material/database:",
            help="Exams with videos, embeddings, findings and labels; see docs/export.md.",
        )


def exported(atlas: Atlas, name: str, format: Format, *, encoder: str | None) -> bytes:
    """Return the export of a saved cohort: one file, the tables of Parquet in a ZIP archive."""
    folder = atlas.settings.state_dir / "temporary"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="export-") as home:
        out = Path(home) / "cohort.duckdb"
        if format is not Format.DUCKDB:
            out = Path(home) / "cohort"
        atlas.export(out, cohort=name, format=format, encoder=encoder)
        if out.is_dir():
            out = Path(shutil.make_archive(str(out), "zip", out))
        return out.read_bytes()
