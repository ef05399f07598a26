import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.dicom.words import CORONARY, CORONARY_STEMS, TOPIC_OF, spoken_term

TERMS = sorted(TOPIC_OF)
QUIET = ["Card 15 fps", "Cardiac", "RAO 30 CAU 20", "Sample Cath Image", "Cath Lab 2", "", "LEFT"]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("LV gram 30 fps", "lv"),
        ("LV_ANGIO", "lv"),
        ("Ventriculographie gauche", "ventriculographie"),
        ("Lävokardiographie RAO 30", "lavokardiographie"),
        ("Ventriculografía", "ventriculografia"),
        ("Fluoro Store", "fluoro"),
        ("DURCHLEUCHTUNG", "durchleuchtung"),
        ("Cœur droit", "coeur droit"),
        ("Becken-Bein Angio", "becken bein"),
        ("Carotis li.", "carotis"),
        ("Femoral7.5fps", "femoral"),
        ("LIMA graft", "graft"),
        ("StentBoost Subtract", "stentboost"),
        ("LAD Stent Boost", "stent boost"),
        ("Aortic Root 30 fps", "aortic"),
        ("LIMA-LAD", "lima"),
        ("SVG to RCA 15 fps", "svg"),
        ("RHC", "rhc"),
    ],
)
def test_what_a_description_says(text, term):
    assert spoken_term([text]) == term


@pytest.mark.parametrize(
    "text",
    [
        *QUIET, "LCA fluoro", "Coronary + LV", "Coronarographie", "Coronarografía radial",
        "Koronarangiographie", "RCA1", "Coro 15 B/s", "left main / aorta", "Radial",
        "12 OCT", "Alvin",
        "LV-Coro", "Koronarangio + LV", "LeftCoronary/LV", "Coronarica sx, aorta", "LHC/RHC",
        "Left Heart / Right Heart Cath", "LCA + LIMA", "Graft, LCA", "Coro LIMA-LAD",
        "Fluorography", "Silvia Aortman",
    ],
)  # fmt: skip
def test_what_says_nothing_or_coronary_is_silent(text):
    assert spoken_term([text]) == ""


def test_a_coronary_word_in_one_text_outweighs_the_others():
    assert spoken_term(["LV", "Left Coronary 15 fps"]) == ""
    assert spoken_term(["LV", "Left 15 fps"]) == "lv"
    assert spoken_term(["Left", "Main"]) == ""  # words of two texts are no phrase


def test_no_term_is_of_two_topics_or_hidden_by_a_coronary_one():
    assert not TOPIC_OF.keys() & set(CORONARY.terms)
    for term in TERMS:
        assert spoken_term([term]) != "", term


@given(
    st.sampled_from(TERMS),
    st.sampled_from(QUIET),
    st.sampled_from(["{0} {1}", "{1}-{0}", "{1}_{0}/2", "{0}3 {1}"]),
    st.sampled_from([str.upper, str.title, str.lower]),
)
def test_case_separators_and_quiet_words_change_nothing(term, quiet, form, case):
    assert spoken_term([case(form.format(term, quiet))]) == spoken_term([term])


@given(st.text(), st.sampled_from([*CORONARY.terms, *CORONARY_STEMS]))
def test_only_processed_images_outweigh_a_coronary_word(text, coronary):
    found = spoken_term([text, coronary])
    assert found == "" or TOPIC_OF[found].even_coronary


@given(st.lists(st.text(max_size=40), max_size=3))
def test_any_text_gives_a_term_of_the_table_or_nothing(texts):
    assert spoken_term(texts) in {"", *TERMS}
