"""Sentences for the text encoder: several a statement, of its place, never with a negation."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from core.segments import SEGMENTS
from index.query.parse import parse
from index.query.prompts import MOST, absence_of, prompts_of
from index.query.vocabulary import Finding
from phantom.words.place_names import FRENCH_PLACES, PLACES

PHRASES = Path(__file__).parents[3] / "data" / "clinical_phrases.tsv"
WITHOUT = (Finding.AGE, Finding.SEX, Finding.VIEW)


def statements():
    with PHRASES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [each for row in rows for each in parse(row["text"]).statements]


def test_every_statement_has_several_sentences_but_those_that_no_picture_shows():
    said = statements()
    assert {each.finding for each in said} == set(Finding)
    for each in said:
        texts = prompts_of(each)
        assert bool(texts) == (each.finding not in WITHOUT), each
        assert len(texts) <= MOST
        assert len(set(texts)) == len(texts)
        assert len(texts) != 1, each
        assert not any(mark in text for text in texts for mark in "{}_")


def test_sentences_of_several_segments_name_each():
    (statement,) = parse("proximal and mid LAD stenosis").statements
    texts = " ".join(prompts_of(statement))
    assert "proximal LAD" in texts
    assert "mid LAD" in texts


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("severe mid LAD stenosis", "the mid LAD has severe stenosis"),
        ("mid LAD 80%", "mid LAD 80% stenosis"),
        ("LAD stenosis > 70%", "significant stenosis of the left anterior descending artery"),
        ("occlusion de la Cx", "occlusion of the left circumflex artery"),
        ("heavily calcified RCA", "heavily calcified RCA"),
        ("EF 25%", "EF below 30"),
        ("EF < 40", "reduced ejection fraction"),
        ("EF 45-50", "mildly reduced ejection fraction"),
        ("EF > 55", "preserved ejection fraction"),
        ("TIMI 0 LAD", "TIMI 0 flow in the LAD"),
        ("TIMI 3 LAD", "normal flow in the LAD"),
        ("any occlusion", "any total occlusion"),
        ("no RCA disease", "RCA stenosis"),
    ],
)
def test_sentences_say_what_was_read(text, sentence):
    (statement,) = parse(text).statements
    assert sentence in prompts_of(statement)


def test_only_the_absence_of_disease_has_sentences_of_its_own():
    (disease,) = parse("no RCA disease").statements
    assert "RCA free of disease" in absence_of(disease)
    (stent,) = parse("no stent in the RCA").statements
    assert absence_of(stent) == ()


@pytest.mark.parametrize("segment", SEGMENTS)
def test_every_name_that_phantoms_give_a_segment_is_read_as_it(segment):
    for name in (*PLACES[segment], *FRENCH_PLACES.get(segment, ())):
        (statement,) = parse(f"thrombus {name}").statements
        assert statement.place is not None
        assert statement.place.segments == (segment,), name
