"""The encoder that comes with the package: what is shipped, what its card says, what it finds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from angioatlas.phantom_mini import SHIPPED
from benchmarks.phantom_retrieval import retrieval
from benchmarks.phantom_retrieval.embed import embed
from benchmarks.phantom_retrieval.report import markdown
from benchmarks.phantom_retrieval.studies import StudySpec
from benchmarks.record import RESULTS
from embedder.encoders.registry import load_encoder, load_text_encoder, read_spec
from embedder.encoders.trained_on import among, read_trained_on
from embedder.encoders.verify import verify_encoder
from phantom.ids import patient_id
from phantom.seeds import DEMO_SEEDS, EVALUATION_SEEDS, TRAINING_SEEDS

MOST_BYTES = 10_000_000


@pytest.fixture(scope="module")
def figures():
    return json.loads((RESULTS / "phantom_retrieval.json").read_text())["figures"]


def test_what_is_shipped_is_small_and_whole():
    assert sum(file.stat().st_size for file in SHIPPED.glob("*.safetensors")) <= MOST_BYTES
    assert verify_encoder(SHIPPED).is_good


def test_the_card_says_what_was_measured_of_these_very_weights(figures):
    card = (SHIPPED / "README.md").read_text()
    assert figures["encoder_id"] == read_spec(SHIPPED).encoder_id
    assert figures["encoder_id"] in card
    assert "no clinical meaning" in card
    said = [line for line in markdown(figures).splitlines() if line.startswith("|")]
    assert len(said) > 60
    assert [line for line in said if line not in card] == []


def test_who_it_was_trained_on_is_listed_and_nobody_it_is_judged_on(figures):
    listed = read_trained_on(SHIPPED)
    learned = {patient_id(seed, 7) for seed in (TRAINING_SEEDS[0], TRAINING_SEEDS[-1])}
    judged_on = {*figures["seeds"]["evaluation"], EVALUATION_SEEDS[2], DEMO_SEEDS[91]}
    judged = {patient_id(seed, 7) for seed in judged_on}
    assert among(learned | judged, listed) == sorted(learned)


def test_it_finds_what_it_is_asked_for_in_hearts_it_has_never_seen(tmp_path):
    encoder, reader = load_encoder(SHIPPED, device="cpu"), load_text_encoder(SHIPPED, device="cpu")
    specs = [StudySpec(EVALUATION_SEEDS[7], i) for i in range(40)]
    seen = embed(encoder, tmp_path, "few", specs, workers=2)
    rows = retrieval.query_rows(seen, reader, np.zeros((40, 28)))
    areas = [row["auroc"] for row in rows if row["n"] >= 3]
    assert len(areas) > 8
    assert np.mean(areas) > 0.9
    shuffled = replace(seen, vectors=np.roll(seen.vectors, 1, axis=0))
    rows = retrieval.query_rows(shuffled, reader, np.zeros((40, 28)))
    assert np.mean([row["auroc"] for row in rows if row["n"] >= 3]) < 0.65
