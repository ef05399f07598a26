"""What the Atlas does with patients who came again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.compute as pc

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited, note
from angioatlas.browse import row_of
from angioatlas.by_position import ByPosition
from angioatlas.cohort_studies import CohortStudies
from angioatlas.cohorts import CohortMembers
from angioatlas.identities import lookup_identity
from angioatlas.spaces import choose_space
from core.errors import NotFoundError, UsageError
from core.labels import LabelKind
from core.schema import Level
from core.settings import Settings
from store.registry import Registry
from store.snapshot import Snapshot
from store.store import Store

if TYPE_CHECKING:
    # The estimators take seconds to import: who searches does without them.
    from analytics.progression.study import Plan
    from angioatlas.progression.course import Compared, PatientProgression
    from angioatlas.progression.study import ProgressionResult


class Progression(CohortStudies):
    """Serial exams; a part of `Atlas`, made like it."""

    def __init__(self, store: Store, settings: Settings, version: int | None = None) -> None:
        super().__init__(store, settings, version)
        self._compared: ByPosition[Compared] = ByPosition()

    @audited(Action.ANALYSE)
    def progression(
        self,
        plan: Plan | None = None,
        *,
        cohort: str | CohortMembers | None = None,
        findings: str = "auto",
        direction: str = "auto",
        on_map: str | None = None,
        encoder: str | None = None,
    ) -> ProgressionResult:
        """Measure how much patients changed from exam to exam, beyond the noise floor.

        Parameters
        ----------
        plan : Plan, optional
            The defaults when absent.
        cohort : str, CohortMembers or None
            With every exam of its patients; every exam of everybody by default.
        findings : str
            Where the stenoses of segments are from: ``heads``, ``measurements``, ``none``, or
            ``auto`` for what there is.
        direction : str
            What leads toward disease: ``text`` (sentences), ``fitted`` (to the sum of stenoses of
            other patients), or ``auto`` for sentences where the encoder reads text.
        on_map : str, optional
            Name of a saved map to follow patients on; by default their principal components.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.

        Raises
        ------
        UsageError
            No patient has two exams, or there is too little for a noise floor.
        """
        from analytics.progression.study import Plan
        from angioatlas.progression.study import progression

        chosen = self.choose_cohort(index="every") if cohort is None else cohort
        members, space = self._studied(chosen, encoder)
        return progression(
            self.store,
            members,
            plan or Plan(),
            encoder_id=space,
            reader=self._text_reader(space),
            source=findings,
            direction=direction,
            on_map=None if on_map is None else Registry(self.store.tables).projection(on_map),
        )

    @audited(Action.ANALYSE)
    def patient_progression(
        self, study_uid: str, *, encoder: str | None = None
    ) -> PatientProgression:
        """Tell what changed between the exams of the patient of a study, beyond the noise floor.

        The first answer of a position of the store takes long where it is large: the noise floor
        is that of all patients who came again.

        Parameters
        ----------
        study_uid : str
            The store's own.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.

        Raises
        ------
        NotFoundError
            There is no such study.
        """
        from angioatlas.progression.course import PatientProgression, of_patient

        with self.snapshot() as snapshot:
            patient_id = row_of(snapshot, Level.STUDY, study_uid)["patient_id"]
            space = choose_space(snapshot, encoder, self.settings)
            note(study_uid=study_uid, patient_id=patient_id, encoder_id=space)
            found = of_patient(self._everybody(snapshot, space), patient_id)
            dated = _dated(snapshot, patient_id, found.pairs)
            return PatientProgression(study_uid, patient_id, space, snapshot.version, found, dated)

    @audited(Action.ANALYSE)
    def came_again(self, *, encoder: str | None = None) -> pd.DataFrame:
        """Return who came again and how much the last exam had changed, most change first.

        A row stands for a patient by the study_uid of the last exam; see
        `angioatlas.progression.course.came_again`.  The first answer of a position of the store
        takes as long as that of `patient_progression`.

        Parameters
        ----------
        encoder : str, optional
            Needed when the store holds vectors of several encoders.
        """
        from angioatlas.progression.course import came_again

        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            note(encoder_id=space)
            return came_again(self._everybody(snapshot, space))

    def _everybody(self, snapshot: Snapshot, space: str) -> Compared:
        """Return every exam of a snapshot held against the one before it; made once."""
        from angioatlas.progression.course import compare_everybody

        def make() -> Compared:
            reader = self._text_reader(space)
            return compare_everybody(self.store, snapshot, encoder_id=space, reader=reader)

        return self._compared.once(space, snapshot, make)

    @audited(Action.READ)
    def timeline(self, patient: str, *, encoder: str | None = None) -> pd.DataFrame:
        """Return everything dated of one patient: exams, changes, measurements, procedures, events.

        Parameters
        ----------
        patient : str
            The original patient id, or the store's pseudonym.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.

        Raises
        ------
        NotFoundError
            When the store has no such patient.
        """
        from angioatlas.progression.study import scored_pairs

        identity = lookup_identity(self.store.identity, self.settings.identity_key)
        names = {patient, *((identity.patient(patient),) if identity else ())}
        with self.snapshot() as snapshot:
            known = snapshot.studies()["patient_id"].to_pylist()
            who = next((each for each in known if each in names), None)
            if who is None:
                raise NotFoundError(
                    "the store has no such patient", "give the id as in the files, or the pseudonym"
                )
            note(patient_id=who)
            try:
                members, space = self._studied(self.choose_cohort(index="every"), encoder)
                _, pairs = scored_pairs(self.store, members, encoder_id=space)
            except UsageError:  # too few exams in the store for a noise floor: no scores
                pairs = pd.DataFrame()
            return _dated(snapshot, who, pairs)


def _dated(snapshot: Snapshot, patient_id: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return everything dated of a patient; pairs without scores add nothing."""
    from analytics.progression.timeline import timeline

    studies = snapshot.studies()
    exams = studies.filter(pc.equal(studies["patient_id"], patient_id)).to_pandas()
    measurements, procedures, events = (
        snapshot.labels(kind, patients=[patient_id]).to_pandas()
        for kind in (LabelKind.MEASUREMENTS, LabelKind.PROCEDURES, LabelKind.EVENTS)
    )
    if "score" not in pairs:
        pairs = pd.DataFrame(columns=["study_uid", "score"])
    exams = exams.rename(columns={"study_date": "date"})
    return timeline(exams, pairs, measurements, procedures, events)
