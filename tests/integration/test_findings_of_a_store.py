"""Findings of a real store: which study, which heads, which rows, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pytest

from angioatlas.findings import findings
from core.errors import NotFoundError, UsageError
from core.provenance import RESEARCH_USE
from core.segments import HEADS, SEGMENTS
from tests.support.store_cases import batch, commit, new_store

STUDIES = {"P1.a": ["1", "2"], "P1.b": ["3"], "P2.a": ["4"]}
PERCENT = HEADS.index("prox_lad_stenosis")


def with_percent(made, percents):
    """Put these percentages into the proximal LAD of the studies of a batch."""
    raw = made.findings.raw.copy()
    raw[:, PERCENT] = percents
    return dataclasses.replace(made, findings=dataclasses.replace(made.findings, raw=raw))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = new_store(tmp_path_factory.mktemp("store") / "s")
    studies = with_percent(batch(STUDIES), [80, 20, 75])
    facts = [
        dataclasses.replace(study, patient_sex=sex)
        for study, sex in zip(studies.studies, "FFM", strict=True)
    ]
    with made.writer("run") as writer:
        writer.commit(dataclasses.replace(studies, studies=facts))
    commit(made, {"P3.a": ["5"]}, heads_id=None)
    return made


@pytest.fixture
def snapshot(store):
    with store.snapshot() as opened:
        yield opened


def test_all_studies_in_anatomical_order(snapshot):
    found = findings(snapshot, encoder_id="enc-a")
    table = found.table
    assert (found.encoder_id, found.heads_id, found.store_version) == ("enc-a", "heads-1", 2)
    assert found.notice == RESEARCH_USE
    assert found.study_uid is None
    assert list(zip(table["study_uid"], table["segment"], strict=True)) == [
        (study, segment) for study in STUDIES for segment in SEGMENTS
    ]
    lad = table[table["segment"] == "prox_lad"]
    assert lad["stenosis_percent"].tolist() == [80, 20, 75]
    assert lad["segment_name"].tolist() == ["proximal LAD"] * 3
    assert lad["patient_id"].tolist() == ["P1", "P1", "P2"]
    assert lad["study_date"].tolist() == [dt.date(2021, 5, 4)] * 3
    assert table["calcification"].isna().all()  # heads that the set does not have
    assert not table["stenosis"].isna().any()
    np.testing.assert_allclose(
        table["thrombus"], 1 / (1 + np.exp(-table["thrombus_logit"].astype(float))), rtol=1e-5
    )


def test_one_study_under_any_of_its_names(snapshot):
    found = findings(snapshot, encoder_id="enc-a", study_uids=("the original", "P1.b"))
    assert found.study_uid == "P1.b"
    assert found.table["study_uid"].tolist() == ["P1.b"] * len(SEGMENTS)


@pytest.mark.parametrize(
    ("where", "studies"),
    [
        ("segment = 'prox_lad' and stenosis_percent > 70", ["P1.a", "P2.a"]),
        ("segment = 'prox_lad' and stenosis_percent > 70 and patient_sex = 'F'", ["P1.a"]),
        ("segment_name = 'left main' and n_videos = 2 and site = 'A'", ["P1.a"]),
        ("segment = 'bx' and patient_age_years between 60 and 62", ["P1.a", "P1.b", "P2.a"]),
        ("segment = 'D1' and not patient_known", []),
        (
            "segment = 'om1' and study_uid in (select study_uid from findings"
            " where segment = 'prox_lad' and stenosis_percent < 70)",
            ["P1.b"],
        ),
    ],
)
def test_where_is_over_findings_and_facts(snapshot, where, studies):
    table = findings(snapshot, encoder_id="enc-a", where=where).table
    assert table["study_uid"].tolist() == studies
    assert len(table.columns) == 15


def test_where_within_one_study(snapshot):
    found = findings(
        snapshot, encoder_id="enc-a", study_uids=["P1.b"], where="stenosis_percent > 1000"
    )
    assert found.table.empty
    assert found.study_uid == "P1.b"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("percent > 70", '"percent" not found'),
        ("true; drop table findings", "predicate failed"),
        ("study_uid in (select study_uid from studies)", "studies does not exist"),
        ("cast(patient_id as integer) = 1", "^the predicate failed: ConversionException$"),
        ("commit_id is null", '"commit_id" not found'),
    ],
)
def test_a_bad_predicate_is_a_usage_error(snapshot, where, words):
    with pytest.raises(UsageError, match=words):
        findings(snapshot, encoder_id="enc-a", where=where)


def test_what_is_not_there_is_told_apart(snapshot):
    with pytest.raises(NotFoundError, match=r"no study 9\.9 in store version 2"):
        findings(snapshot, encoder_id="enc-a", study_uids=["9.9"])
    with pytest.raises(NotFoundError, match=r"study P3\.a has no findings of heads-1") as error:
        findings(snapshot, encoder_id="enc-a", study_uids=["P3.a"])
    assert "embed its files again" in error.value.hint
    with pytest.raises(NotFoundError, match="no findings of the heads 'h'; it holds those of head"):
        findings(snapshot, encoder_id="enc-a", heads="h")


def test_a_store_without_findings_says_how_to_get_some(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, STUDIES, heads_id=None)
    with (
        store.snapshot() as snapshot,
        pytest.raises(NotFoundError, match="version 1 holds no findings of enc-a") as error,
    ):
        findings(snapshot, encoder_id="enc-a")
    assert "encoders show" in error.value.hint


def test_of_several_sets_of_heads_one_is_to_be_named(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, STUDIES)
    with store.writer("run") as writer:
        again = batch(STUDIES, heads_id="heads-2", facts=False)
        writer.commit(with_percent(again, [1, 2, 3]))
    with store.snapshot() as snapshot:
        with pytest.raises(UsageError, match="several sets of heads: heads-1, heads-2"):
            findings(snapshot, encoder_id="enc-a")
        found = findings(
            snapshot, encoder_id="enc-a", heads="heads-2", where="segment = 'prox_lad'"
        )
    assert found.table["stenosis_percent"].tolist() == [1, 2, 3]
