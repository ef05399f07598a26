"""Sentences for training: every wording of every concept as numbers, and pairs of concepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from phantom.words.concepts import CONCEPTS, EVALUATION_QUERIES, wordings

JOINED: Final = ("{} and {}", "{}, {}", "{} with {}", "{} plus {}", "{}; {}")
CANONICAL: Final = 0.1
"""How often a concept is asked for by its first wording, the plain one."""


class Sentences:
    """The wordings of all concepts, each turned into numbers the first time that it is drawn.

    Parameters
    ----------
    featurise : callable
        From sentences to integers [n, words, features], 0 where there is nothing.
    """

    def __init__(self, featurise: Callable[[Sequence[str]], Tensor]) -> None:
        self._featurise = featurise
        self._known: dict[str, Tensor] = {}
        asked = {concept.name: text for text, concept in EVALUATION_QUERIES.items()}
        self.texts = [
            tuple(dict.fromkeys([*([asked[c.name]] if c.name in asked else []), *wordings(c)]))
            for c in CONCEPTS
        ]

    def draw(self, rng: np.random.Generator) -> Int[Tensor, "concepts words features"]:
        """Return one wording of each concept."""
        plain = rng.random(len(self.texts)) < CANONICAL
        at = [
            0 if first else int(rng.integers(len(said)))
            for first, said in zip(plain, self.texts, strict=True)
        ]
        return self._numbers([said[i] for said, i in zip(self.texts, at, strict=True)])

    def first(self) -> Int[Tensor, "concepts words features"]:
        """Return the first wording of each concept."""
        return self._numbers([said[0] for said in self.texts])

    def draw_pairs(
        self, holds: NDArray[np.bool_], n: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], Int[Tensor, "n words features"]]:
        """Return sentences that ask for two concepts at once.

        Parameters
        ----------
        holds : bool array of shape (studies, concepts)
            Both concepts of a pair hold of one of these studies.
        n : int
        rng : Generator

        Returns
        -------
        tuple
            int64 (n, 2), the concepts, and the sentences' numbers.
        """
        weights = holds.astype(np.float64) / np.maximum(holds.sum(axis=0), 1)
        pairs = np.empty((n, 2), np.int64)
        texts = []
        for i, study in enumerate(rng.integers(0, len(holds), n)):
            # Rare concepts as often as frequent ones.
            odds = weights[study] / weights[study].sum()
            pairs[i] = rng.choice(len(odds), 2, replace=False, p=odds)
            said = [self.texts[c][int(rng.integers(len(self.texts[c])))] for c in pairs[i]]
            texts.append(str(rng.choice(JOINED)).format(*said))
        return pairs, self._featurise(texts)

    def _numbers(self, texts: Sequence[str]) -> Int[Tensor, "n words features"]:
        new = [text for text in texts if text not in self._known]
        for text, row in zip(new, self._featurise(new) if new else (), strict=True):
            used = int((row > 0).any(dim=1).sum())
            self._known[text] = row[:used].clone()
        return pad_sequence([self._known[text] for text in texts], batch_first=True)
