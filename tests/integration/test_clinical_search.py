"""Clinical words in a store: they rank, leave out, and are shown, from Python and on a terminal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import UsageError
from core.schema import Level
from tests.support.cli import angioatlas, as_json
from tests.support.clinical_store import READER, STUDIES, clinical_store


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    return clinical_store(tmp_path_factory.mktemp("clinical") / "atlas")


def found(atlas, text, **how):
    return sorted(atlas.search(text, **how).hits["study_uid"])


def test_the_example_of_a_cardiologist(atlas):
    answer = atlas.search("proximal LAD occlusion, no RCA disease, EF < 40")
    assert answer.hits["study_uid"].tolist() == ["P0.a", "P4.a"]
    assert answer.note is None
    assert answer.question is not None
    assert answer.question.notes == ()
    assert [part.use for part in answer.question.parts] == [
        "prompt", "negative prompt and predicate", "predicate",
    ]  # fmt: skip


def test_french_finds_what_english_finds(atlas):
    english = atlas.search("proximal LAD occlusion, no RCA stenosis", k=3)
    french = atlas.search("occlusion de l'IVA proximale, pas de sténose de la CD", k=3)
    pd.testing.assert_frame_equal(english.hits, french.hits)
    assert set(english.hits["study_uid"]) == {"P0.a", "P2.a", "P3.a"}


def test_one_finding_leaves_nobody_out(atlas):
    hits = atlas.search("proximal LAD occlusion").hits
    assert len(hits) == 6
    assert set(hits["study_uid"][:4]) == {"P0.a", "P1.a", "P2.a", "P3.a"}


def test_a_filter_that_was_given_holds_as_well(atlas):
    assert found(atlas, "EF < 40") == ["P0.a", "P1.a", "P4.a"]
    assert found(atlas, "EF < 40", where="mid_rca_stenosis_percent < 50") == ["P0.a", "P4.a"]
    assert found(atlas, "EF > 40", where="lvef_percent < 40") == []


def test_studies_leave_out_their_videos(atlas):
    hits = atlas.search("LAD occlusion, EF < 40", level=Level.VIDEO).hits
    assert sorted(hits["sop_uid"]) == ["V0", "V1", "V4"]
    views = atlas.search("RAO caudal, LAD occlusion", level=Level.VIDEO)
    assert len(views.hits) == 6
    assert views.question.notes == ("every video satisfies view = 'RAO Caudal'",)


def test_patients_without_a_picture_of_it(atlas):
    assert len(found(atlas, "women over 60")) == 6
    assert found(atlas, "women over 70") == []


def test_plain_takes_the_text_as_it_is(atlas):
    plain = atlas.search("proximal LAD occlusion, EF < 40", plain=True)
    assert plain.question is None
    (query,) = READER.encode(["proximal LAD occlusion, EF < 40"])
    with atlas.snapshot() as snapshot:
        _, vectors = snapshot.vectors(READER.encoder_id, Level.STUDY)
    expected = sorted(vectors.astype(float) @ query.astype(float), reverse=True)
    np.testing.assert_allclose(plain.hits["score"], expected)


def test_what_was_read_wrongly_is_left_out(atlas, tmp_path):
    text = "LAD occlusion, no RCA calcification, EF < 40"
    whole, without = atlas.search(text), atlas.search(text, without=["EF < 40"])
    assert (len(whole.hits), len(without.hits)) == (3, len(STUDIES))
    uses = {part.words: part.use for part in whole.question.parts}
    expected = uses | {"EF < 40": "not used"}
    # The words stay, so that it can be used again.
    assert {part.words: part.use for part in without.question.parts} == expected
    pd.testing.assert_frame_equal(atlas.search(text, without=()).hits, whole.hits)
    said = as_json(tmp_path, "search", text, "--without", "EF < 40", "--store", atlas.store.path)
    assert [hit["study_uid"] for hit in said["hits"]] == without.hits["study_uid"].tolist()


def test_leaving_out_a_prompt_changes_what_ranks(atlas):
    both, lad, rca = "LAD occlusion, calcified RCA", "LAD occlusion", "calcified RCA"
    assert best(atlas, both, without=[lad]) in ("P4.a", "P5.a")
    assert best(atlas, rca) in ("P4.a", "P5.a")
    assert best(atlas, both, without=[rca]) not in ("P4.a", "P5.a")
    assert best(atlas, lad) not in ("P4.a", "P5.a")


def best(atlas, text, **how):
    return atlas.search(text, **how).hits["study_uid"].iloc[0]


def test_what_cannot_be_left_out_is_refused(atlas):
    with pytest.raises(UsageError, match="was not read with a part 'EF'") as refused:
        atlas.search("LAD occlusion, EF < 40", without=["EF"])
    assert refused.value.hint == "its parts are 'LAD occlusion', 'EF < 40'"
    with pytest.raises(UsageError, match="nothing of the text is left to rank by"):
        atlas.search("LAD occlusion, EF < 40", without=["LAD occlusion", "EF < 40"])


def test_json_shows_how_it_was_read(atlas, tmp_path):
    said = as_json(tmp_path, "search", "LAD occlusion, EF < 40, xyzzy", "--store", atlas.store.path)
    assert [hit["study_uid"] for hit in said["hits"]]
    assert said["parse"]["notes"] == ["not understood: xyzzy"]
    lad, ef, rest = said["parse"]["parts"]
    assert lad["prompts"][0] == "LAD occlusion"
    assert lad | {"prompts": []} == {
        "words": "LAD occlusion", "read": "occlusion of LAD", "ranks": "prompt", "where": None,
        "prompts": [], "typed": "", "use": "prompt",
    }  # fmt: skip
    assert (ef["use"], ef["where"]) == ("predicate", "lvef_percent < 40")
    assert (rest["words"], rest["read"], rest["use"]) == ("xyzzy", "", "not used")
    assert said["note"] == "not in the vocabulary of phantom-mini: xyzzy"
    plain = as_json(tmp_path, "search", "LAD occlusion", "--plain", "--store", atlas.store.path)
    assert plain["parse"] is None


def test_a_terminal_shows_how_it_was_read_above_the_hits(atlas, tmp_path):
    said = angioatlas(
        tmp_path, "search", "LAD occlusion, EF < 20", "--store", atlas.store.path
    ).stdout
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines[:4] == [
        "words read as used as",
        "LAD occlusion occlusion of LAD prompt",
        "EF < 20 LVEF (< 20) predicate: lvef_percent < 20",
        "note: no study satisfies lvef_percent < 20",
    ]
    assert "no study satisfies the predicate" in lines
