"""The hazard that events are drawn from: known, so that a survival model can be held against it.

After an exam, and until the next one, the hazard of the first major adverse cardiac event (MACE)
per year is::

    log h(t) = log_rate + burden b + lvef (50 - LVEF) / 10 + age (age(t) - 65) / 10 + diabetes d

with the burden b and LVEF of that exam, age(t) at the time t, and d = 1 with diabetes.  Two people
of different age have proportional hazards, since age passes at one pace for everybody: a Cox model
from the exam on is right.  Death of other causes has a Gompertz hazard in age and competes with it.
All of it is invented.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from phantom.heart.disease import Disease

EventKind = Literal[
    "death_cardiovascular",
    "mi",
    "stroke",
    "urgent_revascularisation",
    "hf_hospitalisation",
    "death_other",
]

MACE: Final[tuple[EventKind, ...]] = (
    "death_cardiovascular",
    "mi",
    "stroke",
    "urgent_revascularisation",
    "hf_hospitalisation",
)
"""The components of MACE."""
DEATHS: Final[tuple[EventKind, ...]] = ("death_cardiovascular", "death_other")

BURDEN_WEIGHTS: Final[Mapping[str, float]] = {
    **{"left_main": 5.0, "prox_lad": 3.5, "mid_lad": 2.5, "dist_lad": 1.0, "D1": 1.0, "D2": 0.5},
    **{"prox_lcx": 1.5, "mid_lcx": 1.0, "dist_lcx": 0.5, "om1": 1.0, "om2": 1.0, "bx": 1.0},
    **{"lvp": 0.5, "prox_rca": 1.0, "mid_rca": 1.0, "dist_rca": 1.0, "pda": 1.0},
    "posterolateral": 0.5,
}
"""What a segment counts: in the manner of Leaman's weights (Circulation 1981;63:285) for right
dominance, used here for every heart."""

_STEPS = 24


@dataclass(frozen=True)
class HazardModel:
    """The coefficients.

    Attributes
    ----------
    log_rate : float
        Log of the hazard of MACE per year at burden 0, LVEF 50 %, 65 years, without diabetes.
    burden : float
        Log hazard ratio of one point of burden.
    lvef : float
        Of ten points of LVEF less.
    age : float
        Of ten years.
    diabetes : float
    other_rate, other_age : float
        Hazard of death of other causes per year at 65 years, and its log growth per year of age.
    split : mapping of str to float
        Which component an event is, with LVEF of 40 % and above.
    weak_split : mapping of str to float
        The same below 40 %.
    """

    log_rate: float = math.log(0.044)
    burden: float = 0.28
    lvef: float = 0.50
    age: float = 0.45
    diabetes: float = 0.45
    other_rate: float = 0.009
    other_age: float = 0.09
    split: Mapping[EventKind, float] = field(
        default_factory=lambda: dict(zip(MACE, (0.14, 0.32, 0.10, 0.30, 0.14), strict=True))
    )
    weak_split: Mapping[EventKind, float] = field(
        default_factory=lambda: dict(zip(MACE, (0.26, 0.20, 0.08, 0.14, 0.32), strict=True))
    )

    def log_hazard(
        self, *, burden: float, lvef_percent: float, age_years: float, diabetes: bool
    ) -> float:
        """Return the log of the hazard of MACE per year; higher is worse."""
        return (
            self.log_rate
            + self.burden * burden
            + self.lvef * (50 - lvef_percent) / 10
            + self.age * (age_years - 65) / 10
            + self.diabetes * diabetes
        )

    def other_hazard(self, age_years: float) -> float:
        """Return the hazard of death of other causes per year."""
        return self.other_rate * math.exp(self.other_age * (age_years - 65))

    def one_year_risk(self, log_hazard: float, age_years: float) -> float:
        """Return the probability of MACE within a year, death of other causes competing.

        Parameters
        ----------
        log_hazard : float
            Now.
        age_years : float
            Now.

        Returns
        -------
        float
            The cumulative incidence, 0 to 1.
        """
        t = (np.arange(_STEPS) + 0.5) / _STEPS
        mace, other = math.exp(log_hazard), self.other_hazard(age_years)
        slope = self.age / 10
        gone = mace * np.expm1(slope * t) / slope
        gone += other * np.expm1(self.other_age * t) / self.other_age
        return float((mace * np.exp(slope * t - gone)).mean())

    def draw_mace_years(self, rng: np.random.Generator, log_hazard: float) -> float:
        """Draw the time to the next MACE in years, from a hazard that grows with age."""
        return _draw_years(rng, math.exp(log_hazard), self.age / 10)

    def draw_other_death_years(self, rng: np.random.Generator, age_years: float) -> float:
        """Draw the time to death of other causes in years."""
        return _draw_years(rng, self.other_hazard(age_years), self.other_age)

    def draw_kind(self, rng: np.random.Generator, lvef_percent: float) -> EventKind:
        """Draw which component of MACE an event is."""
        split = self.weak_split if lvef_percent < 40 else self.split
        return MACE[int(rng.choice(len(MACE), p=[split[kind] for kind in MACE]))]


HAZARD: Final = HazardModel()
"""The model of every phantom cohort."""


def burden(disease: Disease) -> float:
    """Return the score of a heart's stenoses: the sum of weight x (percent / 100)^2.

    Every stenosis counts, also where no picture can show it.

    Returns
    -------
    float
        0 for a normal heart; about 3.5 for an occluded proximal LAD.
    """
    scores = (
        BURDEN_WEIGHTS[segment] * (state.stenosis_percent / 100) ** 2
        for segment, state in disease.segments.items()
    )
    return sum(scores, 0.0)


def _draw_years(rng: np.random.Generator, rate: float, slope: float) -> float:
    # The inverse of the cumulative hazard rate (exp(slope t) - 1) / slope.
    return math.log1p(slope * float(rng.exponential()) / rate) / slope
