"""Patients over time: consistent, repeatable, and with the hazard that was planted."""

import datetime as dt
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from phantom.people.hazard import DEATHS, HAZARD, MACE, burden
from phantom.people.patients import change, draw_patient
from phantom.people.person import FIRST_EXAMS
from phantom.people.timeline import LAST_DAY, MAX_EXAMS

SEED = 4711


@pytest.fixture(scope="module")
def patients():
    return [draw_patient(SEED, index) for index in range(600)]


@pytest.fixture(scope="module")
def pairs(patients):
    return [(p, before, after) for p in patients for before, after in pairwise(p.exams)]


def test_the_same_numbers_give_the_same_patient(patients):
    for index in (0, 7, 11):
        again, before = draw_patient(SEED, index), patients[index]
        assert again.exams == before.exams
        assert again.events == before.events
        assert again.procedures == before.procedures
        assert (again.birth_date, again.risk, again.follow_up) == (
            before.birth_date,
            before.risk,
            before.follow_up,
        )
        assert again.anatomy.seed == before.anatomy.seed
    assert draw_patient(SEED + 1, 0).birth_date != patients[0].birth_date


def test_dates_hold_no_paradox(patients):
    for patient in patients:
        dates = [exam.date for exam in patient.exams]
        last = patient.follow_up.last_known_date
        assert [exam.study_number for exam in patient.exams] == list(range(1, len(dates) + 1))
        assert FIRST_EXAMS[0] <= dates[0] <= FIRST_EXAMS[1]
        assert all(a < b for a, b in pairwise(dates))
        assert dates[-1] <= last <= LAST_DAY
        events = [event.date for event in patient.events]
        assert all(a < b for a, b in pairwise([dates[0], *events]))
        assert all(date <= last for date in events)
        procedures = [procedure.date for procedure in patient.procedures]
        assert procedures == sorted(procedures)
        assert all(patient.birth_date < date <= last for date in procedures)
        assert all(40 <= exam.age_years <= 100 for exam in patient.exams)
        assert patient.exams[0].age_years < 88.1


def test_death_is_the_end_and_the_only_end_of_the_dead(patients):
    for patient in patients:
        deaths = [event for event in patient.events if event.kind in DEATHS]
        assert len(deaths) == (patient.follow_up.status == "dead")
        if deaths:
            assert deaths[0].date == patient.follow_up.last_known_date
            assert patient.events[-1] == deaths[0]
    ends = [patient.follow_up.status for patient in patients]
    assert 0.05 < ends.count("dead") / 600 < 0.2
    assert 0.04 < ends.count("lost") / 600 < 0.15


def test_most_patients_have_one_exam_or_two(patients):
    counts = np.array([len(patient.exams) for patient in patients])
    assert counts.mean() == pytest.approx(1.5, abs=0.15)
    assert counts.max() == MAX_EXAMS
    assert np.mean(counts <= 2) > 0.8


def test_unchanged_pairs_are_the_same_heart_filmed_again(pairs):
    same = [pair for pair in pairs if pair[2].unchanged]
    assert 0.15 < len(same) / len(pairs) < 0.35
    for _, before, after in same:
        assert after.disease is before.disease
        assert after.true_change == 0
        assert after.acquisitions != before.acquisitions
        assert dt.timedelta(days=14) <= after.date - before.date < dt.timedelta(days=200)


def test_the_other_pairs_have_changed_by_what_is_said(pairs):
    other = [pair for pair in pairs if not pair[2].unchanged]
    for patient, before, after in other:
        assert after.disease is not before.disease
        assert after.true_change == change(patient.anatomy, before.disease, after.disease)
    assert np.mean([after.true_change > 0 for _, _, after in other]) > 0.8
    assert np.mean([after.true_change > 50 for _, _, after in other]) > 0.3


def test_the_first_exam_has_changed_from_nothing(patients):
    for patient in patients:
        assert not patient.exams[0].unchanged
        assert patient.exams[0].true_change == 0


def test_calcium_and_stents_never_go(pairs):
    for patient, before, after in pairs:
        for name in patient.anatomy.segments:
            was, now = before.disease.state(name), after.disease.state(name)
            assert now.calcification >= was.calcification
            assert now.stent >= was.stent


def test_stents_come_from_dated_interventions_and_open_the_vessel(patients):
    opened = 0
    for patient in patients:
        for exam in patient.exams:
            done = {
                segment
                for procedure in patient.procedures
                if procedure.kind == "pci" and procedure.date <= exam.date
                for segment in procedure.segments
            }
            stents = {name for name, state in exam.disease.segments.items() if state.stent}
            assert stents <= done
        for before, after in pairwise(patient.exams):
            for procedure in patient.procedures:
                if procedure.kind == "pci" and procedure.date == before.date:
                    for segment in procedure.segments:
                        assert before.disease.state(segment).stenosis_percent >= 70
                        opened += after.disease.state(segment).stenosis_percent <= 10
                        assert after.disease.state(segment).stent
    assert opened > 20


def test_acute_exams_after_the_first_are_on_the_day_of_an_event(patients):
    urgent = {"mi", "urgent_revascularisation"}
    found = 0
    for patient in patients:
        events = {event.date: event.kind for event in patient.events}
        for exam in patient.exams[1:]:
            if exam.presentation == "acute":
                assert events[exam.date] in urgent
                found += 1
    assert found > 20


def test_the_oracle_follows_from_the_exam(patients):
    for patient in patients:
        for exam in patient.exams:
            assert exam.burden == burden(exam.disease)
            assert exam.log_hazard == HAZARD.log_hazard(
                burden=exam.burden,
                lvef_percent=exam.disease.lvef_percent,
                age_years=exam.age_years,
                diabetes=patient.risk.diabetes,
            )
            assert 0 < exam.one_year_risk < 1


def test_risk_factors_go_with_disease(patients):
    ill = [p for p in patients if p.exams[0].disease.segments]
    well = [p for p in patients if not p.exams[0].disease.segments]
    assert np.mean([p.risk.diabetes for p in ill]) > np.mean([p.risk.diabetes for p in well])
    ages = [np.mean([p.exams[0].age_years for p in group]) for group in (ill, well)]
    assert ages[0] > ages[1] + 1
    assert np.mean([p.prior_mi for p in ill]) > 3 * np.mean([p.prior_mi for p in well])
    for patient in patients:
        assert 17 <= patient.risk.bmi_kg_m2 <= 48
        assert 30 < patient.risk.weight_kg < 200


def follow_up(patients, *, until_next_exam):
    """Return burden, LVEF, age, diabetes, days and event of each patient from the first exam on."""
    rows = []
    for patient in patients:
        first = patient.exams[0]
        end = patient.follow_up.last_known_date
        if until_next_exam and len(patient.exams) > 1:
            end = patient.exams[1].date
        mace = [e.date for e in patient.events if e.kind in MACE and e.date <= end]
        row = {"burden": first.burden, "lvef": first.disease.lvef_percent, "age": first.age_years}
        row |= {"diabetes": patient.risk.diabetes, "risk": first.one_year_risk}
        days = (min([*mace, end]) - first.date).days
        # Lost on the day of the exam: half a day, for a Cox model wants time.
        rows.append(row | {"days": max(days, 0.5), "mace": bool(mace)})
    return pd.DataFrame(rows).astype(float)


@pytest.mark.slow
def test_a_cox_model_finds_the_planted_hazard():
    patients = [draw_patient(SEED, index) for index in range(3000)]
    named = ["burden", "lvef", "age", "diabetes"]
    planted = [HAZARD.burden, -HAZARD.lvef / 10, HAZARD.age / 10, HAZARD.diabetes]

    # Until the next exam the hazard is the planted one exactly.
    table = follow_up(patients, until_next_exam=True)
    cox = CoxPHFitter().fit(table[[*named, "days", "mace"]], "days", "mace")
    for name, value in zip(named, planted, strict=True):
        assert abs(cox.params_[name] - value) < 3 * cox.standard_errors_[name], name

    whole = follow_up(patients, until_next_exam=False)
    cox = CoxPHFitter().fit(whole[["burden", "lvef", "age", "days", "mace"]], "days", "mace")
    assert 0.72 < cox.concordance_index_ < 0.80
    # Kaplan-Meier's estimate at a year would be a little above: death of other causes competes.
    known = whole[(whole.days > 365) | (whole.mace == 1)]
    share = np.mean((known.days <= 365) & (known.mace == 1))
    assert share == pytest.approx(whole.risk.mean(), abs=0.02)
    assert 0.08 < share < 0.15
    assert math.isfinite(cox.log_likelihood_)
