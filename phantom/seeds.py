"""Which seeds belong to what, and how every random draw of a phantom follows from its numbers.

Anatomy, disease, pictures and labels of one patient have generators of their own, so that one can
be changed without moving the others, and nobody can guess a finding from the shape of a heart.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

TRAINING_SEEDS: Final = range(1000, 2000)
"""Cohorts that an encoder may be trained on."""
EVALUATION_SEEDS: Final = range(2000, 3000)
"""Cohorts that figures are measured on; never trained on, never used to choose weights."""
DEMO_SEEDS: Final = range(3000, 4000)
"""Cohorts that are shown."""


class Purpose(IntEnum):
    """What a generator is for.  The numbers are part of every cohort: never renumber them."""

    ANATOMY = 0
    PERSON = 1
    DISEASE = 2
    COURSE = 3
    PICTURES = 4
    REPORTS = 5
    MEASUREMENTS = 6


def generator(seed: int, index: int, purpose: Purpose, *more: int) -> np.random.Generator:
    """Return the generator of one purpose for one patient.

    Parameters
    ----------
    seed : int
        Of the cohort, 0 or more.
    index : int
        The patient's place in the cohort, 0 or more.
    purpose : Purpose
    *more : int
        Further numbers that tell draws apart, such as the exam's; from 1, for `SeedSequence` does
        not tell a last 0 from no number.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, index, int(purpose), *more]))
