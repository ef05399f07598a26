"""What was read from a line of text: statements, and the words that were not understood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from index.query.places import Place
from index.query.tokens import Span
from index.query.vocabulary import Finding, Severity

Operator = Literal["=", "<", "<=", ">", ">=", "between"]
SEVERE_TO: Final = 90.0
"""A stenosis above this is critical, in percent."""
_BINS: Final = ((50.0, Severity.MILD), (70.0, Severity.MODERATE))
_SIGNIFICANT: Final = 70.0
_STRETCH: Final = re.compile(r"[^,;\n]+")
_SIGN: Final = re.compile(r"\s*%")


@dataclass(frozen=True)
class Comparison:
    """A number as it was said: 70, below 40, from 50 to 69.

    Attributes
    ----------
    operator : Operator
        ``=`` also where a number stands by itself.
    value : float
        The lower end of ``between``.
    upper : float or None
        The upper end of ``between``.
    """

    operator: Operator
    value: float
    upper: float | None = None

    def __str__(self) -> str:
        if self.operator == "between":
            return f"{self.value:g} to {self.upper:g}"
        return f"{self.value:g}" if self.operator == "=" else f"{self.operator} {self.value:g}"

    def predicate(self, column: str) -> str:
        """Return the comparison of a column as a predicate of a filter."""
        if self.operator == "between":
            return f"{column} between {self.value:g} and {self.upper:g}"
        return f"{column} {self.operator} {self.value:g}"

    @property
    def is_bound(self) -> bool:
        """Whether it leaves values out by a rule that was said, unlike a number by itself."""
        return self.operator != "="


def severity_of(percent: Comparison) -> Severity | None:
    """Return the word for a percent diameter stenosis, None where it spans several.

    Mild below 50, moderate from 50 to 69, severe from 70 to 90, critical above; from 70 on and up
    to more than 90 is severe.
    """
    if percent.operator in (">", ">="):
        return None
    if percent.operator in ("<", "<="):
        return Severity.MILD if percent.value <= _BINS[0][0] else None
    low, high = _bin(percent.value), _bin(percent.upper or percent.value)
    return low if low is high or low is Severity.SEVERE else None


def _bin(percent: float) -> Severity:
    for below, severity in _BINS:
        if percent < below:
            return severity
    return Severity.SEVERE if percent <= SEVERE_TO else Severity.CRITICAL


def is_significant(percent: Comparison) -> bool:
    """Tell whether a comparison asks for everything from 70 percent on."""
    return percent.operator in (">", ">=") and percent.value == _SIGNIFICANT


@dataclass(frozen=True)
class Statement:
    """One thing that the text says of the hearts that are wanted.

    Attributes
    ----------
    finding : Finding
    place : Place or None
        None for anywhere, and for what concerns the whole heart.
    severity : Severity or None
        Of a stenosis or an occlusion; `NONE` where it says that there is none.
    value : Comparison or None
        Percent stenosis, percent ejection fraction, a pressure ratio, a TIMI or Rentrop grade, or
        years of age.
    detail : str
        What else was said of it: significant, acute, heavy, drug-eluting, the Medina classes, the
        side of dominance, the view, ...
    negated : bool
        It is the absence of this that is wanted.
    words : tuple of Span
        The words of the text that say so, in order.
    """

    finding: Finding
    place: Place | None = None
    severity: Severity | None = None
    value: Comparison | None = None
    detail: str = ""
    negated: bool = False
    words: tuple[Span, ...] = ()

    def __str__(self) -> str:
        value = "" if self.value is None else f"({self.value})"
        place = "" if self.place is None else f"of {self.place.name}"
        named = _NAMED.get(self.finding, "{severity} {detail} {finding}").format(
            severity=_SAID.get(self.severity or Severity.NONE, ""),
            detail=self.detail,
            finding=self.finding,
        )
        return " ".join(f"{'no' if self.negated else ''} {named} {place} {value}".split())


_NAMED: Final = {
    Finding.OCCLUSION: "{detail} occlusion",
    Finding.CTO: "chronic total occlusion",
    Finding.VESSELS: "{detail}-vessel disease",
    Finding.SEX: "sex {detail}",
    Finding.VIEW: "view {detail}",
    Finding.LVEF: "{detail} LVEF",
}
_SAID: Final[Mapping[Severity, str]] = {
    severity: str(severity) for severity in Severity if severity is not Severity.NONE
}


@dataclass(frozen=True)
class ParsedQuery:
    """A text, read.  Every word is in a statement, in `unknown`, or in `plain`.

    Attributes
    ----------
    text : str
    statements : tuple of Statement
        In the order of the text.
    unknown : tuple of Span
        Words that were not understood.
    plain : tuple of Span
        Words such as "of" and "patients", which say nothing by themselves.
    """

    text: str
    statements: tuple[Statement, ...] = ()
    unknown: tuple[Span, ...] = ()
    plain: tuple[Span, ...] = ()

    @property
    def unclear(self) -> tuple[str, ...]:
        """The stretches between commas that have words that were not understood.

        Without those that a negation stands in: what is absent there is not known.
        """
        negated = [span for each in self.statements if each.negated for span in each.words]
        stretches = [
            match
            for match in _STRETCH.finditer(self.text)
            if _any_within(self.unknown, match) and not _any_within(negated, match)
        ]
        return tuple(match.group().strip() for match in stretches)

    def words_of(self, statement: Statement) -> str:
        """Return the stretch of the text that a statement comes from."""
        end = statement.words[-1].end
        sign = _SIGN.match(self.text, end)
        return self.text[statement.words[0].start : sign.end() if sign else end]

    @property
    def not_understood(self) -> tuple[str, ...]:
        """The words that were not understood, as typed."""
        return tuple(self.text[span.start : span.end] for span in self.unknown)


def _any_within(spans: Iterable[Span], stretch: re.Match[str]) -> bool:
    return any(stretch.start() <= span.start < stretch.end() for span in spans)
