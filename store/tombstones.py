"""Deleted patients: remembered by a hash, so that they stay deleted and are not named."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final, final

import pyarrow as pa

from store.tables import SCHEMAS, Tables

HIDDEN: Final = "hidden"
"""The patient is gone from every new snapshot; the bytes may still be there."""
PURGED: Final = "purged"
"""The bytes are gone too."""


@final
class Tombstones:
    """The deleted patients of one store, as of the moment of reading.

    The hash is HMAC-SHA256 of the patient id under the store's uuid.  It hides a pseudonym; but who
    has the store can test a guess, so a kept id that is easy to guess is not secret (ADR 0004).

    Parameters
    ----------
    store_uuid : str
        The store's uuid.
    states : dict of str to str
        Hash of each deleted patient, and `HIDDEN` or `PURGED`.
    """

    def __init__(self, store_uuid: str, states: dict[str, str]) -> None:
        self._key = store_uuid.encode()
        self._states = states

    @classmethod
    def read(cls, tables: Tables, store_uuid: str) -> Tombstones:
        """Read what is written now."""
        rows = tables.read("tombstones", columns=["patient_hash", "state"])
        states: dict[str, str] = {}
        for patient_hash, state in zip(*(column.to_pylist() for column in rows), strict=True):
            if states.get(patient_hash) != PURGED:
                states[patient_hash] = state
        return cls(store_uuid, states)

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, patient_id: object) -> bool:
        return bool(self._states) and self.hash(str(patient_id)) in self._states

    def among(self, patient_ids: Iterable[str]) -> list[str]:
        """Return which of `patient_ids` are deleted, each once, sorted."""
        if not self._states:
            return []
        return sorted(patient for patient in set(patient_ids) if patient in self)

    def unfinished(self) -> int:
        """Return how many patients are hidden while their bytes may still be there."""
        return sum(state == HIDDEN for state in self._states.values())

    def is_purged(self, patient_id: str) -> bool:
        """Whether the patient's bytes were removed too."""
        return self._states.get(self.hash(patient_id)) == PURGED

    def hash(self, patient_id: str) -> str:
        """Return the hash that stands for `patient_id` in this store."""
        return hmac.new(self._key, patient_id.encode(), hashlib.sha256).hexdigest()


def write_tombstone(tables: Tables, patient_hash: str, state: str) -> None:
    """Add a row to the table `tombstones`; needs no lease, since appends do not disturb others."""
    row = {
        "patient_hash": [patient_hash],
        "state": [state],
        "created_at": [dt.datetime.now(dt.UTC)],
    }
    tables.append("tombstones", pa.table(row, schema=SCHEMAS["tombstones"]))
