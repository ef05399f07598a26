"""`angioatlas audit`: what was done here, and whether the record of it still stands."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from angioatlas.access.access import audit_trail
from angioatlas.access.audit import Head
from angioatlas.cli.options import JsonOption
from angioatlas.cli.output import print_json, print_table, say
from core.settings import load_settings

BROKEN_EXIT = 1

app = typer.Typer(no_args_is_help=True, help="Read the audit trail and verify it.")


@app.command("show")
def show(
    last: Annotated[int, typer.Option("--last", min=1, help="Entries at the most.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show the last entries, the oldest of them first.

    Example: angioatlas audit show --last 50
    """
    trail = audit_trail(load_settings())
    entries = [asdict(each) for each in trail.entries(after=trail.head().seq - last, limit=last)]
    if json:
        print_json(entries)
        return
    columns = ("seq", "at", "principal", "via", "action", "outcome")
    shown = [
        {name: _safe(each[name]) for name in columns}
        | {"object": _safe(", ".join(f"{name} {value}" for name, value in each["object"].items()))}
        for each in entries
    ]
    print_table(shown, empty="nothing is on record yet")


@app.command("verify")
def verify(
    head: Annotated[
        str | None,
        typer.Option(
            "--head", metavar="SEQ:HASH", help="A head that was kept elsewhere, to hold it against."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Walk the whole chain; exit 1 when it is broken, naming the first entry that does not hold.

    Keep the head that it shows somewhere that this machine cannot write.

    Example: angioatlas audit verify
    """
    verdict = audit_trail(load_settings()).verify(None if head is None else Head.parse(head))
    if json:
        print_json({**asdict(verdict), "head": str(verdict.head), "intact": verdict.intact})
    else:
        say(str(verdict), style="" if verdict.intact else "red")
        say(f"head {verdict.head}")
    if not verdict.intact:
        raise typer.Exit(BROKEN_EXIT)


def _safe(value: object) -> str:
    """Show what anybody may have sent: as text, with nothing that a terminal would obey."""
    text = str(value)
    return escape(text if text.isprintable() else ascii(text))
