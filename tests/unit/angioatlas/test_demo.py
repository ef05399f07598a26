import json

import imagecodecs
import numpy as np
import pandas as pd
import pytest

from angioatlas.demo import demo
from angioatlas.demo_picture import SIDE, Tile, frame_of, picture, write_picture
from angioatlas.demo_report import held_against
from angioatlas.demo_settings import DEMO_FILE, HITS, QUERIES, SIMILAR_TO, DemoSettings
from core.errors import UsageError
from core.settings import load_settings
from phantom.files.cohort_runs import draw
from phantom.files.cohort_settings import CohortSettings
from phantom.files.truth_tables import StudyTruth
from phantom.heart.disease import Disease, SegmentState, visible
from phantom.people.patients import draw_patient
from phantom.seeds import DEMO_SEEDS
from phantom.words.concepts import EVALUATION_QUERIES, holds

OCCLUDED = Disease({"prox_lad": SegmentState(stenosis_percent=100)}, 40)
TIGHT = Disease({"prox_lad": SegmentState(stenosis_percent=99)}, 40)
TRUTH = {
    uid: StudyTruth(uid, f"P{uid}", "right", disease, -3.0)
    for uid, disease in {"1": OCCLUDED, "2": TIGHT, "3": OCCLUDED, "4": TIGHT}.items()
}


def ranked(*uids):
    return pd.DataFrame(
        [{"rank": i, "score": 1 / i, "study_uid": uid} for i, uid in enumerate(uids, 1)]
    )


def quiet(phase, done, total):
    pass


def test_a_hit_is_right_when_it_is_true_and_only_then():
    answer = held_against(TRUTH, ranked("2", "3", "4"), text="proximal LAD occlusion")
    assert [hit.right for hit in answer.hits] == [False, True, False]
    assert [hit.truth for hit in answer.hits][:2] == ["proximal LAD 99 %", "proximal LAD occlusion"]
    assert (answer.positives, answer.studies, answer.right) == (2, 4, 1)
    assert [hit.patient_id for hit in answer.hits] == ["P2", "P3", "P4"]


def test_a_similar_case_is_right_when_a_segment_is_tight_in_both():
    mild = StudyTruth("5", "P5", "right", Disease({"prox_lad": SegmentState(40)}, 60), -3.0)
    other = StudyTruth("6", "P6", "right", Disease({"mid_rca": SegmentState(90)}, 60), -3.0)
    answer = held_against({"5": mild, "6": other, **TRUTH}, ranked("5", "2", "6"), case=TRUTH["1"])
    assert [hit.right for hit in answer.hits] == [False, True, False]
    assert (answer.case, answer.positives, answer.studies) == ("1", 4, 6)
    assert answer.text == "70 % or more in a segment of the case (proximal LAD occlusion)"


def test_questions_are_of_the_evaluation_and_the_seed_is_kept_for_demos():
    assert {*QUERIES, SIMILAR_TO} <= EVALUATION_QUERIES.keys()
    assert len(QUERIES) == 3
    assert DemoSettings().seed in DEMO_SEEDS


def test_enough_patients_have_what_is_asked_for():
    shipped = DemoSettings()
    patients = dict.fromkeys(QUERIES, 0)
    for index in range(shipped.patients):
        patient = draw_patient(shipped.seed, index)
        seen = [visible(patient.anatomy, exam.disease) for exam in patient.exams]
        for text in QUERIES:
            concept = EVALUATION_QUERIES[text]
            patients[text] += any(holds(concept, patient.anatomy, each) for each in seen)
    assert min(patients.values()) > HITS, patients


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no demo"):
        demo(tmp_path, settings=load_settings(), on_progress=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="is not empty and holds no demo"):
        demo(tmp_path / "thesis.txt", settings=load_settings(), on_progress=quiet)


def test_another_demo_is_refused(tmp_path):
    (tmp_path / DEMO_FILE).write_text(json.dumps({"demo": 1, "patients": 4}))
    with pytest.raises(UsageError, match=r"holds another demo: .*'patients': 4.*'patients': 80"):
        demo(tmp_path, settings=load_settings(), on_progress=quiet)
    (tmp_path / DEMO_FILE).write_text("{")
    with pytest.raises(UsageError, match="describes no demo"):
        demo(tmp_path, settings=load_settings(), on_progress=quiet)


def test_the_picture_has_a_row_a_question_and_marks_that_differ_in_shape(tmp_path):
    grey = np.full((SIDE, SIDE), 90, np.uint8)
    rows = [[Tile(grey, True), Tile(grey, False)], [Tile(grey, False)]]
    path = tmp_path / "hits.png"
    write_picture(path, rows)
    read = imagecodecs.png_decode(path.read_bytes())
    assert np.array_equal(read, picture(rows))
    assert [file.name for file in tmp_path.iterdir()] == ["hits.png"]
    high, wide = read.shape[0] // 2, read.shape[1] // 2
    tick, cross = (read[8:30, x : x + 22].min(axis=2) == 255 for x in (8, wide + 4))
    assert 20 < tick.sum() < 250
    assert (tick != cross).sum() > 40
    assert (read[high + 8 :, wide + 8 :] == 255).all()  # no fourth tile
    assert (read[: high * 2, : wide * 2] == 90).all(axis=2).sum() > 2.9 * (SIDE - 30) ** 2


def test_a_frame_is_that_of_the_run_with_its_arteries_filled(tmp_path):
    cohort = CohortSettings(1, DEMO_SEEDS[-1], 64)
    patient = draw(cohort, 0)
    file = tmp_path / "dicom" / patient.patient_id / "1" / "2.dcm"
    frame = frame_of(cohort, file)
    assert frame.shape == (SIDE, SIDE)
    assert frame.dtype == np.uint8
    assert not np.array_equal(frame, frame_of(cohort, file.with_name("1.dcm")))
