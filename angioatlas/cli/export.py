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
    cohort: Annotated[
        str | None,
        typer.Option("--cohort", "-c", help="Only a saved cohort, in the version it is of."),
    ] = None,
    version: VersionOption = None,
    source_paths: Annotated[
        bool, typer.Option("--source-paths", help="Include file paths, which may name patients.")
    ] = False,
    reports: Annotated[
        bool,
        typer.Option("--reports", help="Include the texts of reports, which may name persons."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    json: JsonOption = False,
) -> None:
    """Write the studies, videos, findings and labels of one store version, embeddings included.

    Example: angioatlas export cohort.duckdb --store atlas
    """
    report = open_atlas(store, version=version).export(
        out,
        format=format,
        encoder=encoder,
        cohort=cohort,
        source_paths=source_paths,
        reports=reports,
        overwrite=overwrite,
    )
    if json:
        print_json(report.as_dict())
        return
    facts = report.as_dict()
    labels = {f"labels {table}": rows for table, rows in facts.pop("labels").items()}
    print_facts(facts | labels)
    print_notice(report.encoder_id)
