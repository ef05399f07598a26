import pytest

from core.errors import StoreError
from core.segments import SEGMENTS
from phantom.files.tables import write_tables
from phantom.files.truth_tables import StudyTruth, in_words, read_truth
from phantom.heart.disease import Disease, SegmentState, visible
from phantom.people.patients import draw_patient
from phantom.seeds import DEMO_SEEDS
from phantom.words.concepts import CONCEPTS, holds

PATIENTS = 40


def truth_of(segments, lvef_percent=60.0, dominance="right"):
    return StudyTruth("1.2", "P", dominance, Disease(segments, lvef_percent), -3.0)


def test_every_concept_is_as_true_of_the_tables_as_of_the_hearts(tmp_path):
    patients = [draw_patient(DEMO_SEEDS[-1], index) for index in range(PATIENTS)]
    write_tables(tmp_path, patients)
    found = read_truth(tmp_path / "truth")
    exams = {exam.study_uid: (patient, exam) for patient in patients for exam in patient.exams}
    assert list(found) == list(exams)
    hidden = 0
    for uid, (patient, exam) in exams.items():
        seen = visible(patient.anatomy, exam.disease)
        hidden += any(seen.state(s) != exam.disease.state(s) for s in patient.anatomy.segments)
        assert found[uid].patient_id == patient.patient_id
        for concept in CONCEPTS:
            assert holds(concept, found[uid], found[uid].disease) == holds(
                concept, patient.anatomy, seen
            ), concept.name
    assert hidden  # else the column `visible` was not put to the test


def test_findings_are_named_by_gravity_and_the_rest_is_counted():
    segments = {
        "om1": SegmentState(stenosis_percent=30),
        "prox_lad": SegmentState(stenosis_percent=100, cto=True),
        "mid_rca": SegmentState(stenosis_percent=82.4, thrombus=True),
        "D1": SegmentState(stent=True),
        "left_main": SegmentState(calcification=0.5),
        "dist_rca": SegmentState(stenosis_percent=12),
    }
    assert in_words(truth_of(segments, 33.2, "co"), most=3) == (
        "proximal LAD CTO, mid RCA 82 % + thrombus, first obtuse marginal 30 %, 2 more, "
        "LVEF 33 %, codominant"
    )
    assert in_words(truth_of({"pda": SegmentState(stenosis_percent=100)})) == (
        f"{SEGMENTS['pda']} occlusion"
    )
    assert in_words(truth_of({})) == "normal coronary arteries"


def test_a_table_that_is_not_one_is_refused(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        read_truth(tmp_path)
    write_tables(tmp_path, [draw_patient(DEMO_SEEDS[-1], 0)])
    file = tmp_path / "truth" / "segments.csv"
    file.write_text(file.read_text().replace(",1\n", ",maybe\n"))
    with pytest.raises(StoreError, match="expected true or false, found 'maybe'"):
        read_truth(tmp_path / "truth")
