"""Models that were saved, of every kind; needs no estimator to tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from analytics.leakage import Leak
from angioatlas.cohorts import CohortMembers
from core.errors import UsageError
from store.registry import Registry, SavedModel
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


def described(saved: SavedModel, kind: str, encoder_id: str) -> dict[str, Any]:
    """Return the description of a model that is to be applied.

    Raises
    ------
    UsageError
        The model is of another kind, or reads embeddings of another encoder.
    """
    if saved.kind != kind:
        raise UsageError(f"the model {saved.name!r} is one of {saved.kind}, not of {kind}")
    if saved.encoder_id and saved.encoder_id != encoder_id:
        raise UsageError(
            f"the model {saved.name!r} reads embeddings of {saved.encoder_id}, not of {encoder_id}",
            "embed the studies with that encoder, or fit a model to these embeddings",
        )
    told: dict[str, Any] = json.loads(saved.description)
    return told


def in_training(store: Store, saved: SavedModel, cohort: CohortMembers) -> list[Leak]:
    """Find patients of a cohort that a model was fitted to, when this store knows its cohort."""
    known = {each.cohort_id: each for each in Registry(store.tables).cohorts()}
    if saved.cohort_id == cohort.cohort_id:
        return [Leak("the model was fitted to this very cohort", (cohort.name or "",))]
    if saved.cohort_id not in known:
        return []
    both = set(known[saved.cohort_id].patient_ids) & set(cohort.members["patient_id"])
    return [Leak("patients that the model was fitted to", tuple(sorted(both)))] if both else []
