"""Searches of a store with a filter: every hit satisfies it, and as many come as there can be."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from angioatlas.atlas import Atlas
from angioatlas.study_view import study_view
from core.errors import UsageError
from core.schema import Level
from tests.support.cli import angioatlas, as_json
from tests.support.serial_store import serial_store

PATIENTS = 40


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filtered") / "atlas"
    serial_store(folder, PATIENTS, seed=3)
    labels = folder.with_name("lvef")
    labels.mkdir()
    atlas = Atlas.open(folder)
    studies = atlas.studies()
    pd.DataFrame(
        {
            "id": studies["study_uid"],
            "patient_id": studies["patient_id"],
            "date": studies["study_date"].astype(str),
            "name": "lvef_percent",
            "value": np.random.default_rng(0).integers(15, 70, len(studies)),
            "unit": "%",
            "method": "echo",
        }
    ).to_csv(labels / "measurements.csv", index=False)
    atlas.import_labels([labels])
    return atlas


def expected(atlas, uid, chosen, k):
    """Rank by a full scan in numpy."""
    with atlas.snapshot() as snapshot:
        keys, vectors = snapshot.vectors("enc-a", Level.STUDY)
    uids = np.array(keys["uid"].to_pylist())
    patient = np.array(keys["patient_id"].to_pylist())
    row = int(np.flatnonzero(uids == uid)[0])
    scores = vectors.astype(np.float64) @ vectors[row].astype(np.float64)
    order = sorted(np.flatnonzero(patient != patient[row]), key=lambda i: (-scores[i], uids[i]))
    return [uids[i] for i in order if uids[i] in chosen][:k]


@pytest.fixture(scope="module")
def facts(atlas):
    with atlas.snapshot() as snapshot:
        return study_view(snapshot).to_pandas().set_index("study_uid")


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        ("lvef_percent < 40", lambda row: row["lvef_percent"] < 40),
        (
            "exam_number = 2 and date >= '2017-06-01'",
            lambda row: row["exam_number"] == 2 and row["study_date"] >= dt.date(2017, 6, 1),
        ),
        ("sex = 'M'", lambda row: row["patient_sex"] == "M"),
    ],
)
def test_hits_are_those_of_a_scan_of_what_satisfies_the_filter(atlas, facts, where, rule):
    chosen = {uid for uid, row in facts.iterrows() if rule(row)}
    for uid in facts.index[:6]:
        for k in (1, 5, 500):
            hits = atlas.similar(uid, k=k, where=where).hits
            assert hits["study_uid"].tolist() == expected(atlas, uid, chosen, k)


def test_videos_are_chosen_by_their_own_facts_and_those_of_their_study(atlas, facts):
    videos = atlas.videos()
    where = "view = 'LAO Cranial' and exam_number = 2 and lvef_percent >= 50"
    hits = atlas.similar(videos["sop_uid"].iloc[0], level="video", k=30, where=where).hits
    assert len(hits) == 30
    of = facts.loc[hits["study_uid"]]
    assert (of["exam_number"] == 2).all()
    assert (of["lvef_percent"] >= 50).all()
    none = atlas.similar(videos["sop_uid"].iloc[0], level="video", where="view = 'RAO Caudal'")
    assert none.hits.empty


def test_a_column_of_videos_is_none_of_studies(atlas):
    uid = atlas.studies()["study_uid"].iloc[0]
    with pytest.raises(UsageError, match="names no column that there is: 'view'") as refused:
        atlas.similar(uid, where="view = 'LAO Cranial'")
    assert "lvef_percent" in refused.value.hint
    assert "source_uri" not in refused.value.hint


def test_the_command_filters(atlas, clean_environment):
    uid, store = atlas.studies()["study_uid"].iloc[0], atlas.store.path
    told = as_json(
        clean_environment, "similar", uid, "--where", "lvef_percent < 40", "-k", 3, "--store", store
    )
    assert len(told["hits"]) == 3
    done = angioatlas(clean_environment, "similar", uid, "--where", "sex = 'M'", "--store", store)
    assert "no other study satisfies the predicate" in done.stdout
    done = angioatlas(
        clean_environment, "similar", uid, "--where", "drop table x", "--store", store
    )
    assert done.returncode == 2
    assert "the predicate" in done.stderr
