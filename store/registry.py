"""Cohorts, models and maps that were saved: each stands for one store version, part of none.

Rows are appended and never changed; the last row of a name is what the name means, and a row may
say that the name is gone.  A lock orders appends and the one rewrite, when a patient is
deleted.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar, final

import pyarrow as pa
import pyarrow.compute as pc

from core.errors import NameTakenError, NotFoundError, UsageError
from core.provenance import software_version
from store.tables import SCHEMAS, Tables

COHORTS: Final = "cohorts"
MODELS: Final = "models"
PROJECTIONS: Final = "projections"


@dataclass(frozen=True)
class SavedCohort:
    """A cohort as it was chosen.

    Attributes
    ----------
    name : str
    cohort_id : str
        Hash of definition, version and members.
    definition, attrition : str
        JSON: how it was chosen, and how many were left after each step.
    store_version : int
        The version that it was chosen from.
    study_uids, patient_ids : tuple of str
        The index exams and whose they are, in the same order.
    removed : int
        Members that are no longer listed, since their patients were deleted.
    created_at : datetime or None
        UTC; None until it is saved.
    """

    name: str
    cohort_id: str
    definition: str
    attrition: str
    store_version: int
    study_uids: tuple[str, ...] = field(repr=False)
    patient_ids: tuple[str, ...] = field(repr=False)
    removed: int = 0
    created_at: dt.datetime | None = None


@dataclass(frozen=True)
class SavedModel:
    """A fitted model.

    Attributes
    ----------
    name : str
    model_id : str
        Hash of the payload.
    kind : str
        What it predicts, such as ``survival``.
    cohort_id : str
        The cohort that it was fitted to.
    encoder_id : str
        The space of the embeddings that it reads; empty when it reads none.
    description : str
        JSON: endpoint, predictors, settings, measures.
    payload : bytes
        The model itself, in a format that runs no code when it is read.
    created_at : datetime or None
        UTC; None until it is saved.
    """

    name: str
    model_id: str
    kind: str
    cohort_id: str
    encoder_id: str
    description: str
    payload: bytes = field(repr=False)
    created_at: dt.datetime | None = None


@dataclass(frozen=True)
class SavedProjection:
    """A map of embeddings.

    Attributes
    ----------
    name : str
    projection_id : str
        Hash of what is drawn and how.
    encoder_id : str
        The space of the embeddings.
    level : str
        ``study`` or ``video``.
    description : str
        JSON: how it is drawn, and measures of its quality.
    store_version : int
        The version that it was drawn from.
    uids, patient_ids : tuple of str
        What each dot is and whose, in the same order.
    x, y : tuple of float
        Where it lies.
    is_landmark : tuple of bool
        Whether new dots are placed by it.
    axes : bytes
        Principal components: float32, their mean and two directions; empty for other maps.
    created_at : datetime or None
        UTC; None until it is saved.
    """

    name: str
    projection_id: str
    encoder_id: str
    level: str
    description: str
    store_version: int
    uids: tuple[str, ...] = field(repr=False)
    patient_ids: tuple[str, ...] = field(repr=False)
    x: tuple[float, ...] = field(repr=False)
    y: tuple[float, ...] = field(repr=False)
    is_landmark: tuple[bool, ...] = field(repr=False)
    axes: bytes = field(repr=False)
    created_at: dt.datetime | None = None


_Saved = TypeVar("_Saved", SavedCohort, SavedModel, SavedProjection)
_LISTED: Final = {
    "cohort": "angioatlas cohort list",
    "model": "angioatlas survival models, angioatlas lvef models",
    "map": "angioatlas map list",
}
_ID: Final = {COHORTS: "cohort_id", MODELS: "model_id", PROJECTIONS: "projection_id"}
_WHOLE_ID: Final = re.compile("[0-9a-f]{64}")
_OF_DOTS: Final = ("uids", "patient_ids", "x", "y", "is_landmark")


def registry_lock(tables: Tables) -> AbstractContextManager[None]:
    """Hold the lock that orders appends to the tables of no version, and their rewrites."""
    return tables.place.registry_lock()


@final
class Registry:
    """What was saved in a store.

    Parameters
    ----------
    tables : Tables
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def cohorts(self) -> list[SavedCohort]:
        """Return the saved cohorts, by name."""
        return [
            SavedCohort(
                **_plain(row, "study_uids", "patient_ids"),
                study_uids=tuple(row["study_uids"]),
                patient_ids=tuple(row["patient_ids"]),
            )
            for row in self._current(COHORTS)
        ]

    def cohort(self, name: str) -> SavedCohort:
        """Return a cohort by its name, or by its id or the beginning of that.

        Raises
        ------
        NotFoundError
            There is none, or several ids begin so.
        """
        return _find(self.cohorts(), name, "cohort", lambda each: each.cohort_id)

    def in_cohort(self, cohort_id: str, patient_ids: Sequence[str]) -> frozenset[str] | None:
        """Return which of some patients are of a cohort, whatever became of its name.

        None where no cohort of this id was ever saved.
        """
        if not self._tables.exists(COHORTS):
            return None
        rows = self._tables.read(COHORTS, columns=["cohort_id", "patient_ids"])
        rows = rows.filter(pc.equal(rows["cohort_id"], cohort_id))
        if not rows.num_rows:
            return None
        asked = pa.array(patient_ids, pa.string())
        known = pc.is_in(asked, value_set=pc.list_flatten(rows["patient_ids"]))
        return frozenset(asked.filter(known).to_pylist())

    def save_cohort(self, cohort: SavedCohort) -> SavedCohort:
        """Save a cohort under its name, and return it as saved.

        Raises
        ------
        UsageError
            The name is that of another cohort, or could be taken for an id.
        """
        with registry_lock(self._tables):
            known = {each.name: each for each in self.cohorts()}
            _check_name(cohort.name, known, lambda each: each.cohort_id, cohort.cohort_id)
            if cohort.name in known:
                return known[cohort.name]
            now = replace(cohort, created_at=dt.datetime.now(dt.UTC))
            row = {
                **vars(now),
                "study_uids": list(now.study_uids),
                "patient_ids": list(now.patient_ids),
            }
            self._append(COHORTS, row)
            return now

    def drop(self, table: str, name: str) -> None:
        """Let a name of `COHORTS`, `MODELS` or `PROJECTIONS` mean nothing any more.

        Parameters
        ----------
        table : str
        name : str
            Or a whole id, which is dropped under every name that it has.

        Raises
        ------
        NotFoundError
            There is none.
        """
        with registry_lock(self._tables):
            rows = [r for r in self._current(table) if name in (r["name"], r[_ID[table]])]
            if not rows:
                raise NotFoundError(f"there is no {table.removesuffix('s')} {name!r}")
            for row in rows:
                now = dt.datetime.now(dt.UTC)
                self._append(table, {**row, "deleted": True, "created_at": now})

    def models(self, kind: str | None = None) -> list[SavedModel]:
        """Return the saved models, by name; of one kind if one is named."""
        return [
            SavedModel(**_plain(row))
            for row in self._current(MODELS)
            if kind in (None, row["kind"])
        ]

    def model(self, name: str) -> SavedModel:
        """Return a model by its name, or by its id or the beginning of that.

        Raises
        ------
        NotFoundError
            There is none, or several ids begin so.
        """
        return _find(self.models(), name, "model", lambda each: each.model_id)

    def save_model(self, model: SavedModel) -> SavedModel:
        """Save a model under its name, and return it as saved.

        Raises
        ------
        UsageError
            The name is that of another model, or could be taken for an id.
        """
        with registry_lock(self._tables):
            known = {each.name: each for each in self.models()}
            _check_name(model.name, known, lambda each: each.model_id, model.model_id)
            if model.name in known:
                return known[model.name]
            now = replace(model, created_at=dt.datetime.now(dt.UTC))
            self._append(MODELS, vars(now))
            return now

    def projections(self) -> list[SavedProjection]:
        """Return the saved maps, by name."""
        return [
            SavedProjection(**_plain({**row, **{name: tuple(row[name]) for name in _OF_DOTS}}))
            for row in self._current(PROJECTIONS)
        ]

    def projection(self, name: str) -> SavedProjection:
        """Return a map by its name, or by its id or the beginning of that.

        Raises
        ------
        NotFoundError
            There is none, or several ids begin so.
        """
        return _find(self.projections(), name, "map", lambda each: each.projection_id)

    def save_projection(self, projection: SavedProjection) -> SavedProjection:
        """Save a map under its name, and return it as saved.

        Raises
        ------
        UsageError
            The name is that of another map, or could be taken for an id.
        """
        with registry_lock(self._tables):
            known = {each.name: each for each in self.projections()}
            own = projection.projection_id
            _check_name(projection.name, known, lambda each: each.projection_id, own)
            if projection.name in known:
                return known[projection.name]
            now = replace(projection, created_at=dt.datetime.now(dt.UTC))
            self._append(
                PROJECTIONS, {**vars(now), **{name: list(vars(now)[name]) for name in _OF_DOTS}}
            )
            return now

    def forget_patient(self, patient_id: str) -> None:
        """Take a patient out of all cohorts and maps, deleted ones too: no file names it."""
        for table, without in ((COHORTS, _without), (PROJECTIONS, _without_dots)):
            if not self._tables.exists(table):
                continue
            with registry_lock(self._tables):
                rows = self._tables.read(table).to_pylist()
                if not any(patient_id in row["patient_ids"] for row in rows):
                    continue
                kept = [without(row, patient_id) for row in rows]
                batches = pa.Table.from_pylist(kept, schema=SCHEMAS[table]).to_batches()
                self._tables.rewrite(table, batches)
                self._tables.clean_all_but_latest(table)

    def _current(self, table: str) -> list[dict[str, Any]]:
        if not self._tables.exists(table):
            return []
        rows = sorted(self._tables.read(table).to_pylist(), key=lambda row: row["created_at"])
        last = {row["name"]: row for row in rows}
        return [last[name] for name in sorted(last) if not last[name]["deleted"]]

    def _append(self, table: str, row: dict[str, Any]) -> None:
        whole = {"deleted": False, **row, "software_version": software_version()}
        self._tables.create(table)
        self._tables.append(table, pa.Table.from_pylist([whole], schema=SCHEMAS[table]))


def _plain(row: dict[str, Any], *without: str) -> dict[str, Any]:
    left_out = {"deleted", "software_version", *without}
    return {name: value for name, value in row.items() if name not in left_out}


def _find(known: list[_Saved], name: str, what: str, id_of: Callable[[_Saved], str]) -> _Saved:
    named = [each for each in known if each.name == name]
    found = named or [each for each in known if len(name) >= 6 and id_of(each).startswith(name)]
    if not found and _WHOLE_ID.fullmatch(name):
        raise NotFoundError(f"there is no {what} with the id {name}", _LISTED[what])
    if not found:
        listed = ", ".join(each.name for each in known) or "none"
        raise NotFoundError(f"there is no {what} {name!r}; there are {listed}", _LISTED[what])
    if len({id_of(each) for each in found}) > 1:
        raise NotFoundError(f"several ids begin with {name!r}", "give more of it, or the name")
    return found[0]


def _check_name(
    name: str, known: dict[str, _Saved], id_of: Callable[[_Saved], str], own: str
) -> None:
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError(f"{name[:120]!r} is no name", "give one of 1 to 100 printable characters")
    if _WHOLE_ID.fullmatch(name):
        raise UsageError("64 hexadecimal digits are no name", "they could be taken for an id")
    if name in known and id_of(known[name]) != own:
        raise NameTakenError(
            f"{name!r} is the name of another one", "choose another name, or delete that one first"
        )


def _without(row: dict[str, Any], patient_id: str) -> dict[str, Any]:
    pairs = zip(row["study_uids"], row["patient_ids"], strict=True)
    kept = [pair for pair in pairs if pair[1] != patient_id]
    gone = len(row["patient_ids"]) - len(kept)
    return {
        **row,
        # A predicate may name the patient; it stands in the attrition, too.
        "definition": row["definition"].replace(patient_id, "(deleted)"),
        "attrition": row["attrition"].replace(patient_id, "(deleted)"),
        "study_uids": [study for study, _ in kept],
        "patient_ids": [patient for _, patient in kept],
        "removed": row["removed"] + gone,
    }


def _without_dots(row: dict[str, Any], patient_id: str) -> dict[str, Any]:
    kept = [i for i, each in enumerate(row["patient_ids"]) if each != patient_id]
    return {**row, **{name: [row[name][i] for i in kept] for name in _OF_DOTS}}
