"""Where studies, videos and patients stand in the tables of a snapshot, worked out once for each.

A search asks for a few rows of many: so it looks them up, and does not compare every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.schema import UID_COLUMN, Level
from store.snapshot import Snapshot
from store.sorted_rows import row_of

STUDY_ORDER: Final = ["series_time", "acquisition_datetime", "instance_number", "sop_uid"]
"""The order of `core.schema.Cine.order`; here, too, what is missing sorts last."""


@dataclass(frozen=True, eq=False)
class Patients:
    """Whose the rows of some keys are.

    Attributes
    ----------
    owners : array [rows], int64
        The number of each row's patient.
    names : array of str
        The patients by their numbers, in byte order.
    """

    owners: NDArray[np.int64]
    names: pa.Array
    _by_owner: NDArray[np.int64]
    _starts: NDArray[np.int64]

    @classmethod
    def of(cls, snapshot: Snapshot, encoder_id: str, level: Level) -> Patients:
        """Return the patients of ``snapshot.keys(encoder_id, level)``."""
        name = ("patients", encoder_id, level)
        return snapshot.once(name, lambda: cls._read(snapshot.keys(encoder_id, level)))

    @classmethod
    def _read(cls, keys: pa.Table) -> Patients:
        found = pc.dictionary_encode(keys["patient_id"].combine_chunks())
        order = pc.sort_indices(found.dictionary).to_numpy()
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        owners = number[found.indices.to_numpy()]
        by_owner = np.argsort(owners, kind="stable")
        starts = np.searchsorted(owners[by_owner], np.arange(len(order) + 1))
        return cls(owners, found.dictionary.take(pa.array(order)), by_owner, starts)

    def rows_of(self, patient_id: str | None) -> NDArray[np.int64]:
        """Return the rows of a patient, in order; none of a patient who is not there."""
        number = None if patient_id is None else row_of(self.names, patient_id)
        if number is None:
            return np.empty(0, np.int64)
        return self._by_owner[self._starts[number] : self._starts[number + 1]]


@dataclass(frozen=True, eq=False)
class StudyRows:
    """Which videos the studies of a space have.

    Attributes
    ----------
    videos : array [videos], int64
        Rows of the video keys; those of a study stand together, in study order, and studies in the
        order of their keys.
    starts : array [studies + 1], int64
        Where those of each study begin.
    studies : array [videos], int64
        The row of the study keys of each row of the video keys.
    """

    videos: NDArray[np.int64]
    starts: NDArray[np.int64]
    studies: NDArray[np.int64]

    @classmethod
    def of(cls, snapshot: Snapshot, encoder_id: str) -> StudyRows:
        """Return the videos of every study of a space."""
        return snapshot.once(("study rows", encoder_id), lambda: cls._read(snapshot, encoder_id))

    @classmethod
    def _read(cls, snapshot: Snapshot, encoder_id: str) -> StudyRows:
        keys = snapshot.keys(encoder_id, Level.VIDEO)
        studies = snapshot.keys(encoder_id, Level.STUDY)
        of = pc.index_in(keys["study_uid"], value_set=studies["uid"]).to_numpy().astype(np.int64)
        facts = snapshot.videos().select(STUDY_ORDER)
        facts = facts.take(pa.array(fact_rows(snapshot, encoder_id, Level.VIDEO)))
        facts = facts.add_column(0, "study", pa.array(of))
        by = [(name, "ascending") for name in facts.column_names]
        videos = pc.sort_indices(facts, by).to_numpy().astype(np.int64)
        starts = np.searchsorted(of[videos], np.arange(studies.num_rows + 1))
        return cls(videos, starts, of)

    def of_study(self, row: int) -> NDArray[np.int64]:
        """Return the rows of the video keys that a row of the study keys has."""
        return self.videos[self.starts[row] : self.starts[row + 1]]


def find(snapshot: Snapshot, encoder_id: str, level: Level, uid: str) -> int | None:
    """Return the row of a study or video in the keys of a space, or None."""
    return row_of(snapshot.keys(encoder_id, level)["uid"], uid)


def fact_rows(snapshot: Snapshot, encoder_id: str, level: Level) -> NDArray[np.int64]:
    """Return the row of the facts, of studies or of videos, that each row of the keys has."""

    def look_up() -> NDArray[np.int64]:
        table = snapshot.studies() if level is Level.STUDY else snapshot.videos()
        uids, keys = table[UID_COLUMN[level]], snapshot.keys(encoder_id, level)["uid"]
        if keys.equals(uids):  # all of the store is in this space
            return np.arange(len(keys))
        rows: NDArray[np.int64] = pc.index_in(keys, value_set=uids).to_numpy().astype(np.int64)
        return rows

    return snapshot.once(("fact rows", encoder_id, level), look_up)
