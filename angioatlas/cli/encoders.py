"""`angioatlas encoders`: bring checkpoints in, list what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from angioatlas.cli.options import JsonOption
from angioatlas.cli.output import print_facts, print_json, print_table, say
from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Import and list encoders.")


@app.command("import")
def import_(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Original contrastive checkpoint.")
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the encoder: a-z, 0-9 and -.")],
    mean: Annotated[float, typer.Option("--mean", help="Pixel mean of its training, 0 to 255.")],
    std: Annotated[float, typer.Option("--std", help="Pixel standard deviation of its training.")],
    heads: Annotated[
        int, typer.Option("--heads", help="Attention heads of the aggregator (not in the file).")
    ] = 16,
    study_rule: Annotated[
        Literal["mean", "aggregator"],
        typer.Option("--study-rule", help="mean for single-video training, else aggregator."),
    ] = "mean",
    token_pooling: Annotated[
        Literal["mean", "attention", "cls_token"],
        typer.Option("--token-pooling", help="How the tokens of a clip become one vector."),
    ] = "mean",
    profile: Annotated[
        Literal["display", "original"],
        typer.Option("--profile", help="How pixels become 8-bit grey (docs/dicom.md)."),
    ] = "display",
    padding: Annotated[
        Literal["masked", "unmasked"],
        typer.Option("--padding", help="unmasked: pad studies to 10 as the original does."),
    ] = "masked",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace one of this name.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Turn an original contrastive checkpoint into an encoder folder.

    Example: angioatlas encoders import checkpoint.pt --name deepcoro --mean 110.4955 --std 37.8058
    """
    from embedder.encoders.checkpoint import import_checkpoint  # brings torch: only when needed

    settings = load_settings()
    spec, unknown = import_checkpoint(
        checkpoint,
        out=settings.encoders_dir,
        name=name,
        mean=mean,
        std=std,
        heads=heads,
        study_rule=study_rule,
        token_pooling=token_pooling,
        profile=profile,
        padding=padding,
        overwrite=overwrite,
    )
    folder = settings.encoders_dir / name
    if json:
        print_json({"encoder_id": spec.encoder_id, "folder": folder, "unknown_keys": unknown})
        return
    print_facts({"encoder": spec.encoder_id, "folder": folder})
    for key in unknown:
        say(f"not used: {key}", stderr=True)
    say(f"next: angioatlas embed PATH --store FOLDER --encoder {name}")


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the imported encoders.

    Example: angioatlas encoders list
    """
    from embedder.encoders.registry import list_encoders

    settings = load_settings()
    rows = [
        {
            "name": spec.name,
            "encoder_id": spec.encoder_id,
            "architecture": spec.architecture,
            "study_rule": spec.study_rule,
            "profile": spec.profile,
        }
        for spec in list_encoders(settings.encoders_dir)
    ]
    if json:
        print_json(rows)
        return
    print_table(
        rows,
        empty="no encoder yet: angioatlas encoders import CHECKPOINT --name N --mean M --std S",
    )


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Encoder to show.")],
    json: JsonOption = False,
) -> None:
    """Show an encoder's whole specification (all of it is part of its id).

    Example: angioatlas encoders show deepcoro
    """
    from embedder.encoders.registry import find_encoder, read_spec

    spec = read_spec(find_encoder(name, load_settings().encoders_dir))
    facts = {"encoder_id": spec.encoder_id, **spec.model_dump()}
    print_json(facts) if json else print_facts(facts)
