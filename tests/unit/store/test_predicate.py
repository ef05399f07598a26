"""The language of predicates: what is understood, and that nothing else gets through."""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa
import pytest

from core.errors import UsageError
from store.predicate import LONGEST, Kind, compiled, kinds_of

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
        ("age between symmetric 70 and 60", "holds BETWEEN SYMMETRIC"),
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


REFUSED = [
    *(
        "",
        "   ",
        "age",
        "true",
        "1 = 1",
        "not 1",
        "age >",
        "> 3",
        "age > > 3",
        "and",
        "age > 1 and",
    ),
    *("nothing > 3", "gone > 3", "studies.age > 3", "age > 'x'", "sex = 3", "sex > patient_known"),
    *("patient_known > false", "study_date > '2020-13-01'", "study_date = 3", "age like '1%'"),
    *("age = null", "age is true", "age is distinct from 3", "age + 1 > 3", "abs(age) > 3"),
    *(
        "lower(sex) = 'f'",
        "age::int > 3",
        "cast(sex as int) = 3",
        "case when age > 3 then true end",
    ),
    *("age > (select 1)", "exists (select 1)", "age in (select age from studies)", "age in ()"),
    *("age > 3; drop table studies", "age > 3; select 1", "select 1", "drop table studies"),
    *("copy studies to 'x'", "attach 'x'", "install httpfs", "pragma version", "set a = 1"),
    *("read_csv('/etc/passwd')", "sex = read_text('/etc/passwd')", "sex = getenv('HOME')"),
    *("age > 3 union select 1", "age > 3 order by age", "age > 3 limit 1", "age > 3 group by age"),
    *("sex = 'a' || 'b'", "sex similar to 'x'", "sex ~ 'x'", "regexp_matches(sex, 'x')"),
    *("sex like 'a!%' escape '!'", "sex glob 'x'", "sex collate nocase = 'f'", "age > ?"),
    *("age > $1", "age > @x", "sex = E'\\n'", "sex = $$x$$", "age = 0x10", "age > 1e400"),
    *("age > 1e999999", "age = 99999999999999999999", "age > interval 1 day", "age > now()"),
    *("study_date = current_date", "sex = 'x\0y'", "sex = 'x", 'age" > 3', "age > 3)", "(age > 3"),
    *("age = 1 = 1", "(age > 1) = true", "age between 1 and sex", "between 1 and 2", "age[1] = 2"),
    *("list_contains([1], age)", "age > all (select 1)", "sex = any(['a'])", "{'a': 1}.a = 1"),
    *(
        "x -> age > 1",
        "lambda x: x",
        "age > 3 or 1",
        "age > 3 xor age < 2",
        "age & 1 = 1",
        "~age = 1",
    ),
    *("age > 3 as b", "*", "columns('.*') > 1", "unnest([1]) = age", "row_number() over () = 1"),
    *(
        "sex = chr(39)",
        "sex = '' or 1=1 --",
        "'a' = 'a'",
        "age > 3 \\g",
        "age\u200b > 3",
        "ａge > 3",
    ),
    *(
        "(" * 900 + "age > 3" + ")" * 900,
        "not " * 400 + "age > 3",
        "age > 3 and " * 200 + "age > 3",
    ),
    "age > 3 " + " " * LONGEST,
]


@pytest.mark.parametrize("text", REFUSED)
def test_nothing_else_gets_through(text):
    with pytest.raises(UsageError) as refused:
        read(text)
    assert "columns: patient_age_years, lvef_percent" in refused.value.hint


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
