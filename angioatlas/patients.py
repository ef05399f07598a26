"""A patient of a store: every identifier that stands for one of their rows, every file of them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.compute as pc

from core.labels import LabelKind
from store.snapshot import Snapshot
from store.store import Store


@dataclass(frozen=True)
class PatientRows:
    """What a store has of a patient.

    Attributes
    ----------
    patient_id : str
        The store's own.
    surrogates : tuple of str
        What stands for identifiers of the patient.
    uris : tuple of str
        Of the files of their studies, those that a rule left out included.
    """

    patient_id: str
    surrogates: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def find_patient(store: Store, may_be: tuple[str, ...]) -> PatientRows | None:
    """Look for a patient in all that can be read, and among those whose purge did not end."""
    for record in reversed(store.versions()):
        # A patient whose files were pruned is in the older versions only, with all the bytes.
        with store.snapshot(record.version) as snapshot:
            found = _patient_rows(snapshot, may_be)
        if found is not None:
            return found
    return next((PatientRows(each) for each in may_be if store.is_deleted(each)), None)


def _patient_rows(snapshot: Snapshot, may_be: tuple[str, ...]) -> PatientRows | None:
    studies, videos = snapshot.studies(), snapshot.videos()
    for patient_id in may_be:
        of_patient = pc.equal(videos["patient_id"], patient_id)
        if pc.equal(studies["patient_id"], patient_id).to_pylist().count(True):
            rows = videos.filter(of_patient)
            columns = ("sop_uid", "series_uid", "study_uid", "patient_id")
            found = {uid for name in columns for uid in rows[name].to_pylist()}
            # Runs that a rule left out after they had been embedded.
            ledger = snapshot.ledger()
            inputs = [
                row for uid in set(rows["study_uid"].to_pylist()) for row in ledger.of_study(uid)
            ]
            found |= {row.sop_uid for row in inputs if row.sop_uid}
            return PatientRows(
                patient_id, tuple(sorted(found)), tuple(sorted(row.uri for row in inputs))
            )
        if _has_labels(snapshot, patient_id):
            return PatientRows(patient_id, (patient_id,))
    return None


def _has_labels(snapshot: Snapshot, patient_id: str) -> bool:
    """Whether there are labels of a patient, who then need not have a study."""
    columns = (snapshot.label_rows(kind)["patient_id"] for kind in LabelKind)
    return any(pc.index(column, patient_id).as_py() >= 0 for column in columns)
