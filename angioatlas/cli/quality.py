"""`angioatlas index quality` and `index overlap`: what searches miss, and what encoders share."""

from __future__ import annotations

from typing import Annotated

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    LevelOption,
    StoreOption,
    open_atlas,
)
from angioatlas.cli.output import print_facts, print_json, print_notice, print_table, say
from angioatlas.plain_rows import records
from core.provenance import RESEARCH_USE
from core.schema import Level

SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")]
NeighboursOption = Annotated[
    int, typer.Option("-k", min=1, max=1000, help="How many of the best are compared.")
]


def quality(
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    k: NeighboursOption = 10,
    queries: Annotated[
        int, typer.Option("--queries", min=1, max=100_000, help="Rows to ask with, drawn.")
    ] = 200,
    seed: SeedOption = 0,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Hold searches against a full scan: recall and milliseconds, filtered and not.

    Asked with studies (or videos) of the store, and with texts when the encoder reads text.

    Example: angioatlas index quality --level video --store atlas
    """
    found = open_atlas(store).index_quality(level, k=k, queries=queries, seed=seed, encoder=encoder)
    if json:
        print_json(found.as_dict() | {"notice": RESEARCH_USE})
        return
    print_facts({"index": found.kind, "rows": found.rows, "k": found.k})
    shown = found.table.assign(share=[f"{share:.2%}" for share in found.table["share"]])
    print_table(records(shown))
    for note in found.notes:
        say(f"note: {note}")
    print_notice(found.encoder_id)


def overlap(
    one: Annotated[str, typer.Argument(metavar="ENCODER", help="Name, folder or id.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The one to compare with.")],
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    k: NeighboursOption = 10,
    sample: Annotated[
        int, typer.Option("--sample", min=1, max=100_000, help="Rows to ask with, drawn.")
    ] = 500,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Tell whether two encoders find the same neighbours of the same studies.

    Among the rows that both have embedded, without those of the query's own patient.

    Example: angioatlas index overlap phantom-mini my-encoder --store atlas
    """
    found = open_atlas(store).encoder_overlap(
        one, other, level=level, k=k, sample=sample, seed=seed
    )
    if json:
        print_json(found.as_dict() | {"notice": RESEARCH_USE})
        return
    print_facts({"rows of both": found.rows, "asked with": found.queries})
    print_table(records(found.table))
    print_notice(" and ".join(found.encoders))
