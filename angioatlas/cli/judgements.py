"""`angioatlas judgements`: what readers said of hits, to be scored by `angioatlas evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    LevelOption,
    StoreOption,
    open_atlas,
)
from angioatlas.cli.output import print_json, print_notice, print_table, say
from angioatlas.plain_rows import records
from core.errors import UsageError
from core.provenance import RESEARCH_USE
from core.schema import Level

app = typer.Typer(no_args_is_help=True, help="Judge hits, and list what was judged.")


@app.command("add")
def add(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="The text, or the UID, that was asked with.")
    ],
    uid: Annotated[str, typer.Argument(metavar="UID", help="The study or video that was shown.")],
    relevance: Annotated[
        int,
        typer.Argument(
            min=0, max=3, help="0 not relevant, 1 somewhat, 2 well, 3 exactly what was asked for."
        ),
    ],
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    rank: Annotated[int | None, typer.Option("--rank", min=1, help="Where it was shown.")] = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Store how well a study or video answers a query; a later judgement replaces it.

    Example: angioatlas judgements add "proximal LAD occlusion" 2.25.1234 3 --store atlas
    """
    saved = open_atlas(store).judge(query, uid, relevance, level=level, rank=rank, encoder=encoder)
    if json:
        print_json(
            {
                "query": saved.query,
                "uid": saved.uid,
                "relevance": saved.relevance,
                "level": saved.level,
                "created_at": saved.created_at,
            }
        )
        return
    say(f"{saved.level} {saved.uid}: relevance {saved.relevance}")


@app.command("list")
def list_(
    store: StoreOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write query,uid,relevance of one level as CSV, for `evaluate`."
        ),
    ] = None,
    level: Annotated[
        Level | None, typer.Option("--level", help="Only of studies, or of videos.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the judgements, the oldest first; those that were replaced are left out.

    Example: angioatlas judgements list --level study --out relevance.csv --store atlas
    """
    if out is not None and level is None:
        raise UsageError("a table of relevance is of one level", "give --level study or video")
    found = open_atlas(store).judgements()
    if level is not None:
        found = found[found["level"] == level.value]
    if out is not None:
        found[["query", "uid", "relevance"]].to_csv(out, index=False)
    rows = records(found)
    if json:
        print_json({"judgements": rows, "notice": RESEARCH_USE})
    else:
        print_table(rows, empty="nothing is judged yet: angioatlas judgements add QUERY UID 0-3")
        print_notice()
    if out is not None:
        say(f"{out} written", stderr=json)
