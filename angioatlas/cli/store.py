"""`angioatlas store`: look at a store, compact it, take a patient out of it."""

from __future__ import annotations

from typing import Annotated

import typer

from angioatlas.cli.options import JsonOption, StoreOption, YesOption, open_atlas
from angioatlas.cli.output import print_facts, print_json, print_table
from angioatlas.plain_rows import records
from core.outcomes import OUTCOMES, Code, Status

app = typer.Typer(no_args_is_help=True, help="Look at a store and maintain it.")


@app.command("info")
def info(store: StoreOption = None, json: JsonOption = False) -> None:
    """Show what a store holds and how it keeps identities.

    Example: angioatlas store info --store atlas
    """
    facts = open_atlas(store).info()
    print_json(facts) if json else print_facts(facts)


@app.command("versions")
def versions(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the store versions that can still be read.

    Example: angioatlas store versions --store atlas
    """
    rows = open_atlas(store).versions()
    print_json(rows) if json else print_table(rows, empty="no version yet: angioatlas embed PATH")


@app.command("runs")
def runs(store: StoreOption = None, json: JsonOption = False) -> None:
    """List what wrote to the store, and how many inputs stand where each run put them.

    Example: angioatlas store runs --store atlas
    """
    rows = records(open_atlas(store).runs())
    print_json(rows) if json else print_table(rows, empty="no run yet: angioatlas embed PATH")


@app.command("outcomes")
def outcomes(store: StoreOption = None, json: JsonOption = False) -> None:
    """Count the inputs by how they ended, with what each code means and the next step.

    Example: angioatlas store outcomes --store atlas
    """
    rows = records(open_atlas(store).outcomes())
    print_json(rows) if json else print_table(rows, empty="no input yet: angioatlas embed PATH")


@app.command("inputs")
def inputs(
    store: StoreOption = None,
    status: Annotated[Status | None, typer.Option(help="Only this status.")] = None,
    code: Annotated[Code | None, typer.Option(help="Only this code.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows at the most.")] = 100,
    json: JsonOption = False,
) -> None:
    """List the ledger: every input ever offered, where it ended, and why.

    Example: angioatlas store inputs --store atlas --status quarantined
    """
    rows = records(open_atlas(store).inputs(status=status, code=code, limit=limit))
    for row in rows:
        row["hint"] = OUTCOMES[Code(row["code"])].hint if row["code"] else None
    print_json(rows) if json else print_table(rows)


@app.command("compact")
def compact(store: StoreOption = None, json: JsonOption = False) -> None:
    """Merge small fragments and drop old versions (settings: retention).

    Versions that a reader holds, or younger than the grace period, stay.

    Example: angioatlas store compact --store atlas
    """
    facts = open_atlas(store).compact()
    print_json(facts) if json else print_facts(facts)


@app.command("purge")
def purge(
    patient: Annotated[
        str,
        typer.Option("--patient", help="Patient id: the original one or the store's pseudonym."),
    ],
    store: StoreOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Delete a patient: hidden at once, then the bytes leave all versions and indexes.

    Older store versions end with this, since they hold the bytes.

    Example: angioatlas store purge --patient 3f2a... --store atlas
    """
    atlas = open_atlas(store)
    if not yes:
        typer.confirm("Delete this patient from every version of the store?", abort=True, err=True)
    facts = atlas.purge_patient(patient)
    print_json(facts) if json else print_facts(facts)
