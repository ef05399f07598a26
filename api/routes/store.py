"""The store and its versions."""

from __future__ import annotations

from fastapi import APIRouter

from api.callers import CallersAtlas
from api.schemas import EncoderFacts, StoreFacts, Version
from api.versions import NOT_MODIFIED, Versioned
from core.provenance import software_version

router = APIRouter(prefix="/v1", tags=["store"])


@router.get("/store", responses=NOT_MODIFIED)
def store(atlas: CallersAtlas, _: Versioned) -> StoreFacts:
    """Tell what the store holds."""
    held = atlas.holdings()
    return StoreFacts(
        store_version=held.store_version,
        studies=held.studies,
        videos=held.videos,
        encoders=[
            EncoderFacts(encoder_id=name, heads=heads) for name, heads in held.encoders.items()
        ],
        software_version=software_version(),
    )


@router.get("/versions", responses=NOT_MODIFIED)
def versions(atlas: CallersAtlas, _: Versioned) -> list[Version]:
    """List the store versions that can be read, newest first."""
    return [Version(**row) for row in atlas.versions()]
