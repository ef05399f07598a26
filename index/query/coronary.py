"""What is said of a place of the coronary tree, from the words of one clause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.segments import VESSELS
from index.query.places import Place, bifurcation, place_of, union
from index.query.statement import Comparison, Statement, is_significant, severity_of
from index.query.tags import Tag
from index.query.vocabulary import Finding, Kind, Severity

_GENERAL: Final = (Finding.STENOSIS, Finding.DISEASE)
_UNDERSTOOD: Final = (
    *(Kind.PLACE, Kind.OR, Kind.FINDING, Kind.SEVERITY, Kind.SIGNIFICANT, Kind.HEALTHY),
    *(Kind.PATENT, Kind.NONOBSTRUCTIVE, Kind.NEGATED_BEFORE),
)
_OF_FINDINGS: Final = {
    Kind.HEAVY: (Finding.CALCIFICATION, Finding.THROMBUS, Finding.DIFFUSE),
    Kind.ACUTE: (Finding.OCCLUSION, Finding.THROMBUS, Finding.DISEASE),
    Kind.CHRONIC: (Finding.OCCLUSION, Finding.CTO),
}
"""Words that need one of these findings beside them."""


class Said:
    """The words of one clause, apart from where.

    Parameters
    ----------
    tags : sequence of Tag
    negated : bool
    """

    def __init__(self, tags: Sequence[Tag], *, negated: bool) -> None:
        self._tags = tags
        self._kinds = {tag.kind for tag in tags}
        self._negated = negated != (Kind.NEGATED_BEFORE in self._kinds)
        self._percent = next((tag for tag in tags if tag.is_percentage), None)
        severities = [Severity(tag.value) for tag in tags if tag.kind is Kind.SEVERITY]
        self._severity = severities[0] if severities else None
        self._findings = {Finding(t.value): t.detail for t in tags if t.kind is Kind.FINDING}

    @property
    def is_vague(self) -> bool:
        """Whether it names no finding: it may say "lesion", or how severe an unknown word is."""
        if self._negated or self._kinds & {Kind.HEALTHY, Kind.NONOBSTRUCTIVE, Kind.PATENT}:
            return False
        if self._percent or (self._severity and self._findings):
            return False
        return not set(self._findings) - {Finding.DISEASE}

    def levelled(self, places: Sequence[Place]) -> list[Place]:
        """Return places with the levels that stand elsewhere in the clause."""
        levels = [tag.value for tag in self._tags if tag.kind is Kind.LEVEL]
        if not levels:
            return [*places]
        return [place_of(p.name, levels) if _has_levels(p) else p for p in places]

    def understands(self, tag: Tag, places: Sequence[Place]) -> bool:
        """Tell whether a word went into the statements."""
        if tag.kind is Kind.LEVEL:
            return bool(places)
        if tag.kind in _OF_FINDINGS:
            return any(finding in self._findings for finding in _OF_FINDINGS[tag.kind])
        return tag.kind in _UNDERSTOOD or tag is self._percent

    def statements(self, place: Place | None) -> list[Statement]:
        """Return what is said of a place, or of anywhere."""
        if place is None and self._is_normal():
            return [self._normal()]
        return [self._statement(finding, detail, place) for finding, detail in self._named()]

    def _is_normal(self) -> bool:
        if Kind.NONOBSTRUCTIVE in self._kinds:
            return not self._negated
        if Kind.HEALTHY in self._kinds:
            return not set(self._findings) - {Finding.DISEASE}
        general = bool(self._findings) and set(self._findings) <= {*_GENERAL}
        return self._negated and general and self._severity is None and self._percent is None

    def _normal(self) -> Statement:
        detail = ""
        if Kind.NONOBSTRUCTIVE in self._kinds:
            detail = "nonobstructive"
        elif self._negated and (
            Kind.SIGNIFICANT in self._kinds or Finding.STENOSIS in self._findings
        ):
            detail = "no significant stenosis"
        negated = self._negated and Kind.HEALTHY in self._kinds
        return Statement(Finding.NORMAL, None, Severity.NONE, None, detail, negated)

    def _named(self) -> list[tuple[Finding, str]]:
        specific: dict[Finding, str] = {
            f: d for f, d in self._findings.items() if f not in _GENERAL
        }
        if Finding.RESTENOSIS in specific:
            specific.pop(Finding.STENT, None)
        if Finding.CTO in specific or (
            Finding.OCCLUSION in specific and Kind.CHRONIC in self._kinds
        ):
            specific = {Finding.CTO: "", **specific}
            specific.pop(Finding.OCCLUSION, None)
        found = [(finding, self._detail(finding, said)) for finding, said in specific.items()]
        if self._says_stenosis(specific):
            kind = Finding.OCCLUSION if self._is_total() else Finding.STENOSIS
            if kind not in specific:
                found.append((kind, self._detail(kind, "")))
        return found or [(Finding.OCCLUSION if self._is_patent() else Finding.DISEASE, "")]

    def _says_stenosis(self, specific: dict[Finding, str]) -> bool:
        graded = self._severity or self._percent or Kind.NONOBSTRUCTIVE in self._kinds
        if Finding.STENOSIS in self._findings:
            return bool(graded) or Finding.DIFFUSE not in specific
        if specific:
            takes = {Finding.RESTENOSIS, Finding.CALCIFICATION, Finding.OCCLUSION, Finding.CTO}
            return self._percent is not None and not takes & specific.keys()
        return bool(graded) or Kind.SIGNIFICANT in self._kinds

    def _is_total(self) -> bool:
        percent = self._percent.number if self._percent else None
        return percent is not None and percent.value >= 100 and percent.operator in ("=", ">=")

    def _is_patent(self) -> bool:
        return Kind.PATENT in self._kinds and not self._findings

    def _detail(self, finding: Finding, said: str) -> str:
        if finding is Finding.CALCIFICATION:
            tight = self._severity in (Severity.SEVERE, Severity.CRITICAL)
            return "heavy" if Kind.HEAVY in self._kinds or tight else ""
        if finding is Finding.OCCLUSION:
            return "acute" if Kind.ACUTE in self._kinds else said
        if finding in (Finding.STENOSIS, Finding.RESTENOSIS):
            number = self._percent.number if self._percent else None
            significant = Kind.SIGNIFICANT in self._kinds or (number and is_significant(number))
            return "significant" if significant else ""
        if finding is Finding.STENT and Kind.PATENT in self._kinds:
            return f"{said} patent".strip()
        return said

    def _statement(self, finding: Finding, detail: str, place: Place | None) -> Statement:
        negated = self._negated
        if finding in (Finding.DISEASE, Finding.OCCLUSION):
            unsaid = Finding.OCCLUSION not in self._findings and not self._is_total()
            healthy = Kind.HEALTHY in self._kinds or (
                finding is Finding.OCCLUSION and unsaid and Kind.PATENT in self._kinds
            )
            negated = negated != healthy
        if finding is Finding.BIFURCATION and place is not None:
            place = bifurcation(place)
        value: Comparison | None = None
        if finding in (Finding.STENOSIS, Finding.RESTENOSIS) and self._percent is not None:
            value = self._percent.number
        return Statement(
            finding, place, self._graded(finding, value, negated), value, detail, negated
        )

    def _graded(self, finding: Finding, value: Comparison | None, negated: bool) -> Severity | None:
        graded = None
        if finding in (Finding.OCCLUSION, Finding.CTO):
            graded = None if negated else Severity.CRITICAL
        elif finding in (Finding.STENOSIS, Finding.RESTENOSIS):
            graded = self._severity or (severity_of(value) if value else None)
            if graded is None and Kind.NONOBSTRUCTIVE in self._kinds:
                graded = Severity.MILD
        plain = graded is None and not value and Kind.SIGNIFICANT not in self._kinds
        return Severity.NONE if negated and plain else graded


def grouped(tags: Sequence[Tag]) -> list[Place]:
    """Return the places of tags, those that a stroke or an "or" joins as one."""
    groups: list[list[Place]] = []
    is_bifurcation = any(tag.is_a(Finding.BIFURCATION, Finding.GRAFT) for tag in tags)
    joined = False
    for tag in tags:
        if tag.kind is Kind.OR:
            joined = bool(groups)
        elif tag.place is not None:
            if groups and (joined or is_bifurcation):
                groups[-1].append(tag.place)
            elif not (groups and _is_within(groups[-1], tag.place)):
                groups.append([tag.place])
            joined = False
    return [union(group) for group in groups]


def _is_within(group: list[Place], place: Place) -> bool:
    """Tell whether a vessel and a segment of it are named side by side; the segment stays."""
    last = group[-1]
    if place.is_vessel and not last.is_vessel:
        return set(last.segments) <= set(place.with_branches)
    if last.is_vessel and not place.is_vessel and set(place.segments) <= set(last.with_branches):
        group[-1] = place
        return True
    return False


def _has_levels(place: Place) -> bool:
    return place.is_vessel and place.name in VESSELS
