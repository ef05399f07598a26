"""Which survival models are saved; needs no estimator to tell."""

from __future__ import annotations

import json

import pandas as pd

from store.registry import Registry
from store.store import Store


def listing(store: Store) -> pd.DataFrame:
    """Describe the saved survival models: what they predict, from what, and how well."""
    rows = []
    for each in Registry(store.tables).models("survival"):
        told = json.loads(each.description)
        summary = told["summary"][0] if told.get("summary") else {}
        rows.append(
            {
                "name": each.name,
                "model_id": each.model_id,
                "endpoint": told["endpoint"]["name"],
                "predictors": told["predictors"],
                "c": summary.get("c"),
                "cohort_id": each.cohort_id,
                "encoder_id": each.encoder_id or None,
                "created_at": each.created_at,
            }
        )
    columns = ["name", "model_id", "endpoint", "predictors", "c", "cohort_id", "encoder_id"]
    return pd.DataFrame(rows, columns=[*columns, "created_at"])
