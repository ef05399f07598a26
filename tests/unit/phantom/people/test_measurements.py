"""Measurements scatter about the truth as stated."""

import numpy as np
import pytest

from phantom.heart.disease import visible
from phantom.people.measurements import ECHO_SD_PERCENT, QCA_SD_PERCENT, measure
from phantom.people.patients import draw_patient


@pytest.fixture(scope="module")
def measured():
    patients = [draw_patient(5, index) for index in range(400)]
    return [(p, exam, measure(p, exam)) for p in patients for exam in p.exams]


def test_every_exam_has_an_echocardiogram(measured):
    errors = []
    for patient, exam, found in measured:
        (echo,) = [each for each in found if each.name == "lvef_percent"]
        assert echo.method == "echo"
        assert abs((echo.date - exam.date).days) <= 5
        assert echo.date <= patient.follow_up.last_known_date
        if 25 < exam.disease.lvef_percent < 65:
            errors.append(echo.value - exam.disease.lvef_percent)
    assert np.mean(errors) == pytest.approx(0, abs=0.6)
    assert np.std(errors) == pytest.approx(ECHO_SD_PERCENT, rel=0.1)


def test_visible_stenoses_are_measured_and_no_others(measured):
    errors = []
    for patient, exam, found in measured:
        seen = visible(patient.anatomy, exam.disease)
        told = {each.name.partition("@")[2]: each for each in found if "@" in each.name}
        wanted = {name for name, state in seen.segments.items() if state.stenosis_percent >= 20}
        assert told.keys() == wanted
        for name, each in told.items():
            assert (each.method, each.date) == ("qca", exam.date)
            true = seen.state(name).stenosis_percent
            assert (each.value == 100) == (true == 100)
            if 40 < true < 85:
                errors.append(each.value - true)
    assert np.mean(errors) == pytest.approx(0, abs=1)
    assert np.std(errors) == pytest.approx(QCA_SD_PERCENT, rel=0.12)


def test_measuring_twice_finds_the_same():
    patient = draw_patient(5, 3)
    assert measure(patient, patient.exams[0]) == measure(patient, patient.exams[0])
