"""`angioatlas encoders`: bring checkpoints in, list what is there, check it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from angioatlas.cli.options import JsonOption
from angioatlas.cli.output import print_facts, print_json, print_notice, print_table, say
from core.settings import load_settings

if TYPE_CHECKING:
    from embedder.encoders.importing.checkpoint import Imported

app = typer.Typer(no_args_is_help=True, help="Import, list and check encoders.")

_HEADS = "Finding heads"
_SHOWN = 20

SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Checkpoint files, a folder that holds them, or a hub id (owner/name).",
        show_default=False,
    ),
]
TokenizerOption = Annotated[
    Path | None,
    typer.Option(
        "--tokenizer",
        metavar="FOLDER",
        help="Tokenizer folder of the text encoder (vocab.txt or tokenizer.json).",
        show_default=False,
    ),
]
ModeOption = Annotated[
    Literal["masked", "exact"],
    typer.Option(
        "--mode",
        help="exact: as the original, with padding to 10 videos, rounding and pixels as stored.",
    ),
]
HeadsMeanOption = Annotated[
    float | None,
    typer.Option(
        "--heads-mean",
        help="Pixel mean of the probing checkpoint's training; of the release when absent.",
        show_default=False,
        rich_help_panel=_HEADS,
    ),
]
HeadsStdOption = Annotated[
    float | None,
    typer.Option(
        "--heads-std",
        help="Pixel standard deviation of the same; of the release when absent.",
        show_default=False,
        rich_help_panel=_HEADS,
    ),
]
HeadsPoolingOption = Annotated[
    Literal["mean", "max", "attention", "cls_token", "mean+cls_token", "attention+cls_token"]
    | None,
    typer.Option(
        "--heads-pooling",
        help="How the heads pool; told from the weights when absent.",
        show_default=False,
        rich_help_panel=_HEADS,
    ),
]
AttentionHeadsOption = Annotated[
    int,
    typer.Option(
        "--attention-heads",
        help="Attention heads of the finding heads (not in the file; the release runs with 8).",
        rich_help_panel=_HEADS,
    ),
]
HeadsNormOption = Annotated[
    Literal["post_norm", "pre_norm"],
    typer.Option(
        "--heads-norm",
        help="Where the finding heads normalise (not in the file; the release: post_norm).",
        rich_help_panel=_HEADS,
    ),
]
UncheckedOption = Annotated[
    bool, typer.Option("--no-self-check", help="Compute nothing for a later verify.")
]


@app.command("import")
def import_(
    sources: SourcesArgument,
    name: Annotated[str, typer.Option("--name", help="Name of the encoder: a-z, 0-9 and -.")],
    mean: Annotated[
        float | None,
        typer.Option("--mean", help="Pixel mean of its training, 0 to 255.", show_default=False),
    ] = None,
    std: Annotated[
        float | None,
        typer.Option("--std", help="Pixel standard deviation of its training.", show_default=False),
    ] = None,
    tokenizer: TokenizerOption = None,
    mode: ModeOption = "masked",
    profile: Annotated[
        Literal["display", "original"] | None,
        typer.Option(
            "--profile",
            help="How pixels become 8-bit grey (docs/dicom.md); original in exact mode, else "
            "display.",
            show_default=False,
        ),
    ] = None,
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
    heads_mean: HeadsMeanOption = None,
    heads_std: HeadsStdOption = None,
    heads_pooling: HeadsPoolingOption = None,
    attention_heads: AttentionHeadsOption = 8,
    heads_norm: HeadsNormOption = "post_norm",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace one of this name.")
    ] = False,
    no_self_check: UncheckedOption = False,
    json: JsonOption = False,
) -> None:
    """Turn original checkpoints into an encoder folder.

    A contrastive checkpoint gives similar cases and text search, a probing one findings; offer
    both, and one encoder does it all.  What each file is, is told by its content.

    Example: angioatlas encoders import checkpoint.pt best_model_epoch_11.pt --tokenizer pubmedbert
    --name deepcoro --mean 110.4955 --std 37.8058
    """
    # Both bring torch: only when needed.
    from embedder.encoders.importing.checkpoint import import_encoder
    from embedder.encoders.importing.options import ImportOptions

    settings = load_settings()
    options = ImportOptions(
        mean=mean,
        std=std,
        heads=heads,
        study_rule=study_rule,
        token_pooling=token_pooling,
        profile=profile,
        mode=mode,
        heads_mean=heads_mean,
        heads_std=heads_std,
        heads_pooling=heads_pooling,
        attention_heads=attention_heads,
        heads_norm=heads_norm,
    )
    found = import_encoder(
        sources,
        out=settings.encoders_dir,
        name=name,
        options=options,
        vocabulary=tokenizer,
        overwrite=overwrite,
        checked=not no_self_check,
    )
    _print(found, json=json)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Encoder to add to.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="A probing checkpoint: file, folder or hub id.",
            show_default=False,
        ),
    ] = None,
    tokenizer: TokenizerOption = None,
    mode: ModeOption = "masked",
    heads_mean: HeadsMeanOption = None,
    heads_std: HeadsStdOption = None,
    heads_pooling: HeadsPoolingOption = None,
    attention_heads: AttentionHeadsOption = 8,
    heads_norm: HeadsNormOption = "post_norm",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the heads or vocabulary that it has.")
    ] = False,
    no_self_check: UncheckedOption = False,
    json: JsonOption = False,
) -> None:
    """Bring finding heads, or the text encoder's vocabulary, to an encoder.

    Its vectors and its id stay; the next `embed` adds the findings of studies that lack them.

    Example: angioatlas encoders add deepcoro best_model_epoch_11.pt --tokenizer pubmedbert
    """
    # All three bring torch: only when needed.
    from embedder.encoders.importing.checkpoint import add_to_encoder
    from embedder.encoders.importing.options import ImportOptions
    from embedder.encoders.registry import find_encoder

    options = ImportOptions(
        mode=mode,
        heads_mean=heads_mean,
        heads_std=heads_std,
        heads_pooling=heads_pooling,
        attention_heads=attention_heads,
        heads_norm=heads_norm,
    )
    found = add_to_encoder(
        find_encoder(name, load_settings().encoders_dir),
        sources or [],
        options=options,
        vocabulary=tokenizer,
        overwrite=overwrite,
        checked=not no_self_check,
    )
    _print(found, json=json)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the encoders: those that were imported, then those of the package.

    Example: angioatlas encoders list
    """
    from embedder.encoders.registry import list_encoders

    settings = load_settings()
    rows = [
        {
            "name": spec.name,
            "encoder_id": spec.encoder_id,
            "heads_id": spec.heads_id,
            "findings": len(spec.head_names),
            "reads text": "yes" if spec.can_read_text else "no",
            "study_rule": spec.study_rule,
            "profile": spec.profile,
        }
        for spec in list_encoders(settings.encoders_dir)
    ]
    if json:
        print_json(rows)
        return
    print_table(rows, empty="no encoder yet: angioatlas encoders import CHECKPOINT --name NAME")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Encoder to show.")],
    json: JsonOption = False,
) -> None:
    """Show an encoder's whole specification and its ids.

    Example: angioatlas encoders show deepcoro
    """
    from embedder.encoders.registry import find_encoder, read_spec

    spec = read_spec(find_encoder(name, load_settings().encoders_dir))
    ids = {"encoder_id": spec.encoder_id, "heads_id": spec.heads_id, "text_id": spec.text_id}
    if json:
        print_json(ids | spec.model_dump(mode="json"))
        return
    print_facts(ids | _flat(spec.model_dump(mode="json")))


@app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Encoder to check.")],
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where it runs.")
    ] = "auto",
    json: JsonOption = False,
) -> None:
    """Check an encoder: its files by their hashes, its numbers against those of its import.

    The numbers are of a fixed clip and text.  Exit code 1 when anything differs.

    Example: angioatlas encoders verify deepcoro
    """
    from embedder.encoders.registry import find_encoder
    from embedder.encoders.self_check import TOLERANCE
    from embedder.encoders.verify import verify_encoder

    found = verify_encoder(find_encoder(name, load_settings().encoders_dir), device=device)
    if json:
        print_json(found.as_dict())
    else:
        print_table([{"file": f.file, "sha256": f.sha256, "": f.standing} for f in found.files])
        print_table(
            [{"numbers": n.name, "relative L2": f"{n.distance:.1e}"} for n in found.numbers],
            empty="no numbers were computed",
        )
        say(f"equal up to {TOLERANCE:g}: {'yes' if found.is_good else 'NO'}; {found.summary}")
        print_notice(found.encoder_id)
    if not found.is_good:
        raise typer.Exit(1)


def _print(found: Imported, *, json: bool) -> None:
    spec = found.spec
    facts = {
        "encoder": spec.encoder_id,
        "findings": f"{len(spec.findings.names)} heads, {spec.heads_id}" if spec.findings else "-",
        "text": spec.text_id if spec.can_read_text else "-",
        "folder": found.folder,
    }
    if json:
        document = {
            "encoder_id": spec.encoder_id,
            "heads_id": spec.heads_id,
            "text_id": spec.text_id if spec.can_read_text else None,
            "folder": found.folder,
            "notes": found.notes,
            "unused_keys": found.unused,
        }
        print_json(document)
        return
    print_facts(facts)
    for note in found.notes:
        say(f"note: {note}", stderr=True)
    for source, keys in found.unused.items():
        for key in keys[:_SHOWN]:
            say(f"not used: {key} of {source}", stderr=True)
        if len(keys) > _SHOWN:
            say(f"not used: {len(keys) - _SHOWN} more of {source} (--json lists all)", stderr=True)
    say(f"next: angioatlas embed PATH --store FOLDER --encoder {spec.name}")


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested facts as one level, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
