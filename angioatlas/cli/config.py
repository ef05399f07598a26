"""`angioatlas config`: which settings are in force, and where each comes from."""

from __future__ import annotations

import typer

from angioatlas.cli.options import JsonOption
from angioatlas.cli.output import print_json, print_table
from core.settings import config_file, explain, load_settings

app = typer.Typer(no_args_is_help=True, help="Show the settings in force.")


@app.command("show")
def show(json: JsonOption = False) -> None:
    """List every setting with its value and where the value comes from.

    Example: angioatlas config show
    """
    rows = explain(load_settings())
    if json:
        print_json({name: {"value": value, "source": source} for name, value, source, _ in rows})
        return
    print_table(
        [
            {"setting": name, "value": value, "source": source, "meaning": meaning}
            for name, value, source, meaning in rows
        ],
        title=f"configuration file: {config_file() or 'none'}",
    )
