"""Fitted models: put into the store, and taken out of it to be applied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from analytics.leakage import Leak
from analytics.preparation import library_versions
from analytics.report.document import plain
from angioatlas.cohorts import CohortMembers
from angioatlas.saved_models import check_kind
from angioatlas.studied import CLINICAL
from core.errors import UsageError
from core.provenance import software_version
from store.registry import Registry, SavedModel
from store.store import Store

_Model = TypeVar("_Model")


def chosen_model(models: Mapping[str, _Model], predictors: str) -> _Model:
    """Return the model of one set of predictors that was fitted to the whole cohort.

    Raises
    ------
    UsageError
        There is none: a side was held out, or the set was not studied.
    """
    if predictors not in models:
        raise UsageError(
            f"there is no model of {predictors!r} fitted to the whole cohort",
            "leave the hold-out away, or name one of " + ", ".join(models or ["none"]),
        )
    return models[predictors]


def store_model(
    store: Store,
    name: str,
    kind: str,
    payload: bytes,
    description: Mapping[str, Any],
    *,
    cohort_id: str,
    encoder_id: str,
) -> SavedModel:
    """Save a model under a name; its id is the hash of its bytes.

    With what it predicts stands what it was made with, so that figures can be worked out again.

    Parameters
    ----------
    store : Store
    name, kind : str
    payload : bytes
    description : mapping
        What it predicts, with `predictors`, `clinical`, `summary` and `fitted_to` (who it was
        fitted to, in numbers).
    cohort_id, encoder_id : str
        What it was fitted to; a model of clinical predictors alone reads no embedding.

    Raises
    ------
    UsageError
        The name is taken.
    """
    return Registry(store.tables).save_model(
        SavedModel(
            name,
            hashlib.sha256(payload).hexdigest(),
            kind,
            cohort_id,
            encoder_id if description["predictors"] != CLINICAL else "",
            json.dumps(plain({**description, "made_with": _made_with()}), sort_keys=True),
            payload,
        )
    )


def described(saved: SavedModel, kind: str, encoder_id: str) -> dict[str, Any]:
    """Return the description of a model that is to be applied.

    Raises
    ------
    UsageError
        The model is of another kind, or reads embeddings of another encoder.
    """
    check_kind(saved, kind)
    if saved.encoder_id and saved.encoder_id != encoder_id:
        raise UsageError(
            f"the model {saved.name!r} reads embeddings of {saved.encoder_id}, not of {encoder_id}",
            "embed the studies with that encoder, or fit a model to these embeddings",
        )
    told: dict[str, Any] = json.loads(saved.description)
    return told


def in_training(store: Store, saved: SavedModel, cohort: CohortMembers) -> list[Leak]:
    """Find patients of a cohort that a model was fitted to, when this store knows its cohort."""
    if saved.cohort_id == cohort.cohort_id:
        return [Leak("the model was fitted to this very cohort", (cohort.name or "",))]
    both = Registry(store.tables).in_cohort(saved.cohort_id, [*cohort.members["patient_id"]])
    return [Leak("patients that the model was fitted to", tuple(sorted(both)))] if both else []


def _made_with() -> dict[str, str]:
    return {"angioatlas": software_version(), **library_versions()}
