"""`angioatlas export`: leave with a DuckDB file, Parquet or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    StoreOption,
    VersionOption,
    open_atlas,
)
from angioatlas.cli.output import print_facts, print_json, print_notice
from core.schema import Format


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File (.duckdb) or folder to write.")],
    store: StoreOption = None,
    encoder: EncoderOption = None,
    format: Annotated[
        Format | None, typer.Option("--format", help="By the ending of OUT when absent.")
    ] = None,
    version: VersionOption = None,
    source_paths: Annotated[
        bool, typer.Option("--source-paths", help="Include file paths, which may name patients.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    json: JsonOption = False,
) -> None:
    """Write the visible studies and videos of one store version, embeddings included.

    Example: angioatlas export cohort.duckdb --store atlas
    """
    report = open_atlas(store, version=version).export(
        out, format=format, encoder=encoder, source_paths=source_paths, overwrite=overwrite
    )
    if json:
        print_json(report.as_dict())
        return
    print_facts(report.as_dict())
    print_notice(report.encoder_id)
