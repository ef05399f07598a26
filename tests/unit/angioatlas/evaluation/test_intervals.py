"""Intervals of labelled evaluation cover the truth as often as they claim, where it is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from angioatlas.clinical import Read
from angioatlas.evaluation import intervals
from angioatlas.evaluation.labelled import evaluate
from angioatlas.evaluation.queries import Queries, Query, Rows
from core.schema import EMBEDDING_DIM, Level

TEXTS = tuple(f"text {number}" for number in range(20))
K = 10


def read(rows):
    """Place every text on an axis of its own: a row's cosine with it is its coordinate there."""
    axes = np.eye(EMBEDDING_DIM, dtype=np.float32)
    return lambda text: Read(axes[TEXTS.index(text)], np.ones(len(rows), bool), None, None)


def placed(scores):
    """Return unit vectors with these first coordinates."""
    vectors = np.zeros((len(scores), EMBEDDING_DIM), np.float32)
    vectors[:, : scores.shape[1]] = scores / 40
    vectors[:, -1] = np.sqrt(1 - (vectors**2).sum(axis=1))
    return vectors


def draw(rng, patients, texts=5, apart=1.5):
    """Draw studies of patients: whose they are, how relevant and how near to each text.

    What a text asks for is nearer to it by `apart`, where studies differ by a deviation of 1.
    """
    patient = np.repeat(np.arange(patients), rng.integers(1, 3, patients))
    has = (rng.random((patients, texts)) < 0.12)[patient]
    own = rng.normal(0, 0.6, (patients, texts))[patient]
    scores = apart * has + own + rng.normal(0, 0.8, has.shape)
    return patient, has.astype(np.int8), scores


def rows_of(patient):
    uids = [f"{i:06d}" for i in range(len(patient))]
    return Rows.of(pa.table({"uid": uids, "patient_id": [f"{i:06d}" for i in patient]}))


def asked(queries, rows, vectors, seed=0):
    return evaluate(
        Queries(len(queries), (), lambda: iter(queries)),
        rows,
        vectors,
        read=read(rows),
        level=Level.STUDY,
        encoder_id="axes",
        store_version=1,
        k=K,
        seed=seed,
    ).table.set_index("measure")


def texts(grades) -> Iterator[Query]:
    everything = np.ones(len(grades), bool)
    for text, column in zip(TEXTS, grades.T, strict=False):
        yield Query(text, None, column, everything, everything)


def text_coverage(monkeypatch, *, count, times, repeats, worlds, apart=1.5):
    """Return how often intervals over patients of the store cover the mean of many stores."""
    rng = np.random.default_rng(7)
    monkeypatch.setattr(intervals, "REPEATS", 1)
    truth = 0
    for _ in range(worlds):
        patient, grades, scores = draw(rng, 300, count, apart)
        table = asked([*texts(grades)], rows_of(patient), placed(scores))
        truth = truth + table["value"] / worlds
    monkeypatch.setattr(intervals, "REPEATS", repeats)
    covered = []
    for seed in range(times):
        patient, grades, scores = draw(rng, 300, count, apart)
        table = asked([*texts(grades)], rows_of(patient), placed(scores), seed=seed)
        covered.append((table["lower"] <= truth) & (truth <= table["upper"]))
    return pd.DataFrame(covered).mean().drop("MRR")


def study_coverage(monkeypatch, *, times, repeats):
    """Return how often intervals over patients who ask cover the mean of all who could ask."""
    rng = np.random.default_rng(8)
    patient, grades, scores = draw(rng, 1200)
    store = patient < 300
    rows, vectors = rows_of(patient), placed(scores / np.linalg.norm(scores, axis=1)[:, None] * 39)
    kind = grades.argmax(axis=1)
    monkeypatch.setattr(intervals, "REPEATS", 1)

    def of(chosen):
        return [
            Query(str(row), row, ((kind == kind[row]) & store).astype(np.int8), store, store)
            for row in chosen
        ]

    everybody = np.flatnonzero(~store)
    truth = asked(of(everybody), rows, vectors)["value"]
    monkeypatch.setattr(intervals, "REPEATS", repeats)
    covered = []
    for seed in range(times):
        drawn = rng.choice(np.arange(300, 1200), 80, replace=False)
        table = asked(of(np.flatnonzero(np.isin(patient, drawn))), rows, vectors, seed)
        covered.append((table["lower"] <= truth) & (truth <= table["upper"]))
    return pd.DataFrame(covered).mean()


def test_intervals_cover_roughly(monkeypatch):
    # Of 30 the share has a standard error of 4 points.
    found = text_coverage(monkeypatch, count=5, times=30, repeats=100, worlds=150)
    assert found.between(0.82, 1).all()
    assert study_coverage(monkeypatch, times=30, repeats=100).between(0.82, 1).all()


def test_studies_of_one_patient_widen_the_interval():
    rng = np.random.default_rng(3)
    _, grades, scores = draw(rng, 120)
    vectors, n = placed(scores), len(scores)
    groups = np.sort(rng.integers(0, 12, n))
    # Whole groups have the finding, so that the draw of a group is the draw of many rows.
    whole = (grades[:12] | (np.arange(12) % 4 == 0)[:, None]).astype(np.int8)[groups]
    one = asked([*texts(whole)], rows_of(np.arange(n)), vectors)
    many = asked([*texts(whole)], rows_of(groups), vectors)
    assert (one["value"] == many["value"]).all()
    for measure in ("P@10", "mAP", "nDCG@10"):
        alone, together = one.loc[measure], many.loc[measure]
        assert together["upper"] - together["lower"] > 1.5 * (alone["upper"] - alone["lower"])


def test_one_patient_has_no_interval():
    _, grades, scores = draw(np.random.default_rng(3), 30)
    table = asked([*texts(grades)], rows_of(np.zeros(len(scores), int)), placed(scores))
    assert table["value"].notna().all()
    assert table[["lower", "upper"]].isna().all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [1.5, 0.7])
def test_intervals_of_texts_cover_as_the_document_says(monkeypatch, apart):
    # Of 400 the share has a standard error of 1 point.
    found = text_coverage(monkeypatch, count=6, times=400, repeats=250, worlds=2000, apart=apart)
    assert found.between(0.915, 0.985).all()


@pytest.mark.slow
def test_intervals_of_studies_cover_as_the_document_says(monkeypatch):
    found = study_coverage(monkeypatch, times=1000, repeats=300)
    assert found.between(0.93, 0.97).all()
