"""`angioatlas search`: the studies or videos that a text describes best."""

from __future__ import annotations

from dataclasses import asdict
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
from angioatlas.cli.output import print_hits, say
from core.schema import Level, StudyScore


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A finding in words, in English.")],
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    k: Annotated[int, typer.Option("-k", min=1, max=10_000, help="Hits to return.")] = 10,
    where: WhereOption = None,
    score: ScoreOption = StudyScore.AUTO,
    one_per_patient: OnePerPatientOption = False,
    why: WhyOption = False,
    encoder: EncoderOption = None,
    version: VersionOption = None,
    reports: Annotated[
        bool, typer.Option("--reports", help="Rank by the words of reports too; studies only.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Rank what a text describes best, by cosine similarity.

    Needs an encoder with a text side and its vocabulary (angioatlas encoders list).  Words that the
    encoder never met are named; without any that it knows there are no hits.

    With --where every hit satisfies the predicate, and there are as many as were asked for wherever
    as many satisfy it.  `chance` is how many rows one would expect to score as high by chance
    (docs/search.md).

    With --reports the ranking is fused with one by the reports that were imported, where they were.

    Example: angioatlas search "proximal LAD occlusion" --store atlas --level video -k 5
    """
    atlas = open_atlas(store, version=version)
    found = atlas.search(
        text,
        level=level,
        k=k,
        where=where,
        encoder=encoder,
        reports=reports,
        score=score,
        one_per_patient=one_per_patient,
        explain=why,
    )
    empty = "nothing is in the store yet: angioatlas embed PATH"
    if where is not None:
        empty = f"no {level.value} satisfies the predicate"
    if found.note and not json:
        say(f"note: {found.note}", style="yellow")
        empty = 'no answer: name a finding, such as "proximal LAD occlusion"'
    query: dict[str, Any] = {"text": found.text, "note": found.note}
    if found.reports:
        query["reports"] = asdict(found.reports)
        if not json:
            say(str(found.reports))
    print_hits(found, query=query, json=json, empty=empty)
