"""ETags: a document that was made of one store version is good until the store moves on."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Request, Response

from api.callers import CallersAtlas

NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The store has not moved on since `If-None-Match`."}
}


def versioned(request: Request, response: Response, atlas: CallersAtlas) -> None:
    """Give the answer the ETag of the store's position, or answer 304 where the caller has it."""
    position = atlas.position()
    tag = f'W/"{atlas.store.uuid[:8]}-{position.version}-{position.deletions}"'
    kept = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    asked = request.headers.get("if-none-match", "")
    if tag in [each.strip() for each in asked.split(",")]:
        raise HTTPException(304, headers=kept)
    response.headers.update(kept)


Versioned = Annotated[None, Depends(versioned)]
