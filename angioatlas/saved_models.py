"""Which models are saved, of every kind; needs no estimator to tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from store.registry import Registry
from store.store import Store


def listing(
    store: Store, kind: str, tell: Callable[[dict[str, Any]], dict[str, Any]]
) -> pd.DataFrame:
    """Describe the saved models of one kind: what they predict, from what, and how well.

    Parameters
    ----------
    store : Store
    kind : str
    tell : callable
        From the description of a model to the columns that only this kind has.
    """
    rows = [
        {
            "name": each.name,
            "model_id": each.model_id,
            **tell(json.loads(each.description)),
            "cohort_id": each.cohort_id,
            "encoder_id": each.encoder_id or None,
            "created_at": each.created_at,
        }
        for each in Registry(store.tables).models(kind)
    ]
    return pd.DataFrame(rows)


def first_of_summary(told: dict[str, Any], measure: str) -> float | None:
    """Return a measure of a model's description; None where it has none."""
    summary = told.get("summary") or [{}]
    value: float | None = summary[0].get(measure)
    return value
