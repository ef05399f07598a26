"""What became of patients like one who is asked about: told beside the cohort, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.curves import Curve, Floats
from analytics.survival.ipcw import censoring_free
from analytics.survival.leave_one_out import Tuned, tune
from analytics.survival.neighbours import (
    Neighbours,
    conditional_incidence,
    effective_left,
    effective_size,
    nearest,
)
from analytics.survival.times import Times
from analytics.survival.validation import FEWEST_AT_RISK, FEWEST_EVENTS
from core.errors import AtlasError, UsageError

FEWEST_EFFECTIVE: Final = 10.0
"""With fewer, the interval of a risk of one half is wider than from 24 to 76 %."""
FEWEST_FOLLOWED: Final = 10
"""A horizon that fewer neighbours would reach, had nothing happened to them, is not told.  A limit
on those at risk would hide the worst outcomes: where most had events, few are at risk."""
MEANING: Final = (
    "What happened to the most similar patients of this store, weighted by similarity: a "
    "description of them, no prediction for this patient. The intervals are of their average risk."
)


class FarFromAllError(AtlasError):
    """Nobody of the cohort is like who is asked about."""

    code = "far_from_all"


@final
@dataclass(frozen=True, eq=False)
class Alike:
    """What became of patients like one, and of the whole cohort.

    Attributes
    ----------
    neighbours : Neighbours
        Rows of the cohort.
    own : Times
        Of the neighbours.
    curve : Curve
        Cumulative incidence of the event among them; see `neighbours.conditional_incidence`.
    everybody : Curve
        The same of the cohort, all with one weight.
    effective_at_risk : float64 array of shape (steps of the curve,)
        Effective size of the neighbours who are followed until just before each time.
    horizons : DataFrame
        horizon_days; incidence, lower, upper (95 %), events, competing, at_risk (until just before)
        and effective_at_risk of the neighbours; cohort_incidence, cohort_lower, cohort_upper,
        cohort_at_risk.
    cut : tuple of str
        Horizons that the follow-up does not support.
    tuned : Tuned
    nearness : float
        Cosine of the k-th most similar patient.
    """

    neighbours: Neighbours
    own: Times
    curve: Curve
    everybody: Curve
    effective_at_risk: Floats
    horizons: pd.DataFrame
    cut: tuple[str, ...]
    tuned: Tuned
    nearness: float

    @property
    def until(self) -> float:
        """The last horizon that is told."""
        return float(self.horizons["horizon_days"].iloc[-1])

    def steps(self) -> pd.DataFrame:
        """Return the neighbours' curve until the last horizon, one end of a follow-up a row."""
        found = _steps(self.curve)
        found.insert(5, "effective_at_risk", self.effective_at_risk)
        return found[found["time_days"] <= self.until]

    def cohort_steps(self) -> pd.DataFrame:
        """Return the curve of the cohort likewise."""
        found = _steps(self.everybody)
        return found[found["time_days"] <= self.until]


def outcomes_of_alike(
    query: NDArray[np.floating],
    vectors: NDArray[np.floating],
    times: Times,
    *,
    horizons: Sequence[float],
    k: int | None = None,
    seed: int = 0,
) -> Alike:
    """Tell what became of the patients who are most similar to one.

    Parameters
    ----------
    query : array of shape (dim,)
        L2-normalised.
    vectors : array of shape (patients, dim)
        L2-normalised; one row a patient, and none of the patient who is asked about.
    times : Times
        Of the same patients, in days.
    horizons : sequence of float
        Ascending.
    k : int, optional
        Neighbours; chosen by `leave_one_out.tune` by default.
    seed : int

    Raises
    ------
    FarFromAllError
        The k-th most similar patient is less similar than that of 99 in 100 members of the cohort.
    UsageError
        There are too few patients, events or neighbours, or no horizon is supported.
    """
    supported, cut = supported_by(times, horizons)
    tuned = tune(vectors, times, supported, k=k, seed=seed)
    found = ask(query, vectors, times, tuned, horizons=supported)
    return replace(found, cut=(*cut, *found.cut))


def ask(
    query: NDArray[np.floating],
    vectors: NDArray[np.floating],
    times: Times,
    tuned: Tuned,
    *,
    horizons: Sequence[float],
) -> Alike:
    """Do the same for a cohort that is tuned, and horizons that it supports."""
    similarity = np.asarray(vectors, np.float64) @ np.asarray(query, np.float64)
    nearness = float(np.sort(similarity)[-tuned.k])
    _refuse_far(nearness, tuned)
    found = nearest(similarity, tuned.k)
    _refuse_few(found, tuned)
    own = times[found.rows]
    told, cut = _followed(own, horizons)
    curve, everybody = conditional_incidence(own, found.weight), aalen_johansen(times)
    return Alike(
        found,
        own,
        curve,
        everybody,
        effective_left(own, found.weight, curve),
        _table(own, found, curve, everybody, told),
        tuple(cut),
        tuned,
        nearness,
    )


def _steps(curve: Curve) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time_days": curve.time,
            "incidence": curve.estimate,
            "lower": curve.lower,
            "upper": curve.upper,
            "at_risk": curve.at_risk,
            "events": curve.events,
        }
    )


def supported_by(times: Times, horizons: Sequence[float]) -> tuple[list[float], list[str]]:
    """Return the horizons that a cohort's follow-up supports, and what was cut and why.

    Raises
    ------
    UsageError
        None is supported.
    """
    kept, cut = [], []
    for horizon in horizons:
        left = int((times.time >= horizon).sum())
        events = int((times.event & (times.time <= horizon)).sum())
        if left >= FEWEST_AT_RISK and events >= FEWEST_EVENTS:
            kept.append(float(horizon))
        else:
            cut.append(
                f"{horizon:g} days: in the cohort {left} are followed until then (at least "
                f"{FEWEST_AT_RISK}), {events} events (at least {FEWEST_EVENTS})"
            )
    _refuse_none(kept, cut)
    return kept, cut


def _followed(own: Times, horizons: Sequence[float]) -> tuple[list[float], list[str]]:
    """Return the horizons that the neighbours' potential follow-up supports, and what was cut.

    Potential follow-up is the time until censoring, by the reversed Kaplan-Meier estimate (Schemper
    and Smith, Control Clin Trials 1996;17:343).
    """
    kept, cut = [], []
    potential = len(own) * censoring_free(own, horizons, before=True)
    for horizon, count in zip(horizons, potential, strict=True):
        if count >= FEWEST_FOLLOWED:
            kept.append(horizon)
        else:
            cut.append(
                f"{horizon:g} days: had nothing happened, {count:.0f} of the neighbours would be "
                f"followed until then (at least {FEWEST_FOLLOWED})"
            )
    _refuse_none(kept, cut)
    return kept, cut


def _refuse_none(kept: Sequence[float], cut: Sequence[str]) -> None:
    if not kept:
        raise UsageError(
            "no horizon is supported by the data: " + "; ".join(cut),
            "take a larger cohort, a wider endpoint or other horizons",
        )


def _refuse_far(nearness: float, tuned: Tuned) -> None:
    if nearness < tuned.limit:
        raise FarFromAllError(
            f"the exam is far from all: the {tuned.k}th most similar patient has a cosine of "
            f"{nearness:.3f} with it; of the cohort's own patients, 99 in 100 have one of "
            f"{tuned.limit:.3f} or more. What happened to others says nothing of such an exam",
            "look at the pictures of the exam; take a cohort with more exams of its kind",
        )


def _refuse_few(found: Neighbours, tuned: Tuned) -> None:
    if found.effective < FEWEST_EFFECTIVE:
        raise UsageError(
            f"the {tuned.k} most similar patients count as much as {found.effective:.1f} that are "
            f"equally similar: expected at least {FEWEST_EFFECTIVE:g}",
            "ask for more neighbours",
        )


def _table(
    own: Times, found: Neighbours, curve: Curve, everybody: Curve, horizons: Sequence[float]
) -> pd.DataFrame:
    near, whole = curve.at(horizons), everybody.at(horizons)
    seen = [own.until(horizon) for horizon in horizons]
    followed = [found.weight[own.time >= horizon] for horizon in horizons]
    return pd.DataFrame(
        {
            "horizon_days": np.asarray(horizons, np.int64),
            "incidence": near[:, 0],
            "lower": near[:, 2],
            "upper": near[:, 3],
            "events": [int(each.event.sum()) for each in seen],
            "competing": [int(each.competing.sum()) for each in seen],
            "at_risk": curve.left(horizons),
            "effective_at_risk": [effective_size(weight) for weight in followed],
            "cohort_incidence": whole[:, 0],
            "cohort_lower": whole[:, 2],
            "cohort_upper": whole[:, 3],
            "cohort_at_risk": everybody.left(horizons),
        }
    )
