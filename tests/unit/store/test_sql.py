"""A predicate that a user typed: what it may say, and what it can never reach."""

from __future__ import annotations

import pyarrow as pa
import pytest

from core.errors import UsageError
from store.sql import matching

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
