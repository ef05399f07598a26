"""Judgements: what a person said of a study or video that was shown for a query.

Rows are appended and never changed, as those of `store.registry` are; the last row of a query and
what was shown is what counts.  They belong to no store version.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, final

import pyarrow as pa

from core.errors import NotFoundError
from core.provenance import software_version
from store.registry import registry_lock
from store.store import Store
from store.tables import SCHEMAS

JUDGEMENTS: Final = "judgements"


@dataclass(frozen=True)
class Judgement:
    """How well one study or video answers a query.

    Attributes
    ----------
    text, query_uid : str or None
        The query: a text, or else a study or video of the store.
    level : str
        What `uid`, and `query_uid`, are: ``study`` or ``video``.
    uid : str
    relevance : int
        0 (not relevant) to 3 (exactly what was asked for).
    patient_id, query_patient_id : str, str or None
        Whose `uid` and `query_uid` are.
    encoder_id : str
        The space that it was found in.
    store_version : int
        The version that was searched.
    rank, score : int or None, float or None
        Where it was shown and with what cosine, when that is known.
    created_at : datetime or None
        UTC; None until it is saved.
    """

    text: str | None
    query_uid: str | None
    level: str
    uid: str
    relevance: int
    patient_id: str = field(repr=False)
    query_patient_id: str | None = field(repr=False)
    encoder_id: str
    store_version: int
    rank: int | None = None
    score: float | None = None
    created_at: dt.datetime | None = None

    @property
    def query(self) -> str:
        """The text, or the UID, that was asked with."""
        return self.text or self.query_uid or ""

    @property
    def about(self) -> tuple[str | None, str | None, str, str]:
        """What it is a judgement of: a later one of the same replaces it."""
        return (self.text, self.query_uid, self.level, self.uid)

    def names(self, patient_id: str) -> bool:
        """Tell whether a patient is in it."""
        return patient_id in (self.patient_id, self.query_patient_id)


@final
class Judgements:
    """The judgements in a store.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables = store.tables

    def current(self) -> list[Judgement]:
        """Return the last judgement of every query and row, the oldest first.

        Those that name a deleted patient are left out.
        """
        gone = self._store.tombstones()
        last = {each.about: each for each in self._rows()}
        return sorted(
            (
                each
                for each in last.values()
                if each.patient_id not in gone
                and (each.query_patient_id is None or each.query_patient_id not in gone)
            ),
            key=_when,
        )

    def add(self, judgement: Judgement) -> Judgement:
        """Append a judgement, and return it as saved.

        Raises
        ------
        NotFoundError
            It names a patient who was deleted meanwhile.
        """
        with registry_lock(self._tables):
            # The lock is held, so a purge that has begun cannot have passed this table yet.
            gone = self._store.tombstones()
            for who in (judgement.patient_id, judgement.query_patient_id):
                if who is not None and who in gone:
                    raise NotFoundError(f"the patient of this {judgement.level} was deleted")
            saved = replace(judgement, created_at=dt.datetime.now(dt.UTC))
            row = {**asdict(saved), "software_version": software_version()}
            self._tables.create(JUDGEMENTS)
            self._tables.append(JUDGEMENTS, _table([row]))
            return saved

    def forget_patient(self, patient_id: str) -> None:
        """Remove every judgement that names a patient, replaced ones too: no file names it."""
        if not self._tables.exists(JUDGEMENTS):
            return
        with registry_lock(self._tables):
            rows = self._tables.read(JUDGEMENTS).to_pylist()
            kept = [row for row in rows if not _judgement(row).names(patient_id)]
            if len(kept) < len(rows):
                self._tables.rewrite(JUDGEMENTS, _table(kept).to_batches())
            # Always: a purge that was killed after the rewrite has left the older files.
            self._tables.clean_all_but_latest(JUDGEMENTS)

    def _rows(self) -> list[Judgement]:
        if not self._tables.exists(JUDGEMENTS):
            return []
        return sorted(map(_judgement, self._tables.read(JUDGEMENTS).to_pylist()), key=_when)


def _judgement(row: dict[str, Any]) -> Judgement:
    return Judgement(**{name: value for name, value in row.items() if name != "software_version"})


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMAS[JUDGEMENTS])


def _when(judgement: Judgement) -> dt.datetime:
    assert judgement.created_at is not None
    return judgement.created_at
