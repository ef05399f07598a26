"""A report tells what is visible, and nothing else."""

import re

import numpy as np
import pytest

from core.segments import SEGMENTS
from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import Disease, SegmentState, visible
from phantom.heart.lesions import draw_disease
from phantom.heart.mixes import ENRICHED
from phantom.words.reports import NOTICE, report


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def anatomy(rng):
    return next(a for a in iter(lambda: draw_anatomy(rng), None) if a.dominance == "right")


def tell(anatomy, rng, lvef=60.0, **states):
    return report(anatomy, Disease(states, lvef), rng=rng)


def test_the_same_generator_writes_the_same_and_others_phrase_it_otherwise(anatomy):
    disease = Disease({"mid_lad": SegmentState(80.0)}, 55.0)
    texts = [report(anatomy, disease, rng=np.random.default_rng(seed)) for seed in range(20)]
    assert report(anatomy, disease, rng=np.random.default_rng(0)) == texts[0]
    assert len(set(texts)) > 15


def test_normal_coronaries(anatomy, rng):
    text = tell(anatomy, rng, lvef=62.0)
    assert "ight dominant" in text
    assert "preserved" in text
    assert re.search(r"Impression: (Normal coronary|Coronary arteries without)", text)
    assert not re.search("occlu|thromb|calcif|stent|severe", text)
    assert text.endswith(NOTICE)


@pytest.mark.parametrize(
    ("state", "wanted", "unwanted"),
    [
        (SegmentState(100.0), "occlu", "chronic|CTO|thromb"),
        (SegmentState(100.0, cto=True), r"(chronic|CTO).*collateral", "acute|thromb"),
        (SegmentState(5.0, thrombus=True), "thrombus", "occlu|severe|patent"),
        (SegmentState(0.0, calcification=0.4), "calcification of|shows calcification", "heavy"),
        (SegmentState(0.0, calcification=0.9), "(?i)heavy calcification", "stent"),
        (SegmentState(4.0, stent=True), "patent", "restenosis|occlu|severe"),
        (SegmentState(80.0, stent=True), "restenosis", "patent"),
        (SegmentState(100.0, stent=True), "stent.*occlu", "patent"),
        (SegmentState(90.0), r"severe.*\d+ %|\d+ % severe", "occlu|mild|thromb"),
        (SegmentState(60.0), "stenosis|lesion", "occlu|thromb|stent"),
        (SegmentState(32.0), "mild", "occlu|severe"),
    ],
)
def test_every_finding_has_its_words(anatomy, rng, state, wanted, unwanted):
    for _ in range(15):
        text = tell(anatomy, rng, mid_rca=state)
        (told,) = [each for each in text.split(". ") if "mid RCA" in each]
        assert re.search(wanted, told, re.DOTALL | re.IGNORECASE), told
        assert not re.search(unwanted, told), told


def test_what_is_downstream_of_an_occlusion_is_not_told(anatomy, rng):
    for _ in range(20):
        hidden = SegmentState(80.0, thrombus=True, centre=0.8)
        text = tell(anatomy, rng, prox_lad=SegmentState(100.0, centre=0.3), dist_lad=hidden)
        assert "proximal LAD" in text
        assert "distal LAD" not in text
        assert "thromb" not in text


def test_percentages_are_a_readers(anatomy, rng):
    told = []
    for _ in range(400):
        text = tell(anatomy, rng, mid_rca=SegmentState(80.0))
        told += [int(percent) for percent in re.findall(r"(\d+) %", text)[:1]]
    assert all(percent % 5 == 0 for percent in told)
    assert np.mean(told) == pytest.approx(80, abs=1.5)
    # Five points of scatter, and the rounding.
    assert np.std(told) == pytest.approx(5.7, abs=1.2)


@pytest.mark.parametrize(
    ("states", "impression"),
    [
        ({"prox_lad": SegmentState(95.0)}, "One-vessel coronary artery disease."),
        ({"D1": SegmentState(95.0), "pda": SegmentState(95.0)}, "Two-vessel"),
        (
            {
                **{"mid_lad": SegmentState(95.0), "om1": SegmentState(95.0)},
                **{"mid_rca": SegmentState(100.0), "left_main": SegmentState(75.0)},
            },
            "Three-vessel coronary artery disease with left main stenosis.",
        ),
        ({"left_main": SegmentState(65.0)}, "Left main stenosis."),
        ({"mid_lad": SegmentState(35.0)}, "without a significant stenosis"),
        ({"mid_lad": SegmentState(3.0, stent=True)}, "No stenosis; findings as above."),
    ],
)
def test_the_impression_counts_vessels(anatomy, rng, states, impression):
    _, line, _ = tell(anatomy, rng, **states).splitlines()
    assert line.startswith("Impression: ")
    assert impression in line


@pytest.mark.parametrize(
    ("lvef", "word"),
    [(62, "preserved"), (44, "mildly reduced"), (34, "reduced"), (20, "severely reduced")],
)
def test_the_ejection_fraction_is_graded(anatomy, rng, lvef, word):
    told = [tell(anatomy, rng, lvef=lvef) for _ in range(40)]
    assert sum(word in text for text in told) > 30


def test_reports_name_only_what_can_be_seen(rng):
    for _ in range(150):
        anatomy = draw_anatomy(rng)
        disease = draw_disease(rng, anatomy, ENRICHED)
        text = report(anatomy, disease, rng=rng).lower()
        seen = visible(anatomy, disease)
        for name, words in SEGMENTS.items():
            state = seen.state(name)
            nothing = state.stenosis_percent < 5 and not (
                state.stent or state.thrombus or state.calcification
            )
            if nothing and name not in ("left_main", "bx"):  # vessels of one segment are named
                assert words.lower() not in text
            if state.occluded:
                assert words.lower() in text
