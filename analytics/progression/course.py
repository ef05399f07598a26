"""The natural course of disease: until the first treatment, over years."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter
from lifelines.exceptions import ApproximationWarning
from numpy.typing import ArrayLike

from analytics.mixed import MixedFit, fit_mixed
from analytics.progression.pairs import DAYS_PER_YEAR
from core.errors import UsageError

YEARS = "years"


def natural(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of each patient until the first one with a treatment in between.

    Parameters
    ----------
    pairs : DataFrame
        patient_id, date, treatment; by patient and date.
    """
    treated = (pairs["treatment"] != "").groupby(pairs["patient_id"]).cummax()
    return pairs[~treated]


def slope_over_years(values: ArrayLike, years: ArrayLike, patient: ArrayLike) -> MixedFit:
    """Return how a number changes with time within patients.

    Parameters
    ----------
    values : array of shape (exams,)
    years : array of shape (exams,)
        Since the first exam of the patient.
    patient : array of shape (exams,)

    Returns
    -------
    MixedFit
        Each patient has an intercept and a slope of their own where two thirds of the patients or
        more have several exams and the data bear it, else an intercept; the fixed effect `years` is
        the mean slope.

    Raises
    ------
    UsageError
        There are too few patients with several exams.
    """
    x = pd.DataFrame({YEARS: np.asarray(years, np.float64)})
    sloping = fit_mixed(values, x, patient, slopes=[YEARS])
    return sloping if sloping.converged else fit_mixed(values, x, patient)


def time_to_progression(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the share that has progressed by time since the first exam.

    When a patient progressed is known between two exams only: the last one without it and the first
    one with it.  Who never did is followed until the last exam, or until a treatment.

    Parameters
    ----------
    pairs : DataFrame
        patient_id, prior_date, date, treatment, progressed (True, False or null) of all pairs; by
        patient and date.

    Returns
    -------
    DataFrame
        years, lower, upper: between which shares the estimate lies; it is not told more exactly
        within the intervals (Turnbull, J R Stat Soc B 1976;38:290).

    Raises
    ------
    UsageError
        Nobody's progression is known.
    """
    left, right = _intervals(pairs)
    if not np.isfinite(right).any():
        raise UsageError("nobody is known to have progressed", "embed more exams of the patients")
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        # Who is not followed to the end leaves the last step open, as in every such curve.
        warnings.simplefilter("ignore", ApproximationWarning)
        fitted = KaplanMeierFitter().fit_interval_censoring(left, right)
    # After the last interval nothing is known.
    table = 1 - fitted.survival_function_[np.isfinite(fitted.survival_function_.index)]
    shares = table.to_numpy(np.float64)
    return pd.DataFrame(
        {
            YEARS: table.index.to_numpy(np.float64),
            "lower": shares.min(axis=1),
            "upper": shares.max(axis=1),
        }
    )


def _intervals(pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    known = natural(pairs)
    known = known[known["progressed"].notna()]
    left, right = [], []
    for _, rows in known.groupby("patient_id", sort=False):
        first = rows["prior_date"].iloc[0]
        since = (rows["date"] - first).dt.days.to_numpy(np.float64) / DAYS_PER_YEAR
        before = (rows["prior_date"] - first).dt.days.to_numpy(np.float64) / DAYS_PER_YEAR
        happened = np.flatnonzero(rows["progressed"].to_numpy(bool))
        if len(happened):
            at = happened[0]
            left.append(before[at])
            right.append(since[at])
        else:
            left.append(since[-1])
            right.append(np.inf)
    # Intervals are taken as closed: a day later than the last exam without it, lest the end of one
    # and the beginning of another one seem to be the same moment.
    begin = np.array(left) + 1 / DAYS_PER_YEAR
    return begin, np.maximum(np.array(right), begin + 1 / DAYS_PER_YEAR)
