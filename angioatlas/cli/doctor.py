"""`angioatlas doctor`: whether this installation, and this store, are in order."""

from __future__ import annotations

import typer

from angioatlas.cli.options import JsonOption, StoreOption
from angioatlas.cli.output import print_json, print_table
from core.settings import load_settings


def doctor(store: StoreOption = None, json: JsonOption = False) -> None:
    """Check packages, device, decoders, encoders, the identity key, and the store if one is named.

    Exit code 1 when something does not work.

    Example: angioatlas doctor --store atlas
    """
    from angioatlas.doctor import examine

    findings = examine(load_settings(store=store))
    if json:
        print_json([finding.as_dict() for finding in findings])
    else:
        print_table([finding.as_dict() for finding in findings])
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
