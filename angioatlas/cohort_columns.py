"""What a predicate over studies may speak of, and how much of it is known."""

from __future__ import annotations

from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from angioatlas.study_view import study_view
from store.predicate import kinds_of
from store.snapshot import Snapshot

_MOST_VALUES: Final = 40
"""A column of more different words is no choice."""
_IDENTIFIERS: Final = ("study_uid", "patient_id")
"""Who is on a list is chosen by the list."""


def cohort_columns(snapshot: Snapshot, *, encoder_id: str | None) -> pd.DataFrame:
    """Return the columns that a predicate over studies may name, but for identifiers.

    Parameters
    ----------
    snapshot : Snapshot
    encoder_id : str or None
        Whose findings it may speak of.

    Returns
    -------
    DataFrame
        name; kind (number, text, date or truth); known, the share of studies of which it is, null
        in an empty store; values, the words that a column of few different ones holds, by alphabet.
    """
    view = study_view(snapshot, encoder_id=encoder_id)
    rows = [
        {
            "name": name,
            "kind": kind,
            "known": 1 - view[name].null_count / len(view) if len(view) else None,
            "values": _values(view[name]) if kind == "text" else (),
        }
        for name, kind in kinds_of(view.schema).items()
        if name not in _IDENTIFIERS
    ]
    return pd.DataFrame(rows, columns=["name", "kind", "known", "values"])


def _values(column: pa.ChunkedArray) -> tuple[str, ...]:
    found = pc.unique(column.drop_null())
    return tuple(sorted(found.to_pylist())) if len(found) <= _MOST_VALUES else ()
