"""Which models are saved, of every kind; needs no estimator to tell."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import pandas as pd

from core.errors import UsageError
from core.provenance import RESEARCH_USE
from store.registry import Registry, SavedModel
from store.store import Store


@final
@dataclass(frozen=True)
class ModelFacts:
    """What a saved model is, and how good it was when it was fitted.

    Attributes
    ----------
    name, model_id : str
    about : mapping
        What it predicts, as only its kind tells: of survival `endpoint`, `rules` and
        `horizons_days`, of LVEF `target`.
    predictors : str
        ``embeddings``, ``clinical`` or ``both``.
    clinical : tuple of str
    encoder_id : str or None
        Whose embeddings it reads; None where it reads none.
    cohort_id : str
        The cohort that it was fitted to.
    cohort : str or None
        Its name, where it is saved.
    fitted_to : mapping of str to int
        Exams, patients and, of survival, events and competing events; empty for models that were
        saved before this was kept, as is `made_with`.
    figures : mapping of str to float
        Of people that it had not seen, see `summary` of its study; null where there was too little.
    made_with : mapping of str to str
        Versions of the software.
    created_at : datetime
    notice : str
    """

    name: str
    model_id: str
    about: Mapping[str, Any]
    predictors: str
    clinical: tuple[str, ...]
    encoder_id: str | None
    cohort_id: str
    cohort: str | None
    fitted_to: Mapping[str, int]
    figures: Mapping[str, float | None]
    made_with: Mapping[str, str]
    created_at: dt.datetime | None
    notice: str = RESEARCH_USE


def facts_of(store: Store, name: str, kind: str) -> ModelFacts:
    """Describe a saved model of a kind.

    Raises
    ------
    NotFoundError
        There is none of this name or id.
    UsageError
        It is of another kind.
    """
    registry = Registry(store.tables)
    saved = registry.model(name)
    check_kind(saved, kind)
    told = json.loads(saved.description)
    (figures,) = told.pop("summary")
    del figures["predictors"]
    named = (each.name for each in registry.cohorts() if each.cohort_id == saved.cohort_id)
    return ModelFacts(
        name=saved.name,
        model_id=saved.model_id,
        predictors=told.pop("predictors"),
        clinical=tuple(told.pop("clinical")),
        encoder_id=saved.encoder_id or None,
        cohort_id=saved.cohort_id,
        cohort=next(named, None),
        fitted_to=told.pop("fitted_to", {}),
        figures=figures,
        made_with=told.pop("made_with", {}),
        created_at=saved.created_at,
        about=told,
    )


def check_kind(saved: SavedModel, kind: str) -> None:
    """Refuse a model that predicts something else.

    Raises
    ------
    UsageError
    """
    if saved.kind != kind:
        raise UsageError(f"the model {saved.name!r} is one of {saved.kind}, not of {kind}")


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
