"""Clinical questions against what a store knows: what ranks, what leaves rows out, what is said."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from angioatlas.clinical import NEGATIVE_WEIGHT, Ranks, chosen_by, understand
from angioatlas.phantom_mini import SHIPPED
from angioatlas.statement_columns import columns_of, predicate_of
from core.schema import Level
from core.segments import FINDINGS, SEGMENTS
from embedder.encoders.registry import load_text_encoder
from index.query.parse import parse
from index.query.prompts import prompts_of
from store.predicate import compiled, kinds_of

READER = load_text_encoder(SHIPPED, device="cpu")


def rows(studies=4, **columns):
    """Return a table of studies without any finding, of women of 70 with an LVEF of 30 to 60."""
    known = {
        "study_uid": [f"S{i}" for i in range(studies)],
        "lvef_percent": [30.0 + 10 * i for i in range(studies)],
        "patient_age_years": [70.0] * studies,
        "patient_sex": ["F"] * studies,
    }
    known |= {f"{s}_{f.column}": [0.0] * studies for s in SEGMENTS for f in FINDINGS}
    return pa.table({**known, **columns})


def understood(text, table=None, level=Level.STUDY):
    return understand(text, READER, level, lambda names: rows() if table is None else table)


def told(question):
    return [(part.read, part.use, part.where) for part in question.parts]


def chosen(text, table):
    mask, question = chosen_by(understood(text, table), table, table["study_uid"], Level.STUDY)
    return mask.tolist(), question.notes


def mean(texts):
    total = READER.encode(texts).astype(float).mean(axis=0)
    return total / np.linalg.norm(total)


def test_what_is_wanted_ranks_and_no_column_is_asked_for():
    def never(names):
        raise AssertionError(f"the columns {names} of the store are not needed")

    question = understand("proximal LAD occlusion", READER, Level.STUDY, never)
    assert told(question) == [("occlusion of proximal LAD", "prompt", None)]
    assert question.notes == ()
    (statement,) = parse("proximal LAD occlusion").statements
    expected = mean(prompts_of(statement)) + READER.encode(["proximal LAD occlusion"])[0]
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(question.vector(READER), expected, atol=1e-6)


def test_words_as_typed_count_as_much_as_the_sentences_of_a_lone_finding():
    text = "sténose serrée de l'IVA"
    question = understood(text)
    (statement,) = parse(text).statements
    assert question.prompts == (prompts_of(statement), (text,))
    for more in (", thrombus", ", FE < 40", " xyzzy"):
        assert (text,) not in understood(text + more).prompts


def test_the_example_of_a_cardiologist():
    question = understood("proximal LAD occlusion, no RCA stenosis, EF < 40")
    branches = ("prox_rca", "mid_rca", "dist_rca", "pda", "posterolateral")
    absent = " and ".join(f"{segment}_stenosis_percent < 50" for segment in branches)
    assert told(question) == [
        ("occlusion of proximal LAD", "prompt", None),
        ("no stenosis of RCA", "negative prompt and predicate", absent),
        ("LVEF (< 40)", "predicate", "lvef_percent < 40"),
    ]
    assert [part.words for part in question.parts] == [
        "proximal LAD occlusion", "no RCA stenosis", "EF < 40",
    ]  # fmt: skip
    wanted, unwanted = (mean(texts[0]) for texts in (question.prompts, question.negatives))
    expected = wanted - NEGATIVE_WEIGHT * unwanted
    expected /= np.linalg.norm(expected)
    vector = question.vector(READER)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("known", "use", "note"),
    [
        ([30.0, None, None, 60.0], "predicate", None),
        (
            [30.0, None, None, None], "prompt",
            "LVEF (< 40): lvef_percent is known of 25% of the studies only",
        ),
    ],
)  # fmt: skip
def test_lvef_leaves_studies_out_where_enough_have_one(known, use, note):
    table = rows(lvef_percent=pa.array(known, pa.float64()))
    question = understood("EF < 40 and calcified LAD", table)
    assert [part.use for part in question.parts] == [use, "prompt"]
    assert question.notes == ((note,) if note else ())


def test_without_finding_heads_what_is_not_wanted_is_taken_away():
    question = understood("LAD stenosis, no thrombus", rows().select(["study_uid"]))
    assert told(question)[1] == ("no thrombus", "negative prompt", None)
    assert question.notes == ("no thrombus: the store has no prox_rca_thrombus",)


def test_what_no_column_tells_is_taken_away():
    question = understood("LAD stenosis, not left dominant, no heavy LAD calcification")
    assert [part.use for part in question.parts] == ["prompt", *["negative prompt"] * 2]
    assert question.notes == ()


@pytest.mark.parametrize(
    ("text", "level", "where"),
    [
        ("LVEF 35%", "study", "lvef_percent between 30 and 40"),
        ("preserved EF", "study", "lvef_percent >= 50"),
        ("not reduced EF", "study", "not (lvef_percent < 40)"),
        ("women", "study", "patient_sex = 'F'"),
        ("over 70 years", "study", "patient_age_years > 70"),
        ("65 years old", "study", "patient_age_years between 65 and 66"),
        ("LAO cranial", "video", "view = 'LAO Cranial'"),
        ("LAO cranial", "study", None),
        ("D1 stenosis > 70%", "study", "(D1_stenosis_percent > 70)"),
        ("diagonal stenosis between 50 and 60%", "study",
         "(D1_stenosis_percent between 50 and 60 or D2_stenosis_percent between 50 and 60)"),
        ("no D1 stenosis > 70%", "study", "not ((D1_stenosis_percent > 70))"),
        ("no D1 disease", "study",
         "D1_stenosis_percent < 30 and D1_calcification < 0.5 and D1_thrombus < 0.5"),
        ("no D1 stenosis", "study", "D1_stenosis_percent < 50"),
        ("no significant D1 stenosis", "study", "D1_stenosis_percent < 70"),
        ("no moderate D1 stenosis", "study", "D1_stenosis_percent < 50"),
        ("no severe D1 stenosis", "study", "D1_stenosis_percent < 70"),
        ("no D1 occlusion", "study", "D1_stenosis_percent < 90"),
        ("no D1 CTO", "study", "D1_cto < 0.5"),
        ("no D1 thrombus", "study", "D1_thrombus < 0.5"),
        ("no D1 calcification", "study", "D1_calcification < 0.5"),
    ],
)  # fmt: skip
def test_predicates(text, level, where):
    (statement,) = parse(text).statements
    assert predicate_of(statement, Level(level)) == where
    if where is not None:
        columns = kinds_of(rows().schema) | {"view": "text"}
        assert compiled(where, columns)
        assert all(name in where for name in columns_of(statement))


@pytest.mark.parametrize(
    "text", ["LAD stenosis", "severe LAD stenosis 80%", "no heavy D1 calcification", "no stent"]
)
def test_no_column_tells(text):
    (statement,) = parse(text).statements
    assert columns_of(statement) == ()


def test_absence_anywhere_is_a_predicate_of_a_length_that_is_read():
    for text in ("no calcification", "no left coronary disease"):
        (statement,) = parse(text).statements
        where = predicate_of(statement, Level.STUDY)
        assert where is not None
        assert compiled(where, kinds_of(rows().schema))


def test_rows_are_left_out():
    table = rows(prox_rca_stenosis_percent=[0.0, 80.0, 0.0, None])
    assert chosen("LAD stenosis, no RCA stenosis", table) == ([True, False, True, False], ())
    assert chosen("LAD stenosis, EF < 50, no RCA stenosis", table)[0] == [True, *[False] * 3]


def test_predicates_that_choose_none_or_all_are_noted():
    assert chosen("LAD stenosis, EF < 20", rows())[1] == ("no study satisfies lvef_percent < 20",)
    assert chosen("LAD stenosis, women", rows())[1] == ("every study satisfies patient_sex = 'F'",)


def test_what_only_leaves_out_ranks_as_well():
    (lvef,) = understood("EF < 40").parts
    assert lvef.use == "prompt and predicate"
    assert "reduced ejection fraction" in lvef.prompts
    (disease,) = understood("no RCA disease").parts
    assert disease.use == "prompt and predicate"
    assert "RCA free of disease" in disease.prompts
    (stent,) = understood("no stent").parts
    assert stent.use == "negative prompt"
    assert np.linalg.norm(understood("no stent").vector(READER)) == pytest.approx(1)


def test_what_no_picture_shows_does_not_rank():
    question = understood("women over 69")
    assert [part.use for part in question.parts] == ["predicate", "predicate", "plain text"]
    assert question.notes == (
        "nothing here names what a picture shows: the order of the hits means nothing",
    )


def test_views_are_of_videos():
    table = rows(view=["LAO Cranial"] * 4)
    of_study = understood("LAO cranial, LAD stenosis", table)
    assert [part.use for part in of_study.parts] == ["not used", "prompt"]
    assert of_study.notes == ("view LAO Cranial: views are of videos, search with --level video",)
    of_video = understood("LAO cranial, LAD stenosis", table, Level.VIDEO)
    assert [part.use for part in of_video.parts] == ["predicate", "prompt"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("RCA thrombus, widowmaker of the left system", "plain text"),  # "left" is known
        ("RCA thrombus, pizza", "not used"),
    ],
)
def test_words_that_were_not_understood_go_to_the_encoder_if_it_knows_any(text, plain):
    question = understood(text, rows())
    assert question.parts[-1].words == text.partition(", ")[2]
    assert question.parts[-1].use == plain
    assert len(question.prompts) == (2 if plain == "plain text" else 1)
    assert question.notes[-1].startswith("not understood: ")


def test_words_in_a_negation_are_never_searched_for():
    question = understood("no pizza stenosis of the LAD, RCA thrombus")
    assert Ranks.PLAIN not in [part.ranks for part in question.parts]
    assert question.notes == ("not understood: pizza",)


def test_a_text_of_which_nothing_was_understood_is_taken_as_it_is():
    question = understood("pizza with anchovies")
    assert question.prompts == (("pizza with anchovies",),)
    assert question.notes == ("no clinical word was understood: searched as plain text",)
    np.testing.assert_allclose(
        question.vector(READER), READER.encode(["pizza with anchovies"])[0], atol=1e-6
    )
