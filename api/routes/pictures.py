"""Videos to look at: the cine as a movie, and its middle frame."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from angioatlas.pictures import LEAST_HEIGHT, THUMBNAIL_HEIGHT
from api.callers import CallersAtlas
from api.schemas import Uid

router = APIRouter(prefix="/v1", tags=["pictures"])
_KEPT: Final = {"Cache-Control": "private, max-age=3600", "Vary": "Authorization"}
Height = Annotated[
    int | None,
    Query(ge=LEAST_HEIGHT, le=4096, description="Rows; those of the video at the most."),
]


def _of(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}}


@router.get(
    "/videos/{sop_uid}/cine.mp4",
    response_class=FileResponse,
    responses=_of("video/mp4"),
)
def cine(sop_uid: Uid, atlas: CallersAtlas, height: Height = None) -> FileResponse:
    """Show a cine: H.264 at its own frame rate; byte ranges are answered."""
    return FileResponse(atlas.cine(sop_uid, height=height), media_type="video/mp4", headers=_KEPT)


@router.get(
    "/videos/{sop_uid}/thumbnail.jpg",
    response_class=FileResponse,
    responses=_of("image/jpeg"),
)
def thumbnail(sop_uid: Uid, atlas: CallersAtlas, height: Height = THUMBNAIL_HEIGHT) -> FileResponse:
    """Show the middle frame of a cine."""
    return FileResponse(
        atlas.thumbnail(sop_uid, height=height), media_type="image/jpeg", headers=_KEPT
    )
