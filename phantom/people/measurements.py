"""What a hospital measures of a phantom: an echocardiogram and quantitative angiography."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.segments import SEGMENTS
from phantom.heart.disease import OCCLUDED_PERCENT, visible
from phantom.people.patients import Exam, Patient
from phantom.seeds import Purpose, generator

ECHO_SD_PERCENT: Final = 4.0
"""Standard deviation of an ejection fraction by echocardiography."""
QCA_SD_PERCENT: Final = 5.0
"""Standard deviation of a percent stenosis by quantitative coronary angiography (QCA)."""
MEASURED_FROM_PERCENT: Final = 20.0
"""What narrows less is not measured."""

_ECHO_DAYS = 5
_LVEF_RANGE = (10, 80)


@dataclass(frozen=True)
class Measurement:
    """One measured number.

    Attributes
    ----------
    date : date
    name : str
        ``lvef_percent``, or ``stenosis_percent@`` and a segment.
    value : int
        Percent.
    method : {"echo", "qca"}
    """

    date: dt.date
    name: str
    value: int
    method: str


def measure(patient: Patient, exam: Exam) -> tuple[Measurement, ...]:
    """Measure a patient at an exam.

    Parameters
    ----------
    patient : Patient
    exam : Exam
        One of the patient's.

    Returns
    -------
    tuple of Measurement
        The ejection fraction by echocardiography within five days of the exam, and each visible
        stenosis by QCA on its day.  An occlusion is 100 %.
    """
    rng = generator(patient.seed, patient.index, Purpose.MEASUREMENTS, exam.study_number)
    day = exam.date + dt.timedelta(days=int(rng.integers(-_ECHO_DAYS, _ECHO_DAYS + 1)))
    lvef = round(exam.disease.lvef_percent + rng.normal(0, ECHO_SD_PERCENT))
    found = [
        Measurement(
            min(day, patient.follow_up.last_known_date),
            "lvef_percent",
            int(np.clip(lvef, *_LVEF_RANGE)),
            "echo",
        )
    ]
    seen = visible(patient.anatomy, exam.disease)
    for segment in SEGMENTS:
        percent = seen.state(segment).stenosis_percent
        if percent >= MEASURED_FROM_PERCENT:
            found.append(
                Measurement(exam.date, f"stenosis_percent@{segment}", _qca(rng, percent), "qca")
            )
    return tuple(found)


def _qca(rng: np.random.Generator, percent: float) -> int:
    if percent >= OCCLUDED_PERCENT:
        return 100
    return int(np.clip(round(percent + rng.normal(0, QCA_SD_PERCENT)), 1, 99))
