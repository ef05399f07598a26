"""Lists of studies or patients, by whatever identifiers somebody has of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.errors import UsageError
from core.ids import Identity

_LISTED_MAX: Final = 1_000_000


def read_list(path: Path) -> list[str]:
    """Read studies or patients from a file, one a line.

    Parameters
    ----------
    path : Path
        Text, or CSV whose first column counts; a first line ``study_uid`` or ``patient_id`` is a
        heading.

    Raises
    ------
    UsageError
        The file cannot be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()[:_LISTED_MAX]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a list", "give a text file in UTF-8") from error
    names = [line.split(",")[0].split("\t")[0].strip().strip('"') for line in lines]
    names = [name for name in names if name and name not in ("study_uid", "patient_id")]
    if not names:
        raise UsageError(f"{path} names nobody", "one study or patient a line")
    return names


def of_the_store(names: Sequence[str], identity: Identity | None, known: set[str]) -> list[str]:
    """Return identifiers of the store, each once, for what may be original ones.

    Parameters
    ----------
    names : sequence of str
        Studies or patients.
    identity : Identity or None
        Of the store; None when its key is not here.
    known : set of str
        Identifiers of the store; a name that stands for none of them is left as it is.
    """

    def one(name: str) -> str:
        if name in known or identity is None:
            return name
        may_be = (*identity.resolve_uid(name), *identity.resolve_patient(name))
        return next((each for each in may_be if each in known), name)

    return [one(name) for name in dict.fromkeys(names)]
