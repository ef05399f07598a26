"""Videos to look at: the cine as a movie, and its middle frame."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse
from starlette.datastructures import MutableHeaders
from starlette.types import Receive, Scope, Send

from angioatlas.pictures import LEAST_HEIGHT, THUMBNAIL_HEIGHT
from api.callers import CallersAtlas
from api.description import Responses, failure
from api.schemas import Uid

router = APIRouter(prefix="/v1", tags=["pictures"])
_KEPT: Final = {"Cache-Control": "private, max-age=3600", "Vary": "Authorization"}
Height = Annotated[
    int | None,
    Query(ge=LEAST_HEIGHT, le=4096, description="Rows; those of the video at the most."),
]


_ONE_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))")


class Picture(FileResponse):
    """A file, whole or one range of its bytes.

    A `Range` header that is none, or asks for several ranges, is ignored (RFC 9110, 14.2): nobody
    needs many pieces of a cine, and thousands of them are a known way to keep a server busy.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse a range outside the file with a problem document."""
        headers = MutableHeaders(scope=scope)
        if "range" in headers:
            size = Path(self.path).stat().st_size
            asked = _ONE_RANGE.fullmatch(headers["range"])
            if asked is None or (asked[2] and int(asked[2]) < int(asked[1])):
                del headers["range"]
            elif int(asked[1] or 0) >= size or (asked[3] and int(asked[3]) == 0):
                raise HTTPException(
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                    headers={"Content-Range": f"bytes */{size}"},
                )
        await super().__call__(scope, receive, send)


def _of(media_type: str) -> Responses:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {"content": content},
        206: {"description": "The bytes that `Range` asked for.", "content": content},
        416: failure("There are no such bytes."),
    }


@router.get(
    "/videos/{sop_uid}/cine.mp4",
    response_class=Picture,
    responses=_of("video/mp4"),
)
def cine(sop_uid: Uid, atlas: CallersAtlas, height: Height = None) -> Picture:
    """Show a cine: H.264 at its own frame rate; byte ranges are answered."""
    return Picture(atlas.cine(sop_uid, height=height), media_type="video/mp4", headers=_KEPT)


@router.get(
    "/videos/{sop_uid}/thumbnail.jpg",
    response_class=Picture,
    responses=_of("image/jpeg"),
)
def thumbnail(sop_uid: Uid, atlas: CallersAtlas, height: Height = THUMBNAIL_HEIGHT) -> Picture:
    """Show the middle frame of a cine."""
    return Picture(atlas.thumbnail(sop_uid, height=height), media_type="image/jpeg", headers=_KEPT)
