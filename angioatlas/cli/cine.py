"""`angioatlas cine`: a video to look at."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from angioatlas.cli.options import StoreOption, VersionOption, open_atlas
from angioatlas.cli.output import print_notice, say
from core.errors import UsageError


def cine(
    video: Annotated[
        str, typer.Argument(metavar="UID", help="SOPInstanceUID, original or the store's.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    store: StoreOption = None,
    height: Annotated[
        int | None,
        typer.Option(
            "--height", help="Rows of the picture; those of the video when absent, or not more."
        ),
    ] = None,
    thumbnail: Annotated[
        bool, typer.Option("--thumbnail", help="Write the middle frame as JPEG.")
    ] = False,
    version: VersionOption = None,
) -> None:
    """Write a video as an MP4 that browsers play, or its middle frame.

    Example: angioatlas cine 2.25.1234 --out run.mp4 --store atlas
    """
    atlas = open_atlas(store, version=version)
    path = (atlas.thumbnail if thumbnail else atlas.cine)(video, height=height)
    try:
        shutil.copyfile(path, out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}", "name a file in a folder that is there"
        ) from error
    say(f"{out.stat().st_size:,} bytes written to {out}")
    print_notice()
