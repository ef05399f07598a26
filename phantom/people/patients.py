"""A patient of a phantom cohort: who it is, the heart, every exam, what happens, until when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from core.segments import SEGMENTS
from phantom import ids
from phantom.heart.anatomy import Anatomy, draw_anatomy
from phantom.heart.disease import Disease, visible
from phantom.heart.lesions import NATURAL, draw_disease
from phantom.people.hazard import HAZARD, burden
from phantom.people.person import Person, RiskFactors, Sex, draw_person
from phantom.people.timeline import Event, FollowUp, Presentation, Procedure, Visit, draw_course
from phantom.picture.acquisition import Acquisition, draw_protocol
from phantom.seeds import Purpose, generator


@dataclass(frozen=True)
class Exam:
    """One angiogram, with everything that is known of it.

    Attributes
    ----------
    study_number : int
        From 1, in the order of time.
    study_uid : str
    date : date
    age_years : float
    presentation : {"stable", "acute"}
    disease : Disease
        True, also where no picture can show it; before what the exam is followed by.
    acquisitions : tuple of Acquisition
        The runs.
    unchanged : bool
        The heart is the very same as at the previous exam.
    true_change : float
        Sum over the segments of the change, without sign, of the visible percent stenosis since the
        previous exam; 0 at the first one.
    burden : float
        See `phantom.people.hazard.burden`.
    log_hazard : float
        Log of the hazard of MACE per year from here on.
    one_year_risk : float
        Probability of MACE within a year, 0 to 1.
    """

    study_number: int
    study_uid: str
    date: dt.date
    age_years: float
    presentation: Presentation
    disease: Disease
    acquisitions: tuple[Acquisition, ...]
    unchanged: bool
    true_change: float
    burden: float
    log_hazard: float
    one_year_risk: float


@dataclass(frozen=True)
class Patient:
    """An invented patient.

    Attributes
    ----------
    seed, index : int
        The cohort, and the place in it; everything else follows from these.
    patient_id : str
    sex : {"M", "F"}
    birth_date : date
    anatomy : Anatomy
    risk : RiskFactors
        At the first exam.
    prior_mi : bool
        A myocardial infarction before the first exam.
    exams : tuple of Exam
        One to five, in the order of time.
    procedures : tuple of Procedure
        Also those that the stents of the first exam come from.
    events : tuple of Event
        After the first exam.
    follow_up : FollowUp
    """

    seed: int
    index: int
    patient_id: str
    sex: Sex
    birth_date: dt.date
    anatomy: Anatomy
    risk: RiskFactors
    prior_mi: bool
    exams: tuple[Exam, ...]
    procedures: tuple[Procedure, ...]
    events: tuple[Event, ...]
    follow_up: FollowUp


def draw_patient(seed: int, index: int) -> Patient:
    """Draw a patient; the same numbers always give the same one.

    Parameters
    ----------
    seed : int
        Of the cohort, see `phantom.seeds`.
    index : int
        The patient's place in it, from 0.
    """
    person = draw_person(generator(seed, index, Purpose.PERSON))
    anatomy = draw_anatomy(generator(seed, index, Purpose.ANATOMY))
    rng = generator(seed, index, Purpose.DISEASE)
    disease = draw_disease(
        rng,
        anatomy,
        NATURAL,
        age_years=person.age_years(person.first_exam_date),
        atheroma=person.atheroma,
    )
    prior_mi = bool(rng.random() < _prior_mi_share(disease))
    course = draw_course(generator(seed, index, Purpose.COURSE), person, anatomy, disease)
    return Patient(
        seed=seed,
        index=index,
        patient_id=ids.patient_id(seed, index),
        sex=person.sex,
        birth_date=person.birth_date,
        anatomy=anatomy,
        risk=person.risk,
        prior_mi=prior_mi,
        exams=_exams(seed, index, person, anatomy, course.visits),
        procedures=course.procedures,
        events=course.events,
        follow_up=course.follow_up,
    )


def change(anatomy: Anatomy, before: Disease, after: Disease) -> float:
    """Return the sum of the changes, without sign, of percent stenosis that pictures can show."""
    was, now = visible(anatomy, before), visible(anatomy, after)
    return sum(
        abs(now.state(name).stenosis_percent - was.state(name).stenosis_percent)
        for name in SEGMENTS
        if name in anatomy.segments
    )


def _prior_mi_share(disease: Disease) -> float:
    states = disease.segments.values()
    share = 0.03 + 0.25 * any(s.occluded for s in states) + 0.25 * any(s.stent for s in states)
    return share + (0.25 if states and disease.lvef_percent < 45 else 0)


def _exams(
    seed: int, index: int, person: Person, anatomy: Anatomy, visits: Sequence[Visit]
) -> tuple[Exam, ...]:
    exams = []
    for number, visit in enumerate(visits, 1):
        before = visits[max(number - 2, 0)].disease
        age = person.age_years(visit.date)
        score = burden(visit.disease)
        log_hazard = HAZARD.log_hazard(
            burden=score,
            lvef_percent=visit.disease.lvef_percent,
            age_years=age,
            diabetes=person.risk.diabetes,
        )
        same = visit.disease is before
        exams.append(
            Exam(
                study_number=number,
                study_uid=ids.study_uid(seed, index, number),
                date=visit.date,
                age_years=age,
                presentation=visit.presentation,
                disease=visit.disease,
                acquisitions=draw_protocol(generator(seed, index, Purpose.PICTURES, number)),
                unchanged=same and number > 1,
                true_change=0.0 if same else change(anatomy, before, visit.disease),
                burden=score,
                log_hazard=log_hazard,
                one_year_risk=HAZARD.one_year_risk(log_hazard, age),
            )
        )
    return tuple(exams)
