"""Clinical phrases to words, and words to the numbers that the text tower reads.

A word is told by itself and by its letters in threes, hashed into one table, so that a misspelt
word is still mostly the word.  A number is told by its value and by the band that it is in.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Int
from torch import Tensor

BUCKETS: Final = 4096
"""Rows of the table; row 0 is padding."""
MAX_WORDS: Final = 96
"""Words of a text that are read; a phrase has few, the sentences of a report fit."""
FEATURES: Final = 12
"""Numbers per word: itself, then letters in threes."""
_BANDS: Final = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100, 101)
_WORD: Final = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|%")


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words without accents, numbers and percent signs.

    Examples
    --------
    >>> split_words("Sténose 70-99% of the pLAD")
    ['stenose', '70', '99', '%', 'of', 'the', 'plad']
    """
    plain = unicodedata.normalize("NFKD", text.lower())
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return _WORD.findall(letters)


def featurise(texts: Sequence[str]) -> Int[Tensor, "texts words 12"]:
    """Return the numbers of texts.

    Parameters
    ----------
    texts : sequence of str

    Returns
    -------
    Int[Tensor, "texts words 12"]
        Rows of the table, 0 where there is nothing; as many words as the longest text has, at least
        one and at most 96.
    """
    rows = [[_features(word) for word in split_words(text)[:MAX_WORDS]] for text in texts]
    width = max(1, *(len(row) for row in rows)) if rows else 1
    ids = torch.zeros(len(rows), width, FEATURES, dtype=torch.long)
    for i, row in enumerate(rows):
        for j, word in enumerate(row):
            ids[i, j, : len(word)] = torch.tensor(word)
    return ids


def _features(word: str) -> list[int]:
    if word[0].isdigit():
        names = [f"={word}", "number", f"band {bisect_right(_BANDS, float(word))}"]
    else:
        bounded = f"<{word}>"
        names = [f"={word}", *(bounded[i : i + 3] for i in range(len(bounded) - 2))]
    return [_bucket(name) for name in names[:FEATURES]]


def _bucket(name: str) -> int:
    # CRC-32 is the same everywhere and always; Python's own hash() differs from run to run.
    return zlib.crc32(name.encode()) % (BUCKETS - 1) + 1
