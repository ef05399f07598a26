"""Statements as predicates: which columns tell whether they hold, and what these must say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.schema import Level
from core.segments import SEGMENTS, SIGNIFICANT_PERCENT
from index.query.statement import Comparison, Statement
from index.query.vocabulary import Finding, Severity

FREE_PERCENT: Final = 30
STENOSIS_PERCENT: Final = 50
OCCLUDED_PERCENT: Final = 90
"""What finding heads must say less than where there is no disease, no stenosis, no occlusion."""
EVEN: Final = 0.5
"""The probability from which on finding heads are taken at their word; not a calibrated one."""
_LOWEST: Final[Mapping[Severity, float]] = {
    Severity.MILD: FREE_PERCENT,
    Severity.MODERATE: STENOSIS_PERCENT,
    Severity.SEVERE: SIGNIFICANT_PERCENT,
    Severity.CRITICAL: OCCLUDED_PERCENT,
}
_OF_THE_STUDY: Final[Mapping[Finding, str]] = {
    Finding.LVEF: "lvef_percent",
    Finding.AGE: "patient_age_years",
    Finding.SEX: "patient_sex",
    Finding.VIEW: "view",
}
_ABSENT: Final[Mapping[Finding, tuple[str, ...]]] = {
    Finding.DISEASE: ("stenosis_percent", "calcification", "thrombus"),
    Finding.STENOSIS: ("stenosis_percent",),
    Finding.OCCLUSION: ("stenosis_percent",),
    Finding.CALCIFICATION: ("calcification",),
    Finding.THROMBUS: ("thrombus",),
    Finding.CTO: ("cto",),
}
"""The findings of `core.segments` that tell where something is absent."""


def columns_of(statement: Statement) -> tuple[str, ...]:
    """Return the columns that tell whether a statement holds; empty where none do."""
    finding, value = statement.finding, statement.value
    if finding in _OF_THE_STUDY:
        return (_OF_THE_STUDY[finding],) if statement.detail or value else ()
    if finding is Finding.STENOSIS and value is not None and value.is_bound:
        return _of_segments(statement, "stenosis_percent")
    if not statement.negated or statement.detail in ("heavy", "acute"):
        return ()
    return _of_segments(statement, *_ABSENT.get(finding, ()))


def predicate_of(statement: Statement, level: Level) -> str | None:
    """Return a statement as a predicate over `columns_of` it, or None where it is none here."""
    finding, value = statement.finding, statement.value
    if finding is Finding.VIEW:
        if level is not Level.VIDEO:
            return None
        return _unless(statement, f"view = '{statement.detail}'")
    if finding is Finding.SEX:
        return _unless(statement, f"patient_sex = '{statement.detail}'")
    if finding is Finding.AGE and value is not None:
        years = value if value.is_bound else Comparison("between", value.value, value.value + 1)
        return _unless(statement, years.predicate("patient_age_years"))
    if finding is Finding.LVEF and value is not None:
        return _unless(statement, value.predicate("lvef_percent"))
    columns = columns_of(statement)
    if value is not None and value.is_bound:
        said = " or ".join(value.predicate(column) for column in columns)
        return _unless(statement, f"({said})")
    return " and ".join(f"{column} < {_below(statement, column)}" for column in columns) or None


def _unless(statement: Statement, predicate: str) -> str:
    return f"not ({predicate})" if statement.negated else predicate


def _below(statement: Statement, column: str) -> float:
    """Return what a column must be below where a finding is absent."""
    if not column.endswith("_percent"):
        return EVEN
    if statement.finding is Finding.DISEASE:
        return FREE_PERCENT
    if statement.finding is Finding.OCCLUSION:
        return OCCLUDED_PERCENT
    if statement.detail == "significant":
        return SIGNIFICANT_PERCENT
    return _LOWEST.get(statement.severity or Severity.NONE, STENOSIS_PERCENT)


def _of_segments(statement: Statement, *columns: str) -> tuple[str, ...]:
    """Return columns by segment: where something is absent, also those of a vessel's branches."""
    place = statement.place
    segments = tuple(SEGMENTS)
    if place is not None:
        segments = place.with_branches if statement.negated else place.segments
    return tuple(f"{segment}_{column}" for segment in segments for column in columns)
