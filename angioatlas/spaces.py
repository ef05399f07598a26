"""Which encoder is meant: to embed with, or whose vectors in a store to read."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

from angioatlas.ingest import EncoderHandle
from core.errors import NotFoundError, UsageError
from core.settings import Settings
from embedder.encoders.registry import (
    BUNDLED,
    Device,
    PrecisionChoice,
    find_encoder,
    load_encoder,
    read_spec,
)
from embedder.encoders.spec import Encoder
from store.snapshot import Snapshot


def encoder_handle(name: str, settings: Settings) -> EncoderHandle:
    """Find an encoder by name or folder; its weights are loaded when they are needed.

    Raises
    ------
    NotFoundError
        When there is none of this name.
    """
    folder = find_encoder(name, settings.encoders_dir)
    spec = read_spec(folder)
    is_listed = folder.parent in {settings.encoders_dir, BUNDLED}
    return EncoderHandle(
        spec.encoder_id,
        spec.clip_rule,
        partial(
            _load,
            # Another machine may have it elsewhere, if it is one that has a name.
            folder.name if is_listed else str(folder.absolute()),
            settings.encoders_dir.absolute(),
            settings.embed.device,
            settings.embed.precision,
        ),
        spec.heads_id,
        spec.notice,
    )


def _load(name: str, encoders_dir: Path, device: Device, precision: PrecisionChoice) -> Encoder:
    return load_encoder(find_encoder(name, encoders_dir), device=device, precision=precision)


def choose_space(snapshot: Snapshot, encoder: str | None, settings: Settings) -> str:
    """Return the encoder id to read: the one named, else the only one, else the configured one.

    Raises
    ------
    NotFoundError
        When the store holds no vectors, or there is no encoder of the name.
    UsageError
        When the store holds several, none is named, and the configured one is not among them.
    """
    spaces = snapshot.spaces()
    if not spaces:
        raise NotFoundError(
            "the store holds no vectors yet", "angioatlas embed PATH --store FOLDER"
        )
    if encoder is not None:
        # A name or folder stands for the encoder's present id, which need not be in this store.
        return encoder if encoder in spaces else encoder_handle(encoder, settings).encoder_id
    if len(spaces) == 1:
        return spaces[0]
    configured = _configured(settings)
    if configured not in spaces:
        raise UsageError(
            f"the store holds vectors of several encoders: {', '.join(spaces)}",
            "name one with --encoder",
        )
    return configured


def _configured(settings: Settings) -> str:
    """Return the id of the configured encoder, or its name when it is not here."""
    with suppress(NotFoundError):
        return encoder_handle(settings.encoder, settings).encoder_id
    return settings.encoder
