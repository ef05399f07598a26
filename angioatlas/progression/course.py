"""How the exams of one patient followed each other, held against what unchanged arteries differ by.

The noise floor is that of all patients who came again: it is measured once for each position of the
store, and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import pandas as pd

from analytics.cohort import CohortDefinition, IndexRule
from analytics.progression.change import NoiseFloor
from analytics.progression.study import Plan, score_pairs
from analytics.progression.trajectory import PLANE, positions
from analytics.report.course import course_report, floor_facts
from analytics.report.document import Document
from angioatlas.cohorts import CohortMembers, choose
from angioatlas.progression.gather import gather
from angioatlas.progression.study import with_plain_dates
from angioatlas.report_files import Reported
from core.errors import UsageError
from core.provenance import RESEARCH_USE
from embedder.encoders.spec import TextEmbedder
from store.snapshot import Snapshot
from store.store import Store


@final
@dataclass(frozen=True, eq=False)
class Compared:
    """Exams of patients who came again, each held against the one before it.

    Attributes
    ----------
    exams : DataFrame
        patient_id, number (from 1), study_uid, date, years (since the first), treatment (since the
        exam before), and a column for each axis.
    axes : tuple of str
        Directions with a clinical meaning: in standard deviations of all these exams of the store,
        0 is their mean, up is worse.
    pairs : DataFrame
        See `analytics.progression.study.ProgressionStudy`; without a floor nothing is scored.
    floor : NoiseFloor or None
    notes : tuple of str
        Where stenoses are from, and what leads toward disease.
    not_told : str
        Why there is no floor, or nothing to compare; empty where all is told.
    """

    exams: pd.DataFrame
    axes: tuple[str, ...]
    pairs: pd.DataFrame
    floor: NoiseFloor | None
    notes: tuple[str, ...]
    not_told: str = ""


@final
@dataclass(frozen=True, eq=False)
class PatientProgression(Reported):
    """What changed between the exams of one patient.

    Attributes
    ----------
    study_uid, patient_id : str
        The study that was asked about, and whose it is; both the store's own.
    encoder_id : str
    store_version : int
    compared : Compared
        Exams and pairs of this patient.
    dated : DataFrame
        Everything dated of this patient, see `analytics.progression.timeline.timeline`.
    notice : str
    """

    study_uid: str
    patient_id: str
    encoder_id: str
    store_version: int
    compared: Compared
    dated: pd.DataFrame
    notice: str = RESEARCH_USE

    def __len__(self) -> int:
        return len(self.compared.pairs)

    def document(self) -> Document:
        """Return the report, which does not name the patient."""
        told = self.compared
        return course_report(
            told.exams,
            told.axes,
            told.pairs,
            self.dated,
            notes=(*told.notes, *([told.not_told] if told.not_told else [])),
            provenance={
                "study_uid": self.study_uid,
                "encoder_id": self.encoder_id,
                "store_version": self.store_version,
                **({} if told.floor is None else floor_facts(told.floor)),
            },
        )


def compare_everybody(
    store: Store, snapshot: Snapshot, *, encoder_id: str, reader: TextEmbedder | None
) -> Compared:
    """Hold every exam of a snapshot against the one before it, by the defaults of a study.

    Of patients who came again, as long as they have enough unchanged pairs for a noise floor: of a
    large store that is a part of the vectors.

    Parameters
    ----------
    store : Store
    snapshot : Snapshot
    encoder_id : str
    reader : TextEmbedder or None
        For axes that lead to sentences.
    """
    try:
        everybody = choose(store, snapshot, CohortDefinition(index=IndexRule("every")))
    except UsageError as error:  # no exam with patient and date
        return _nothing(error)
    who = everybody.members["patient_id"]
    again = replace(everybody, members=everybody.members[who.duplicated(keep=False)])
    found = _compared(store, snapshot, again, encoder_id, reader)
    if found.floor is None or found.floor.source == "split halves":
        # Halves of exams need no second exam: a study takes those of everybody, and a patient is
        # not told another score than a study has.
        found = _compared(store, snapshot, everybody, encoder_id, reader)
    return found


def _compared(
    store: Store,
    snapshot: Snapshot,
    cohort: CohortMembers,
    encoder_id: str,
    reader: TextEmbedder | None,
) -> Compared:
    try:
        inputs = gather(store, snapshot, cohort, encoder_id=encoder_id, reader=reader)
    except UsageError as error:  # no vector
        return _nothing(error)
    on_no_map = np.full((len(inputs.exams), len(PLANE)), np.nan)
    exams = positions(inputs.exams, inputs.pairs, on_no_map, inputs.along)
    exams = exams.drop(columns=[*PLANE]).assign(date=exams["date"].dt.date)
    told = Compared(
        exams, tuple(inputs.along), with_plain_dates(inputs.pairs), None, tuple(inputs.notes)
    )
    try:
        floor, pairs = score_pairs(Plan(), inputs)
    except UsageError as error:
        return replace(told, not_told=error.message)
    return replace(told, floor=floor, pairs=with_plain_dates(pairs))


def _nothing(error: UsageError) -> Compared:
    none = pd.DataFrame(columns=["patient_id", "study_uid"])
    return Compared(none, (), none, None, (), error.message)


def of_patient(everybody: Compared, patient_id: str) -> Compared:
    """Return what is told of one patient."""
    exams, pairs = (
        table[table["patient_id"] == patient_id].reset_index(drop=True)
        for table in (everybody.exams, everybody.pairs)
    )
    not_told = everybody.not_told
    if pairs.empty:
        not_told = "of this patient no two exams are known with a date and a vector"
    return replace(everybody, exams=exams, pairs=pairs, not_told=not_told)


def came_again(everybody: Compared) -> pd.DataFrame:
    """Return who came again, a row a patient, whose last pair of exams changed most first.

    Returns
    -------
    DataFrame
        study_uid (of the last exam, which stands for the patient), exams, first and last (dates);
        of the last pair score, beyond and treatment; and changes_beyond (pairs beyond the noise
        floor).  Without a floor score is NaN, and beyond and changes_beyond are null.
    """
    columns = ["study_uid", "exams", "first", "last", *_LAST, "changes_beyond"]
    pairs = everybody.pairs
    if pairs.empty:
        return pd.DataFrame(columns=columns)
    if "score" not in pairs:
        pairs = pairs.assign(score=float("nan"), beyond=None)
    by_patient = pairs.groupby("patient_id", sort=False)
    found = by_patient.tail(1).set_index("patient_id")
    found = found.rename(columns={"number": "exams", "date": "last"}).assign(
        first=by_patient["prior_date"].first(),
        changes_beyond=by_patient["beyond"].sum() if everybody.floor is not None else None,
    )
    ordered = found.sort_values(["score", "study_uid"], ascending=[False, True])
    return ordered[columns].reset_index(drop=True)


_LAST = ("score", "beyond", "treatment")
