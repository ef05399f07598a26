"""Cohorts: chosen, saved, listed, exported and deleted.

An address holds the id of a cohort, never its name, which somebody made up and may be a patient's.
No answer has an ETag: a cohort comes and goes without the store's version.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Depends, Response

from analytics.cohort import IndexRule
from angioatlas.cohorts import CohortMembers
from angioatlas.plain_rows import records
from api.callers import CallersAtlas, export_place
from api.cohort_schemas import (
    Cohort,
    CohortDefinition,
    CohortEntry,
    CohortId,
    CohortNow,
    Member,
    MemberPage,
    NewCohort,
    Staleness,
    Step,
)
from api.description import Responses, failure
from api.downloads import MEDIA_TYPES, Download, written
from api.paging import Cursor, Limit, cursor_of, uid_of
from api.routes.studies import Encoder
from core.schema import Format

router = APIRouter(prefix="/v1", tags=["cohorts"])
_CREATED: Final[Responses] = {
    201: {
        "headers": {"Location": {"description": "The cohort.", "schema": {"type": "string"}}},
    },
    409: failure("The name is another cohort's."),
}
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_EXPORTED: Final[Responses] = {
    200: {"content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY)},
}


@router.get("/cohorts")
def cohorts(atlas: CallersAtlas) -> list[CohortEntry]:
    """List the saved cohorts, by name."""
    return [CohortEntry(**row) for row in records(atlas.cohorts())]


@router.post("/cohorts", status_code=HTTPStatus.CREATED, responses=_CREATED)
def create_cohort(query: NewCohort, atlas: CallersAtlas, response: Response) -> Cohort:
    """Choose a cohort and save it; the same again under the same name is the same cohort."""
    chosen = atlas.choose_cohort(
        where=query.where,
        members=query.members,
        index=None if query.index is None else IndexRule(**query.index.model_dump()),
        like=query.like,
        encoder=query.encoder,
        name=query.name,
    )
    response.headers["Location"] = f"/v1/cohorts/{chosen.cohort_id}"
    return Cohort(**_told(chosen))


@router.get("/cohorts/{cohort_id}")
def cohort(cohort_id: CohortId, atlas: CallersAtlas) -> CohortNow:
    """Show how a cohort was chosen, and how it differs from a choice made now."""
    chosen = atlas.cohort(cohort_id)
    stale = Staleness.model_validate(atlas.cohort_staleness(chosen))
    return CohortNow(**_told(chosen), staleness=stale)


@router.get("/cohorts/{cohort_id}/members")
def cohort_members(
    cohort_id: CohortId, atlas: CallersAtlas, limit: Limit = 100, cursor: Cursor = None
) -> MemberPage:
    """List the index exams of a cohort, a page at a time, as they were chosen."""
    found = atlas.members_of_cohort(cohort_id, after=uid_of(cursor), limit=limit)
    return MemberPage(
        members=[Member(**row) for row in found.rows],
        next=cursor_of(found.last),
        store_version=found.store_version,
    )


@router.get(
    "/cohorts/{cohort_id}/export",
    response_class=Download,
    status_code=HTTPStatus.OK,
    responses=_EXPORTED,
    dependencies=[Depends(export_place)],
)
def export_cohort(
    cohort_id: CohortId,
    atlas: CallersAtlas,
    format: Format = Format.DUCKDB,
    encoder: Encoder = None,
) -> Download:
    """Export a cohort: its exams with embeddings, findings, and the labels of its patients.

    One DuckDB file, or a ZIP archive of one Parquet or CSV file a table.
    """

    def write(out: Path) -> None:
        atlas.export(out, cohort=cohort_id, format=format, encoder=encoder)

    file = written(atlas.settings.state_dir / "downloads", format, write)
    ending = "duckdb" if format is Format.DUCKDB else f"{format.value}.zip"
    name = f"cohort-{cohort_id[:12]}.{ending}"
    return Download(file, name=name, media_type=MEDIA_TYPES[format])


@router.delete("/cohorts/{cohort_id}", status_code=HTTPStatus.NO_CONTENT)
def delete_cohort(cohort_id: CohortId, atlas: CallersAtlas) -> None:
    """Delete a cohort, under every name that it has; studies, labels and models stay."""
    atlas.drop_cohort(cohort_id)


def _told(chosen: CohortMembers) -> dict[str, Any]:
    return {
        **chosen.about(),
        "definition": CohortDefinition.model_validate(chosen.definition),
        "attrition": [Step(**row) for row in records(chosen.attrition)],
    }
