"""Which identity a store works under: made with a new store, opened with an old one."""

from __future__ import annotations

from pathlib import Path

from core.errors import IdentityError, UsageError
from core.identity_map import IdentityMap
from core.ids import (
    Identity,
    IdentityMode,
    IdentityRecord,
    KeptIdentity,
    PseudonymisedIdentity,
    create_key_file,
    load_key_file,
    open_identity,
)


def new_identity(key_file: Path, *, keep_identifiers: bool, shift_dates: bool) -> Identity:
    """Return the identity for a new store; makes the key file when there is none.

    Raises
    ------
    UsageError
        When dates are to be shifted although identifiers are kept.
    IdentityError
        When the key file cannot be made or read.
    """
    if keep_identifiers:
        if shift_dates:
            raise UsageError(
                "--shift-dates needs pseudonyms, and --keep-identifiers keeps the originals",
                "give one of the two",
            )
        return KeptIdentity()
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        create_key_file(key_file)
    return PseudonymisedIdentity(load_key_file(key_file), shift_dates=shift_dates)


def store_identity(record: IdentityRecord, key_file: Path) -> Identity:
    """Return the identity that a store was made with.

    Raises
    ------
    IdentityError
        When the store is pseudonymised and the key is missing or another one.
    """
    if record.mode is IdentityMode.KEPT:
        return KeptIdentity()
    return open_identity(record, load_key_file(key_file) if key_file.exists() else None)


def lookup_identity(record: IdentityRecord, key_file: Path) -> Identity | None:
    """Return the identity for looking up original UIDs; None when its key is not here.

    Reading a store needs no key: only originals cannot be looked up without it.
    """
    try:
        return store_identity(record, key_file)
    except IdentityError:
        return None


def open_map(record: IdentityRecord, key_file: Path) -> IdentityMap | None:
    """Open the private way back beside the key; None when identifiers are kept."""
    if record.mode is IdentityMode.KEPT:
        return None
    return IdentityMap(map_file(key_file))


def map_file(key_file: Path) -> Path:
    """Return where the private way back of a key is."""
    return key_file.with_suffix(".map.sqlite")
