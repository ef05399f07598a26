"""Levels and scores of a real store, held against brute force in numpy; why, and by what chance."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.chance import FEWEST_PATIENTS
from angioatlas.cli.main import app
from angioatlas.scores import chosen_score
from core.errors import NotFoundError, UsageError
from core.ids import KeptIdentity
from core.schema import Level, StudyScore
from core.settings import load_settings
from embedder.encoders.deepcoro_spec import DeepCoroSpec
from embedder.encoders.spec import FileRef
from store.store import Store
from tests.support.serial_store import serial_store
from tests.support.store_cases import commit

PATIENTS = 40
ENCODER = "enc-a"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores") / "atlas"
    serial_store(folder, PATIENTS, seed=5)
    return folder


@pytest.fixture
def atlas(store):
    return Atlas.open(store)


class Scan:
    """Every vector of the store, and scores by loops."""

    def __init__(self, atlas):
        with atlas.snapshot() as snapshot:
            keys, self.vectors = snapshot.vectors(ENCODER, Level.STUDY)
            video_keys, videos = snapshot.vectors(ENCODER, Level.VIDEO)
        self.uids = keys["uid"].to_pylist()
        self.patients = keys["patient_id"].to_pylist()
        of = video_keys["study_uid"].to_pylist()
        self.sop_uids = video_keys["uid"].to_pylist()
        self.videos = {
            uid: videos[[i for i, each in enumerate(of) if each == uid]].astype(float)
            for uid in self.uids
        }
        self.sops = {
            uid: [sop for sop, each in zip(self.sop_uids, of, strict=True) if each == uid]
            for uid in self.uids
        }

    def vector(self, uid):
        return self.vectors[self.uids.index(uid)].astype(float)

    def mean(self, uid):
        mean = self.videos[uid].mean(axis=0)
        return mean / np.linalg.norm(mean)

    def score(self, kind, a, b):
        if kind == "late":
            return (self.videos[a] @ self.videos[b].T).max(axis=1).mean()
        of = self.mean if kind == "mean" else self.vector
        return of(a) @ of(b)

    def ranked(self, kind, query, *, among, one_per_patient=False):
        scores = {uid: self.score(kind, query, uid) for uid in among if uid != query}
        order = sorted(scores, key=lambda uid: (-round(scores[uid], 9), uid))
        if one_per_patient:
            best: dict[str, str] = {}
            for uid in order:
                best.setdefault(self.patients[self.uids.index(uid)], uid)
            order = list(best.values())
        return [(uid, scores[uid]) for uid in order]


@pytest.fixture(scope="module")
def scan(store):
    return Scan(Atlas.open(store))


def check(hits, expected):
    assert hits["study_uid"].tolist() == [uid for uid, _ in expected]
    assert hits["score"].to_numpy() == pytest.approx([score for _, score in expected], abs=1e-6)


@pytest.mark.parametrize("kind", ["study", "mean", "late"])
def test_every_score_ranks_as_brute_force(atlas, scan, kind):
    facts = atlas.studies().set_index("study_uid")
    later = set(facts.index[facts["study_date"].astype(str) >= "2017-06-01"])
    of = dict(zip(scan.uids, scan.patients, strict=True))
    for query in scan.uids[:4]:
        others = [uid for uid in scan.uids if of[uid] != of[query]]
        found = atlas.similar(query, k=500, score=kind)
        assert found.score == kind
        check(found.hits, scan.ranked(kind, query, among=others))
        some = [uid for uid in others if uid in later]
        hits = atlas.similar(query, k=7, score=kind, where="date >= '2017-06-01'").hits
        check(hits, scan.ranked(kind, query, among=some)[:7])
        hits = atlas.similar(query, k=500, score=kind, exclude_same_patient=False).hits
        check(hits, scan.ranked(kind, query, among=scan.uids))


@pytest.mark.parametrize("kind", ["study", "mean", "late"])
@pytest.mark.parametrize("k", [1, 10, PATIENTS - 1, 500])
def test_one_row_per_patient_is_the_best_of_each(atlas, scan, kind, k):
    query = scan.uids[0]
    hits = atlas.similar(query, k=k, score=kind, one_per_patient=True).hits
    own = scan.patients[0]
    others = [uid for uid, who in zip(scan.uids, scan.patients, strict=True) if who != own]
    check(hits, scan.ranked(kind, query, among=others, one_per_patient=True)[:k])
    assert hits["patient_id"].is_unique
    assert len(hits) == min(k, PATIENTS - 1)
    assert hits["rank"].tolist() == list(range(1, len(hits) + 1))


def test_one_video_per_patient(atlas, scan):
    sop = scan.sop_uids[0]
    every = atlas.similar(sop, level="video", k=5000).hits
    hits = atlas.similar(sop, level="video", k=12, one_per_patient=True).hits
    expected = every.drop_duplicates("patient_id").head(12)
    assert hits["sop_uid"].tolist() == expected["sop_uid"].tolist()


def test_a_score_of_studies_is_refused_of_videos(atlas, scan):
    with pytest.raises(UsageError, match="the score late is of studies"):
        atlas.similar(scan.sop_uids[0], level="video", score="late")
    with pytest.raises(UsageError, match="the score 'best': expected one of auto, study"):
        atlas.similar(scan.uids[0], score="best")


def test_contributions_of_late_interaction_add_up(atlas, scan):
    query = scan.uids[3]
    found = atlas.similar(query, k=6, score="late", explain=True)
    for hit in found.hits.itertuples():
        why = found.why(hit.study_uid)
        assert why.adds_up
        assert sum(each.contribution for each in why.matched) == pytest.approx(hit.score, abs=1e-9)
        cosines = scan.videos[query] @ scan.videos[hit.study_uid].T
        pairs = {each.query_sop_uid: each for each in why.matched}
        assert list(pairs) == scan.sops[query]
        for row, sop in zip(cosines, scan.sops[query], strict=True):
            assert pairs[sop].sop_uid == scan.sops[hit.study_uid][int(row.argmax())]
            assert pairs[sop].contribution * len(cosines) == pytest.approx(row.max(), abs=1e-6)
            assert pairs[sop].view == "LAO Cranial"


def test_without_each_video_the_mean_is_made_again(atlas, scan):
    query = scan.uids[2]
    found = atlas.similar(query, k=5, score="mean", explain=True)
    for hit in found.hits.itertuples():
        why, videos = found.why(hit.study_uid), scan.videos[hit.study_uid]
        assert not why.adds_up
        assert [each.sop_uid for each in why.matched] == scan.sops[hit.study_uid]
        for i, each in enumerate(why.matched):
            left = np.delete(videos, i, axis=0).mean(axis=0)
            lost = hit.score - left / np.linalg.norm(left) @ scan.mean(query)
            assert each.contribution == pytest.approx(lost, abs=1e-6)
            nearest = int((scan.videos[query] @ videos[i]).argmax())
            assert each.query_sop_uid == scan.sops[query][nearest]


@pytest.fixture
def aggregated(tmp_path):
    """Return the Atlas of a few studies whose vectors are no means of their videos'."""
    store = Store.create(tmp_path / "atlas", identity=KeptIdentity().record)
    studies = {f"P{i}.a": [f"v{i}.{j}" for j in range(1 + i)] for i in range(4)}
    commit(store, studies, encoder_id=ENCODER)
    return Atlas.open(tmp_path / "atlas")


def test_a_vector_that_is_no_mean_needs_its_encoder(aggregated):
    found = aggregated.similar("P3.a", k=3, explain=True)
    for uid in ("P1.a", "P2.a"):
        note = found.why(uid).note
        assert note is not None
        assert note.startswith("only the encoder can make a study's vector again: no encoder")
        assert found.why(uid).matched == ()
    # Nothing is left of a study without its only video, whoever makes its vector.
    (only,) = found.why("P0.a").matched
    scores = found.hits.set_index("study_uid")["score"]
    assert only.contribution == scores["P0.a"]
    assert not np.allclose(scores, aggregated.similar("P3.a", k=3, score="mean").hits["score"])


def test_a_video_is_explained_by_itself(atlas, scan):
    found = atlas.similar(scan.sop_uids[0], level="video", k=2, explain=True)
    (only,) = found.why(found.hits["sop_uid"][0]).matched
    assert (only.query_sop_uid, only.sop_uid) == (scan.sop_uids[0], found.hits["sop_uid"][0])
    assert only.contribution == found.hits["score"][0]


def test_why_says_what_was_not_asked(atlas, scan):
    found = atlas.similar(scan.uids[0], k=2)
    with pytest.raises(UsageError, match="the hits were not explained"):
        found.why(found.hits["study_uid"][0])
    with pytest.raises(NotFoundError, match=r"1\.2\.3 is not among the hits"):
        found.why("1.2.3")


@pytest.mark.parametrize("kind", ["study", "mean", "late"])
def test_the_chance_of_a_score_is_counted_over_all_pairs(atlas, scan, kind):
    every = np.array([[scan.score(kind, a, b) for b in scan.uids] for a in scan.uids])
    patients = np.array(scan.patients)
    others = every[patients[:, None] != patients]
    hits = atlas.similar(scan.uids[0], k=60, score=kind).hits
    searched = len(scan.uids) - int((patients == patients[0]).sum())
    for hit in hits.itertuples():
        low, high = (searched * (others >= hit.score + by).mean() for by in (1e-6, -1.1e-4))
        assert low <= hit.chance <= high or hit.chance_is_bound
        assert hit.chance > 0
    assert hits["chance"].is_monotonic_increasing


def test_fewer_rows_are_fewer_by_chance(atlas, scan):
    hits = atlas.similar(scan.uids[0], k=200).hits.set_index("study_uid")
    own = atlas.similar(scan.uids[0], k=200, exclude_same_patient=False).hits
    shared = hits.loc[own["study_uid"][own["study_uid"].isin(hits.index)]]
    again = own.set_index("study_uid").loc[shared.index]
    assert (again["chance"] == shared["chance"]).all()
    where = "exam_number = 2"
    half = atlas.similar(scan.uids[0], k=200, where=where).hits.set_index("study_uid")
    assert len(half) == PATIENTS - 1
    assert (half["chance"] / hits.loc[half.index, "chance"]).to_numpy() == pytest.approx(
        len(half) / len(hits)
    )


def test_a_calibration_is_kept_until_the_store_has_moved_on(tmp_path):
    folder = tmp_path / "atlas"
    serial_store(folder, PATIENTS, seed=6)
    atlas = Atlas.open(folder)
    uid = atlas.studies()["study_uid"][0]
    first = atlas.similar(uid)
    assert first.chance_note is None
    (place,) = load_settings().state_dir.glob("calibrations/*/enc-a/study-study.json")
    made = place.read_text()
    commit(Store.open(folder), {"Q1.a": ["q1"]}, heads_id=None)
    later = Atlas.open(folder).similar(uid)
    assert later.chance_note == f"chance is that of store version {first.store_version}"
    assert place.read_text() == made
    many = {f"Q{i}.a": [f"q{i}"] for i in range(2, 12)}
    commit(Store.open(folder), many, heads_id=None)
    moved = atlas.similar(uid)
    assert moved.chance_note is None
    assert json.loads(place.read_text())["store_version"] == moved.store_version
    place.write_text("{")
    assert Atlas.open(folder).similar(uid).chance_note is None
    assert json.loads(place.read_text())["store_version"] == moved.store_version


def test_a_patient_who_is_deleted_is_out_of_every_cache(tmp_path):
    folder = tmp_path / "atlas"
    serial_store(folder, PATIENTS, seed=7)
    atlas = Atlas.open(folder)
    studies = atlas.studies()
    uid, gone = studies["study_uid"].iloc[0], studies["patient_id"].iloc[-1]
    before = atlas.similar(uid, k=500, score="late").hits
    assert gone in set(before["patient_id"])
    atlas.purge_patient(gone)
    after = atlas.similar(uid, k=500, score="late").hits
    kept = before[before["patient_id"] != gone]
    assert after["study_uid"].tolist() == kept["study_uid"].tolist()


def test_a_small_store_says_that_nothing_can_be_told(aggregated):
    found = aggregated.similar("P1.a")
    assert found.hits["chance"].isna().all()
    assert found.chance_note == (
        f"what a score means cannot be told of 4 patients: it needs {FEWEST_PATIENTS}"
    )


def test_auto_follows_the_study_rule_of_the_encoder(tmp_path):
    some = FileRef(file="weights", sha256="0" * 64)
    of: dict[str, Any] = {"mean": 110.0, "std": 38.0, "heads": 16, "depth": 1}
    settings = load_settings(encoders_dir=tmp_path)
    chosen = {}
    for rule in ("mean", "aggregator"):
        spec = DeepCoroSpec(name=rule, study_rule=rule, weights=some, source=some, **of)
        (tmp_path / rule).mkdir()
        (tmp_path / rule / "encoder.json").write_text(spec.to_json())
        chosen[rule] = spec.encoder_id
    chosen["not here"] = "enc-a"

    def auto(encoder_id):
        return chosen_score(StudyScore.AUTO, Level.STUDY, encoder_id=encoder_id, settings=settings)

    assert {rule: auto(encoder_id) for rule, encoder_id in chosen.items()} == {
        "mean": StudyScore.LATE,
        "aggregator": StudyScore.STUDY,
        "not here": StudyScore.STUDY,
    }


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, f"{result.stdout}\n{result.stderr}\n{result.exception}"
    return result.stdout


def test_the_command_shows_chance_and_why(store, scan):
    words = ["similar", scan.uids[0], "-k", 2, "--score", "late", "--one-per-patient", "--why"]
    told = json.loads(run(*words, "--store", store, "--json"))
    assert told["score"] == "late"
    for hit in told["hits"]:
        parts = [each["contribution"] for each in hit["why"]["matched"]]
        assert sum(parts) == pytest.approx(hit["score"], abs=1e-9)
        assert hit["chance"] > 0
    shown = run(*words, "--store", store)
    assert f"{told['hits'][0]['study_uid']}: contributions add up to the score" in shown
    assert "chance_is_bound" not in shown
