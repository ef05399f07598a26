"""Fitted models as bytes, in a format that runs no code when it is read (skops)."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Collection, Mapping
from typing import Any

import skops.io

from core.errors import AtlasError


class ModelError(AtlasError):
    """A saved model cannot be used."""

    code = "model"


def pack(content: Mapping[str, Any], *, format: int) -> bytes:
    """Return what a model is made of as bytes."""
    return bytes(skops.io.dumps({"format": format, **content}))


def unpack(payload: bytes, *, sha256: str, format: int, trusted: Collection[str]) -> dict[str, Any]:
    """Return what `pack` was given.

    Parameters
    ----------
    payload : bytes
    sha256 : str
        What the bytes must hash to.
    format : int
        The format that is read.
    trusted : collection of str
        Types that a model may be made of besides numbers, texts and scikit-learn's own.

    Raises
    ------
    ModelError
        The bytes are others, of another format, or hold what no model holds.
    """
    if hashlib.sha256(payload).hexdigest() != sha256:
        raise ModelError(
            "the saved model is damaged: its bytes do not give its id", "fit and save it again"
        )
    try:
        strange = set(skops.io.get_untrusted_types(data=payload)) - set(trusted)
        if strange:
            raise ModelError(
                f"the saved model holds what no model holds: {', '.join(sorted(strange))}",
                "do not use it; fit and save it again",
            )
        content: dict[str, Any] = skops.io.loads(payload, trusted=list(trusted))
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ModelError("the saved model cannot be read", "fit and save it again") from error
    if content.get("format") != format:
        raise ModelError(
            f"the saved model has format {content.get('format')}, this software reads {format}",
            "fit and save it again",
        )
    return content


def spec_values(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a model's specification, which lost its tuples on the way."""
    return {name: tuple(each) if isinstance(each, list) else each for name, each in told.items()}
