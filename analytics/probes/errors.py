"""How far percent stenoses that a method says are from those that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.resampling import percentile_interval

Floats = NDArray[np.float64]
EVERY: Final = "every segment"
FEWEST_EXAMS: Final = 40
"""Exams with measured stenoses; with fewer nothing is fitted, and no error told."""
FEWEST_LESIONS: Final = 10
"""Errors over fewer lesions are not told."""
COLUMNS: Final = (
    *("place", "method", "exams", "mae", "mae_lower", "mae_upper", "bias"),
    *("lesions", "lesion_mae", "lesion_mae_lower", "lesion_mae_upper"),
)


def percent_errors(
    measured: pd.DataFrame,
    said: Mapping[str, Floats],
    patient: NDArray[np.str_],
    *,
    pooled: Sequence[str],
    repeats: int,
    seed: int,
) -> pd.DataFrame:
    """Return mean absolute errors with intervals.

    Parameters
    ----------
    measured : DataFrame of shape (rows, places)
        Percent, 0 where a segment is not narrowed; NaN where nothing is known.
    said : mapping of str to float64 array of shape (rows, places)
        By method; NaN where it says nothing.
    patient : array of shape (rows,)
        Samples are of patients.
    pooled : sequence of str
        Places that `EVERY` counts together.
    repeats, seed : int
        Bootstrap samples, for 95 % limits by percentiles.

    Returns
    -------
    DataFrame
        `COLUMNS`, in percentage points: over all exams, most of whose segments are not narrowed,
        and over lesions alone (measured above 0).  Bias is said minus measured; limits and errors
        are NaN over fewer than `FEWEST_LESIONS` lesions.
    """
    truth = measured.to_numpy(np.float64)
    together = measured.columns.isin(list(pooled))
    count = len(np.unique(patient))
    # How often each patient is drawn in each sample.
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=repeats).astype(np.float64)

    def of_patients(cells: NDArray[np.floating] | NDArray[np.bool_]) -> Floats:
        both = pd.DataFrame(np.column_stack([cells, cells[:, together].sum(axis=1)]))
        return both.astype(float).groupby(patient).sum().to_numpy()

    rows = []
    for method, values in said.items():
        error = values - truth
        known = np.isfinite(error)
        is_lesion = known & (truth > 0)
        exams, lesions = of_patients(known), of_patients(is_lesion)
        absolute = of_patients(np.where(known, np.abs(error), 0.0))
        bias = of_patients(np.where(known, error, 0.0)).sum(axis=0)
        mae = _mean(absolute, exams, drawn)
        lesion_mae = _mean(of_patients(np.where(is_lesion, np.abs(error), 0.0)), lesions, drawn)
        for j, place in enumerate((*measured.columns, EVERY)):
            n, many = int(exams[:, j].sum()), int(lesions[:, j].sum())
            if n >= FEWEST_EXAMS:
                of_many = lesion_mae[:, j] if many >= FEWEST_LESIONS else np.full(3, np.nan)
                rows.append((place, method, n, *mae[:, j], bias[j] / n, many, *of_many))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean(total: Floats, number: Floats, drawn: Floats) -> Floats:
    """Return means over rows and their limits, (3, places), of sums and numbers by patient."""
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = (drawn @ total) / (drawn @ number)
        mean = total.sum(axis=0) / number.sum(axis=0)
    has = np.isfinite(mean)
    limits = np.full((2, len(mean)), np.nan)
    limits[:, has] = percentile_interval(samples[:, has])
    return np.vstack([mean, limits])
