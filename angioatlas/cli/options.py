"""Options that several commands share, and the Atlas they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import UsageError
from core.schema import Level, StudyScore
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    from angioatlas.atlas import Atlas

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        "-s",
        metavar="FOLDER",
        help="Folder of the store, or s3://BUCKET/PREFIX.",
        show_default=False,
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        "-e",
        metavar="NAME|FOLDER",
        help="Encoder; may be left out when the store holds one encoder's vectors.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
VersionOption = Annotated[
    int | None,
    typer.Option("--version", min=1, help="Store version to read; the latest when absent."),
]
LevelOption = Annotated[Level, typer.Option("--level", help="What is ranked.")]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="PREDICATE",
        help="Only what this holds for, such as \"lvef_percent < 40 and sex = 'F'\".",
        show_default=False,
    ),
]
ScoreOption = Annotated[
    StudyScore,
    typer.Option(
        "--score",
        help="How studies are compared: by study vector, mean of videos, or best matching views.",
    ),
]
OnePerPatientOption = Annotated[
    bool, typer.Option("--one-per-patient", help="Only the best hit of each patient.")
]
WhyOption = Annotated[
    bool, typer.Option("--why", help="Say which views made each hit; may load the encoder.")
]
TlsCertOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert", exists=True, dir_okay=False, help="Certificate chain (PEM) to serve HTTPS."
    ),
]
TlsKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-key", exists=True, dir_okay=False, help="Private key (PEM) of the certificate."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def scheme_of(tls_cert: Path | None, tls_key: Path | None) -> str:
    """Return what is served, ``http`` or ``https``.

    Raises
    ------
    UsageError
        Half of a certificate is given.
    """
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together", "give both, or none")
    return "http" if tls_cert is None else "https"


def open_atlas(store: str | None, *, version: int | None = None) -> Atlas:
    """Open the Atlas of `--store`, or of the configured store."""
    from angioatlas.atlas import Atlas  # brings LanceDB and pandas: not for --help

    settings = load_settings(store=store)
    return Atlas.open(named_store(settings), settings=settings, version=version)


def named_store(settings: Settings) -> str:
    """Return the store's folder, or say how to name one."""
    if settings.store is None:
        raise UsageError(
            "no store is named",
            "give --store FOLDER, set ANGIOATLAS_STORE, or put `store = ...` into angioatlas.toml",
        )
    return settings.store
