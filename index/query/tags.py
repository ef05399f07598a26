"""What each word of a text is: phrases of the vocabulary, numbers, and places put together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from index.query.places import SYNTAX, Place, numbered, of_segments, place_of
from index.query.statement import Comparison, Operator
from index.query.tokens import Span, tokenise
from index.query.vocabulary import DRUG_ELUTING, LEXICON, LONGEST, Finding, Kind

LEAST_BARE_PERCENT: Final = 15.0
"""A number without a percent sign beside a place is a percentage from here to 100."""
_TO: Final = ("-", "to", "a", "and", "et")
_PERCENT: Final = (("%",), ("percent",), ("pour", "cent"), ("per", "cent"), ("pct",))
_AFTERWARDS: Final[dict[tuple[str, str], Operator]] = {
    ("or", "more"): ">=",
    ("or", "less"): "<=",
    ("or", "above"): ">=",
    ("or", "below"): "<=",
    ("ou", "plus"): ">=",
    ("ou", "moins"): "<=",
}
_BREAKS: Final = (",", ";", "\n", "|", ".")
_ABBREVIATED: Final = (
    "prox",
    "dist",
    "mid",
    "seg",
    "sten",
    "calc",
    "approx",
    "circ",
    "diag",
    "lad",
)
"""Words that a full stop may follow in the middle of a sentence."""
_MEDINA: Final = re.compile(r"[01][,.][01][,.][01]")
_ANY_FIGURE: Final = re.compile(r"[0-9]{1,4}(?:[.,][0-9]{1,3})?")


@dataclass(frozen=True)
class Tag:
    """A word or a phrase, and what it does in its sentence.

    Attributes
    ----------
    kind : Kind or None
        None where it was not understood.
    value, detail : str
        See `index.query.vocabulary`.
    words : tuple of Span
    places : tuple of Place
        Of a `Kind.PLACE`.
    number : Comparison or None
        Of a `Kind.NUMBER`.
    percent : bool
        Whether a percent sign follows the number.
    """

    kind: Kind | None
    value: str = ""
    detail: str = ""
    words: tuple[Span, ...] = ()
    place: Place | None = None
    number: Comparison | None = None
    percent: bool = False

    @property
    def is_percentage(self) -> bool:
        """Whether it is a number in percent, or may be one where a place stands beside it."""
        if self.number is None:
            return False
        return self.percent or LEAST_BARE_PERCENT <= self.number.value <= 100

    def is_a(self, *findings: Finding) -> bool:
        """Tell whether it names one of these findings."""
        return self.kind is Kind.FINDING and self.value in findings


def tags_of(text: str) -> list[Tag]:
    """Return the tags of a text, in order, places put together."""
    return _with_places(_Tagger(text).tags())


class _Tagger:
    """Goes through the tokens once; of the phrases that fit, the longest counts."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenise(text)

    def tags(self) -> list[Tag]:
        found: list[Tag] = []
        at = 0
        while at < len(self._tokens):
            tag, after = (
                self._segments(at) or self._number(at) or self._phrase(at) or self._rest(at)
            )
            found.append(replace(tag, words=self._words(at, after)))
            at = after
        return found

    def _words(self, start: int, end: int) -> tuple[Span, ...]:
        return tuple(token.span for token in self._tokens[start:end] if token.is_word)

    def _at(self, at: int, length: int = 1) -> tuple[str, ...]:
        return tuple(token.text for token in self._tokens[at : at + length])

    def _entry(self, at: int) -> tuple[Kind, str, str, int] | None:
        for length in range(min(LONGEST, len(self._tokens) - at), 0, -1):
            entry = LEXICON.get(self._at(at, length))
            if entry is not None:
                return *entry, at + length
        return None

    def _phrase(self, at: int) -> tuple[Tag, int] | None:
        span = self._tokens[at].span
        if self._text[span.start : span.end] == DRUG_ELUTING:
            return Tag(Kind.FINDING, Finding.STENT, "drug-eluting"), at + 1
        if _MEDINA.fullmatch(self._tokens[at].text):
            return Tag(Kind.FINDING, Finding.BIFURCATION, self._tokens[at].text), at + 1
        entry = self._entry(at)
        if entry is None:
            return None
        kind, value, detail, after = entry
        if kind is Kind.SEGMENT:
            kind = Kind.PLAIN
        # What compares with no number is not understood, unless it also says nothing.
        if kind is Kind.COMPARISON:
            return Tag(Kind.PLAIN if value in ("=", "between") else None), after
        return Tag(kind, value, detail), after

    def _rest(self, at: int) -> tuple[Tag, int]:
        token = self._tokens[at]
        if token.is_word:
            return Tag(None), at + 1
        if token.text == "/":
            return Tag(Kind.OR, "/"), at + 1
        if token.text in ("+", "&"):
            return Tag(Kind.AND), at + 1
        before = self._tokens[at - 1].text if at else ""
        if token.text in _BREAKS and not (token.text == "." and before in _ABBREVIATED):
            return Tag(Kind.BREAK), at + 1
        return Tag(Kind.PLAIN), at + 1

    def _segments(self, at: int) -> tuple[Tag, int] | None:
        """Read "seg 13", "segments 6 and 7", "SYNTAX 11-12"."""
        if self._tokens[at].text in SYNTAX and not self._tokens[at].is_number:
            return Tag(
                Kind.PLACE, Kind.SEGMENT, place=of_segments([SYNTAX[self._tokens[at].text]])
            ), (at + 1)
        entry = self._entry(at)
        if entry is None or entry[0] is not Kind.SEGMENT:
            return None
        numbers, after = self._list(entry[3])
        if not numbers:
            return None
        place = of_segments(SYNTAX[number] for number in numbers)
        return Tag(Kind.PLACE, Kind.SEGMENT, place=place), after

    def _list(self, at: int) -> tuple[list[str], int]:
        found: list[str] = []
        while at < len(self._tokens):
            parts = self._tokens[at].text.split(",")
            if self._at(at + 1) == ("%",) or not all(part in SYNTAX for part in parts):
                break
            found += parts
            at += 1
            (sign,) = self._at(at) or ("",)
            if sign not in ("-", "/", ",", "and", "et", "&", "+", "to"):
                break
            if sign in ("-", "to"):
                found += _between(found[-1], self._at(at + 1))
            at += 1
        else:
            return found, at
        # A joining word that no number followed belongs to what comes next.
        followed = found and self._tokens[at - 1].text.split(",")[-1] == found[-1]
        return found, at if followed or not found else at - 1

    def _number(self, at: int) -> tuple[Tag, int] | None:
        entry = self._entry(at)
        operator: Operator = "="
        start = at
        if entry is not None and entry[0] is Kind.COMPARISON:
            operator, at = cast(Operator, entry[1]), entry[3]
            while self._at(at) in (("of",), ("a",), ("de",)):
                at += 1
        elif entry is not None:
            return None
        value = _figure(self._at(at))
        if value is None:
            return None
        at += 1
        at, _ = self._percent(at)
        upper = _figure(self._at(at + 1)) if self._at(at)[:1] and self._at(at)[0] in _TO else None
        ranged = upper is not None and (
            operator == "between" or self._at(at)[0] in ("-", "to", "a")
        )
        if ranged and upper is not None:
            low, high = sorted((value, upper))
            number, at = Comparison("between", low, high), at + 2
        else:
            number = Comparison("=" if operator == "between" else operator, value)
        at, percent = self._percent(at)
        percent = percent or any(t.text in ("%", "percent") for t in self._tokens[start:at])
        later = _AFTERWARDS.get(cast(tuple[str, str], self._at(at, 2)))
        if later is not None and number.operator == "=":
            number, at = replace(number, operator=later), at + 2
        return Tag(Kind.NUMBER, number=number, percent=percent), at

    def _percent(self, at: int) -> tuple[int, bool]:
        for sign in _PERCENT:
            if self._at(at, len(sign)) == sign:
                return at + len(sign), True
        return at, False


def _figure(words: tuple[str, ...]) -> float | None:
    if not words or not _ANY_FIGURE.fullmatch(words[0]):
        return None
    return float(words[0].replace(",", "."))


def _between(first: str, last: Sequence[str]) -> list[str]:
    """Return the numbers between two, as 6-8 leaves out 7."""
    if not last or not (first.isdecimal() and last[0].isdecimal()):
        return []
    between = range(int(first) + 1, int(last[0][:3]))
    return [str(number) for number in between if str(number) in SYNTAX]


def _with_places(tags: list[Tag]) -> list[Tag]:
    """Put names of vessels, levels and numbers of segments together."""
    found: list[Tag] = []
    at = 0
    while at < len(tags):
        tag, after = _levelled(tags, at) or _named(tags, at) or (tags[at], at + 1)
        at = after
        if len(found) > 1 and _is_of(found, tag):
            while found[-1].kind is Kind.PLAIN:
                tag = replace(tag, words=found.pop().words + tag.words)
            segment = found.pop()
            tag = replace(segment, words=segment.words + tag.words)
        found.append(tag)
    return found


def _is_of(before: Sequence[Tag], tag: Tag) -> bool:
    """Tell whether a vessel follows a branch of it, as in "first diagonal of the LAD"."""
    if tag.place is None or not tag.place.is_vessel or before[-1].kind is not Kind.PLAIN:
        return False
    last = next((each for each in reversed(before) if each.kind is not Kind.PLAIN), None)
    if last is None or last.place is None or last.place.is_vessel:
        return False
    return set(last.place.segments) <= set(tag.place.with_branches)


def _joined(tags: Sequence[Tag], place: Place, value: str = "") -> Tag:
    words = tuple(span for tag in tags for span in tag.words)
    return Tag(Kind.PLACE, value, words=words, place=place)


def _levels(tags: Sequence[Tag], at: int) -> tuple[list[str], int]:
    """Read "proximal", "mid and distal", "proximal/mid", "proximal to mid"."""
    levels: list[str] = []
    after = at
    while at < len(tags) and tags[at].kind is Kind.LEVEL:
        levels.append(tags[at].value)
        at = after = at + 1
        if at < len(tags) and tags[at].kind in (Kind.AND, Kind.OR, Kind.BREAK, Kind.PLAIN):
            at += 1
            if at < len(tags) and tags[at].kind is Kind.AND:
                at += 1
    return levels, after


def _levelled(tags: Sequence[Tag], at: int) -> tuple[Tag, int] | None:
    """Read levels and the vessel after them."""
    levels, after = _levels(tags, at)
    if not levels:
        return None
    name = _skip(tags, after)
    if name >= len(tags) or tags[name].kind is not Kind.NAME:
        return None
    return _joined(tags[at : name + 1], place_of(tags[name].value, levels)), name + 1


def _named(tags: Sequence[Tag], at: int) -> tuple[Tag, int] | None:
    """Read a vessel, and the levels or the numbers of segments after it."""
    if tags[at].kind is not Kind.NAME:
        return None
    key, after = tags[at].value, at + 1
    behind = _skip(tags, after)
    if behind < len(tags) and tags[behind].kind is Kind.BREAK:
        behind += 1  # "circumflex artery, distal segment"
    levels, end = _levels_behind(tags, behind)
    if levels:
        return _joined(tags[at:end], place_of(key, levels)), end
    if behind < len(tags) and tags[behind - 1].kind is not Kind.BREAK:
        segments = _segments_of(key, tags[behind])
        if segments:
            return _joined(tags[at : behind + 1], of_segments(segments)), behind + 1
    return _joined(tags[at:after], place_of(key)), after


def _levels_behind(tags: Sequence[Tag], at: int) -> tuple[list[str], int]:
    """Read the levels that stand behind a vessel and are not of another one that follows."""
    levels, end = _levels(tags, at)
    following = _skip(tags, end)
    if not levels or following >= len(tags) or tags[following].kind is not Kind.NAME:
        return levels, end
    if tags[at - 1].kind is Kind.BREAK:
        return [], at
    # Between two vessels a level is of the second, unless that has one behind it too.
    only = end == at + 1
    postposed = following + 1 < len(tags) and tags[following + 1].kind is Kind.LEVEL
    return ([], at) if only and not postposed else (levels[:1], at + 1)


def _segments_of(key: str, tag: Tag) -> list[str]:
    """Return the segments of a vessel that a tag behind its name numbers."""
    if tag.kind is Kind.PLACE and tag.value == Kind.SEGMENT and tag.place is not None:
        within = place_of(key).with_branches
        return [segment for segment in tag.place.segments if segment in within]
    if tag.number is None or tag.percent or tag.number.operator not in ("=", "between"):
        return []
    first = tag.number.value
    last = tag.number.upper or first
    if last > len(SYNTAX) or first != int(first):
        return []
    numbers = (str(number) for number in range(int(first), int(last) + 1))
    each = [numbered(key, number) for number in numbers]
    return [segment for segment in each if segment] if None not in each else []


def _skip(tags: Sequence[Tag], at: int, most: int = 4) -> int:
    """Return where the plain words from `at` on end."""
    end = at
    while end < len(tags) and end - at < most and tags[end].kind is Kind.PLAIN:
        end += 1
    return end
