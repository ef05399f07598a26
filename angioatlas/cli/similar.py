"""`angioatlas similar`: the nearest studies or videos of one in the store, or of a new exam."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    LevelOption,
    OnePerPatientOption,
    ScoreOption,
    StoreOption,
    VersionOption,
    WhereOption,
    WhyOption,
    open_atlas,
)
from angioatlas.cli.output import print_hits, progress
from core.errors import UsageError
from core.schema import Level, StudyScore


def similar(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="UID|PATH...",
            help="StudyInstanceUID (SOPInstanceUID with --level video); or files and folders of a "
            "new exam.  What exists on disk is a path.",
        ),
    ],
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    k: Annotated[int, typer.Option("-k", min=1, max=10_000, help="Hits to return.")] = 10,
    same_patient: Annotated[
        bool, typer.Option("--same-patient", help="Let hits be of the same patient.")
    ] = False,
    where: WhereOption = None,
    score: ScoreOption = StudyScore.AUTO,
    one_per_patient: OnePerPatientOption = False,
    why: WhyOption = False,
    encoder: EncoderOption = None,
    version: VersionOption = None,
    json: JsonOption = False,
) -> None:
    """Rank what is most similar to one study or video.

    The UID may be the original one or the store's surrogate.  A new exam is embedded aside with the
    store's encoder, compared, and forgotten.

    `chance` is how many studies (videos) of other patients one would expect to score as high by
    chance (docs/search.md).

    Example: angioatlas similar 2.25.1234 --store atlas -k 5 --why
    """
    atlas = open_atlas(store, version=version)
    options: dict[str, Any] = {
        "k": k,
        "exclude_same_patient": not same_patient,
        "where": where,
        "encoder": encoder,
        "score": score,
        "one_per_patient": one_per_patient,
        "explain": why,
    }
    if _are_paths(what, level):
        with progress(quiet=json) as on_progress:
            found = atlas.similar_to_files(what, on_progress=on_progress, **options)
    else:
        found = atlas.similar(what[0], level=level, **options)
    empty = "no other study is in the store; embed more, or try --same-patient"
    if where is not None:
        empty = f"no other {level.value} satisfies the predicate"
    print_hits(found, query={"query": found.query_uid}, json=json, empty=empty)


def _are_paths(what: list[str], level: Level) -> bool:
    missing = [each for each in what if not Path(each).exists()]
    if not missing:
        if level is Level.VIDEO:
            raise UsageError("a new exam is compared as a study", "leave out --level video")
        return True
    if len(what) > 1:
        raise UsageError(
            f"there is no file {missing[0]}, and only one UID can be asked about",
            "give one UID, or files and folders that exist",
        )
    return False
