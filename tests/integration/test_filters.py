"""The columns of a filter: all that are there, each made of what it needs alone, and no others."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pytest

from angioatlas.atlas import Atlas
from angioatlas.filters import ALIASES, filter_schema, filter_view, rows_where
from angioatlas.study_view import exams_sql, study_view
from core.errors import UsageError
from core.schema import UID_COLUMN, Level
from core.settings import Settings
from store.predicate import kinds_of
from store.sql import matching
from tests.support.filtered_store import History
from tests.support.predicates import draw_predicate, refused_predicates
from tests.support.store_cases import commit, new_store

SPACE = "enc-a"


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Return a store with findings, ejection fractions and studies that were embedded again."""
    history = History(tmp_path_factory.mktemp("filters"), seed=3)
    for _ in range(3):
        history.embed()
        history.measure()
    history.delete()
    assert "prox_lad_cto" in history.truth.values(Level.STUDY)
    return history


@pytest.fixture(scope="module")
def snapshot(history):
    with history.atlas.snapshot() as snapshot:
        yield snapshot


def test_the_wide_row_of_a_study_is_what_the_query_says(snapshot):
    """The export has the same query as a view."""
    rows = study_view(snapshot)
    assert rows.equals(snapshot.sql(exams_sql("commit_id, input_hash")))
    assert rows["lvef_percent"].null_count < rows.num_rows
    assert rows["n_views"].null_count == 0


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ([90], 40),
        ([-90], 40),
        ([91, -91], None),
        ([20, -15, 30], 41),
        ([15, -15], 41),
        ([-15, 15], 40),
        ([3, 3], 40),
    ],
)
def test_the_nearest_ejection_fraction_within_the_window(tmp_path, days, expected):
    """Of two as near the earlier one counts, of two of one day the one whose id comes first."""
    commit(new_store(tmp_path / "s"), {"P1.a": ["1"], "P2.a": ["2"]})
    lines = [
        f"id{i},P1,{dt.date(2021, 5, 4) + dt.timedelta(each)},lvef_percent,{40 + i}\n"
        for i, each in enumerate(days)
    ]
    table = tmp_path / "measurements.csv"
    table.write_text("id,patient_id,date,name,value\n" + "".join(lines))
    atlas = Atlas.open(tmp_path / "s")
    atlas.import_labels([table])
    with atlas.snapshot() as snapshot:
        assert study_view(snapshot, names=["lvef_percent"]).to_pylist() == [
            {"study_uid": "P1.a", "lvef_percent": expected},
            {"study_uid": "P2.a", "lvef_percent": None},
        ]


@pytest.mark.parametrize("level", Level)
def test_the_columns_are_known_before_they_are_read(snapshot, level):
    view = filter_view(snapshot, level, encoder_id=SPACE)
    known = filter_schema(snapshot, level, encoder_id=SPACE)
    assert [(each.name, each.type) for each in view.schema] == [(e.name, e.type) for e in known]
    assert view.num_rows == snapshot.keys(SPACE, level).num_rows >= 5


@pytest.mark.parametrize("level", Level)
def test_a_column_is_the_same_by_itself_as_among_all(snapshot, level):
    view = filter_view(snapshot, level, encoder_id=SPACE)
    uid = UID_COLUMN[level]
    for name in view.column_names:
        alone = filter_view(snapshot, level, encoder_id=SPACE, names={name})
        assert set(alone.column_names) == {uid, name}
        assert alone[name].equals(view[name]), name
        assert alone[uid].equals(view[uid])
    assert filter_view(snapshot, level, encoder_id=SPACE, names=()).column_names == [uid]


@pytest.mark.parametrize("level", Level)
def test_a_filter_chooses_what_it_would_choose_of_all_columns(history, snapshot, level):
    keys, view = snapshot.keys(SPACE, level), filter_view(snapshot, level, encoder_id=SPACE)
    values, rows = history.truth.values(level), history.truth.rows(level)
    for _ in range(25):
        where, rule = draw_predicate(history.rng, values, 2)
        chosen = rows_where(snapshot, keys, where, level=level, encoder_id=SPACE)
        uids = np.array(keys["uid"].to_pylist())[chosen].tolist()
        assert uids == [uid for uid, row in rows.items() if rule(row)]
        everything = matching("t", view, re.sub("==", "=", where))[UID_COLUMN[level]].to_pylist()
        assert uids == everything


@pytest.mark.parametrize("level", Level)
def test_every_column_can_be_named(snapshot, level):
    """None of them is a word that the parser takes for something else: rows, columns, view."""
    keys = snapshot.keys(SPACE, level)
    columns = kinds_of(filter_schema(snapshot, level, encoder_id=SPACE))
    where = [f"({name} is null or not {name.upper()} is null)" for name in [*columns, *ALIASES]]
    for start in range(0, len(where), 20):
        some = " and ".join(where[start : start + 20])
        assert rows_where(snapshot, keys, some, level=level, encoder_id=SPACE).all()


@pytest.mark.parametrize("level", Level)
def test_what_is_no_predicate_is_refused_by_a_real_store(snapshot, level):
    keys = snapshot.keys(SPACE, level)
    for group, texts in refused_predicates().items():
        for text, _ in texts:
            with pytest.raises(UsageError, match="the predicate ") as refused:
                rows_where(snapshot, keys, text, level=level, encoder_id=SPACE)
            assert "lvef_percent" in refused.value.hint, (group, text)
            assert "commit_id" not in refused.value.hint


def test_columns_of_a_cohort_are_those_that_a_predicate_may_name_but_for_identifiers(history):
    columns = history.atlas.cohort_columns(encoder=SPACE).set_index("name")
    with history.atlas.snapshot() as snapshot:
        view = study_view(snapshot, encoder_id=SPACE)
    kinds = kinds_of(view.schema)
    assert {**columns["kind"], "study_uid": "text", "patient_id": "text"} == kinds
    frame = view.to_pandas()[[*columns.index]]
    assert columns["known"].tolist() == pytest.approx(frame.notna().mean().tolist())
    assert 0 < columns["known"]["lvef_percent"] < columns["known"]["prox_lad_cto"] == 1
    sexes = sorted(frame["patient_sex"].dropna().unique())
    assert [*columns["values"]["patient_sex"]] == sexes
    assert columns["values"]["n_videos"] == ()


def test_an_empty_store_has_columns_of_which_nothing_is_known(tmp_path):
    atlas = Atlas(new_store(tmp_path / "empty"), Settings(state_dir=tmp_path))
    columns = atlas.cohort_columns()
    assert {"study_date", "lvef_percent"} <= {*columns["name"]}
    assert columns["known"].isna().all()
