"""`angioatlas search`: the studies or videos that a text describes best."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

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
from angioatlas.cli.output import print_hits, print_table, say
from core.schema import Level, StudyScore

if TYPE_CHECKING:
    from angioatlas.clinical import Part, Question


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Findings in words.")],
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    k: Annotated[int, typer.Option("-k", min=1, max=10_000, help="Hits to return.")] = 10,
    where: WhereOption = None,
    plain: Annotated[bool, typer.Option("--plain", help="Take the text as it is.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="WORDS", help="Words read as a part that is not to be."),
    ] = None,
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

    Clinical words are read first, English or French: places and findings become sentences for the
    text encoder; percentages, negations and the ejection fraction leave out what does not satisfy
    them wherever the store can tell.  What was read is shown above the hits (docs/search.md).

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
        plain=plain,
        without=without or (),
        encoder=encoder,
        reports=reports,
        score=score,
        one_per_patient=one_per_patient,
        explain=why,
    )
    question = found.question
    if question and not json:
        _print_parse(question)
    empty = "nothing is in the store yet: angioatlas embed PATH"
    if where is not None or (question and question.where):
        empty = f"no {level.value} satisfies the predicate"
    if found.note and not json:
        say(f"note: {found.note}", style="yellow")
    if found.note and found.hits.empty:
        empty = 'no answer: name a finding, such as "proximal LAD occlusion"'
    query: dict[str, Any] = {"text": found.text, "note": found.note, "parse": _parse(question)}
    if found.reports:
        query["reports"] = asdict(found.reports)
        if not json:
            say(str(found.reports))
    print_hits(found, query=query, json=json, empty=empty)


def _print_parse(question: Question) -> None:
    """Show what was read of the text, and what becomes of it."""
    print_table(
        [
            {"words": part.words, "read as": part.read or "-", "used as": _use(part)}
            for part in question.parts
        ]
    )
    for note in question.notes:
        say(f"note: {note}", style="yellow")


def _parse(question: Question | None) -> dict[str, Any] | None:
    if question is None:
        return None
    parts = [{**asdict(part), "use": part.use} for part in question.parts]
    return {"parts": parts, "notes": question.notes}


def _use(part: Part) -> str:
    """Say what becomes of a part, and by which predicate."""
    return f"{part.use}: {part.where}" if part.where else str(part.use)
