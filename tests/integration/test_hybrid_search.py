"""Pictures and reports together: two rankings of a real store, fused, filtered, counted."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from angioatlas.hits import ReportsRead
from angioatlas.phantom_mini import SHIPPED
from core.errors import NotFoundError, StoreError, UsageError
from core.settings import load_settings
from embedder.encoders.registry import read_spec
from index.fusion import reciprocal_rank_fusion
from tests.support.reported_store import give_reports, reported_store
from tests.support.store_cases import files_holding

STUDIES = 60
REPORTS = {
    "1.2": "Occlusion of the proximal LAD. Also xylophonic.",
    "2.3": "The proximal LAD is occluded.",
    "3.4": "Proximal LAD occlusion; LAD occlusion.",
    "4.5": "Normal coronary arteries.",
}
QUERY = "proximal LAD occlusion"
SPACE = read_spec(SHIPPED).encoder_id


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hybrid")
    store = reported_store(folder / "s", STUDIES, REPORTS, encoder_id=SPACE)
    return Atlas(store, load_settings(state_dir=folder / "state"))


def test_the_hits_are_the_two_rankings_fused(atlas):
    alone = atlas.search(QUERY, k=STUDIES).hits
    found = atlas.search(QUERY, k=STUDIES, reports=True)
    by_vector = alone["study_uid"].tolist()
    by_report = ["1.2", "3.4"]
    fused = reciprocal_rank_fusion(by_vector, by_report)
    hits = found.hits
    assert hits["study_uid"].tolist() == [item.uid for item in fused]
    assert hits["rrf"].tolist() == [item.score for item in fused]
    assert list(zip(hits["vector_rank"], hits["report_rank"], strict=True)) == [
        item.ranks for item in fused
    ]
    assert hits["rank"].tolist() == list(range(1, STUDIES + 1))
    cosine = alone.set_index("study_uid")["score"]
    assert hits["score"].tolist() == cosine[hits["study_uid"]].tolist()
    assert set(hits["study_uid"][:2]) == {"3.4", "1.2"}
    assert found.reports == ReportsRead(studies=60, with_report=4, matching=2)
    assert str(found.reports) == (
        "reports: 4 of 60 studies have one, 2 with the words of the query"
    )
    assert "text" not in hits.columns


def test_any_depth_is_the_beginning_of_the_whole(atlas):
    whole = atlas.search(QUERY, k=1000, reports=True).hits
    for k in (1, 3, 17):
        found = atlas.search(QUERY, k=k, reports=True).hits
        # Where a study is in one ranking only, its rank in the other is None.
        pd.testing.assert_frame_equal(found, whole.iloc[:k], check_dtype=False)


def test_one_study_of_each_patient_is_the_best_fused(atlas):
    whole = atlas.search(QUERY, k=1000, reports=True).hits
    one = atlas.search(QUERY, k=1000, reports=True, one_per_patient=True).hits
    assert one["study_uid"].tolist() == whole.drop_duplicates("patient_id")["study_uid"].tolist()
    with pytest.raises(UsageError, match="views do not explain a rank"):
        atlas.search(QUERY, reports=True, explain=True)


def test_without_asking_reports_change_nothing(atlas):
    found = atlas.search(QUERY)
    assert found.reports is None
    assert not {"rrf", "report_rank"} & set(found.hits.columns)


@pytest.mark.parametrize("where", ["study_uid <> '3.4'", "study_uid in ('4.5', '1.2', '1.1')"])
def test_a_filter_is_one_of_both_rankings(atlas, where):
    hits = atlas.search(QUERY, k=100, where=where, reports=True)
    alone = atlas.search(QUERY, k=100, where=where).hits["study_uid"].tolist()
    assert sorted(hits.hits["study_uid"]) == sorted(alone)
    assert hits.hits["study_uid"][0] == "1.2"
    assert hits.hits["report_rank"][0] == 1
    assert hits.reports is not None
    assert hits.reports.studies == len(alone)
    none = atlas.search(QUERY, where="patient_sex = 'M'", reports=True)
    assert none.hits.empty
    assert none.reports == ReportsRead(0, 0, 0)


def test_words_that_the_encoder_never_met_rank_by_reports(atlas):
    found = atlas.search("xylophonic", reports=True)
    assert found.hits["study_uid"].tolist() == ["1.2"]
    assert found.hits["vector_rank"].tolist() == [None]
    assert "none of the words" in found.note
    assert atlas.search("xylophonic", reports=True, where="study_uid = '4.5'").hits.empty


def test_a_space_without_a_text_encoder_is_ranked_by_reports(tmp_path):
    store = reported_store(
        tmp_path / "s", STUDIES, {"1.2": REPORTS["1.2"], "4.5": REPORTS["4.5"]}, encoder_id="enc-a"
    )
    atlas = Atlas(store, load_settings())
    found = atlas.search(QUERY, reports=True)
    assert found.note == "no text encoder of enc-a can be read here: ranked by the reports alone"
    assert found.hits["study_uid"].tolist() == ["1.2"]
    assert math.isnan(found.hits["score"][0])
    assert found.hits["patient_id"].tolist() == ["1"]
    assert found.reports == ReportsRead(STUDIES, with_report=2, matching=1)
    with pytest.raises(UsageError, match="the text is empty"):
        atlas.search(" ", reports=True)
    assert atlas.search(QUERY, reports=True, where="study_uid = '4.5'").hits.empty


def test_what_cannot_be_asked(atlas, tmp_path):
    with pytest.raises(UsageError, match="reports are of studies"):
        atlas.search(QUERY, level="video", reports=True)
    with pytest.raises(UsageError, match="the text is empty"):
        atlas.search("", reports=True)
    with pytest.raises(UsageError, match="names no column"):
        atlas.search(QUERY, where="text = 'LAD'", reports=True)
    bare = Atlas(reported_store(tmp_path / "t", 2, {}, encoder_id=SPACE), load_settings())
    with pytest.raises(NotFoundError, match="has no reports") as error:
        bare.search(QUERY, reports=True)
    assert "labels import" in error.value.hint


def test_a_purge_leaves_no_word_of_the_patient(tmp_path, monkeypatch):
    monkeypatch.setattr("angioatlas.atlas._READERS_S", 0.1)
    state = tmp_path / "state"
    store = reported_store(tmp_path / "s", STUDIES, {"1.2": REPORTS["1.2"]}, encoder_id=SPACE)
    atlas = Atlas(store, load_settings(state_dir=state))
    give_reports(store, {"4.5": REPORTS["4.5"]})
    atlas.search(QUERY, reports=True)
    assert files_holding(state, b"xylophonic")
    assert files_holding(store.path, b"xylophonic")
    with store.snapshot(), pytest.raises(StoreError, match="hidden, but the bytes stay"):
        atlas.purge_patient("1")
    assert files_holding(state, b"xylophonic") == []
    found = atlas.search(QUERY, reports=True)
    assert found.hits["report_rank"].isna().all()
    atlas.purge_patient("1")
    assert files_holding(state, b"xylophonic") == []
    assert files_holding(store.path, b"xylophonic") == []
    found = atlas.search("normal coronary arteries", reports=True)
    assert found.hits.set_index("study_uid")["report_rank"]["4.5"] == 1


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, f"{result.stdout}\n{result.stderr}\n{result.exception}"
    return result.stdout


def test_the_commands(atlas):
    store = atlas.store.path
    told = json.loads(run("search", QUERY, "--reports", "-k", 4, "--store", store, "--json"))
    assert told["reports"] == {"studies": 60, "with_report": 4, "matching": 2}
    assert {hit["report_rank"] for hit in told["hits"][:2]} == {1, 2}
    assert [hit["report_rank"] for hit in told["hits"]][2:] == [None, None]
    assert all(isinstance(hit["vector_rank"], int) for hit in told["hits"])
    shown = run("search", QUERY, "--reports", "--store", store)
    assert "reports: 4 of 60 studies have one, 2 with the words of the query" in shown
    assert "Research use only" in shown
    assert "xylophonic" not in shown + str(told)
    assert "reports" not in json.loads(run("search", QUERY, "--store", store, "--json"))
    rows = json.loads(run("index", "info", "--store", store, "--json"))
    assert (rows[-1]["kind"], rows[-1]["rows"]) == ("full text of reports", 4)
    assert rows[-1].keys() == rows[0].keys()
    assert "full text of reports" in run("index", "info", "--store", store)
