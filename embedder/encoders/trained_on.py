"""The patients that an encoder was trained on, so that nobody judges it on them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from core.errors import EncoderError

TRAINED_ON_FILE: Final = "trained_on.txt"
"""Beside the weights: one original patient id a line; a last ``*`` stands for any ending."""


def read_trained_on(folder: Path) -> tuple[str, ...]:
    """Return the patients that an encoder's folder lists; none where there is no list.

    Raises
    ------
    EncoderError
        The list is there and cannot be read.
    """
    file = folder / TRAINED_ON_FILE
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise EncoderError(
            f"{file} cannot be read", "write it anew: one patient id a line, in UTF-8"
        ) from error
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def among(patients: Iterable[str], trained_on: Iterable[str]) -> list[str]:
    """Return which patients are on a list, each once, sorted.

    Parameters
    ----------
    patients : iterable of str
    trained_on : iterable of str
        From `read_trained_on`.
    """
    listed = set(trained_on)
    beginnings = tuple(each[:-1] for each in listed if each.endswith("*"))
    return sorted(
        patient
        for patient in set(patients)
        if patient in listed or (beginnings and patient.startswith(beginnings))
    )
