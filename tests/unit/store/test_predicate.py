"""The language of predicates: what is understood, and that nothing else gets through."""

from __future__ import annotations

import random
import re
import time

import duckdb
import pyarrow as pa
import pytest

from core.errors import UsageError
from store.predicate import LONGEST, Kind, compiled, kinds_of
from tests.support.predicates import refused_predicates

COLUMNS: dict[str, Kind] = {
    "patient_age_years": "number",
    "lvef_percent": "number",
    "patient_sex": "text",
    "view": "text",
    "study_date": "date",
    "patient_known": "truth",
}
ALIASES = {"age": "patient_age_years", "sex": "patient_sex", "gone": "not_here"}


def read(text):
    return compiled(text, COLUMNS, aliases=ALIASES)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("age > 60", '("patient_age_years" > 60)'),
        ("60 < AGE", '("patient_age_years" > 60)'),
        ("60 >= age", '("patient_age_years" <= 60)'),
        ("3 <> age", '("patient_age_years" <> 3)'),
        ("age != -3.5e2", '("patient_age_years" <> -3.5e2)'),
        ("age = lvef_percent", '("patient_age_years" = "lvef_percent")'),
        ("\"view\" = 'it''s'", "(\"view\" = 'it''s')"),
        (
            "age > 1 and sex = 'F' or not patient_known",
            '((("patient_age_years" > 1) AND ("patient_sex" = \'F\')) OR (NOT ("patient_known")))',
        ),
        ("((sex in ('F','O')))", "(\"patient_sex\" IN ('F', 'O'))"),
        ("age not between 1 and 2", '(NOT ("patient_age_years" BETWEEN 1 AND 2))'),
        ("view ilike 'lao%'", "(\"view\" ILIKE 'lao%')"),
        ("lvef_percent is not null", '(NOT ("lvef_percent" IS NULL))'),
        ("patient_known = false", '("patient_known" = FALSE)'),
        ("study_date >= '2020-02-29'", "(\"study_date\" >= DATE '2020-02-29')"),
        ("study_date < date '2020-03-01'", "(\"study_date\" < DATE '2020-03-01')"),
        ("age > .5 and age < 5.", '(("patient_age_years" > 0.5) AND ("patient_age_years" < 5.))'),
        ("age == - (60_0)", '("patient_age_years" = -600)'),
        ("AGE\tnotnull\n", '(NOT ("patient_age_years" IS NULL))'),
        ("sex = 'a--b;/*c*/'", "(\"patient_sex\" = 'a--b;/*c*/')"),
        ("sex = 'F\\' or age > 3", '(("patient_sex" = \'F\\\') OR ("patient_age_years" > 3))'),
        ("age\N{NO-BREAK SPACE}> 3", '("patient_age_years" > 3)'),
        ("sex = '\u200fשלום\u200d'", "(\"patient_sex\" = '\u200fשלום\u200d')"),
        (
            "not (" * 20 + "age > 1" + ")" * 20,
            "(NOT " * 20 + '("patient_age_years" > 1)' + ")" * 20,
        ),
    ],
)
def test_what_is_understood(text, sql):
    assert read(text) == sql


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("sex not like 'F%'", "(NOT (\"patient_sex\" LIKE 'F%'))"),
        ("sex not ilike 'f%'", "(NOT (\"patient_sex\" ILIKE 'f%'))"),
        ("not sex not like 'F%'", "(NOT (NOT (\"patient_sex\" LIKE 'F%')))"),
        ("sex not in ('F')", "(NOT (\"patient_sex\" IN ('F')))"),
    ],
)
def test_a_negation_is_never_lost(text, negated):
    """The parser keeps some negations as a flag of what is negated, others as a part around it."""
    assert read(text) == negated


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("age between symmetric 70 and 60", "holds 'BETWEEN SYMMETRIC'"),
        ("sex = -'F'", "compares patient_sex with another kind of value"),
        ("study_date = -'2020-01-01'", "compares study_date with another kind of value"),
        ("sex = cast('F' as date)", "compares patient_sex with another kind of value"),
        ("age = cast(3 as date)", "compares patient_age_years with another kind of value"),
        ("study_date = '2020-W01-1'", "compares study_date with what is no date"),
        ("age > 60 -- and sex = 'F'", "has a comment"),
        ("age > 60 /* and sex = 'F' */", "has a comment"),
        ("patient_\N{KELVIN SIGN}nown", "names no column that there is"),
        ("sex = '\udcff'", "holds a character that is none of a text"),
    ],
)
def test_no_word_of_a_predicate_is_left_out_of_what_it_means(text, why):
    with pytest.raises(UsageError, match=why):
        read(text)


GROUPS = refused_predicates()


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_else_gets_through(group, caplog):
    for text, reason in GROUPS[group]:
        started = time.process_time()
        with pytest.raises(UsageError, match=re.escape(reason)) as refused:
            read(text)
        assert time.process_time() - started < 1, text
        assert refused.value.message.isascii()
        assert "columns: patient_age_years, lvef_percent" in refused.value.hint
    assert not caplog.records, "the parser wrote to the log"


def test_there_are_many_refused_texts_and_none_twice():
    texts = [text for each in GROUPS.values() for text, _ in each]
    assert len(texts) == len(set(texts)) >= 900


REPEATED = [
    *(
        ("(", ")"),
        ("(", ""),
        ("[", "]"),
        ("{'a':", "}"),
        ("f(", ")"),
        ("row(", ")"),
        ("(age, ", ")"),
    ),
    *(("not ", ""), ("-", ""), ("- ", ""), ("+", ""), ("~", ""), ("!", ""), ("*", ""), (",", "")),
    *(("case when ", " end"), ("if(", ", 1)"), ("if ", ""), ("cast(", " as int)"), ("", "::int")),
    *(
        ("(select ", ")"),
        ("exists(", ")"),
        ("with a as (", ")"),
        ("from (", ")"),
        ("values (", ")"),
    ),
    *(("age in (", ")"), ("age between ", ""), ("age = ", ""), ("age is ", ""), ("age like ", "")),
    *(("age > 3 and ", ""), ("((age > 1) or ", ")"), ("age > 3 and (", ")"), ("", " collate a")),
    *(("x -> ", ""), ("lambda x: ", ""), ("", "[1]"), ("", ".a"), ("", "(1)"), ("struct<", ">")),
    *(("date ", ""), ("interval ", ""), ("age at time zone ", ""), ("sum(age) over (", ")")),
    *(
        ("/*", "*/"),
        ("/*", ""),
        ("--", ""),
        ("'", "'"),
        ('"', ""),
        ("$$", ""),
        (";", ""),
        ("a:", ""),
    ),
    *(("\u200b", ""), ("\u202e", ""), ("\ud800", ""), ("\0", ""), ("🙂", ""), ("９", "")),
]


@pytest.mark.parametrize("times", [150, None], ids=["often", "to the longest"])
def test_what_is_repeated_is_refused_in_time(times):
    """Parsers are known to take exponential time, or to overflow the stack."""
    for before, after in REPEATED:
        n = times or (LONGEST - 9) // len(before + after)
        text = (before * n + "age > 3" + after * n)[:LONGEST]
        started = time.process_time()
        with pytest.raises(UsageError, match="the predicate"):
            read(text)
        assert time.process_time() - started < 1, text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("age > 3 " + " " * LONGEST, f"has {LONGEST + 8} characters, at most {LONGEST} are read"),
        ("(" * 900 + "age > 3" + ")" * 900, "is nested too deeply"),
        ("age in (" + "1," * 600 + "1)", "has 604 parts, at most 500 are read"),
    ],
)
def test_what_is_too_much_is_said(text, why):
    with pytest.raises(UsageError, match=re.escape(why)):
        read(text)


def test_texts_that_were_spoilt_are_refused_or_mean_what_they_say():
    """Whatever is made of a good predicate, DuckDB reads what comes out, over these columns."""
    rng = random.Random(0)
    good = "age > 60 and (sex = 'F' or view like 'LAO%') and not study_date < '2020-01-01'"
    pieces = [
        *"'\"();,.*-+/%$@[]{}|&<>=!~\\`#:?",
        "--",
        "/*",
        "*/",
        "select",
        "null",
        "or",
        "'' or",
    ]
    connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    connection.execute(
        "create table t (patient_age_years int, lvef_percent double, patient_sex varchar, "
        "view varchar, study_date date, patient_known boolean)"
    )
    refused = 0
    for _ in range(400):
        at = sorted(rng.sample(range(len(good)), 2))
        text = rng.choice(
            [
                good[: at[0]] + rng.choice(pieces) + good[at[0] :],
                good[: at[0]] + good[at[1] :],
                good[: at[0]] + rng.choice(pieces) + good[at[1] :],
            ]
        )
        try:
            sql = read(text)
        except UsageError:
            refused += 1
        else:
            connection.table("t").filter(sql).fetchall()
    assert 250 < refused < 400


def test_kinds_are_those_of_the_table():
    schema = pa.schema(
        [
            ("number", pa.float32()),
            ("count", pa.int64()),
            ("text", pa.string()),
            ("day", pa.date32()),
            ("truth", pa.bool_()),
            ("moment", pa.timestamp("us")),
            ("list", pa.list_(pa.string())),
        ]
    )
    assert kinds_of(schema) == {
        "number": "number",
        "count": "number",
        "text": "text",
        "day": "date",
        "truth": "truth",
    }
