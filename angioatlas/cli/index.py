"""`angioatlas index`: the derived search index of a store version."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Literal

import typer

from angioatlas.cli import quality
from angioatlas.cli.options import EncoderOption, JsonOption, StoreOption, open_atlas
from angioatlas.cli.output import print_json, print_table
from angioatlas.indexes import IndexFacts
from core.schema import Level

IndexKind = Literal["auto", "exact", "compressed", "hnsw", "gpu"]
"""Those of `index.engines.Kind`, and what decides by size."""

app = typer.Typer(no_args_is_help=True, help="Build and look at search indexes (derived caches).")


@app.command("build")
def build(
    store: StoreOption = None,
    encoder: EncoderOption = None,
    level: Annotated[Level | None, typer.Option(help="Only this level.")] = None,
    kind: Annotated[
        IndexKind,
        typer.Option(
            help="exact; compressed: half precision, re-ranked exactly; hnsw: a graph; "
            "gpu: exact, on a GPU; auto: exact up to 100,000 rows, then compressed."
        ),
    ] = "auto",
    json: JsonOption = False,
) -> None:
    """Build the index of the latest store version; searches use it at once.

    Other searches go on while it is built. What an approximate kind finds of the true ten nearest
    rows is measured, and shown as recall (docs/search.md).

    Example: angioatlas index build --kind auto --store atlas
    """
    atlas = open_atlas(store)
    wanted = None if kind == "auto" else kind
    levels = [level] if level else list(Level)
    built = [atlas.build_index(each, kind=wanted, encoder=encoder).as_dict() for each in levels]
    print_json(built) if json else print_table(built)


@app.command("info")
def info(store: StoreOption = None, json: JsonOption = False) -> None:
    """Show the indexes of a store: kind, rows, recall, the version each was built from.

    The full-text index of reports is of exactly the visible ones, or built again when it is asked.

    Example: angioatlas index info --store atlas
    """
    atlas = open_atlas(store)
    rows = [each.as_dict() for each in atlas.indexes()]
    if (reports := atlas.reports_indexed()) is not None:
        unsaid = dict.fromkeys(field.name for field in fields(IndexFacts))
        told = {"level": Level.STUDY.value, "kind": "full text of reports", "rows": reports}
        rows.append(unsaid | told)
    if json:
        print_json(rows)
        return
    print_table(rows, empty="no index yet; the first search builds one, or: angioatlas index build")


app.command("quality")(quality.quality)
app.command("overlap")(quality.overlap)
