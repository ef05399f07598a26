"""The client's calls about cohorts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from api.client_connection import Connection, in_path
from api.client_options import CohortOptions
from api.cohort_schemas import Cohort, CohortEntry, CohortNow, Member, MemberPage
from core.schema import Format


class CohortCalls(Connection):
    """A part of `api.client.Client`."""

    def cohorts(self) -> list[CohortEntry]:
        """List the saved cohorts, by name."""
        return self._get("/v1/cohorts", list[CohortEntry])

    def create_cohort(self, name: str, **options: Unpack[CohortOptions]) -> Cohort:
        """Choose a cohort and save it; needs the scopes `read` and `write`."""
        return self._post("/v1/cohorts", {"name": name, **options}, Cohort)

    def cohort(self, cohort_id: str) -> CohortNow:
        """Show how a cohort was chosen, and how it differs from a choice made now."""
        return self._get(f"/v1/cohorts/{in_path(cohort_id)}", CohortNow)

    def cohort_members(self, cohort_id: str, *, limit: int | None = None) -> Iterator[Member]:
        """Iterate over the index exams of a cohort, by study UID; `limit` is of a page."""
        at = f"/v1/cohorts/{in_path(cohort_id)}/members"
        for page in self._pages(at, MemberPage, {"limit": limit}):
            yield from page.members

    def export_cohort(
        self,
        cohort_id: str,
        file: Path,
        *,
        format: Format | None = None,
        encoder: str | None = None,
    ) -> Path:
        """Write a cohort as a DuckDB file, or a ZIP archive of Parquet or CSV files.

        The file appears once it is whole.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        at = f"/v1/cohorts/{in_path(cohort_id)}/export"
        return self._download(at, file, format=format, encoder=encoder)

    def delete_cohort(self, cohort_id: str) -> None:
        """Delete a cohort, under every name that it has; needs the scope `write`."""
        self._send("DELETE", f"/v1/cohorts/{in_path(cohort_id)}")
