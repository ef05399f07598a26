"""Texts against the studies of a store by every score, with what a score means."""

from __future__ import annotations

import json

import numpy as np
import pytest

from angioatlas.atlas import Atlas
from angioatlas.phantom_mini import SHIPPED
from angioatlas.reference_queries import REFERENCE_QUERIES
from benchmarks.record import RESULTS, ROOT
from core.ids import KeptIdentity
from core.schema import Level
from core.segments import SEGMENTS
from embedder.encoders.registry import load_text_encoder, read_spec
from store.store import Store
from tests.support.store_cases import commit

ENCODER = read_spec(SHIPPED).encoder_id
TEXT = "left main stenosis"
_FIGURES = {"lift": ".2f", "p5": ".3f", "p10": ".3f"}


@pytest.fixture(scope="module")
def reader():
    return load_text_encoder(SHIPPED, device="cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Thirty-five patients, every third with two studies, in the space of the shipped encoder."""
    folder = tmp_path_factory.mktemp("texts") / "atlas"
    studies = [f"P{i}.{part}" for i in range(35) for part in ("ab" if i % 3 == 0 else "a")]
    videos = {study: [f"{study}.{j}" for j in range(1 + i % 4)] for i, study in enumerate(studies)}
    commit(Store.create(folder, identity=KeptIdentity().record), videos, encoder_id=ENCODER)
    return folder


@pytest.fixture
def atlas(store):
    return Atlas.open(store)


def scores_of(atlas, kind, texts):
    """Score every text with every study, by loops."""
    with atlas.snapshot() as snapshot:
        keys, vectors = snapshot.vectors(ENCODER, Level.STUDY)
        video_keys, videos = snapshot.vectors(ENCODER, Level.VIDEO)
    uids, of = keys["uid"].to_pylist(), np.array(video_keys["study_uid"].to_pylist())
    each = [videos[of == uid].astype(float) for uid in uids]
    if kind == "late":
        return uids, np.array([[(own @ text).max() for own in each] for text in texts])
    if kind == "mean":
        vectors = np.stack([own.mean(axis=0) / np.linalg.norm(own.mean(axis=0)) for own in each])
    return uids, texts.astype(float) @ vectors.T


@pytest.mark.parametrize("kind", ["study", "mean", "late"])
def test_a_text_ranks_and_means_what_a_scan_says(atlas, reader, kind):
    uids, (expected,) = scores_of(atlas, kind, reader.encode([TEXT]))
    hits = atlas.search(TEXT, k=100, score=kind, plain=True).hits
    assert hits["study_uid"].tolist() == [uids[i] for i in np.argsort(-expected)]
    assert hits["score"].to_numpy() == pytest.approx(np.sort(expected)[::-1], abs=1e-6)
    _, every = scores_of(atlas, kind, reader.encode(REFERENCE_QUERIES))
    for hit in hits.itertuples():
        low, high = (len(uids) * (every >= hit.score + by).mean() for by in (1e-6, -1.1e-4))
        assert low <= hit.chance <= high or hit.chance_is_bound
    one = atlas.search(TEXT, k=100, score=kind, one_per_patient=True, plain=True).hits
    kept = hits.drop_duplicates("patient_id")
    assert one["study_uid"].tolist() == kept["study_uid"].tolist()


def test_a_text_is_explained_by_its_best_video(atlas, reader):
    (text,) = reader.encode([TEXT])
    found = atlas.search(TEXT, k=3, score="late", explain=True, plain=True)
    for hit in found.hits.itertuples():
        (only,) = found.why(hit.study_uid).matched
        assert only.query_sop_uid is None
        assert only.contribution == pytest.approx(hit.score, abs=1e-9)
        assert only.sop_uid.startswith(hit.study_uid)
    left_out = atlas.search(TEXT, k=1, score="mean", explain=True, plain=True)
    why = left_out.why(left_out.hits["study_uid"][0])
    with atlas.snapshot() as snapshot:
        keys, videos = snapshot.vectors(ENCODER, Level.VIDEO)
    rows = {sop: videos[i].astype(float) for i, sop in enumerate(keys["uid"].to_pylist())}
    for each in why.matched:
        others = [rows[one.sop_uid] for one in why.matched if one is not each]
        mean = np.mean(others, axis=0) if others else np.zeros(512)
        lost = left_out.hits["score"][0] - (mean / np.maximum(np.linalg.norm(mean), 1e-12)) @ text
        assert each.contribution == pytest.approx(lost, abs=1e-6)


def test_videos_have_a_chance_of_their_own(atlas):
    hits = atlas.search(TEXT, level="video", k=5, explain=True, plain=True)
    assert (hits.hits["chance"] > 0).all()
    assert hits.why(hits.hits["sop_uid"][0]).matched[0].contribution == hits.hits["score"][0]
    assert atlas.search("pizza").hits.empty


def test_the_battery_is_about_a_hundred_sentences_that_the_encoder_can_read(reader):
    assert 80 <= len(REFERENCE_QUERIES) == len(set(REFERENCE_QUERIES)) <= 130
    assert {text for text in REFERENCE_QUERIES if reader.coverage(text).unknown} == set()
    for name in SEGMENTS.values():
        assert sum(name in text for text in REFERENCE_QUERIES) >= 4


def test_the_document_says_what_was_measured_of_the_shipped_encoder():
    figures = json.loads((RESULTS / "study_scores.json").read_text())["figures"]
    assert figures["encoder_id"] == ENCODER
    text = (ROOT / "docs/search.md").read_text().replace("*", "")
    found = figures["evaluation"]
    for score in ("study", "late", "mean"):
        few = found["few_views"][score]
        every, asked = found["all_views"][score], found["texts"][score]
        cells = [
            *(f"{row[name]:{form}}" for row in (every, few) for name, form in _FIGURES.items()),
            *(f"{asked[name]:.3f}" for name in ("ap", "p10")),
        ]
        assert f"| `{score}` | {' | '.join(cells)} |" in text
    best = {
        name: max(found[name], key=lambda score: found[name][score]["lift"])
        for name in ("all_views", "few_views")
    }
    assert best == {"all_views": "study", "few_views": "study"}
