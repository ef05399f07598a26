"""Predicates that a user typed: a small, closed language over declared columns.

`age > 60 and sex = 'F' and lvef_percent < 40` and the like.  The text is cut into words and signs,
parsed, every part of it is held against what is allowed, and SQL is written anew from what was
understood: nothing of the text itself ever reaches the database.

What is allowed is listed, and what is not listed is refused: signs (`_SIGNS`), parts of the syntax
tree (`_PARTS`) and what may be said of a part (`_SAID`).  A parser that learns new syntax, or says
old syntax in a new way, then makes a predicate unreadable, never one of another meaning.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
from sqlglot import exp
from sqlglot.dialects import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

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
_STATEMENTS: Final = (*_COMPARISONS, exp.Is, exp.Between, exp.In, exp.Like, exp.ILike)
_PARTS: Final = frozenset(
    {
        *(exp.And, exp.Or, exp.Not, exp.Paren, *_STATEMENTS, exp.Column, exp.Identifier),
        *(exp.Literal, exp.Neg, exp.Boolean, exp.Null, exp.Cast, exp.DataType),
    }
)
_SAID: Final = frozenset(
    {
        *("this", "expression", "expressions", "low", "high", "negate", "to"),
        *("is_string", "quoted", "table", "db", "catalog"),
    }
)
"""Arguments of parts that are heeded below."""
_SIGNS: Final = frozenset({*"(),.-=<>", "==", "<>", "!=", "<=", ">="})
_VALUES: Final = frozenset({TokenType.STRING, TokenType.NUMBER, TokenType.IDENTIFIER})
_NUMBER: Final = re.compile(r"(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([eE][+-]?\d{1,2})?")
_QUOTED: Final = 40
"""Characters of the text that an error repeats; in ASCII, where a Cyrillic а is not an a."""


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


@dataclass(frozen=True)
class Predicate:
    """What was understood of a predicate.

    Attributes
    ----------
    sql : str
        Holds nothing but what is allowed.
    names : frozenset of str
        The columns that it names.
    """

    sql: str
    names: frozenset[str]


def compiled(
    predicate: str, columns: Mapping[str, Kind], *, aliases: Mapping[str, str] | None = None
) -> str:
    """Return the SQL of a predicate; see `understood`."""
    return understood(predicate, columns, aliases=aliases).sql


def understood(
    predicate: str, columns: Mapping[str, Kind], *, aliases: Mapping[str, str] | None = None
) -> Predicate:
    """Return what a predicate says, and of which columns.

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
    sql = language.condition(language.parsed(predicate))
    return Predicate(sql, frozenset(language.named))


class _Parser(DuckDBParser):
    NO_PAREN_IF_COMMANDS = False
    """IF starts no command: sqlglot would write what it does not know to the log."""


class _Language:
    def __init__(self, columns: Mapping[str, Kind], aliases: Mapping[str, str]) -> None:
        self._columns = columns
        names = {name.lower(): name for name in columns}
        self._names = names | {k.lower(): v for k, v in aliases.items() if v in columns}
        self._shown = ", ".join(columns)
        self.named: set[str] = set()

    def refusal(self, why: str) -> UsageError:
        """Return the error that says why, and what would do."""
        return UsageError(
            f"the predicate {why}",
            "compare columns with values, such as lvef_percent < 40 and patient_sex = 'F'; "
            f"columns: {self._shown}",
        )

    def parsed(self, predicate: str) -> exp.Expr:
        """Return the syntax tree of a text, of which every part is allowed."""
        tokens = self.tokens(predicate)
        try:
            # A condition, not a statement: no clause and no second statement is looked for.
            trees = _Parser(dialect=DuckDB()).parse_into(exp.Condition, tokens, predicate)
        except ParseError as error:
            at = error.errors[0]["highlight"] or ""
            raise self.refusal(f"cannot be read at {at[:_QUOTED]!a}") from error
        except RecursionError as error:
            raise self.refusal("is nested too deeply") from error
        if len(trees) != 1 or trees[0] is None:
            raise self.refusal("is not one expression")
        parts = list(trees[0].walk())
        if len(parts) > _MOST_NODES:
            raise self.refusal(f"has {len(parts)} parts, at most {_MOST_NODES} are read")
        for part in parts:
            self.check(part)
        commas = sum(token.token_type is TokenType.COMMA for token in tokens)
        if commas != sum(len(part.expressions) - 1 for part in parts if isinstance(part, exp.In)):
            raise self.refusal("has a comma without a value")
        return trees[0]

    def tokens(self, predicate: str) -> list[Token]:
        """Return the words, values and signs of a text."""
        if len(predicate) > LONGEST:
            raise self.refusal(f"has {len(predicate)} characters, at most {LONGEST} are read")
        # A lone surrogate is what an argument of a command becomes that is no UTF-8.
        if "\0" in predicate or any("\ud800" <= each <= "\udfff" for each in predicate):
            raise self.refusal("holds a character that is none of a text")
        try:
            tokens: list[Token] = DuckDB().tokenize(predicate)
        except TokenError as error:
            raise self.refusal("has a quote or a comment that does not end") from error
        if not tokens:
            raise self.refusal("is empty")
        for token in tokens:
            word = token.text.isidentifier() or token.text in _SIGNS
            if token.comments:
                raise self.refusal("has a comment")
            if token.token_type not in _VALUES and not word:
                raise self.refusal(
                    f"holds {token.text[:_QUOTED]!a}, which is not part of the language"
                )
        return tokens

    def check(self, part: exp.Expr) -> None:
        """Refuse a part that is not allowed, or has something said of it that nobody heeds."""
        name = part.name[:_QUOTED] if isinstance(part, exp.Anonymous) else part.key
        if type(part) not in _PARTS:
            raise self.refusal(f"holds {name.upper()!a}, which is not part of the language")
        unheeded = [each for each, value in part.args.items() if value and each not in _SAID]
        if unheeded:
            what = f"{name} {unheeded[0]}".upper()
            raise self.refusal(f"holds {what!a}, which is not part of the language")

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
        said = f"({self.statement(node)})"
        return f"(NOT {said})" if node.args.get("negate") else said

    def statement(self, node: exp.Expr) -> str:
        """Return what is said of one column."""
        if type(node) in _COMPARISONS:
            return self.comparison(node)
        if isinstance(node, exp.Column):
            name, kind = self.column(node)
            if kind != "truth":
                raise self.refusal(f"says nothing of {name}: it holds {_held(kind)}")
            return _quoted(name)
        if not isinstance(node, _STATEMENTS):
            raise self.refusal(f"has {node.key.upper()} where a comparison was expected")
        name, kind = self.column(node.this)
        if isinstance(node, exp.Is):
            if not isinstance(node.expression, exp.Null):
                raise self.refusal("holds IS with something else than NULL")
            return f"{_quoted(name)} IS NULL"
        if isinstance(node, exp.Between):
            self.check_order(name, kind)
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
        if not node.expressions:
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
        if isinstance(node, _ORDERED):
            self.check_order(name, kind)
        if isinstance(_bare(right), exp.Column):
            other, its_kind = self.column(right)
            if its_kind != kind:
                raise self.refusal(
                    f"compares {name}, which holds {_held(kind)}, with {other}, which holds "
                    f"{_held(its_kind)}"
                )
            return f"{_quoted(name)} {sign} {_quoted(other)}"
        return f"{_quoted(name)} {sign} {self.value(right, name, kind)}"

    def check_order(self, name: str, kind: Kind) -> None:
        """Refuse an order among truth values."""
        if kind == "truth":
            raise self.refusal(f"orders {name}, which is true or false")

    def column(self, node: exp.Expr) -> tuple[str, Kind]:
        """Return the name and the kind of a column."""
        bare = _bare(node)
        if not isinstance(bare, exp.Column):
            raise self.refusal(f"has {bare.key.upper()} where a column was expected")
        if bare.table or not isinstance(bare.this, exp.Identifier):
            raise self.refusal("names a column of another table")
        # Only ASCII: in Unicode the Kelvin sign is a capital k.
        name = self._names.get(bare.name.lower()) if bare.name.isascii() else None
        if name is None:
            raise self.refusal(f"names no column that there is: {bare.name[:_QUOTED]!a}")
        self.named.add(name)
        return name, self._columns[name]

    def value(self, node: exp.Expr, name: str, kind: Kind) -> str:
        """Return a value of the kind that a column holds, as SQL."""
        bare, sign = _bare(node), ""
        if kind == "date" and isinstance(bare, exp.Cast) and bare.to.is_type("date"):
            bare = _bare(bare.this)
        if kind == "number" and isinstance(bare, exp.Neg):
            bare, sign = _bare(bare.this), "-"
        text = bare.name
        match bare:
            case exp.Boolean() if kind == "truth":
                return "TRUE" if bare.this else "FALSE"
            case exp.Literal(is_string=False) if kind == "number" and _NUMBER.fullmatch(text):
                return f"{sign}{text}"
            case exp.Literal(is_string=False) if kind == "number":
                raise self.refusal(f"compares {name} with a number of too many digits")
            case exp.Literal(is_string=True) if kind == "text":
                return "'" + text.replace("'", "''") + "'"
            case exp.Literal(is_string=True) if kind == "date":
                return f"DATE '{self.date(text, name)}'"
        raise self.refusal(f"compares {name} with another kind of value: it holds {_held(kind)}")

    def date(self, text: str, name: str) -> str:
        """Return a date as it is written."""
        try:
            read: dt.date | None = dt.date.fromisoformat(text)
        except ValueError:
            read = None
        # Python reads 20200101 and 2020-W01-3 too.
        if read is None or read.isoformat() != text:
            raise self.refusal(f"compares {name} with what is no date: expected 'YYYY-MM-DD'")
        return text


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
