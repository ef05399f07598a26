"""Whether a text encoder has met the words of a query: by a list of words, not by a score.

A hashed vocabulary gives a vector to anything, and how near that is to the videos tells nothing:
right answers to rare findings lie as far away as answers to nonsense.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from embedder.encoders.compact.words import split_words
from embedder.encoders.spec import Coverage

FORGIVEN: Final = 5
"""Letters from which on a word may be misspelt by one."""
_NEUTRAL: Final = """
a an and any are as at by for from has have in into is it its no not of on or over per than that the
their there this to under was were which who with without below above more less patient patients
study studies case cases show find video videos image images
de des du et la le les l un une avec sans
"""
NEUTRAL: Final = frozenset(_NEUTRAL.split())
"""Words that name no finding: they count neither as known nor as unknown."""


class Lexicon:
    """The words of a text encoder's training.

    Parameters
    ----------
    words : iterable of str
        Whatever their case and accents.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = frozenset(part for word in words for part in split_words(word))
        self._by_length: dict[int, list[str]] = {}
        for word in sorted(self.words):
            self._by_length.setdefault(len(word), []).append(word)

    def coverage(self, text: str) -> Coverage:
        """Sort the words of a text into known and unknown ones.

        Parameters
        ----------
        text : str

        Returns
        -------
        Coverage
            A plural, and from five letters on a misspelling by one letter, is as good as the word.
        """
        content = dict.fromkeys(
            word for word in split_words(text) if word.isalpha() and word not in NEUTRAL
        )
        known = tuple(word for word in content if self.knows(word))
        return Coverage(known, tuple(word for word in content if word not in known))

    def knows(self, word: str) -> bool:
        """Tell whether a word was met in training, or is a plural or a misspelling of one."""
        if any(form in self.words for form in _forms(word)):
            return True
        if len(word) < FORGIVEN:
            return False
        near = (self._by_length.get(n, ()) for n in (len(word) - 1, len(word), len(word) + 1))
        return any(_one_edit(word, other) for words in near for other in words)


def _forms(word: str) -> tuple[str, ...]:
    """Return a word and the singulars and plurals that it may be of."""
    singulars = [word.removesuffix("s"), word.removesuffix("es")]
    singulars += [word.removesuffix("ies") + "y", word.removesuffix("es") + "is"]
    return word, f"{word}s", f"{word}es", *(form for form in singulars if len(form) > 1)


def _one_edit(one: str, other: str) -> bool:
    """Tell whether a letter changed, left out, put in, or swapped with the next makes `other`."""
    if len(one) > len(other):
        one, other = other, one
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    rest, rest_of_other = one[same:], other[same:]
    if len(one) < len(other):
        return rest == rest_of_other[1:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return rest[1:] == rest_of_other[1:] or swapped == rest_of_other
