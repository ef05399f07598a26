"""`angioatlas similar`: the nearest studies or videos of one that is in the store."""

from __future__ import annotations

from typing import Annotated

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    LevelOption,
    StoreOption,
    VersionOption,
    WhereOption,
    open_atlas,
)
from angioatlas.cli.output import print_hits
from core.schema import Level


def similar(
    uid: Annotated[
        str,
        typer.Argument(
            metavar="UID", help="StudyInstanceUID (or SOPInstanceUID with --level video)."
        ),
    ],
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    k: Annotated[int, typer.Option("-k", min=1, max=10_000, help="Hits to return.")] = 10,
    same_patient: Annotated[
        bool, typer.Option("--same-patient", help="Let hits be of the same patient.")
    ] = False,
    where: WhereOption = None,
    encoder: EncoderOption = None,
    version: VersionOption = None,
    json: JsonOption = False,
) -> None:
    """Rank what is most similar to one study or video, by cosine similarity.

    The UID may be the original one or the store's surrogate.

    Example: angioatlas similar 2.25.1234 --store atlas -k 5
    """
    atlas = open_atlas(store, version=version)
    found = atlas.similar(
        uid,
        level=level,
        k=k,
        exclude_same_patient=not same_patient,
        where=where,
        encoder=encoder,
    )
    empty = "no other study is in the store; embed more, or try --same-patient"
    if where is not None:
        empty = f"no other {level.value} satisfies the predicate"
    print_hits(found, query={"query": found.query_uid}, json=json, empty=empty)
