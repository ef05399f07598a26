"""`angioatlas keys`: who may call the API, and what they may do."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

import typer

from angioatlas.access.access import Access
from angioatlas.access.keys import KeyFacts
from angioatlas.access.principal import Scope
from angioatlas.cli.options import JsonOption
from angioatlas.cli.output import print_json, print_table, say
from core.errors import UsageError
from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Make and revoke the keys of the API.")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, as the audit trail will say.")],
    scopes: Annotated[
        list[Scope], typer.Option("--scope", help="What it may do; may be given several times.")
    ],
    expires: Annotated[
        str,
        typer.Option(
            "--expires", metavar="90d|DAY|never", help="After days, with a day, or never."
        ),
    ] = "90d",
    json: JsonOption = False,
) -> None:
    """Make a key and show its token, once: it is kept nowhere.

    Example: angioatlas keys create dashboard --scope search --scope read --expires 90d
    """
    facts, token = Access(load_settings()).create_key(
        name, scopes, _end(expires, dt.datetime.now(dt.UTC))
    )
    if json:
        print_json({**_row(facts), "token": token})
        return
    print_table([_row(facts)])
    say("the token, which is not shown again:")
    say(token, style="bold")


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the keys, the oldest first; revoked and expired ones are refused.

    Example: angioatlas keys list
    """
    rows = [_row(facts) for facts in Access(load_settings()).book.list()]
    if json:
        print_json(rows)
        return
    print_table(rows, empty="no key yet: angioatlas keys create NAME --scope search")


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As in `keys list`.")],
    json: JsonOption = False,
) -> None:
    """End a key at once, in every process.

    Example: angioatlas keys revoke 3fa94c01d2e7
    """
    row = _row(Access(load_settings()).revoke_key(key_id))
    print_json(row) if json else print_table([row])


def _row(facts: KeyFacts) -> dict[str, Any]:
    return {
        "id": facts.id,
        "name": facts.name,
        "scopes": [scope.value for scope in Scope if scope in facts.scopes],
        "created_at": facts.created_at,
        "expires_at": facts.expires_at,
        "revoked_at": facts.revoked_at,
        "state": facts.state(dt.datetime.now(dt.UTC)),
    }


def _end(text: str, now: dt.datetime) -> dt.datetime | None:
    """Read ``90d``, a day (at whose end, in UTC, the key ends) or ``never``."""
    if text == "never":
        return None
    try:
        if days := re.fullmatch(r"([0-9]{1,5})d", text):
            return now + dt.timedelta(days=int(days[1]))
        day = dt.date.fromisoformat(text)
        return dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--expires {text!r} is no time", "give days (90d), a day (2027-01-31) or never"
        ) from error
