"""`angioatlas labels`: what is known of patients and studies from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from angioatlas.cli.options import JsonOption, StoreOption, VersionOption, open_atlas
from angioatlas.cli.output import print_json, print_notice, print_table, say
from angioatlas.plain_rows import records
from core.labels import LabelKind

if TYPE_CHECKING:
    from angioatlas.labels import LabelReport

app = typer.Typer(no_args_is_help=True, help="Import and show labels: events, measurements, …")


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="Tables, or folders with events.csv, follow_up.csv, measurements.csv, "
            "procedures.csv, covariates.csv, reports.csv.",
            show_default=False,
        ),
    ],
    store: StoreOption = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="Table that the files hold, when their names do not tell (events, follow-up, "
            "measurements, procedures, covariates, reports), or another shape that they have "
            "(outcomes-flat, external-validation).",
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="The files are whole: withdraw rows of their tables that they do not have.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Import label tables with original identifiers; all or nothing.

    Identifiers and dates become those of the store. The same files again change nothing.

    Example: angioatlas labels import cohort/labels --store atlas
    """
    report = open_atlas(store).import_labels(paths, kind=kind, replace=replace)
    print_json(report.as_dict()) if json else _print(report)


@app.command("show")
def show(
    kind: Annotated[LabelKind, typer.Argument(help="The table.")],
    store: StoreOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")] = 50,
    version: VersionOption = None,
    json: JsonOption = False,
) -> None:
    """Show the labels of one table, by patient and date.

    Example: angioatlas labels show events --store atlas
    """
    frame = open_atlas(store, version=version).labels(kind)
    rows = records(frame.head(limit))
    if json:
        print_json({"kind": kind.value, "total": len(frame), "rows": rows})
        return
    print_table(rows, empty="no such label: angioatlas labels import PATH")
    if len(frame) > len(rows):
        say(f"{len(rows)} of {len(frame)} rows; --limit shows more, angioatlas export writes all")
    print_notice()


def _print(report: LabelReport) -> None:
    rows = [
        {"table": kind, **{name.replace("_", " "): n for name, n in counts.items()}}
        for kind, counts in report.as_dict()["tables"].items()
    ]
    print_table(rows, empty="the files hold no rows")
    if any(counts.not_matched for counts in report.tables.values()):
        say("not matched: the store does not hold the patient or study yet; the rows are kept")
    if any(counts.unknown_patient for counts in report.tables.values()):
        say(
            "unknown patient: reports of studies that the store does not hold are left out; embed "
            "the studies first, or add the column patient_id"
        )
    if any(counts.deleted_patient for counts in report.tables.values()):
        say("deleted patient: rows of patients who were deleted from the store are left out")
    say(f"store version {report.store_version}")
    print_notice()
