"""A line of clinical text to statements: pure words, and never an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from index.query.clauses import ELSEWHERE, Clause, clauses_of
from index.query.coronary import Said, grouped
from index.query.places import Place, union
from index.query.statement import Comparison, ParsedQuery, Statement
from index.query.tags import Tag, tags_of
from index.query.tokens import Span
from index.query.vocabulary import RESTING, Finding, Kind, Severity

FFR_CUT: Final = 0.80
IFR_CUT: Final = 0.89
"""At or below these a pressure ratio is positive."""
NEAR_LVEF: Final = 5.0
"""An ejection fraction that is said by itself means so many points around it."""
_LVEF_WORDS: Final = {
    "reduced": Comparison("<", 40),
    "severely reduced": Comparison("<", 30),
    "moderately reduced": Comparison("between", 30, 40),
    "mildly reduced": Comparison("between", 40, 49),
    "preserved": Comparison(">=", 50),
}
_DEGREES: Final = {
    Severity.MILD: "mildly reduced",
    Severity.MODERATE: "moderately reduced",
    Severity.SEVERE: "severely reduced",
    Severity.CRITICAL: "severely reduced",
}
_SIDES: Final = {"left coronary": "left", "RCA": "right"}
_GRADES: Final = (Finding.FLOW, Finding.COLLATERALS)
_GRAFT_SAYS: Final = (
    *(Finding.GRAFT, Finding.OCCLUSION, Finding.STENOSIS, Finding.DISEASE, Finding.THROMBUS),
    *(Finding.RESTENOSIS, Finding.STENT),
)
_WITHOUT_MEANING: Final = (Kind.PLAIN, Kind.AND, Kind.OR, Kind.BREAK)


def parse(text: str) -> ParsedQuery:
    """Read a line of clinical text, in English or French.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    ParsedQuery
        Every word is in a statement, in `unknown`, or in `plain`.
    """
    tags = tags_of(text)
    statements: list[Statement] = []
    for clause in clauses_of(tags):
        statements += _Reader(clause).statements()
    statements = _once(statements)
    used = {span for each in statements for span in each.words}
    plain = [s for tag in tags if tag.kind in _WITHOUT_MEANING for s in tag.words if s not in used]
    known = used.union(plain)
    unknown = [span for tag in tags for span in tag.words if span not in known]
    return ParsedQuery(text, tuple(statements), tuple(unknown), tuple(plain))


def _once(statements: Iterable[Statement]) -> list[Statement]:
    found: dict[Statement, Statement] = {}
    for each in statements:
        bare = replace(each, words=())
        words = found[bare].words + each.words if bare in found else each.words
        found[bare] = replace(each, words=tuple(sorted(set(words), key=lambda span: span.start)))
    return list(found.values())


class _Reader:
    """Takes the words of one clause away, statement by statement; what stays was not understood."""

    def __init__(self, clause: Clause) -> None:
        self._clause = clause
        self._left = [tag for tag in clause.tags if tag.kind is not Kind.PLAIN]

    def statements(self) -> list[Statement]:
        made = [
            *self._ejection_fraction(),
            *self._patient(),
            *self._of_the_heart(),
            *self._graded(),
            *self._graft(),
            *self._pressure(),
            *self._coronary(),
        ]
        if not made:
            return []
        # A negation belongs to all that is said in its clause.
        return [replace(each, words=self._clause.said + each.words) for each in made]

    # Taking words away

    def _take(self, *kinds: Kind, findings: Sequence[Finding] = ()) -> list[Tag]:
        taken = [t for t in self._left if t.kind in kinds or (findings and t.is_a(*findings))]
        self._left = [tag for tag in self._left if tag not in taken]
        return taken

    def _number_of(self, tag: Tag, *, before: bool = False) -> Tag | None:
        """Take the number that follows a tag, or precedes it."""
        at = self._left.index(tag)
        following = [t for t in self._left[at + 1 :] if t.number is not None]
        preceding = [t for t in reversed(self._left[:at]) if t.number is not None]
        adjacent = [t for t in following[:1] if t in self._left[at + 1 : at + 4]]
        if not adjacent and before and at and preceding[:1] == self._left[at - 1 : at]:
            adjacent = preceding[:1]
        for found in adjacent:
            self._left.remove(found)
            return found
        return None

    def _beside(self, tag: Tag, *kinds: Kind) -> list[Tag]:
        """Take the words of these kinds that stand on both sides of a tag."""
        at = self._left.index(tag)
        low, high = at, at + 1
        while low and self._left[low - 1].kind in kinds:
            low -= 1
        while high < len(self._left) and self._left[high].kind in kinds:
            high += 1
        taken = self._left[low:at] + self._left[at + 1 : high]
        self._left = [*self._left[:low], tag, *self._left[high:]]
        return taken

    # The whole heart, and who has it

    def _ejection_fraction(self) -> list[Statement]:
        tag = next((t for t in self._left if t.is_a(Finding.LVEF)), None)
        if tag is None:
            return []
        number = self._number_of(tag, before=True)
        words = self._beside(tag, Kind.CHANGE, Kind.SEVERITY, Kind.HEAVY, Kind.HEALTHY)
        self._left.remove(tag)
        detail = tag.detail
        degrees = [
            "severely reduced" if t.kind is Kind.HEAVY else _DEGREES[Severity(t.value)]
            for t in words
            if t.kind in (Kind.SEVERITY, Kind.HEAVY)
        ]
        if any(t.kind is Kind.HEALTHY or t.value == "preserved" for t in words):
            detail = "preserved"
        elif any(t.kind is Kind.CHANGE for t in words) or degrees or detail == "reduced":
            detail = degrees[0] if degrees else "reduced"
        value = _LVEF_WORDS.get(detail) if number is None else number.number
        if value is None:
            return []
        if value.operator == "=":
            percent = value.value * 100 if value.value <= 1 else value.value
            value = Comparison("between", percent - NEAR_LVEF, percent + NEAR_LVEF)
        return [self._made(Finding.LVEF, [tag, *words, *_one(number)], value=value, detail=detail)]

    def _patient(self) -> list[Statement]:
        found = [
            self._made(Finding(t.value), [t], detail=t.detail)
            for t in self._take(findings=(Finding.SEX, Finding.VIEW))
        ]
        of_age = self._take(Kind.YEARS, findings=(Finding.AGE,))
        of_sex = any(each.finding is Finding.SEX for each in found)
        number = next((t for t in self._left if t.number is not None and not t.percent), None)
        if number is not None and (of_age or (of_sex and number.number and number.number.is_bound)):
            self._left.remove(number)
            found.append(self._made(Finding.AGE, [number, *of_age], value=number.number))
        return found

    def _of_the_heart(self) -> list[Statement]:
        found = [self._made(Finding.DOMINANCE, [t], detail=t.value) for t in self._take(Kind.SIDE)]
        for tag in self._take(findings=(Finding.DOMINANCE,)):
            sides = [t for t in self._left if t.place is not None and t.place.name in _SIDES]
            for side in sides[:1]:
                self._left.remove(side)
                detail = _SIDES[side.place.name] if side.place else ""
                found.append(self._made(Finding.DOMINANCE, [tag, side], detail=detail))
        for tag in self._take(findings=(Finding.VESSELS,)):
            more = self._take(Kind.SIGNIFICANT, findings=(Finding.DISEASE, Finding.STENOSIS))
            found.append(self._made(Finding.VESSELS, [tag, *more], detail=tag.detail))
        return found

    # What is found in places

    def _graded(self) -> list[Statement]:
        made = []
        for tag in [t for t in self._left if t.is_a(*_GRADES)]:
            number = None if tag.detail else self._number_of(tag)
            self._left.remove(tag)
            value = number.number if number else None
            if tag.detail:
                value = Comparison("=", float(tag.detail))
            said = [tag, *_one(number)]
            made += self._at_places(Finding(tag.value), said, value=value)
        return made

    def _at_places(
        self,
        finding: Finding,
        said: list[Tag],
        *,
        value: Comparison | None = None,
        detail: str = "",
    ) -> list[Statement]:
        """State a finding of the places of the clause, taking them if nothing else needs them."""
        places: list[Place | None] = [*(grouped(self._left) or self._clause.shared)]
        if not any(_needs_a_place(tag) for tag in [*self._left, *self._clause.asked]):
            said = said + self._take(Kind.PLACE, Kind.OR)
        return [
            self._made(finding, said, place=place, value=value, detail=detail)
            for place in places or [None]
        ]

    def _graft(self) -> list[Statement]:
        grafts = self._take(findings=(Finding.GRAFT,))
        if not grafts:
            return []
        says = self._take(findings=_GRAFT_SAYS)
        status = self._take(Kind.PATENT, Kind.PLACE, Kind.SEVERITY, Kind.HEALTHY, Kind.OR)
        states = [t.value for t in says]
        if any(t.kind in (Kind.PATENT, Kind.HEALTHY) for t in status):
            states.append("patent")
        places = grouped(status) or self._clause.shared
        detail = states[0] if states else ""
        place = union(places) if places else None
        return [self._made(Finding.GRAFT, [*grafts, *says, *status], place=place, detail=detail)]

    def _pressure(self) -> list[Statement]:
        made = []
        for tag in [t for t in self._left if t.is_a(Finding.PHYSIOLOGY)]:
            number = self._number_of(tag)
            words = self._beside(tag, Kind.POLARITY, Kind.HEALTHY, Kind.SIGNIFICANT)
            self._left.remove(tag)
            value = number.number if number else None
            said = [tag, *_one(number), *words]
            if not any(t.kind is Kind.SEVERITY or t.is_percentage for t in self._left):
                said += self._take(findings=(Finding.STENOSIS, Finding.DISEASE))
            detail = _polarity(tag.detail, value, words)
            made += self._at_places(Finding.PHYSIOLOGY, said, value=value, detail=detail)
        return made

    def _coronary(self) -> list[Statement]:
        tags = [*self._left, *self._clause.asked]
        graded = bool(self._clause.shared) and any(_needs_a_place(tag) for tag in tags)
        if not (graded or any(_tells(tag) for tag in tags)):
            return []
        said = Said(tags, negated=self._clause.negated)
        places: list[Place] = said.levelled(grouped(self._left) or self._clause.shared)
        anywhere: list[Place | None] = [*places] or [None]
        used = [tag for tag in self._left if said.understands(tag, places)]
        # "LAD aneurysm" is better searched as it is than as disease of the LAD.
        if said.is_vague and any(tag.kind is None for tag in self._left):
            return []
        return [
            replace(each, words=_words(used))
            for place in anywhere
            for each in said.statements(place)
        ]

    def _made(
        self,
        finding: Finding,
        tags: Iterable[Tag],
        *,
        place: Place | None = None,
        value: Comparison | None = None,
        detail: str = "",
    ) -> Statement:
        negated = self._clause.negated
        return Statement(finding, place, None, value, detail, negated, _words(tags))


def _tells(tag: Tag) -> bool:
    """Tell whether a word makes a statement by itself; a number without a percent sign does not."""
    if tag.kind in (Kind.HEALTHY, Kind.NONOBSTRUCTIVE, Kind.SEVERITY) or tag.place is not None:
        return True
    if tag.percent:
        return True
    return tag.kind is Kind.FINDING and not tag.is_a(*ELSEWHERE)


def _needs_a_place(tag: Tag) -> bool:
    if tag.kind is Kind.FINDING:
        return not tag.is_a(*ELSEWHERE)
    return tag.is_percentage or tag.kind in (
        Kind.SEVERITY,
        Kind.HEALTHY,
        Kind.PATENT,
        Kind.NONOBSTRUCTIVE,
    )


def _polarity(said: str, value: Comparison | None, words: Sequence[Tag]) -> str:
    """Return "positive", "negative", or nothing where neither is said."""
    if any(tag.value in ("negative", "healthy") for tag in words):
        return "negative"
    if value is None:
        return "positive" if words or said == "positive" else ""
    cut = IFR_CUT if said == RESTING else FFR_CUT
    if value.operator in (">", ">="):
        return "negative" if value.value >= cut else ""
    most = value.value if value.upper is None else value.upper
    return "positive" if most <= cut else "negative"


def _one(tag: Tag | None) -> list[Tag]:
    return [] if tag is None else [tag]


def _words(tags: Iterable[Tag]) -> tuple[Span, ...]:
    return tuple(sorted({s for tag in tags for s in tag.words}, key=lambda span: span.start))
