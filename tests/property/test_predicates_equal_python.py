"""Random predicates over random rows with gaps: DuckDB holds what the same rule in Python holds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from store.predicate import compiled, kinds_of
from tests.support.predicates import Values, draw_predicate

CASES = 600
VALUES: Values = {
    "age": [*range(15, 95, 5)],
    "lvef": [round(each, 1) for each in np.linspace(5, 80, 40).tolist()],
    "sex": ["F", "M", "it's", "x", "f%_"],
    "site": ["A", "M", "x"],
    "day": [dt.date(2019, 1, 1) + dt.timedelta(days=30 * each) for each in range(30)],
    "known": [True, False],
}


def draw_rows(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    return [
        {
            name: None if rng.random() < 0.2 else values[int(rng.integers(len(values)))]
            for name, values in VALUES.items()
        }
        for _ in range(n)
    ]


SCHEMA = pa.schema(
    [
        ("age", pa.int64()),
        ("lvef", pa.float64()),
        ("sex", pa.string()),
        ("site", pa.string()),
        ("day", pa.date32()),
        ("known", pa.bool_()),
    ]
)


def test_what_holds_in_python_holds_in_duckdb():
    rng = np.random.default_rng(20261128)
    some = 0
    with duckdb.connect(":memory:") as connection:
        for _ in range(CASES):
            rows = draw_rows(rng, int(rng.integers(1, 40)))
            table = pa.Table.from_pylist(rows, SCHEMA)
            text, rule = draw_predicate(rng, VALUES, int(rng.integers(1, 4)))
            relation = connection.from_arrow(
                table.append_column("row_id", pa.array(range(len(rows))))
            )
            chosen = relation.filter(compiled(text, kinds_of(SCHEMA))).project("row_id").fetchall()
            found = sorted(at for (at,) in chosen)
            assert found == [at for at, row in enumerate(rows) if rule(row)], text
            some += 0 < len(found) < len(rows)
    assert some > CASES / 3, "most predicates would tell nothing apart"
