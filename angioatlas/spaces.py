"""Which encoder is meant: to embed with, or whose vectors in a store to read."""

from __future__ import annotations

from functools import partial

from angioatlas.ingest import EncoderHandle
from core.errors import NotFoundError, UsageError
from core.settings import Settings
from embedder.encoders.registry import find_encoder, load_encoder, read_spec
from store.snapshot import Snapshot


def encoder_handle(name: str | None, settings: Settings) -> EncoderHandle:
    """Find an encoder by name or folder; its weights are loaded when they are needed.

    Raises
    ------
    UsageError
        When no encoder is named.
    NotFoundError
        When there is none of this name.
    """
    if name is None:
        raise UsageError(
            "no encoder is named",
            "give --encoder NAME (angioatlas encoders list), or set it in angioatlas.toml",
        )
    folder = find_encoder(name, settings.encoders_dir)
    spec = read_spec(folder)
    return EncoderHandle(
        spec.encoder_id,
        spec.profile,
        partial(load_encoder, folder, device=settings.embed.device),
        spec.heads_id,
    )


def choose_space(snapshot: Snapshot, encoder: str | None, settings: Settings) -> str:
    """Return the encoder id to read: the one named, else the only one, else the configured one.

    Raises
    ------
    NotFoundError
        When the store holds no vectors, or none of this encoder.
    UsageError
        When the store holds several and none is named.
    """
    spaces = snapshot.spaces()
    if not spaces:
        raise NotFoundError(
            "the store holds no vectors yet", "angioatlas embed PATH --store FOLDER"
        )
    named = encoder or (settings.encoder if len(spaces) > 1 else None)
    if named is None:
        if len(spaces) > 1:
            raise UsageError(
                f"the store holds vectors of several encoders: {', '.join(spaces)}",
                "name one with --encoder",
            )
        return spaces[0]
    if named in spaces:
        return named
    # A name or folder stands for the encoder's present id, which need not be in this store.
    return encoder_handle(named, settings).encoder_id
