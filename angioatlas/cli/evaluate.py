"""`angioatlas evaluate`: how well queries find what they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    LevelOption,
    StoreOption,
    VersionOption,
    open_atlas,
)
from angioatlas.cli.output import print_json, print_notice, print_table, say
from angioatlas.cli.quality import SeedOption
from angioatlas.plain_rows import records
from core.provenance import RESEARCH_USE
from core.schema import Level


def evaluate(
    relevance: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Table with the columns query,uid,relevance, or query,where, or uid,label; the "
            "judgements in the store when absent.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    k: Annotated[
        int, typer.Option("-k", "--k", min=1, max=10_000, help="Depth of P, nDCG and recall.")
    ] = 10,
    per_query: Annotated[
        bool, typer.Option("--per-query", help="Show the measures of every query too.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Take texts as they are.")] = False,
    seed: SeedOption = 0,
    encoder: EncoderOption = None,
    version: VersionOption = None,
    json: JsonOption = False,
) -> None:
    """Measure retrieval against labels or judgements, with 95 % intervals over patients.

    Precision, mean average precision, nDCG, mean reciprocal rank and recall (docs/evaluation.md).

    Example: angioatlas evaluate relevance.csv --level study --store atlas
    """
    found = open_atlas(store, version=version).evaluate(
        relevance, level=level, k=k, seed=seed, plain=plain, encoder=encoder
    )
    each = records(found.per_query) if per_query else []
    if json:
        told = found.as_dict() | ({"per_query": each} if per_query else {})
        print_json(told | {"notice": RESEARCH_USE})
        return
    print_table(records(found.table), empty="no query has a relevant row")
    if per_query:
        print_table(each)
    for note in found.notes:
        say(f"note: {note}")
    print_notice(found.encoder_id)
