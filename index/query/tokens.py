"""A line of text as words, numbers and signs, each with its place in the line."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"[0-9]+[a-c](?![^\W_])"  # lettered branches: 16a
    r"|[0-9]+(?:[.,][0-9]+)*"  # 70, 0.84, 0,84, and Medina's 1,1,1
    r"|(?:[^\W\d_][\u0300-\u036f]*)+"  # letters, accents apart or not; OM1 is two words
    r"|[<>=≤≥]+|[%,;.+&/()\n|]|(?<=[0-9%])\s*[-–—]\s*(?=[0-9])"  # a hyphen counts in ranges only
    r"|[\d_]"
)
_SIGNS: Final = {"≤": "<=", "≥": ">=", "=<": "<=", "=>": ">=", "<": "<", ">": ">", "==": "="}
_LETTERS: Final = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ı": "i"})


@dataclass(frozen=True)
class Span:
    """A part of a text, from `start` to before `end`, in characters."""

    start: int
    end: int


@dataclass(frozen=True)
class Token:
    """A word, a number or a sign.

    Attributes
    ----------
    text : str
        In lower case, without accents.
    span : Span
        Where it stands in the text as typed.
    """

    text: str
    span: Span

    @property
    def is_word(self) -> bool:
        """Whether it has letters or digits, so that it must not be lost."""
        return self.text == "_" or any(c.isalnum() for c in self.text)

    @property
    def is_number(self) -> bool:
        """Whether it is a number, or several with commas between."""
        return self.text[:1] in "0123456789" and self.text[-1:] in "0123456789"


def tokenise(text: str) -> list[Token]:
    """Return the tokens of any text, in order; apostrophes and hyphens only part words."""
    return [
        Token(_plain(match.group()), Span(match.start(), match.end()))
        for match in _TOKEN.finditer(text)
    ]


def folded(phrase: str) -> tuple[str, ...]:
    """Return the words of a phrase as `tokenise` reads them."""
    return tuple(token.text for token in tokenise(phrase))


def _plain(word: str) -> str:
    word = word.strip()
    if word in ("-", "–", "—"):
        return "-"
    # Folding may leave nothing of a letter that is a mark by itself; it stays as it is then.
    apart = unicodedata.normalize("NFKD", word.lower().translate(_LETTERS))
    bare = "".join(c for c in apart if not unicodedata.combining(c))
    return _SIGNS.get(word, bare or word) or "\n"
