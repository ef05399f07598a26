"""Cohorts of a store: chosen, saved under a name, and chosen again exactly as they were."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import pandas as pd

from analytics.cohort import CohortDefinition, NobodyLeftError, Selection, cohort_id, select
from angioatlas.filters import studies_where
from core.errors import NotFoundError, StoreError
from core.provenance import RESEARCH_USE
from store.registry import COHORTS, Registry, SavedCohort
from store.snapshot import Snapshot
from store.store import Store

_REPLAYS_KEPT: Final = 2


@final
@dataclass(frozen=True, eq=False)
class CohortMembers:
    """A cohort: index exams, and how they were chosen.

    Attributes
    ----------
    name : str or None
        None while it is not saved.
    cohort_id : str
        Hash of store, version, definition and members.
    definition : CohortDefinition
    members : DataFrame
        study_uid, patient_id, index_date.
    attrition : DataFrame
        step, studies, patients.
    store_version : int
        The version that it was chosen from.
    removed : int
        Members that are gone, since their patients were deleted.
    notice : str
    """

    name: str | None
    cohort_id: str
    definition: CohortDefinition
    members: pd.DataFrame
    attrition: pd.DataFrame
    store_version: int
    removed: int = 0
    notice: str = RESEARCH_USE

    def about(self) -> dict[str, Any]:
        """Return what describes the cohort, as plain values."""
        return {
            "name": self.name,
            "cohort_id": self.cohort_id,
            "store_version": self.store_version,
            "studies": len(self.members),
            "patients": int(self.members["patient_id"].nunique()),
            "removed": self.removed,
            "definition": json.loads(self.definition.to_json()),
        }


@dataclass(frozen=True)
class Staleness:
    """How a cohort differs from what its definition would choose now.

    Attributes
    ----------
    store_version, latest_version : int
        The version it was chosen from, and the one that is read now.
    joined, left : int or None
        Studies that would be chosen now and were not, and the other way round; None for a cohort
        that was chosen from a list.
    """

    store_version: int
    latest_version: int
    joined: int | None
    left: int | None

    @property
    def is_stale(self) -> bool:
        """Whether the store has moved on."""
        return self.latest_version > self.store_version


def choose(
    store: Store,
    snapshot: Snapshot,
    definition: CohortDefinition,
    *,
    listed: Sequence[str] | None = None,
    any_sql: bool = True,
) -> CohortMembers:
    """Choose a cohort from one version of a store.

    Parameters
    ----------
    store : Store
    snapshot : Snapshot
    definition : CohortDefinition
    listed : sequence of str, optional
        Identifiers of the store, when the definition speaks of a list.
    any_sql : bool
        What the predicate may be; see `angioatlas.filters.studies_where`.

    Raises
    ------
    UsageError
        The predicate is none, a name on the list is not in the store, or nobody is left.
    """
    selection = _select(snapshot, definition, listed, any_sql=any_sql)
    members = selection.members["study_uid"].tolist()
    return CohortMembers(
        None,
        cohort_id(store.uuid, snapshot.version, definition, members),
        definition,
        selection.members,
        selection.attrition,
        snapshot.version,
    )


def _select(
    snapshot: Snapshot,
    definition: CohortDefinition,
    listed: Sequence[str] | None = None,
    *,
    any_sql: bool = True,
) -> Selection:
    matching = None
    if definition.where is not None:
        matching = studies_where(
            snapshot, definition.where, encoder_id=definition.encoder_id, any_sql=any_sql
        )
    studies = snapshot.studies().to_pandas()
    return select(studies, definition, matching=matching, listed=listed)


def save(store: Store, cohort: CohortMembers, name: str) -> CohortMembers:
    """Save a cohort under a name; saving it again changes nothing."""
    saved = Registry(store.tables).save_cohort(
        SavedCohort(
            name,
            cohort.cohort_id,
            cohort.definition.to_json(),
            cohort.attrition.to_json(orient="records"),
            cohort.store_version,
            tuple(cohort.members["study_uid"]),
            tuple(cohort.members["patient_id"]),
        )
    )
    return CohortMembers(
        saved.name,
        cohort.cohort_id,
        cohort.definition,
        cohort.members,
        cohort.attrition,
        cohort.store_version,
    )


def opened(cohort: CohortMembers | SavedCohort, open_at: Callable[[int], Snapshot]) -> Snapshot:
    """Open the version that a cohort was chosen from.

    Raises
    ------
    NotFoundError
        It can no longer be read.
    """
    try:
        return open_at(cohort.store_version)
    except NotFoundError as error:
        raise NotFoundError(
            f"the cohort {cohort.name!r} was chosen from store version {cohort.store_version}, "
            "which can no longer be read: deleting a patient removes all older versions",
            f"choose it again: angioatlas cohort create NEW-NAME --like {cohort.name}",
        ) from error


def replay(store: Store, name: str, open_at: Callable[[int], Snapshot]) -> CohortMembers:
    """Return a saved cohort, on the version that it was chosen from.

    Parameters
    ----------
    store : Store
    name : str
        Its name, its id, or the beginning of that.
    open_at : callable
        Opens a version of the store.

    Raises
    ------
    NotFoundError
        There is no such cohort, or its version can no longer be read.
    StoreError
        The version no longer has what it had: the content does not give the id.
    """
    saved = Registry(store.tables).cohort(name)
    definition = CohortDefinition.from_json(saved.definition)
    deleted = store.tombstones().among(saved.patient_ids)
    with opened(saved, open_at) as snapshot:
        studies = snapshot.studies().to_pandas()
    wanted = [
        study
        for study, patient in zip(saved.study_uids, saved.patient_ids, strict=True)
        if patient not in deleted
    ]
    members = studies[studies["study_uid"].isin(wanted)]
    members = members[["study_uid", "patient_id", "study_date"]]
    members = members.rename(columns={"study_date": "index_date"})
    members = members.sort_values(["patient_id", "index_date", "study_uid"], ignore_index=True)
    removed = saved.removed + len(deleted)
    found = members["study_uid"].tolist()
    same = cohort_id(store.uuid, saved.store_version, definition, found) == saved.cohort_id
    if not removed and not same:
        raise StoreError(
            f"the cohort {saved.name!r} does not give its id any more: {len(found)} of "
            f"{len(saved.study_uids)} studies are in store version {saved.store_version}",
            "the store was changed by other means: restore it from its backup",
        )
    return CohortMembers(
        saved.name,
        saved.cohort_id,
        definition,
        members,
        pd.DataFrame(json.loads(saved.attrition)),
        saved.store_version,
        removed,
    )


@final
class Replays:
    """The cohorts that were replayed last, kept while nothing can have changed them.

    Whoever reads a large cohort page by page does not replay it for each; threads may share it.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, int], CohortMembers] = {}

    def get(self, store: Store, name: str, open_at: Callable[[int], Snapshot]) -> CohortMembers:
        """Return what `replay` returns, and raise what it raises."""
        saved = store.tables.version(COHORTS) if store.tables.exists(COHORTS) else 0
        key = (name, saved, store.position().deletions)
        found = self._kept.get(key)
        if found is None:
            found = replay(store, name, open_at)
            # A new dict, so that a thread that reads the old one is not disturbed.
            self._kept = dict([*self._kept.items()][1 - _REPLAYS_KEPT :]) | {key: found}
        return replace(found, members=found.members.copy(), attrition=found.attrition.copy())


def staleness(snapshot: Snapshot, cohort: CohortMembers) -> Staleness:
    """Say how a cohort differs from what its definition would choose from a snapshot."""
    then, now = cohort.store_version, snapshot.version
    if cohort.definition.listed is not None or then == now:
        even = None if cohort.definition.listed is not None else 0
        return Staleness(then, now, even, even)
    try:
        chosen = set(_select(snapshot, cohort.definition).members["study_uid"])
    except NobodyLeftError:
        chosen = set()
    members = set(cohort.members["study_uid"])
    return Staleness(then, now, len(chosen - members), len(members - chosen))


def listing(store: Store) -> pd.DataFrame:
    """Describe the saved cohorts: name, cohort_id, members, version, and whether that is old."""
    latest = store.latest_version
    rows = [
        {
            "name": each.name,
            "cohort_id": each.cohort_id,
            "studies": len(each.study_uids),
            "patients": len(set(each.patient_ids)),
            "store_version": each.store_version,
            "stale": latest > each.store_version,
            "where": CohortDefinition.from_json(each.definition).where,
            "created_at": each.created_at,
        }
        for each in Registry(store.tables).cohorts()
    ]
    columns = ["name", "cohort_id", "studies", "patients", "store_version", "stale", "where"]
    return pd.DataFrame(rows, columns=[*columns, "created_at"])
