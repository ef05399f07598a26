"""A predicate that a user typed: what it may say, and what it can never reach."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from core.errors import UsageError
from store.predicate import Predicate, understood
from store.sql import matching, query, satisfying

ROWS = pa.table(
    {
        "uid": ["c", "a", "b", "d"],
        "percent": pa.array([80.0, 20.0, 71.0, None], pa.float32()),
        "patient_id": ["Muster", "Muster", "Beispiel", "Beispiel"],
    }
)
OF_PYTHON = pa.table({"secret": ["Muster"]})


def uids(predicate, rows=ROWS):
    return matching("findings", rows, predicate)["uid"].to_pylist()


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("percent > 70", ["c", "b"]),
        ("percent IS NULL OR uid = 'a'", ["a", "d"]),
        ("findings.percent < 70 -- a remark", ["a"]),
        ("percent = (SELECT max(percent) FROM findings)", ["c"]),
        ("false", []),
    ],
)
def test_rows_come_in_their_order(predicate, expected):
    assert uids(predicate) == expected
    assert matching("findings", ROWS, predicate).schema == ROWS.schema
    assert uids(predicate, ROWS.slice(0, 0)) == []


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        ("", "the predicate failed: Parser Error"),
        ("percent >", "syntax error"),
        ("true, true", "single expression"),
        ("true; DROP TABLE findings", "Parser Error"),
        ("true) UNION SELECT * FROM findings --", "syntax error"),
        ("true LIMIT 1", "Parser Error"),
        ("SELECT 1", "syntax error"),
        ("nothing = 1", '"nothing" not found'),
        ("count(*) > 1", "cannot contain aggregates"),
        ("percent = ?", "prepared parameter"),
        ("uid IN (SELECT content FROM read_text('/etc/passwd'))", "failed: PermissionException$"),
        ("EXISTS (SELECT * FROM '/etc/passwd')", "does not exist"),
        ("EXISTS (SELECT * FROM OF_PYTHON)", "OF_PYTHON does not exist"),
        ("CAST(patient_id AS INTEGER) = 1", "^the predicate failed: ConversionException$"),
    ],
)
def test_a_bad_predicate_is_refused_without_quoting_values(predicate, words):
    with pytest.raises(UsageError, match=words) as refused:
        uids(predicate)
    assert "Muster" not in str(refused.value)
    assert "\n" not in refused.value.message


def test_rows_that_satisfy_a_predicate_that_was_understood():
    predicate = understood("not percent > 70 or uid = 'b'", {"uid": "text", "percent": "number"})
    assert predicate.names == {"uid", "percent"}
    assert sorted(satisfying(ROWS, predicate, "uid").to_pylist()) == ["a", "b"]
    assert satisfying(ROWS.slice(0, 0), predicate, "uid").to_pylist() == []


@pytest.mark.parametrize(
    "sql", ["true; drop table x", "true limit 1", "uid in (select * from OF_PYTHON)", "1 = ?"]
)
def test_not_even_a_predicate_that_nobody_wrote_anew_is_more_than_one(sql):
    with pytest.raises(UsageError, match="the predicate failed"):
        satisfying(ROWS, Predicate(sql, frozenset()), "uid")


def test_a_query_of_ours_sees_its_tables_alone():
    assert (
        query("select count(*) as n from a join b using (uid)", a=ROWS, b=ROWS)["n"][0].as_py() == 4
    )
    for of in ("OF_PYTHON", "a", "'/etc/passwd'"):
        with pytest.raises(duckdb.Error, match=r"does not exist|disabled|not find"):
            query(f"select * from {of}", b=ROWS)
