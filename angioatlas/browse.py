"""What a store holds, looked at a page or a row at a time."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited, note
from angioatlas.by_position import position_of
from angioatlas.cohort_studies import CohortStudies
from angioatlas.filters import HIDDEN, rows_where
from angioatlas.plain_rows import records
from angioatlas.spaces import choose_space
from core.errors import NotFoundError
from core.labels import LabelKind
from core.schema import UID_COLUMN, Level
from store import sorted_rows
from store.snapshot import Snapshot
from store.store import Position


@dataclass(frozen=True)
class Page:
    """Some rows of a level, in the byte order of their UIDs.

    Attributes
    ----------
    rows : list of dict
    last : str or None
        The UID to go on after; None on the last page.
    store_version : int
    """

    rows: list[dict[str, Any]]
    last: str | None
    store_version: int


@dataclass(frozen=True)
class Holdings:
    """How much a store holds.

    Attributes
    ----------
    store_version, studies, videos : int
    encoders : dict of str to list of str
        By encoder id, the ids of the sets of finding heads.
    """

    store_version: int
    studies: int
    videos: int
    encoders: dict[str, list[str]]


@dataclass(frozen=True)
class Timeline:
    """What is known of one patient, by date.

    Attributes
    ----------
    patient_id : str
    studies : list of dict
    labels : dict of str to list of dict
        Rows of `events`, `follow_up`, `measurements`, `procedures` and `covariates`.
    store_version : int
    """

    patient_id: str
    studies: list[dict[str, Any]]
    labels: dict[str, list[dict[str, Any]]]
    store_version: int


def page(
    snapshot: Snapshot,
    level: Level,
    *,
    after: str = "",
    limit: int,
    where: str | None = None,
    encoder_id: str | None = None,
) -> Page:
    """Return the rows whose UIDs come after one.

    Parameters
    ----------
    snapshot : Snapshot
    level : Level
    after : str
        A UID, which need not be there (any more).
    limit : int
        Rows, 1 or more.
    where : str, optional
        Only what this predicate holds for; see `angioatlas.filters.rows_where`.
    encoder_id : str, optional
        Whose findings the predicate may speak of; needed with `where`.
    """
    uid = UID_COLUMN[level]
    if where is None:
        table = _shown(snapshot, level)
    else:
        assert encoder_id is not None
        keys = snapshot.keys(encoder_id, level)
        kept = rows_where(snapshot, keys, where, level=level, encoder_id=encoder_id)
        table = _shown(snapshot, level)
        table = table.filter(pc.is_in(table[uid], value_set=keys["uid"].filter(pa.array(kept))))
    first = bisect_right(table[uid], after, key=lambda value: value.as_py())
    rows = table.slice(first, limit + 1).to_pylist()
    last = rows[limit - 1][uid] if len(rows) > limit else None
    return Page(rows[:limit], last, snapshot.version)


def row_of(snapshot: Snapshot, level: Level, uid: str) -> dict[str, Any]:
    """Return one visible study or video.

    Raises
    ------
    NotFoundError
    """
    table = _shown(snapshot, level)
    at = sorted_rows.row_of(table[UID_COLUMN[level]], uid)
    if at is None:
        raise NotFoundError(
            f"no {level.value} {uid} in store version {snapshot.version}",
            "it is asked for by the store's own UID, which may not be the original one",
        )
    found: dict[str, Any] = table.slice(at, 1).to_pylist()[0]
    return found


def videos_of_study(snapshot: Snapshot, study_uid: str) -> list[dict[str, Any]]:
    """Return the visible videos of a study, by UID; there is one at least.

    Raises
    ------
    NotFoundError
    """
    row_of(snapshot, Level.STUDY, study_uid)
    table = _shown(snapshot, Level.VIDEO)
    found: list[dict[str, Any]] = table.filter(pc.equal(table["study_uid"], study_uid)).to_pylist()
    return found


def timeline(snapshot: Snapshot, study_uid: str) -> Timeline:
    """Return what is known of the patient of a study.

    Raises
    ------
    NotFoundError
    """
    patient = row_of(snapshot, Level.STUDY, study_uid)["patient_id"]
    studies = _shown(snapshot, Level.STUDY)
    studies = studies.filter(pc.equal(studies["patient_id"], patient))
    kinds = [kind for kind in LabelKind if kind is not LabelKind.REPORTS]
    labels = {}
    for kind in kinds:
        rows = snapshot.labels(kind)
        rows = rows.filter(pc.equal(rows["patient_id"], patient))
        labels[kind.value] = rows.drop_columns(_of_labels(rows)).to_pylist()
    ordered = studies.sort_by([("study_date", "ascending"), ("study_uid", "ascending")])
    return Timeline(patient, ordered.to_pylist(), labels, snapshot.version)


def _of_labels(rows: pa.Table) -> list[str]:
    """Name the columns of labels that are left out."""
    # An id comes from a file as it is: it may be made of original ones.
    return [name for name in rows.column_names if name in {"patient_id", "id"}]


def _shown(snapshot: Snapshot, level: Level) -> pa.Table:
    table = snapshot.studies() if level is Level.STUDY else snapshot.videos()
    return table.select([name for name in table.column_names if name not in HIDDEN])


class Browsing(CohortStudies):
    """Looks at what a store holds; a part of `Atlas`, made like it."""

    @audited(Action.READ, "level", "limit", "where")
    def page(
        self,
        level: Level | str,
        *,
        after: str = "",
        limit: int = 100,
        where: str | None = None,
        encoder: str | None = None,
    ) -> Page:
        """Return visible studies or videos, a page at a time; see `browse.page`."""
        with self.snapshot() as snapshot:
            space = None if where is None else choose_space(snapshot, encoder, self.settings)
            return page(
                snapshot, Level(level), after=after, limit=limit, where=where, encoder_id=space
            )

    @audited(Action.READ, "level")
    def row(self, level: Level | str, uid: str) -> dict[str, Any]:
        """Return one visible study or video by the store's own UID.

        Raises
        ------
        NotFoundError
        """
        with self.snapshot() as snapshot:
            found = row_of(snapshot, Level(level), uid)
            note(uid=uid)
            return found

    @audited(Action.READ, "level")
    def resolve(self, uid: str, level: Level | str = Level.STUDY) -> str:
        """Return the store's own UID of a study or video, of which this may be the original one.

        Raises
        ------
        NotFoundError
        """
        level = Level(level)
        with self.snapshot() as snapshot:
            for may_be in self._may_be(uid):
                with suppress(NotFoundError):
                    found: str = row_of(snapshot, level, may_be)[UID_COLUMN[level]]
                    note(uid=found)
                    return found
            raise NotFoundError(f"no such {level.value} in store version {snapshot.version}")

    @audited(Action.READ)
    def videos_of_study(self, study_uid: str) -> list[dict[str, Any]]:
        """Return the visible videos of a study, by the store's own UIDs."""
        with self.snapshot() as snapshot:
            found = videos_of_study(snapshot, study_uid)
            note(uid=study_uid)
            return found

    @audited(Action.READ)
    def patient_of(self, study_uid: str) -> Timeline:
        """Return what is known of the patient of a study, by date; see `browse.timeline`."""
        with self.snapshot() as snapshot:
            found = timeline(snapshot, study_uid)
            note(uid=study_uid)
            return found

    @audited(Action.READ, "cohort", "limit")
    def members_of_cohort(self, cohort: str, *, after: str = "", limit: int = 100) -> Page:
        """Return study_uid, patient_id and index_date of the members of a saved cohort.

        Parameters
        ----------
        cohort : str
            Its name or id.
        after : str
            A study_uid, which need not be one of a member (any more).
        limit : int
            Rows, 1 or more.
        """
        chosen = self.cohort(cohort)
        later = (uid for uid in chosen.members["study_uid"] if uid > after)
        wanted = chosen.members["study_uid"].isin(nsmallest(limit + 1, later))
        rows = records(chosen.members[wanted].sort_values("study_uid"))
        last = rows[limit - 1]["study_uid"] if len(rows) > limit else None
        note(cohort_id=chosen.cohort_id, rows=len(rows[:limit]))
        return Page(rows[:limit], last, chosen.store_version)

    @audited(Action.READ, refusals_only=True)
    def holdings(self) -> Holdings:
        """Return how much there is, and whose vectors."""
        with self.snapshot() as snapshot:
            return Holdings(
                snapshot.version,
                snapshot.studies().num_rows,
                snapshot.videos().num_rows,
                {space: sorted(snapshot.heads(space)) for space in snapshot.spaces()},
            )

    @audited(Action.READ, refusals_only=True)
    def position(self) -> Position:
        """Return where the version that this Atlas reads stands."""
        with self.snapshot() as snapshot:
            return position_of(snapshot)
