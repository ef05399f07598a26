"""Before and after an intervention, held against patients who had none: one pair a patient."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import stats

from analytics.progression.pairs import DAYS_PER_YEAR

Floats = NDArray[np.float64]
FEWEST_EACH: Final = 5
"""Groups of fewer patients are not compared."""
MEASURES: Final = ("score", "toward_disease")
COLUMNS: Final = (
    *("measure", "treated", "untreated", "mean_treated", "mean_untreated"),
    *("difference", "lower", "upper", "p"),
    *("adjusted", "adjusted_lower", "adjusted_upper"),
)


def one_pair_each(pairs: pd.DataFrame, *, treatment: str = "pci") -> pd.DataFrame:
    """Choose one pair a patient: around the first intervention, or the first of who had none.

    Parameters
    ----------
    pairs : DataFrame
        By patient and date; see `analytics.progression.pairs.mark_between`.
    treatment : str
        The intervention.  Patients whose first one is another, or this and another between the same
        two exams, are left out.

    Returns
    -------
    DataFrame
        The pairs with `treated`.
    """
    had = pairs["treatment"] != ""
    first = pairs[had].drop_duplicates("patient_id")
    treated = first[first["treatment"] == treatment]
    never = pairs[~pairs["patient_id"].isin(first["patient_id"])].drop_duplicates("patient_id")
    chosen = pd.concat([treated.assign(treated=True), never.assign(treated=False)])
    return chosen.sort_index()


def before_and_after(pairs: pd.DataFrame, *, repeats: int, seed: int) -> pd.DataFrame:
    """Compare pairs around a first PCI with pairs of patients who had no intervention.

    Parameters
    ----------
    pairs : DataFrame
        See `one_pair_each`, with `MEASURES` and days.
    repeats : int
        Samples for the limits of the difference, see `difference_limits`; and so many exchanges of
        the groups for its p.
    seed : int

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a measure: patients in each group and their means; difference of the means
        with 95 % limits; p, the share of exchanges of the groups with a difference as large; and
        the difference between pairs equally far apart in time (least squares on years, limits by
        HC3).  Without rows where a group has fewer than `FEWEST_EACH` patients.
    """
    chosen = one_pair_each(pairs)
    rows = []
    for measure in MEASURES:
        part = chosen[chosen[measure].notna()]
        is_treated = part["treated"].to_numpy(bool)
        if min(is_treated.sum(), (~is_treated).sum()) < FEWEST_EACH:
            continue
        values = part[measure].to_numpy(np.float64)
        one, other = values[is_treated], values[~is_treated]
        low, high = difference_limits(one, other, repeats=repeats, seed=seed)
        exchanged = stats.permutation_test(
            (one, other), _difference, vectorized=True, n_resamples=repeats, rng=seed
        )
        years = part["days"].to_numpy(np.float64) / DAYS_PER_YEAR
        rows.append(
            (
                *(measure, len(one), len(other), float(one.mean()), float(other.mean())),
                *(float(one.mean() - other.mean()), low, high, float(exchanged.pvalue)),
                *_adjusted(values, is_treated, years),
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def difference_limits(
    one: Floats, other: Floats, *, repeats: int, seed: int
) -> tuple[float, float]:
    """Return 95 % limits of the difference of two means.

    Both groups are drawn again, each by itself; limits are of the studentised difference (Efron and
    Tibshirani 1993, chapter 12), which holds for skewed values and small groups where percentiles
    are too narrow.
    """
    rng = np.random.default_rng(seed)
    ones, others = (each[rng.integers(0, len(each), (repeats, len(each)))] for each in (one, other))
    difference, error = _difference(one, other, -1), _standard_error(one, other)
    errors = _standard_error(ones, others)
    varied = errors > 0  # a sample of one value over and over has no spread to divide by
    t = (_difference(ones, others, -1) - difference)[varied] / errors[varied]
    low, high = np.quantile(t, [0.025, 0.975]) if varied.any() else (np.nan, np.nan)
    return float(difference - high * error), float(difference - low * error)


def _difference(one: Floats, other: Floats, axis: int) -> Floats:
    return np.asarray(one.mean(axis=axis) - other.mean(axis=axis))


def _standard_error(one: Floats, other: Floats) -> Floats:
    parts = [each.var(axis=-1, ddof=1) / each.shape[-1] for each in (one, other)]
    return np.asarray(np.sqrt(parts[0] + parts[1]))


def _adjusted(
    values: Floats, is_treated: NDArray[np.bool_], years: Floats
) -> tuple[float, float, float]:
    design = np.column_stack([np.ones(len(values)), is_treated, years])
    fitted = sm.OLS(values, design).fit(cov_type="HC3", use_t=True)
    low, high = fitted.conf_int()[1]
    return float(fitted.params[1]), float(low), float(high)
