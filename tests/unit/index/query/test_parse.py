"""What is read from clinical text: tables of phrases, and laws that hold of any text."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.segments import SEGMENTS
from index.query.parse import parse
from index.query.places import SYNTAX, SYNTAX_OF
from index.query.statement import Comparison, ParsedQuery, Statement, severity_of
from index.query.vocabulary import LEXICON, Finding, Severity

PHRASES = Path(__file__).parents[3] / "data" / "clinical_phrases.tsv"

# fmt: off
STATED = [
    # Text, numbers of the segments, severity, finding.
    ("Severe proximal LAD stenosis (90%)", "6", "severe", "stenosis"),
    ("70% lesion mid RCA, TIMI 3 flow", "2", "severe", "stenosis"),
    ("No significant coronary stenosis", "", "none", "normal coronaries"),
    ("Ostial LM 50%", "5", "moderate", "stenosis"),
    ("Thrombus in the prox LCx, TIMI 1", "11", "", "thrombus"),
    ("Heavily calcified LAD 6-7", "6;7", "", "calcification"),
    ("Bifurcation lesion LAD/D1, Medina 1,1,1", "6;9", "", "bifurcation"),
    ("right dominant system, PDA 40%", "4", "mild", "stenosis"),
    ("LIMA to LAD patent, SVG to OM occluded", "", "", "graft"),
    ("iFR 0.84 prox LAD", "6", "", "physiology"),
    ("Status post DES mid LCx, no restenosis", "", "none", "stent"),
    ("IVA proximale 90 %", "6", "severe", "stenosis"),
    ("tronc commun 50 %", "5", "moderate", "stenosis"),
    ("seg 13 subtotal 99%", "13", "critical", "stenosis"),
    ("rPL 16 80%", "16", "severe", "stenosis"),
    ("diffuse disease distal LAD", "8", "", "diffuse disease"),
]
# fmt: on


def reading(statement: Statement) -> str:
    """Write a statement as the table of phrases does."""
    place = statement.place
    where = ""
    if place is not None:
        named = "/".join(part.name for part in place.parts) or place.name
        where = "@" + (named if place.is_vessel else "+".join(place.segments))
    graded = statement.severity not in (None, Severity.NONE)
    return (
        ("-" if statement.negated else "")
        + str(statement.finding)
        + (f"[{statement.detail}]" if statement.detail else "")
        + where
        + (f" {statement.severity}" if graded else "")
        + (f" {statement.value}" if statement.value else "")
    )


def readings(parsed: ParsedQuery) -> list[str]:
    return [reading(statement) for statement in parsed.statements]


@pytest.mark.parametrize(("text", "numbers", "severity", "finding"), STATED)
def test_stated_phrases(text, numbers, severity, finding):
    parsed = parse(text)
    assert not parsed.unknown
    assert finding in {str(each.finding) for each in parsed.statements}
    segments = {
        segment
        for each in parsed.statements
        if each.place is not None and not each.place.is_vessel
        for segment in each.place.segments
    }
    assert {SYNTAX_OF[s] for s in segments if s in SYNTAX_OF} == {*numbers.split(";")} - {""}
    said = {str(each.severity) for each in parsed.statements if each.severity is not None}
    assert said == ({severity} if severity else set())


def test_negation_and_polarity_of_stated_phrases():
    stent, restenosis = parse("Status post DES mid LCx, no restenosis").statements
    assert reading(stent) == "stent[drug-eluting]@mid_lcx"
    assert reading(restenosis) == "-in-stent restenosis"
    assert readings(parse("iFR 0.84 prox LAD")) == ["physiology[positive]@prox_lad 0.84"]
    assert readings(parse("LIMA to LAD patent, SVG to OM occluded")) == [
        "graft[patent]@LAD",
        "graft[occlusion]@marginal",
    ]


def table() -> list[dict[str, str]]:
    with PHRASES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("row", table(), ids=lambda row: row["text"])
def test_phrases(row):
    parsed = parse(row["text"])
    assert "; ".join(readings(parsed)) == row["reading"]
    assert " ".join(parsed.not_understood) == row["not_understood"]


def test_the_table_is_large():
    assert len(table()) >= 190


def test_numbers_of_segments_lead_both_ways():
    assert {SYNTAX[number] for number in SYNTAX_OF.values()} == set(SEGMENTS) - {"mid_lcx"}
    assert SYNTAX_OF["pda"] == "4"
    assert SYNTAX_OF["posterolateral"] == "16"
    assert SYNTAX_OF["lvp"] == "14"


@pytest.mark.parametrize("number", SYNTAX)
def test_every_number_is_read(number):
    (statement,) = parse(f"seg {number} stenosis").statements
    assert statement.place is not None
    assert statement.place.segments == (SYNTAX[number],)


@pytest.mark.parametrize(
    ("percent", "severity"),
    [
        (0, "mild"), (29, "mild"), (49.9, "mild"), (50, "moderate"), (69, "moderate"),
        (70, "severe"), (90, "severe"), (90.1, "critical"), (100, "critical"),
    ],
)  # fmt: skip
def test_bins_of_severity(percent, severity):
    assert severity_of(Comparison("=", percent)) == severity


def test_words_of_a_statement_are_those_of_the_text():
    parsed = parse("Étroite (90 %) de l'IVA, FEVG < 40 %, pas de Cx ! xyz")
    shown = [parsed.words_of(each) for each in parsed.statements]
    assert shown == ["90 %) de l'IVA", "FEVG < 40 %", "pas de Cx"]
    assert parsed.not_understood == ("Étroite", "xyz")
    assert parsed.unclear == ("Étroite (90 %) de l'IVA",)


def test_des_is_a_stent_in_capitals_only():
    assert readings(parse("DES LAD")) == ["stent[drug-eluting]@LAD"]
    assert readings(parse("calcifications des coronaires")) == ["calcification"]


def test_accents_hyphens_and_case_do_not_matter():
    said = readings(parse("Sténose pré-occlusive de l’IVA proximale"))
    assert said == readings(parse("STENOSE PREOCCLUSIVE DE L IVA PROXIMALE"))
    assert said == readings(parse("ste\u0301nose préocclusive de l'IVA proximale"))
    assert said == ["stenosis@prox_lad critical"]


WORDS = st.sampled_from([" ".join(words) for words in LEXICON])
SIGNS = st.sampled_from(
    ["90%", "40", "<", "≥", "1,1,1", "/", "-", ",", ".", ";", "16a", "6-7", "0,8"]
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(WORDS, SIGNS, st.text(max_size=5)), max_size=9).map(" ".join),
)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example("")
@example("9" * 400 + "% LAD")
@example("LAD ² ½ ٣ _ \u0301 e\u0301")
@example("no no no, and or without")
def test_no_word_of_any_text_is_lost(text):
    parsed = parse(text)
    spans = [*parsed.unknown, *parsed.plain, *(w for s in parsed.statements for w in s.words)]
    covered = {i for span in spans for i in range(span.start, span.end)}
    assert all(i in covered for i, letter in enumerate(text) if re.match(r"\w", letter))
    assert not {*parsed.unknown} & {w for s in parsed.statements for w in s.words}
    assert all(each.words for each in parsed.statements)


CLAUSES = st.permutations(
    [
        "proximal LAD occlusion", "no RCA disease", "EF < 40", "stent in the LCx",
        "70% stenosis of OM1", "left dominant", "women over 70", "FFR 0.75 D2",
        "calcified left main without thrombus", "sténose serrée de l'IVA moyenne",
    ]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(CLAUSES, st.integers(1, 10))
def test_the_order_of_clauses_does_not_matter(clauses, count):
    chosen = sorted(clauses[:count])
    expected = sorted(readings(parse(", ".join(chosen))))
    assert sorted(readings(parse(", ".join(clauses[:count])))) == expected
    assert expected == sorted(said for clause in chosen for said in readings(parse(clause)))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(SEGMENTS)), st.integers(1, 99), st.booleans())
def test_names_of_segments_and_percentages(segment, percent, negated):
    text = f"{'no ' * negated}{percent}% stenosis of the {SEGMENTS[segment]}"
    (statement,) = parse(text).statements
    assert statement.finding is Finding.STENOSIS
    assert statement.place is not None
    assert statement.place.segments == (segment,)
    assert statement.value == Comparison("=", percent)
    assert statement.negated is negated
