"""Quality of retrieval on a real store: labels, judgements, the index, a second encoder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from angioatlas.evaluation import part
from core.errors import EncoderError, NotFoundError, UsageError
from core.ids import create_key_file, load_key_file
from core.schema import Level
from core.settings import load_settings
from index.search import Hits, Searchable
from tests.support.retrieval_store import OTHER, TEXTS, retrieval_store
from tests.support.store_cases import commit, files_holding, new_store

MEASURES = ["P@10", "mAP", "nDCG@10", "MRR", "recall@10"]
LAD = "severe stenosis of the proximal LAD"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality") / "atlas"
    truth = retrieval_store(folder, 90, seed=1)
    Atlas.open(folder).import_labels([folder.with_name("atlas-labels")])
    return folder, truth


@pytest.fixture
def atlas(made):
    folder, truth = made
    settings = load_settings(store=str(folder), encoder=truth.encoder_id)
    return Atlas.open(folder, settings=settings)


@pytest.fixture
def truth(made):
    return made[1]


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def judged_by_truth(path, truth):
    rows = [
        (text, uid, 2)
        for text, segment in TEXTS.items()
        for uid in truth.studies.loc[truth.studies["segment"] == segment, "study_uid"]
    ]
    pd.DataFrame(rows, columns=["query", "uid", "relevance"]).to_csv(path, index=False)
    return path


def by_scan(atlas, text, level, relevant):
    """Return the average precision of a text by a scan in numpy and scikit-learn."""
    encoder_id = atlas.search(text, k=1).encoder_id
    with atlas.snapshot() as snapshot:
        keys, vectors = snapshot.vectors(encoder_id, level)
    (query,) = atlas._reader(encoder_id).encode([text])
    return average_precision_score(relevant(keys), vectors.astype(float) @ query.astype(float))


@pytest.mark.parametrize("plain", [True, False])
def test_texts_are_held_against_judgements(atlas, truth, tmp_path, plain):
    found = atlas.evaluate(judged_by_truth(tmp_path / "r.csv", truth), plain=plain)
    assert found.table["measure"].tolist() == MEASURES
    assert set(found.table["queries"]) == {"text → study"}
    table = found.table.set_index("measure")
    assert (table["n"] == 3).all()
    known = table.drop(index="MRR")
    assert (known["lower"] < known["value"]).all()
    assert (known["value"] <= known["upper"] + 1e-9).all()
    assert table.loc["MRR", ["lower", "upper"]].isna().all(), "too narrow to be told"
    each = found.per_query.set_index("query")
    of = truth.studies.set_index("study_uid")["segment"]
    for text, segment in TEXTS.items():
        if plain:
            expected = by_scan(
                atlas, text, Level.STUDY, lambda keys, s=segment: of[keys["uid"].to_pylist()] == s
            )
        else:  # the text as a search reads it
            hits = atlas.search(text, k=len(of)).hits
            expected = average_precision_score(of[hits["study_uid"]] == segment, hits["score"])
        assert each.loc[text, "AP"] == pytest.approx(expected)
        hits = atlas.search(text, k=10, plain=plain).hits["study_uid"]
        assert each.loc[text, "P@10"] == pytest.approx((of[hits] == segment).mean())
        assert each.loc[text, "relevant"] == (of == segment).sum()
    assert table.loc["mAP", "value"] == pytest.approx(each["AP"].mean())
    assert table.loc["mAP", "value"] > 0.6, "the store is made so"
    again = atlas.evaluate(tmp_path / "r.csv", plain=plain)
    pd.testing.assert_frame_equal(again.table, found.table)


def test_texts_are_held_against_what_was_measured(atlas, truth, tmp_path):
    lines = [f'{text},"measured_{name}_stenosis_percent > 70"' for text, name in TEXTS.items()]
    file = write(tmp_path / "r.csv", "query,where", *lines)
    for level, runs in (("study", 1), ("video", 2)):
        found = atlas.evaluate(file, level=level)
        assert set(found.table["queries"]) == {f"text → {level}"}
        # Of the last ten studies nothing was measured: they are not ranked.
        assert (found.per_query["rows"] == runs * (len(truth.studies) - 10)).all()
        assert found.notes == (
            f"{3 * 10 * runs} rows left out: over all queries, of which the predicate cannot "
            "tell: not ranked",
        )
        assert (found.per_query["judged"] == 1).all()
        assert found.per_query["AP"].mean() > 0.6


def test_findings_of_the_encoder_are_no_truth(atlas, tmp_path):
    lines = [f"{LAD},prox_lad_stenosis_percent > 70", "mid RCA,measured_mid_rca_stenosis_percent>0"]
    found = atlas.evaluate(write(tmp_path / "r.csv", "query,where", *lines))
    assert any("circular: what is relevant to 1 of 2 queries" in note for note in found.notes)


def test_studies_ask_for_those_with_their_label(atlas, truth, tmp_path, monkeypatch):
    file = tmp_path / "labels.csv"
    labels = truth.studies.iloc[20:].rename(columns={"study_uid": "uid", "segment": "label"})
    labels[["uid", "label"]].to_csv(file, index=False)
    found = atlas.evaluate(file, k=5)
    assert found.notes == ("20 rows left out: without a label: not ranked",)
    table = found.table.set_index("measure")
    assert table.index.tolist() == ["P@5", "mAP", "nDCG@5", "MRR", "recall@5"]
    assert set(table["queries"]) == {"study → study"}
    assert (table["lower"] < table["value"]).all()
    assert (table["value"] < table["upper"]).all()
    assert (table["n"] == len(labels)).all()
    own = truth.studies.set_index("study_uid")
    for uid in labels["uid"].iloc[:5]:
        hits = atlas.similar(uid, k=200).hits["study_uid"]
        hits = [each for each in hits if each in set(labels["uid"])]
        right = (own.loc[hits[:5], "segment"] == own.loc[uid, "segment"]).mean()
        row = found.per_query.set_index("query").loc[uid]
        assert row["P@5"] == pytest.approx(right)
        assert row["rows"] == len(hits), "the query's own patient is not ranked"
    monkeypatch.setattr(part, "MOST_LABELLED", 30)
    fewer = atlas.evaluate(file, k=5)
    assert len(fewer.per_query) == 30
    assert fewer.notes[1] == f"30 of {len(labels)} labelled rows ask, drawn with seed 0"


def test_what_is_not_in_the_store_or_has_no_answer_is_told(atlas, truth, tmp_path):
    uid = truth.studies["study_uid"]
    file = write(
        tmp_path / "r.csv",
        "query,uid,relevance",
        f"{LAD},{uid[0]},0",
        f"mid RCA,{uid[1]},3",
        "mid RCA,9.9.9,3",
        f"9.9.8,{uid[1]},3",
        f"{uid[4]},{uid[1]},1",
    )
    found = atlas.evaluate(file)
    assert found.notes == (
        "2 judgements left out: of a study or video that the store does not show",
        "1 of 2 queries (text → study) left out of the means: none of the rows that are ranked "
        "is relevant",
    )
    assert found.table.drop_duplicates("queries")[["queries", "n"]].to_numpy().tolist() == [
        ["text → study", 1],
        ["study → study", 1],
    ]
    assert found.per_query["judged"].between(0, 0.1).all()
    with pytest.raises(NotFoundError, match="nothing that is judged is in this version"):
        atlas.evaluate(write(tmp_path / "r.csv", "query,uid,relevance", "a,9.9.9,1"))
    with pytest.raises(NotFoundError, match="nothing that is labelled is in this version"):
        atlas.evaluate(write(tmp_path / "r.csv", "uid,label", "9.9.9,1"))
    with pytest.raises(UsageError, match=r"r.csv, line 2, column where: .*names no column") as bad:
        atlas.evaluate(write(tmp_path / "r.csv", "query,where", "a,nothing > 3"))
    assert "measured_prox_lad_stenosis_percent" in bad.value.hint
    file = judged_by_truth(tmp_path / "r.csv", truth)
    with pytest.raises(EncoderError, match="the encoder reads no text"):
        atlas.evaluate(file, encoder=OTHER)


def test_a_text_without_a_known_word_finds_nothing(atlas, truth, tmp_path):
    uid = truth.studies["study_uid"][0]
    file = write(tmp_path / "r.csv", "query,uid,relevance", f"{LAD},{uid},1", f"xyzzy,{uid},1")
    found = atlas.evaluate(file)
    assert atlas.search("xyzzy").hits.empty
    assert found.per_query["AP"].iloc[1] == 0
    assert found.per_query["rows"].tolist() == [len(truth.studies), 0]
    table = found.table.set_index("measure")
    assert table.loc["mAP", "value"] == pytest.approx(found.per_query["AP"].iloc[0] / 2)
    assert table.loc["mAP", "upper"] <= 0.5
    assert found.notes == (
        "1 of 2 texts have no word that the encoder knows: they find nothing, and count as 0",
    )


def test_the_tables_of_the_document_can_be_used(atlas, tmp_path):
    document = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```csv\n(.*?)```", document, flags=re.DOTALL)
    found = [atlas.evaluate(write(tmp_path / "r.csv", block)) for block in blocks]
    assert [list(each.table["queries"].unique()) for each in found] == [
        ["text → study", "study → study"],
        ["text → study"],
        ["study → study"],
    ]


def test_patients_that_the_encoder_knows_are_told(atlas, truth, tmp_path, monkeypatch):
    known = frozenset(truth.studies["patient_id"].iloc[:1])
    monkeypatch.setattr(
        "angioatlas.studied.patients_of_the_encoder", lambda folder, identity, patients: known
    )
    found = atlas.evaluate(judged_by_truth(tmp_path / "r.csv", truth))
    assert found.notes == (
        "too good: the encoder was trained on 1 of the 90 patients whose rows are ranked",
    )


@pytest.mark.parametrize("level", list(Level))
def test_the_exact_index_finds_what_a_scan_finds(atlas, level):
    found = atlas.index_quality(level, k=7, queries=40)
    table = found.table
    assert found.kind == "exact"
    assert found.rows == len(atlas.studies() if level is Level.STUDY else atlas.videos())
    assert set(table["queries"]) == {level.value, "text"}
    # A filter that leaves 0.5 % of these rows leaves one, and 0.05 % leave none.
    assert table["share"].unique().tolist() == [1, 0.5, 0.05, 0.005]
    assert [note[:28] for note in found.notes] == ["no filter that leaves 0.05% "]
    assert (table["left"] == [round(found.rows * share) for share in table["share"]]).all()
    assert (table["recall"] == 1).all()
    assert (table["worst"] == 1).all()
    assert (table["p50_ms"] > 0).all()
    assert (table["p50_ms"] <= table["p95_ms"]).all()


def test_one_row_is_too_few_to_search(tmp_path):
    commit(new_store(tmp_path / "s"), {"P1.a": ["P1.a.1"]})
    with pytest.raises(UsageError, match="fewer than two rows"):
        Atlas.open(tmp_path / "s").index_quality()


def test_an_index_that_misses_rows_is_found_out(atlas, monkeypatch):
    honest = Searchable.search

    def forgetful(self, query, *, k, include=None):
        """Lose every second hit."""
        hits = honest(self, query, k=2 * k, include=include)
        kept = np.arange(0, len(hits), 2)[:k]
        return Hits(
            [hits.uids[i] for i in kept], hits.scores[kept], hits.ranks[kept], hits.rows[kept]
        )

    monkeypatch.setattr(Searchable, "search", forgetful)
    table = atlas.index_quality(k=10, queries=20).table
    assert table.loc[table["share"] == 1, "recall"].between(0.45, 0.55).all()


def test_neighbours_of_two_encoders(atlas, truth):
    found = atlas.encoder_overlap(truth.encoder_id, OTHER, k=5, sample=60)
    assert (found.rows, found.queries) == (len(truth.studies), 60)
    table = found.table.set_index("measure")
    assert table.index.tolist() == ["Jaccard@5", "RBO (p = 0.9)"]
    assert (table["by_chance"] < table["lower"]).all()
    assert (table["lower"] < table["value"]).all()
    assert (table["value"] < table["upper"]).all()
    assert (table["upper"] < 1).all()
    same = atlas.encoder_overlap(OTHER, OTHER, level="video", sample=20).table
    assert same["value"].tolist() == pytest.approx([1, 1])
    with pytest.raises(UsageError, match="no row that both spaces have has 500 neighbours"):
        atlas.encoder_overlap(truth.encoder_id, OTHER, k=500)


@pytest.fixture
def own(tmp_path):
    """A store of its own, for what changes it."""
    folder = tmp_path / "own"
    truth = retrieval_store(folder, 12, seed=2)
    return Atlas.open(folder, settings=load_settings(encoder=truth.encoder_id)), truth


def test_judgements_are_stored_scored_and_forgotten(own):
    atlas, truth = own
    assert atlas.judgements().empty
    with pytest.raises(NotFoundError, match="the store has no judgement of a study"):
        atlas.evaluate()
    hits = atlas.search(LAD, k=6).hits
    for hit in hits.itertuples():
        atlas.judge(LAD, hit.study_uid, 0, rank=hit.rank, score=hit.score)
    atlas.judge(f" {LAD} ", hits["study_uid"][2], 3, rank=3)
    similar = atlas.similar(hits["study_uid"][0], k=1).hits["study_uid"][0]
    atlas.judge(hits["study_uid"][0], similar, 2)
    atlas.judge(LAD, atlas.videos(similar)["sop_uid"][0], 1, level="video")
    rows = atlas.judgements()
    assert len(rows) == 8
    assert rows["relevance"].tolist() == [0, 0, 0, 0, 0, 3, 2, 1]
    assert rows["rank"].tolist() == [1, 2, 4, 5, 6, 3, None, None]
    assert (rows["encoder_id"] == truth.encoder_id).all()
    found = atlas.evaluate(k=3)
    text, case = found.per_query.to_dict("records")
    assert (text["P@3"], text["RR"], text["nDCG@3"], text["judged"]) == (
        pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(0.5), 1,
    )  # fmt: skip
    assert (case["query"], case["asked_with"], case["RR"]) == (hits["study_uid"][0], "study", 1)
    atlas.purge_patient(hits["patient_id"][0])
    left = atlas.judgements()
    assert hits["study_uid"][0] not in {*left["query"], *left["uid"]}
    folder = atlas.store.path / "tables" / "judgements.lance"
    assert not files_holding(folder, hits["patient_id"][0].encode())


def test_what_cannot_be_judged_is_refused(own):
    atlas, truth = own
    uid = truth.studies["study_uid"][0]
    for relevance in (-1, 4, True, 1.5):
        with pytest.raises(UsageError, match="expected a whole number"):
            atlas.judge(LAD, uid, relevance)
    with pytest.raises(UsageError, match="the query is empty"):
        atlas.judge(" ", uid, 1)
    with pytest.raises(UsageError, match="this study is the query itself"):
        atlas.judge(uid, uid, 1)
    for query, judged in ((LAD, "9.9.9"), ("9.9.9", uid)):
        with pytest.raises(NotFoundError, match=r"the store shows no study 9\.9\.9"):
            atlas.judge(query, judged, 1)
    assert atlas.judgements().empty


def test_original_uids_are_understood_in_a_pseudonymised_store(tmp_path):
    key = tmp_path / "key"
    create_key_file(key)
    truth = retrieval_store(tmp_path / "s", 12, seed=2, key=load_key_file(key))
    settings = replace_key(load_settings(encoder=truth.encoder_id), key)
    atlas = Atlas.open(tmp_path / "s", settings=settings)
    uid = truth.studies["study_uid"][0]
    saved = atlas.judge(LAD, uid, 3)
    assert saved.uid.startswith("2.25.")
    from_table = atlas.evaluate(write(tmp_path / "r.csv", "query,uid,relevance", f"{LAD},{uid},3"))
    assert from_table.per_query.equals(atlas.evaluate().per_query)
    with pytest.raises(NotFoundError, match="the store shows no study"):
        Atlas.open(tmp_path / "s", settings=replace_key(settings, tmp_path / "none")).judge(
            LAD, uid, 3
        )


def replace_key(settings, key):
    return settings.model_copy(update={"identity_key": key})


def run(*words, code=0):
    """Run a command in this process, and return what it printed."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.stderr if code else done.stdout


def test_the_commands(own, tmp_path):
    atlas, truth = own
    store, file = ("--store", atlas.store.path), tmp_path / "r.csv"
    at = (*store, "--encoder", truth.encoder_id)
    uids = truth.studies["study_uid"]
    told = json.loads(run("judgements", "add", LAD, uids[0], 2, "--rank", 4, "--json", *at))
    assert (told["query"], told["uid"], told["relevance"]) == (LAD, uids[0], 2)
    assert f"study {uids[1]}: relevance 0" in run("judgements", "add", LAD, uids[1], 0, *at)
    run("judgements", "add", LAD, uids[1], 4, *at, code=2)
    listed = json.loads(run("judgements", "list", "--json", *store))
    assert [(each["rank"], each["score"]) for each in listed["judgements"]] == [
        (4, None),
        (None, None),
    ]
    run("judgements", "list", "--level", "study", "--out", file, *store)
    assert pd.read_csv(file).to_numpy().tolist() == [[LAD, uids[0], 2], [LAD, uids[1], 0]]
    assert "give --level" in run("judgements", "list", "--out", file, *store, code=2)
    stored = json.loads(run("evaluate", "--json", *at))
    told = json.loads(run("evaluate", file, "--k", 10, "--per-query", "--json", *at))
    assert stored["measures"] == told["measures"]
    assert [each["measure"] for each in stored["measures"]] == MEASURES
    assert [each["query"] for each in told["per_query"]] == [LAD]
    shown = run("evaluate", file, "--per-query", *at)
    for words in ("nDCG@10", LAD, "Research use only", truth.encoder_id):
        assert words in shown
    write(file, "query,uid,relevance", "a,b,7")
    expected = "r.csv, line 2, column relevance: expected a whole number from 0 to 3, found 7"
    assert expected in run("evaluate", file, *at, code=2)


def test_the_commands_that_compare(own):
    atlas, truth = own
    store = ("--store", atlas.store.path)
    asked = ("index", "quality", "--queries", 5, *store, "--encoder", truth.encoder_id)
    quality = json.loads(run(*asked, "--json"))
    assert {row["recall"] for row in quality["searches"]} == {1.0}
    shown = run(*asked)
    for words in ("p95_ms", "50.00%", "note: no filter that leaves 0.50% of"):
        assert words in shown
    compared = ("index", "overlap", truth.encoder_id, OTHER, "-k", 3, *store)
    both = json.loads(run(*compared, "--json"))
    assert both["encoders"] == [truth.encoder_id, OTHER]
    assert [each["measure"] for each in both["measures"]] == ["Jaccard@3", "RBO (p = 0.9)"]
    assert f"Encoder {truth.encoder_id} and {OTHER}" in run(*compared)


def test_what_a_text_leaves_out_comes_last(atlas, truth, tmp_path):
    """Its predicate holds of no study that is relevant: they stand below all that it holds of."""
    uids = truth.studies["study_uid"].tolist()
    text = "stenosis of the proximal LAD > 70%"
    shown = set(atlas.search(text, k=len(uids)).hits["study_uid"])
    lost = [uid for uid in uids if uid not in shown]
    assert 0 < len(lost) < len(uids)
    rows = [f'"{text}",{uid},2' for uid in lost]
    told = atlas.evaluate(write(tmp_path / "r.csv", "query,uid,relevance", *rows)).per_query
    ranks = np.arange(len(shown) + 1, len(uids) + 1)
    assert told.loc[0, "AP"] == pytest.approx(np.mean(np.arange(1, len(lost) + 1) / ranks))
