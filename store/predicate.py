"""Predicates that a user typed: a small, closed language over declared columns.

`age > 60 and sex = 'F' and lvef_percent < 40` and the like.  The text is parsed, every part of it
is held against what is allowed, and SQL is written anew from what was understood: nothing of the
text itself ever reaches the database.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final, Literal

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from core.errors import UsageError

Kind = Literal["number", "text", "date", "truth"]
LONGEST: Final = 2000
"""Characters; a longer predicate is refused unread."""
_MOST_NODES: Final = 500
_COMPARISONS: Final[dict[type[exp.Expr], str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_ORDERED: Final = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_NUMBER: Final = re.compile(r"\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,2})?")


def kinds_of(schema: pa.Schema) -> dict[str, Kind]:
    """Return the columns of a table that a predicate may name, and what they hold."""
    found: dict[str, Kind] = {}
    for field in schema:
        if pa.types.is_boolean(field.type):
            found[field.name] = "truth"
        elif pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
            found[field.name] = "number"
        elif pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            found[field.name] = "text"
        elif pa.types.is_date(field.type):
            found[field.name] = "date"
    return found


def compiled(
    predicate: str, columns: Mapping[str, Kind], *, aliases: Mapping[str, str] | None = None
) -> str:
    """Return a predicate as SQL that holds nothing but what is allowed.

    Parameters
    ----------
    predicate : str
        Comparisons (``=``, ``<>``, ``<``, ``<=``, ``>``, ``>=``), ``between``, ``in``, ``like``,
        ``ilike`` and ``is null`` of a column with numbers, 'texts' or 'dates', joined by ``and``,
        ``or``, ``not`` and parentheses.  A column of truth values stands by itself.
    columns : mapping of str to Kind
        What may be named; upper and lower case are the same.
    aliases : mapping of str to str, optional
        Other names of columns.

    Raises
    ------
    UsageError
        It is anything else, names another column, or compares a column with another kind of value.

    Notes
    -----
    A comparison with a value that is not known is not true, and neither is its negation, as in SQL.
    """
    language = _Language(columns, aliases or {})
    if not predicate.strip():
        raise language.refusal("is empty")
    if len(predicate) > LONGEST:
        raise language.refusal(f"has {len(predicate)} characters, at most {LONGEST} are read")
    try:
        parsed = sqlglot.parse(predicate, read="duckdb")
        if len(parsed) != 1 or parsed[0] is None:
            raise language.refusal("is not one expression")
        if sum(1 for _ in parsed[0].walk()) > _MOST_NODES:
            raise language.refusal("is too long")
        return language.condition(parsed[0])
    except (SqlglotError, RecursionError) as error:
        raise language.refusal("cannot be read") from error


class _Language:
    def __init__(self, columns: Mapping[str, Kind], aliases: Mapping[str, str]) -> None:
        self._columns = columns
        names = {name.lower(): name for name in columns}
        self._names = names | {k.lower(): v for k, v in aliases.items() if v in columns}
        self._shown = ", ".join(columns)

    def refusal(self, why: str) -> UsageError:
        """Return the error that says why, and what would do."""
        return UsageError(
            f"the predicate {why}",
            "compare columns with values, such as lvef_percent < 40 and patient_sex = 'F'; "
            f"columns: {self._shown}",
        )

    def condition(self, node: exp.Expr) -> str:
        """Return what is true or not of a row."""
        match node:
            case exp.Paren():
                return self.condition(node.this)
            case exp.And() | exp.Or():
                word = "AND" if isinstance(node, exp.And) else "OR"
                return f"({self.condition(node.left)} {word} {self.condition(node.right)})"
            case exp.Not():
                return f"(NOT {self.condition(node.this)})"
        return f"({self.statement(node)})"

    def statement(self, node: exp.Expr) -> str:
        """Return what is said of one column."""
        if type(node) in _COMPARISONS:
            return self.comparison(node)
        if isinstance(node, exp.Column):
            name, kind = self.column(node)
            if kind != "truth":
                raise self.refusal(f"says nothing of {name}: it holds {_held(kind)}")
            return _quoted(name)
        if not isinstance(node, exp.Is | exp.Between | exp.In | exp.Like | exp.ILike):
            raise self.refusal(f"holds {node.key.upper()}, which is not part of the language")
        name, kind = self.column(node.this)
        if isinstance(node, exp.Is):
            if not isinstance(node.expression, exp.Null):
                raise self.refusal("holds IS with something else than NULL")
            return f"{_quoted(name)} IS NULL"
        if isinstance(node, exp.Between):
            low, high = (self.value(node.args[end], name, kind) for end in ("low", "high"))
            return f"{_quoted(name)} BETWEEN {low} AND {high}"
        if isinstance(node, exp.In):
            return self.membership(node, name, kind)
        if kind != "text":
            raise self.refusal(f"matches {name} with a pattern: it holds {_held(kind)}")
        word = "ILIKE" if isinstance(node, exp.ILike) else "LIKE"
        return f"{_quoted(name)} {word} {self.value(node.expression, name, kind)}"

    def membership(self, node: exp.In, name: str, kind: Kind) -> str:
        """Return a column against a list of values."""
        if not node.expressions or set(node.args) - {"this", "expressions"}:
            raise self.refusal("holds IN with something else than a list of values")
        values = ", ".join(self.value(each, name, kind) for each in node.expressions)
        return f"{_quoted(name)} IN ({values})"

    def comparison(self, node: exp.Expr) -> str:
        """Return a column against a value, whichever stands first."""
        left, right = node.this, node.expression
        sign = _COMPARISONS[type(node)]
        if not isinstance(_bare(left), exp.Column):
            left, right = right, left
            sign = sign.translate(str.maketrans("<>", "><")) if sign != "<>" else sign
        name, kind = self.column(left)
        if kind == "truth" and isinstance(node, _ORDERED):
            raise self.refusal(f"orders {name}, which is true or false")
        if isinstance(_bare(right), exp.Column):
            other, its_kind = self.column(right)
            if its_kind != kind:
                raise self.refusal(
                    f"compares {name}, which holds {_held(kind)}, with {other}, which holds "
                    f"{_held(its_kind)}"
                )
            return f"{_quoted(name)} {sign} {_quoted(other)}"
        return f"{_quoted(name)} {sign} {self.value(right, name, kind)}"

    def column(self, node: exp.Expr) -> tuple[str, Kind]:
        """Return the name and the kind of a column."""
        bare = _bare(node)
        if not isinstance(bare, exp.Column):
            raise self.refusal(f"has {bare.key.upper()} where a column was expected")
        if bare.table or not isinstance(bare.this, exp.Identifier):
            raise self.refusal("names a column of another table")
        name = self._names.get(bare.name.lower())
        if name is None:
            raise self.refusal(f"names no column that there is: {bare.name[:40]!r}")
        return name, self._columns[name]

    def value(self, node: exp.Expr, name: str, kind: Kind) -> str:
        """Return a value of the kind that a column holds, as SQL."""
        bare, sign = _bare(node), ""
        if isinstance(bare, exp.Cast) and bare.to.is_type("date"):
            bare = _bare(bare.this)
        if isinstance(bare, exp.Neg):
            bare, sign = _bare(bare.this), "-"
        if isinstance(bare, exp.Boolean) and kind == "truth" and not sign:
            return "TRUE" if bare.this else "FALSE"
        if isinstance(bare, exp.Literal):
            text = str(bare.this)
            if kind == "number" and not bare.is_string and _NUMBER.fullmatch(text):
                return f"{sign}{text}"
            if kind == "text" and bare.is_string and "\0" not in text:
                return "'" + text.replace("'", "''") + "'"
            if kind == "date" and bare.is_string:
                try:
                    return f"DATE '{dt.date.fromisoformat(text).isoformat()}'"
                except ValueError as error:
                    raise self.refusal(
                        f"compares {name} with what is no date: expected 'YYYY-MM-DD'"
                    ) from error
        raise self.refusal(f"compares {name} with another kind of value: it holds {_held(kind)}")


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _held(kind: Kind) -> str:
    return {
        "number": "numbers",
        "text": "'texts'",
        "date": "dates ('YYYY-MM-DD')",
        "truth": "true or false",
    }[kind]
