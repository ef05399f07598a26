"""The clauses of a text: which words belong together, what is negated, and who shares a place.

Commas part clauses that stand by themselves, so that their order does not matter.  "And", "with",
"or" and negations part clauses that may share a place or a finding: in "LAD and RCA stenosis" both
have the stenosis, in "stent in the LAD without restenosis" both concern the LAD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from index.query.places import Place, place_of, vessel_of
from index.query.tags import Tag
from index.query.tokens import Span
from index.query.vocabulary import Finding, Kind

Joiner = Literal[",", "and", "or", "not"]

ELSEWHERE: Final = (
    *(Finding.LVEF, Finding.DOMINANCE, Finding.VESSELS),
    *(Finding.AGE, Finding.SEX, Finding.VIEW),
)
"""Findings that have no place in the coronary tree."""
_SAYS_MORE: Final = (
    Kind.SEVERITY,
    Kind.HEALTHY,
    Kind.PATENT,
    Kind.NEGATED_BEFORE,
    Kind.SIGNIFICANT,
)
_JOINERS: Final[Mapping[Kind | None, Joiner]] = {Kind.BREAK: ",", Kind.AND: "and", Kind.OR: "or"}
_PARTING: Final = (Kind.BREAK, Kind.AND, Kind.NEGATION)


@dataclass
class Clause:
    """Words that belong together.

    Attributes
    ----------
    joiner : Joiner
        What parts it from the clause before; ``not`` is a negation without anything else.
    negated : bool
    said : tuple of Span
        The words of the negation.
    tags : list of Tag
    shared : list of tuple of Place
        Places that clauses beside it have lent; the words are theirs.
    asked : list of Tag
        Findings and severities that a clause beside it has lent.
    narrow : bool
        Its negation is of the next word only: "non-calcified LAD stenosis".
    """

    joiner: Joiner = ","
    negated: bool = False
    said: tuple[Span, ...] = ()
    tags: list[Tag] = field(default_factory=list)
    shared: list[Place] = field(default_factory=list)
    asked: list[Tag] = field(default_factory=list)
    narrow: bool = False

    @property
    def places(self) -> list[Place]:
        """Where it speaks of."""
        return [tag.place for tag in self.tags if tag.place is not None] + self.shared

    @property
    def findings(self) -> list[Tag]:
        """What is found in a place by it, and what says so without naming it."""
        return [t for t in [*self.tags, *self.asked] if _is_found(t)]

    @property
    def is_elsewhere(self) -> bool:
        """Whether it speaks of something that has no place."""
        return any(tag.is_a(*ELSEWHERE) or tag.kind in (Kind.SIDE, Kind.YEARS) for tag in self.tags)


def _is_found(tag: Tag) -> bool:
    if tag.kind is Kind.FINDING:
        return not tag.is_a(*ELSEWHERE)
    return tag.kind in _SAYS_MORE or tag.is_percentage


def clauses_of(tags: Sequence[Tag]) -> list[Clause]:
    """Return the clauses of a text, each with the places and findings that it shares."""
    clauses = _parted(tags)
    _negate_lists(clauses)
    for i in reversed(range(len(clauses) - 1)):
        _forwards(clauses[i], clauses[i + 1])
    last = clauses[0]
    for clause in clauses[1:]:
        _backwards(last, clause)
        last = clause if clause.tags else last
    return clauses


def _parted(tags: Sequence[Tag]) -> list[Clause]:
    clauses = [Clause()]
    for at, tag in enumerate(tags):
        here = clauses[-1]
        if tag.kind is Kind.NEGATION:
            here = _begin(clauses, "not")
            here.negated, here.said = True, here.said + tag.words
            here.narrow = tag.value == "next"
        elif tag.kind in _JOINERS and tag.value != "/":
            here = _begin(clauses, _JOINERS[tag.kind])
            here.tags.append(Tag(Kind.PLAIN, words=tag.words))
        else:
            if here.narrow and here.findings:
                here = _begin(clauses, "and")
            elif _starts_another(here, tags[at:]):
                here = _begin(clauses, ",")
            here.tags.append(tag)
    return clauses


def _begin(clauses: list[Clause], joiner: Joiner) -> Clause:
    """Begin a clause, unless the last one has said nothing yet."""
    last = clauses[-1]
    if any(tag.kind is not Kind.PLAIN for tag in last.tags):
        clauses.append(Clause(joiner))
    elif joiner != "not" and len(clauses) > 1 and not last.said:
        last.joiner = "," if last.joiner == "," else joiner
    return clauses[-1]


def _starts_another(here: Clause, rest: Sequence[Tag]) -> bool:
    """Tell whether a finding with its place ends here and another begins, without a comma."""
    whole = bool(here.places) and any(_is_counted(tag) for tag in here.tags)
    if not whole:
        return False
    end = next((i for i, t in enumerate(rest) if t.kind in _PARTING), len(rest))
    coming = rest[:end]
    if rest[0].place is not None:
        return any(_is_counted(tag) for tag in coming) and here.tags[-1].value != "/"
    return _is_counted(rest[0]) and any(tag.place is not None for tag in coming)


def _is_counted(tag: Tag) -> bool:
    return _is_found(tag) or tag.is_a(*ELSEWHERE)


def _negate_lists(clauses: Sequence[Clause]) -> None:
    """Carry a negation over "or", over "and" without a place, and over "no A, B or C"."""
    for i in range(1, len(clauses)):
        here, before = clauses[i], clauses[i - 1]
        if here.joiner == "or":
            first = i - 1
            while first and clauses[first].joiner == "," and not clauses[first].negated:
                if clauses[first].is_elsewhere:
                    break
                first -= 1
            if clauses[first].negated:
                _share_a_negation(clauses[first : i + 1])
        elif here.joiner == "and" and before.negated and not (here.places or before.narrow):
            here.negated = here.negated or not here.is_elsewhere


def _share_a_negation(listed: Sequence[Clause]) -> None:
    """Negate all of "no A, B or C", in the place that the last of them names."""
    for each in listed:
        each.negated = True
    for each in listed[:-1]:
        if each.findings and not each.places:
            each.shared = list(listed[-1].places)


def _forwards(here: Clause, after: Clause) -> None:
    """Let a clause that is a place only, or one that ends in a finding, share with the next."""
    if after.is_elsewhere or here.is_elsewhere:
        return
    listed = after.joiner != "," or here.joiner == ","
    if here.places and not here.findings and listed:
        if after.places and after.findings and _is_one_place(after.joiner, after):
            _merge(here, after)
        elif after.findings and (after.places or after.joiner != ","):
            here.asked = list(after.findings)
            here.negated = here.negated or (after.negated and not after.places)
            after.negated = after.negated or here.negated
            if not after.places:
                # "RCA without disease": one statement, which the first clause makes.
                here.negated = after.negated
                here.said += after.said
                here.tags += after.tags
                here.asked = list(after.asked)
                after.tags, after.said, after.asked = [], (), []
                after.negated = False
    elif here.findings and not here.places and (here.narrow or after.narrow):
        here.shared = list(after.places)
    elif here.findings and not here.places and after.joiner in ("and", "or"):
        behind = [i for i, tag in enumerate(after.tags) if tag.place is not None]
        ahead = [i for i, tag in enumerate(after.tags) if _is_found(tag)]
        if behind and ahead and ahead[0] < behind[0]:
            here.shared = list(after.places)


def _is_one_place(joiner: Joiner, asks: Clause) -> bool:
    """Tell whether a finding is asked of two places as of one: of either, or where they meet."""
    return joiner == "or" or any(tag.is_a(Finding.BIFURCATION) for tag in asks.tags)


def _merge(here: Clause, after: Clause) -> None:
    """Make "the LCx or the RCA" one place, in the later of two clauses."""
    after.tags = [*here.tags, Tag(Kind.OR, "/"), *after.tags]
    after.negated, after.said = after.negated or here.negated, here.said + after.said
    after.joiner = here.joiner
    here.tags, here.said, here.negated = [], (), False


def _backwards(before: Clause, here: Clause) -> None:
    """Let a clause share what the one before it says, if only one of the two says it."""
    if here.is_elsewhere or before.is_elsewhere:
        return
    if here.places and not here.findings and before.findings:
        if _is_one_place(here.joiner, before):
            before.tags += [Tag(Kind.OR, "/"), *here.tags]
            here.tags, here.negated = [], False
        elif here.joiner != "," or _ends_in_a_place(before):
            here.asked = list(before.findings)
            here.negated = here.negated or before.negated
    elif here.findings and not here.places:
        if any(tag.kind is Kind.LEVEL for tag in here.tags):
            here.shared = _same_vessel(before, here)
        elif here.joiner != "," or _only_says_healthy(here):
            here.shared = list(before.places)


def _same_vessel(before: Clause, here: Clause) -> list[Place]:
    """Return where "mid 60%" is after "proximal LAD 80%"."""
    levels = [tag.value for tag in here.tags if tag.kind is Kind.LEVEL]
    vessel = vessel_of(before.places[-1]) if before.places else None
    return [place_of(vessel, levels)] if vessel else []


def _only_says_healthy(clause: Clause) -> bool:
    return all(tag.kind in (Kind.HEALTHY, Kind.PATENT) for tag in clause.tags if tag.words)


def _ends_in_a_place(clause: Clause) -> bool:
    said = [tag for tag in clause.tags if tag.kind is not Kind.PLAIN]
    return bool(said) and said[-1].place is not None
