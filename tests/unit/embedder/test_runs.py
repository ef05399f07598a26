from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.outcomes import OUTCOMES, Code, Status
from embedder.dicom.cine import read_run
from embedder.runs import RULE_CODES, RULES, Classified, RunFacts, Structure, left_out
from tests.support.dicom import moving_frames, write_cine

GOOD = RunFacts(n_frames=60, frame_time_ms=66.7)
LEFT = Classified(Structure.LEFT_CORONARY, contrast=True, stent=False)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.2"


def why(facts, **changes):
    refusal = left_out(replace(facts, **changes), min_frames=8)
    return None if refusal is None else (refusal.reason, refusal.message)


def of_file(tmp_path, frames=None, **attributes):
    facts = read_run(write_cine(tmp_path / "f", frames, **attributes))[1]
    refusal = left_out(facts, min_frames=8)
    return None if refusal is None else (refusal.reason, refusal.message)


def test_a_run_that_nothing_speaks_against_counts(tmp_path):
    assert why(GOOD) is None
    assert of_file(tmp_path) is None


@pytest.mark.parametrize(
    ("attributes", "code", "message"),
    [
        (
            {"SOPClassUID": SECONDARY_CAPTURE, "ImageType": ["DERIVED", "SECONDARY"]},
            Code.SECONDARY_IMAGE,
            "a secondary capture with ImageType SECONDARY, expected an acquired run",
        ),
        (
            {"RadiationSetting": "SC"},
            Code.FLUOROSCOPY,
            "RadiationSetting is SC (fluoroscopy), expected GR",
        ),
        (
            {"SeriesDescription": "Fluoro Store DOE^JANE"},
            Code.FLUOROSCOPY,
            "its description says 'fluoro', expected an acquired run",
        ),
        (
            {"SeriesDescription": "Lévo", "ProtocolName": "LV Gram 30 fps"},
            Code.NOT_CORONARY,
            "its description says 'lv', expected a coronary angiogram",
        ),
        (
            {"SeriesDescription": "LAD", "ImageType": ["DERIVED", "PRIMARY", "X", "STENTBOOST"]},
            Code.NOT_CORONARY,
            "its description says 'stentboost', expected a coronary angiogram",
        ),
        (
            {"PositionerPrimaryAngleIncrement": [0.0, *[3.0] * 19]},
            Code.ROTATIONAL,
            "the C-arm turned by 57 degrees, expected 10 at the most",
        ),
    ],
)
def test_what_a_header_says_against_a_run(tmp_path, attributes, code, message):
    assert of_file(tmp_path, **attributes) == (code, message)


def test_short_runs_are_left_out(tmp_path):
    assert of_file(tmp_path, moving_frames(8)) is None
    assert of_file(tmp_path, moving_frames(7)) == (
        Code.TOO_FEW_FRAMES,
        "7 frames (467 ms), expected 8 or more",
    )
    assert why(RunFacts(n_frames=3)) == (Code.TOO_FEW_FRAMES, "3 frames, expected 8 or more")


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "SINGLE PLANE", "SINGLE A"]},
        {"ImageType": ["DERIVED", "PRIMARY"], "SOPClassUID": SECONDARY_CAPTURE},
        {"ImageType": "", "SOPClassUID": SECONDARY_CAPTURE},
        {"RadiationSetting": "GR"},
        {"StudyDescription": "Left ventricle, carotids"},
        {"SeriesDescription": "LCA 15 fps", "ProtocolName": "LV"},
        {"PositionerPrimaryAngleIncrement": [0.0, *[0.5] * 19]},
    ],
)
def test_headers_that_say_nothing_against_a_run(tmp_path, attributes):
    assert of_file(tmp_path, **attributes) is None


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Classified(Structure.GRAFT), Code.OTHER_STRUCTURE),
        (Classified(Structure.LV, contrast=False, stent=True), Code.OTHER_STRUCTURE),
        (Classified(contrast=False, stent=True), Code.NO_CONTRAST),
        (Classified(Structure.RIGHT_CORONARY, stent=True), Code.AFTER_INTERVENTION),
    ],
)
def test_what_a_classifier_says_against_a_run(said, code):
    assert why(GOOD, classified=said)[0] is code


def test_a_stent_in_an_earlier_run_leaves_a_run_out():
    assert why(GOOD, classified=LEFT, stent_before=True) == (
        Code.AFTER_INTERVENTION,
        "an earlier run shows a stent, expected a run before any intervention",
    )


def test_a_classifier_outweighs_the_header_on_the_same_question_only():
    assert why(GOOD, term="lv", classified=LEFT) is None
    assert why(GOOD, term="fluoro", classified=LEFT) is None
    assert why(GOOD, is_low_dose=True, classified=LEFT) is None
    assert why(GOOD, is_low_dose=True, classified=replace(LEFT, contrast=None))
    assert why(GOOD, term="stentboost", classified=LEFT)[0] is Code.NOT_CORONARY
    assert why(GOOD, term="lv", classified=Classified(stent=False))[0] is Code.NOT_CORONARY
    assert why(GOOD, n_frames=3, classified=LEFT)[0] is Code.TOO_FEW_FRAMES
    assert why(GOOD, swept_deg=40.0, classified=LEFT)[0] is Code.ROTATIONAL
    assert why(GOOD, is_capture=True, classified=LEFT)[0] is Code.SECONDARY_IMAGE


FACTS = st.builds(
    RunFacts,
    n_frames=st.integers(2, 20),
    frame_time_ms=st.none() | st.floats(1, 1000),
    swept_deg=st.floats(0, 200),
    is_capture=st.booleans(),
    is_low_dose=st.booleans(),
    term=st.sampled_from(["", "lv", "fluoro", "stentboost"]),
    classified=st.builds(
        Classified,
        st.none() | st.sampled_from(Structure),
        st.none() | st.booleans(),
        st.none() | st.booleans(),
    ),
    stent_before=st.booleans(),
)


@given(FACTS)
def test_the_first_rule_that_speaks_decides(facts):
    spoken = [rule.code for rule in RULES if rule.speak and rule.speak(facts, 8)]
    refusal = left_out(facts, min_frames=8)
    assert (refusal.reason if refusal else None) == (spoken[0] if spoken else None)


def test_every_rule_skips_and_none_quarantines():
    assert {OUTCOMES[code].status for code in RULE_CODES} == {Status.SKIPPED}


def test_the_classes_are_those_of_the_published_filter_in_their_order():
    assert [str(each) for each in Structure] == [
        "Left Coronary", "Right Coronary", "Other", "Graft", "Catheter", "Femoral", "LV", "TAVR",
        "Aorta", "Radial", "TEE probe", "Pigtail",
    ]  # fmt: skip
