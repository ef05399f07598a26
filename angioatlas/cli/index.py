"""`angioatlas index`: the derived search index of a store version."""

from __future__ import annotations

from typing import Annotated

import typer

from angioatlas.cli import quality
from angioatlas.cli.options import EncoderOption, JsonOption, StoreOption, open_atlas
from angioatlas.cli.output import print_json, print_table
from core.schema import Level

app = typer.Typer(no_args_is_help=True, help="Build and look at search indexes (derived caches).")


@app.command("build")
def build(
    store: StoreOption = None,
    encoder: EncoderOption = None,
    level: Annotated[Level | None, typer.Option(help="Only this level.")] = None,
    json: JsonOption = False,
) -> None:
    """Build the exact index of the latest store version; searches use it at once.

    Example: angioatlas index build --store atlas
    """
    atlas = open_atlas(store)
    levels = [level] if level else list(Level)
    built = [atlas.build_index(each, encoder=encoder).as_dict() for each in levels]
    print_json(built) if json else print_table(built)


@app.command("info")
def info(store: StoreOption = None, json: JsonOption = False) -> None:
    """Show the indexes of a store: kind, rows, the version each was built from.

    Example: angioatlas index info --store atlas
    """
    rows = [each.as_dict() for each in open_atlas(store).indexes()]
    if json:
        print_json(rows)
        return
    print_table(rows, empty="no index yet; the first search builds one, or: angioatlas index build")


app.command("quality")(quality.quality)
app.command("overlap")(quality.overlap)
