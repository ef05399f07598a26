"""Tables of relevance: three shapes, and what is wrong with a row is said with its line."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from angioatlas.evaluation.tables import (
    Defined,
    Judged,
    Labelled,
    Relevance,
    read_relevance,
)
from core.errors import UsageError


def table(tmp_path, *lines):
    path = tmp_path / "r.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_three_shapes(tmp_path):
    path = table(tmp_path, "uid;query;relevance", "1.2;LAD;3", "1.3;LAD;0.0", "1.2;LAD;3")
    judged = [Judged("LAD", "1.2", 3), Judged("LAD", "1.3", 0), Judged("LAD", "1.2", 3)]
    assert read_relevance(path) == Relevance(judged=judged)
    path = table(tmp_path, "query,where", "LAD,x > 3", "RCA,\"sex in ('F','M')\"", "LAD,x > 3")
    assert read_relevance(path) == Relevance(
        defined=[
            Defined("LAD", "x > 3", f"{path}, line 2"),
            Defined("RCA", "sex in ('F','M')", f"{path}, line 3"),
        ]
    )
    path = table(tmp_path, "uid,label", "1.2,left", "1.3,right")
    labelled = [Labelled("1.2", "left"), Labelled("1.3", "right")]
    assert read_relevance(path) == Relevance(labelled=labelled)


def test_parquet_too(tmp_path):
    path = tmp_path / "r.parquet"
    frame = pd.DataFrame({"query": ["LAD"], "uid": ["1.2"], "relevance": [2.0]})
    frame.to_parquet(path)
    assert read_relevance(path) == Relevance(judged=[Judged("LAD", "1.2", 2)])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["query,uid,relevance"], "r.csv has no rows"),
        (["query,uid", "a,1.2"], "expected the columns query, uid, relevance; or query, where; "),
        (["uid,label,where", "a,b,c"], "found uid, label, where"),
        (["query,uid,grade", "a,b,1"], "has columns that are not known: 'grade'"),
        (["uid,label", "1.2,", "1.3,a"], "line 2, column label: expected a value, found nothing"),
        (
            ["query,uid,relevance", "a,1.2,1", "a,1.3,4"],
            "line 3, column relevance: expected a whole number from 0 to 3, found 4",
        ),
        (["query,uid,relevance", "a,1.2,1.5"], "line 2, column relevance"),
        (
            ["query,uid,relevance", "a,1.2,1", "b,1.2,2", "a,1.2,2"],
            "lines 2 and 4: expected one relevance for each query and uid, found two that differ",
        ),
        (["query,where", "a,x > 1", "a,x > 2"], "lines 2 and 3: expected one predicate for each"),
        (["uid,label", "1.2,a", "1.2,b"], "lines 2 and 3: expected one label for each uid"),
        (["query,uid,relevance", "a,1.2"], "line 2: expected 3 cells separated by comma, found 2"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, lines, said):
    with pytest.raises(UsageError, match=re.escape(said)) as refused:
        read_relevance(table(tmp_path, *lines))
    assert refused.value.hint
