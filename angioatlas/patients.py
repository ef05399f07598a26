"""A patient of a store, with every identifier that stands for one of the patient's rows."""

from __future__ import annotations

import pyarrow.compute as pc

from core.labels import LabelKind
from store.snapshot import Snapshot
from store.store import Store


def find_patient(store: Store, may_be: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """Look for a patient in all that can be read, and among those whose purge did not end."""
    for record in reversed(store.versions()):
        # A patient whose files were pruned is in the older versions only, with all the bytes.
        with store.snapshot(record.version) as snapshot:
            patient_id, surrogates = _patient_rows(snapshot, may_be)
        if patient_id is not None:
            return patient_id, surrogates
    return next((each for each in may_be if store.is_deleted(each)), None), []


def _patient_rows(snapshot: Snapshot, may_be: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """Return the patient's id in the store, and every surrogate that stands for one of its rows."""
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
            return patient_id, sorted(found | {row.sop_uid for row in inputs if row.sop_uid})
        if _has_labels(snapshot, patient_id):
            return patient_id, [patient_id]
    return None, []


def _has_labels(snapshot: Snapshot, patient_id: str) -> bool:
    """Whether there are labels of a patient, who then need not have a study."""
    columns = (snapshot.label_rows(kind)["patient_id"] for kind in LabelKind)
    return any(pc.index(column, patient_id).as_py() >= 0 for column in columns)
