from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from core.errors import NotFoundError
from core.segments import SEGMENTS
from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import Disease, SegmentState
from phantom.words.concepts import (
    BY_NAME,
    CONCEPTS,
    EVALUATION_QUERIES,
    concept_of,
    held_out_wordings,
    holds,
    labels,
    plain,
    segments_of,
    wordings,
)


@dataclass(frozen=True)
class Heart:
    dominance: str = "right"


def says(name, artery=None, heart=Heart(), lvef=60.0, **states):
    disease = Disease(states, lvef)
    return holds(BY_NAME[name], heart, disease, artery=artery)


@pytest.mark.parametrize(
    ("percent", "found"),
    [
        (10, set()),
        (20, {"mild"}),
        (49.9, {"mild"}),
        (50, {"stenosis", "moderate"}),
        (69.9, {"stenosis", "moderate"}),
        (70, {"stenosis", "significant", "severe"}),
        (99.9, {"stenosis", "significant", "severe"}),
        (100, {"stenosis", "significant", "occlusion"}),
    ],
)
def test_the_grades_of_a_stenosis(percent, found):
    grades = ("mild", "moderate", "stenosis", "severe", "significant", "occlusion")
    state = SegmentState(stenosis_percent=percent)
    assert {g for g in grades if says(f"{g}:mid_lad", mid_lad=state)} == found
    assert not any(says(f"{g}:prox_lad", mid_lad=state) for g in grades)


def test_a_chronic_occlusion_is_an_occlusion_and_no_acute_one():
    chronic = SegmentState(stenosis_percent=100, cto=True)
    assert says("occlusion:mid_rca", mid_rca=chronic)
    assert says("cto:rca", mid_rca=chronic)
    assert not says("acute:rca", mid_rca=chronic)
    assert says("acute:rca", mid_rca=SegmentState(stenosis_percent=100))
    assert says("collaterals", mid_rca=chronic)


def test_a_vessel_is_its_trunk_and_a_side_all_that_its_injection_fills():
    diagonal = SegmentState(stenosis_percent=80)
    assert not says("significant:lad", D1=diagonal)
    assert says("significant:left", D1=diagonal)
    assert not says("significant:right", D1=diagonal)


def test_a_video_shows_what_its_artery_carries():
    occluded = SegmentState(stenosis_percent=100)
    assert says("occlusion:any", "left", prox_lad=occluded)
    assert not says("occlusion:any", "right", prox_lad=occluded)
    assert says("normal", "right", prox_lad=occluded)
    assert not says("normal", "left", prox_lad=occluded)
    assert not says("free:rca", "left"), "an artery that is not injected is not seen to be normal"
    assert says("multivessel", "left", prox_lad=occluded) is None


def test_the_posterior_descending_artery_goes_with_the_dominant_one():
    tight = SegmentState(stenosis_percent=80)
    assert says("significant:pda", "right", pda=tight)
    assert says("significant:pda", "left", Heart("left"), pda=tight)
    assert not says("significant:pda", "right", Heart("left"), pda=tight)
    for dominance in ("right", "left", "co"):
        sides = [segments_of(side, Heart(dominance)) for side in ("left", "right")]
        assert sorted(sides[0] + sides[1]) == sorted(SEGMENTS)


@pytest.mark.parametrize("seed", range(20))
def test_sides_agree_with_the_anatomy(seed):
    anatomy = draw_anatomy(np.random.default_rng(seed))
    for segment in anatomy.segments:
        assert segment in segments_of(anatomy.artery(segment), anatomy)


def test_vessels_are_counted_by_territory():
    tight = SegmentState(stenosis_percent=75)
    assert says("one_vessel", prox_lad=tight, D1=tight)
    assert says("two_vessel", prox_lad=tight, om1=tight)
    assert says("three_vessel", prox_lad=tight, om1=tight, prox_rca=tight)
    assert says("multivessel", D2=tight, pda=tight)
    assert says("one_vessel", heart=Heart("left"), om1=tight, pda=tight)
    assert not says("multivessel", left_main=tight)


def test_normal_means_nothing_at_all():
    assert says("normal")
    assert says("normal", mid_lad=SegmentState(stenosis_percent=10))
    for found in (
        SegmentState(stenosis_percent=25),
        SegmentState(calcification=0.3),
        SegmentState(thrombus=True),
        SegmentState(stent=True),
    ):
        assert not says("normal", mid_lad=found)
        assert not says("free:lad", mid_lad=found)
        assert says("free:rca", mid_lad=found)


@pytest.mark.parametrize(
    ("lvef", "found"),
    [
        (25, {"reduced_ef", "severely_reduced_ef"}),
        (35, {"reduced_ef"}),
        (40, {"mildly_reduced_ef"}),
        (50, {"preserved_ef"}),
    ],
)
def test_bands_of_the_ejection_fraction(lvef, found):
    bands = ("reduced_ef", "severely_reduced_ef", "mildly_reduced_ef", "preserved_ef")
    assert {band for band in bands if says(band, lvef=lvef)} == found


def test_labels_are_the_concepts_in_order_and_unknown_is_minus_one():
    disease = Disease({"prox_lad": SegmentState(stenosis_percent=100)}, 35.0)
    of_study = labels(Heart(), disease)
    assert set(of_study) == {0, 1}
    assert of_study[CONCEPTS.index(BY_NAME["occlusion:prox_lad"])] == 1
    of_video = labels(Heart(), disease, artery="left")
    unknown = {c.name for c, value in zip(CONCEPTS, of_video, strict=True) if value < 0}
    assert unknown == {"multivessel", "one_vessel", "two_vessel", "three_vessel", "collaterals"}


def test_no_sentence_asks_for_two_concepts():
    said: dict[str, str] = {}
    for concept in CONCEPTS:
        assert wordings(concept), concept.name
        for text in (*wordings(concept), *held_out_wordings(concept)):
            assert "{" not in text
            assert said.setdefault(plain(text), concept.name) == concept.name, text


def test_held_out_wordings_are_not_in_the_training():
    for text, concept in EVALUATION_QUERIES.items():
        other = held_out_wordings(concept)
        assert len(other) >= 2
        assert not {plain(t) for t in other} & {plain(t) for t in (*wordings(concept), text)}


def test_there_are_28_queries_of_different_concepts_and_each_is_found_again():
    assert len(set(EVALUATION_QUERIES.values())) == len(EVALUATION_QUERIES) == 28
    for text, concept in EVALUATION_QUERIES.items():
        assert concept_of(text) == concept
        assert concept_of(text.upper()) == concept
    assert concept_of("widow-maker") == BY_NAME["significant:prox_lad"]
    assert concept_of("Sténose serrée de l'IVA proximale") == BY_NAME["severe:prox_lad"]


def test_a_sentence_that_nobody_taught_is_refused():
    with pytest.raises(NotFoundError, match="'pizza' is no wording"):
        concept_of("pizza")
