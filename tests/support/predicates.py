"""Predicates for tests: texts that are none, and random ones with the same rule in Python."""

from __future__ import annotations

import csv
import datetime as dt
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Row = Mapping[str, Any]
Rule = Callable[[Row], bool | None]
"""From a row to true, false, or None where it is not known (Kleene's three values)."""
Values = Mapping[str, Sequence[Any]]
"""Columns, and the values worth comparing each with: all numbers, texts, dates or truth values."""
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
REFUSED = Path(__file__).parents[1] / "data" / "refused_predicates.tsv"


def refused_predicates() -> dict[str, list[tuple[str, str]]]:
    """Return texts that are no predicates, and what is said of each, by group.

    Over columns patient_age_years, lvef_percent (numbers), patient_sex, view (texts), study_date,
    patient_known (true or false), and the short names age and sex.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    with REFUSED.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            text = json.loads(row["predicate"])
            found.setdefault(row["group"], []).append((text, row["reason"]))
    return found


def draw_predicate(rng: np.random.Generator, values: Values, depth: int) -> tuple[str, Rule]:
    """Return a random predicate over some columns, and the rule that it means."""
    kind = rng.random()
    if depth == 0 or kind < 0.25:
        return _statement(rng, values)
    text, rule = draw_predicate(rng, values, depth - 1)
    if kind < 0.4:
        return f"NOT ({text})", negated(rule)
    more, other = draw_predicate(rng, values, depth - 1)
    both = kind < 0.7

    def joined(row: Row) -> bool | None:
        held = {rule(row), other(row)}
        if (not both) in held:
            return not both
        return None if None in held else both

    return f"({text}) {'and' if both else 'Or'} ({more})", joined


def negated(rule: Rule) -> Rule:
    """Return the negation of a rule: what is not known stays so."""

    def opposite(row: Row) -> bool | None:
        held = rule(row)
        return None if held is None else not held

    return opposite


def _statement(rng: np.random.Generator, values: Values) -> tuple[str, Rule]:
    name = str(rng.choice(list(values)))
    drawn = values[name]
    shown = str(rng.choice([name, name.upper(), f'"{name}"']))
    forms: list[Callable[..., tuple[str, Rule]]] = [_is_null, _membership]
    if isinstance(drawn[0], bool):
        forms += [_truth]
    else:
        forms += [_range, _comparison, _comparison, _two_columns]
    if isinstance(drawn[0], str):
        forms += [_pattern, _pattern]
    return forms[rng.integers(len(forms))](rng, name, shown, values)


def _is_null(rng: np.random.Generator, name: str, shown: str, _: Values) -> tuple[str, Rule]:
    if rng.random() < 0.5:
        return f"{shown} is null", lambda row: row[name] is None
    return f"{shown} is not null", lambda row: row[name] is not None


def _truth(rng: np.random.Generator, name: str, shown: str, _: Values) -> tuple[str, Rule]:
    wanted = bool(rng.random() < 0.5)
    forms = [(shown, True), (f"{shown} = {wanted}", wanted), (f"{wanted} <> {shown}", not wanted)]
    text, meant = forms[rng.integers(len(forms))]
    return text, lambda row: _of(row[name], lambda x: x is meant)


def _membership(
    rng: np.random.Generator, name: str, shown: str, values: Values
) -> tuple[str, Rule]:
    some = [values[name][i] for i in rng.integers(len(values[name]), size=rng.integers(1, 4))]
    text = ", ".join(_spelled(rng, each) for each in some)
    return _maybe_not(rng, shown, f"in ({text})", lambda row: _of(row[name], lambda x: x in some))


def _range(rng: np.random.Generator, name: str, shown: str, values: Values) -> tuple[str, Rule]:
    low, high = (values[name][i] for i in rng.integers(len(values[name]), size=2))
    text = f"between {_spelled(rng, low)} and {_spelled(rng, high)}"
    return _maybe_not(rng, shown, text, lambda row: _of(row[name], lambda x: low <= x <= high))


def _pattern(rng: np.random.Generator, name: str, shown: str, values: Values) -> tuple[str, Rule]:
    text = str(rng.choice(values[name]))
    cut = int(rng.integers(len(text) + 1))
    pattern = str(rng.choice([text[:cut] + "%", "%" + text[cut:], "_" + text[1:], text, "%"]))
    exact = bool(rng.random() < 0.5)
    any_of = {"%": ".*", "_": "."}
    meant = re.compile(
        "".join(any_of.get(each, re.escape(each)) for each in pattern),
        re.DOTALL | (re.NOFLAG if exact else re.IGNORECASE),
    )
    if not exact:
        pattern = pattern.swapcase()
    word = "like" if exact else "ILIKE"
    return _maybe_not(
        rng,
        shown,
        f"{word} {_spelled(rng, pattern)}",
        lambda row: _of(row[name], lambda x: meant.fullmatch(x) is not None),
    )


def _comparison(
    rng: np.random.Generator, name: str, shown: str, values: Values
) -> tuple[str, Rule]:
    value = values[name][int(rng.integers(len(values[name])))]
    sign = str(rng.choice(list(SIGNS)))
    holds, spelled = SIGNS[sign], _spelled(rng, value)
    if rng.random() < 0.3:
        return f"{spelled} {sign} {shown}", lambda row: _of(row[name], lambda x: holds(value, x))
    return f"{shown} {sign} {spelled}", lambda row: _of(row[name], lambda x: holds(x, value))


def _two_columns(
    rng: np.random.Generator, name: str, shown: str, values: Values
) -> tuple[str, Rule]:
    kind = _kind(values[name][0])
    other = str(rng.choice([each for each in values if _kind(values[each][0]) is kind]))
    sign = str(rng.choice(list(SIGNS)))

    def rule(row: Row) -> bool | None:
        if row[other] is None:
            return None
        return _of(row[name], lambda x: SIGNS[sign](x, row[other]))

    return f"{shown} {sign} {other}", rule


def _maybe_not(rng: np.random.Generator, shown: str, said: str, rule: Rule) -> tuple[str, Rule]:
    if rng.random() < 0.6:
        return f"{shown} {said}", rule
    return f"{shown} not {said}", negated(rule)


def _of(value: Any, holds: Callable[[Any], bool]) -> bool | None:
    return None if value is None else bool(holds(value))


def _kind(value: Any) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _spelled(rng: np.random.Generator, value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, dt.date):
        return f"'{value}'" if rng.random() < 0.5 else f"date '{value}'"
    return str(value)
