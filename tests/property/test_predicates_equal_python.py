"""Random predicates over random rows with gaps: DuckDB holds what the same rule in Python holds."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from store.predicate import compiled, kinds_of
from store.sql import matching

CASES = 300
Rule = Callable[[Mapping[str, Any]], bool | None]
"""From a row to true, false, or None where it is not known (Kleene's three values)."""
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def draw_rows(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    def some(values: list[Any]) -> list[Any]:
        return [None if rng.random() < 0.2 else value for value in values]

    columns = {
        "age": some(rng.integers(20, 90, n).tolist()),
        "lvef": some(np.round(rng.uniform(10, 75, n), 1).tolist()),
        "sex": some([str(each) for each in rng.choice(["F", "M", "it's"], n)]),
        "day": some(
            [dt.date(2019, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 900, n)]
        ),
        "known": some([bool(each) for each in rng.random(n) < 0.5]),
    }
    return [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]


SCHEMA = pa.schema(
    [
        ("age", pa.int64()),
        ("lvef", pa.float64()),
        ("sex", pa.string()),
        ("day", pa.date32()),
        ("known", pa.bool_()),
    ]
)


def draw_value(rng: np.random.Generator, name: str) -> tuple[str, Any]:
    if name == "age":
        value = int(rng.integers(15, 95))
        return str(value), value
    if name == "lvef":
        number = float(np.round(rng.uniform(5, 80), 1))
        return str(number), number
    if name == "sex":
        text = str(rng.choice(["F", "M", "it's", "x"]))
        return "'" + text.replace("'", "''") + "'", text
    day = dt.date(2019, 1, 1) + dt.timedelta(days=int(rng.integers(0, 900)))
    return f"'{day}'" if rng.random() < 0.5 else f"date '{day}'", day


def draw_statement(rng: np.random.Generator) -> tuple[str, Rule]:
    name = str(rng.choice(["age", "lvef", "sex", "day", "known"]))
    kind = rng.integers(4)
    if kind == 0:
        return f"{name} is null", lambda row: row[name] is None
    if name == "known":
        return "known", lambda row: row["known"]
    text, value = draw_value(rng, name)
    if kind == 1:
        more, other = draw_value(rng, name)
        return (
            f"{name} in ({text}, {more})",
            lambda row: None if row[name] is None else row[name] in (value, other),
        )
    if kind == 2 and name != "sex":
        more, other = draw_value(rng, name)
        return (
            f"{name} BETWEEN {text} AND {more}",
            lambda row: None if row[name] is None else value <= row[name] <= other,
        )
    sign = str(rng.choice(["=", "<>"] if name == "sex" else list(SIGNS)))
    holds = SIGNS[sign]
    if rng.random() < 0.3:
        return (
            f"{text} {sign} {name}",
            lambda row: None if row[name] is None else holds(value, row[name]),
        )
    return (
        f"{name} {sign} {text}",
        lambda row: None if row[name] is None else holds(row[name], value),
    )


def draw_rule(rng: np.random.Generator, depth: int) -> tuple[str, Rule]:
    kind = rng.random()
    if depth == 0 or kind < 0.25:
        return draw_statement(rng)
    text, rule = draw_rule(rng, depth - 1)
    if kind < 0.45:

        def negated(row: Mapping[str, Any]) -> bool | None:
            held = rule(row)
            return None if held is None else not held

        return f"not ({text})", negated
    more, other = draw_rule(rng, depth - 1)
    both = kind < 0.75

    def joined(row: Mapping[str, Any]) -> bool | None:
        held = {rule(row), other(row)}
        if (not both) in held:
            return not both
        return None if None in held else both

    return f"({text}) {'and' if both else 'or'} ({more})", joined


def test_what_holds_in_python_holds_in_the_store():
    rng = np.random.default_rng(20261128)
    some = 0
    for _ in range(CASES):
        rows = draw_rows(rng, int(rng.integers(1, 40)))
        table = pa.Table.from_pylist(rows, SCHEMA).append_column(
            "uid", pa.array([str(i) for i in range(len(rows))])
        )
        text, rule = draw_rule(rng, int(rng.integers(1, 4)))
        found = matching("study", table, compiled(text, kinds_of(table.schema)))["uid"].to_pylist()
        assert found == [str(i) for i, row in enumerate(rows) if rule(row)], text
        some += 0 < len(found) < len(rows)
    assert some > CASES / 3, "most predicates would tell nothing apart"
