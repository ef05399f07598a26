"""Intervals of means over queries, by drawing patients with replacement."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from analytics.resampling import bootstrap, percentile_interval

REPEATS: Final = 1000
"""Bootstrap samples."""

Floats = NDArray[np.float64]


def mean_interval(
    values: Floats, patient: NDArray[np.int64], *, seed: int
) -> tuple[Floats, Floats]:
    """Return the limits of the means of some measures, whose queries are of patients.

    Parameters
    ----------
    values : float64 array (queries, measures)
    patient : int64 array (queries,)
        Whose each query is.
    seed : int

    Returns
    -------
    lower, upper : float64 array (measures,)
        See `limits`.
    """
    samples = bootstrap(lambda i: values[i].mean(axis=0), patient, repeats=REPEATS, seed=seed)
    return limits(samples, patient)


def limits(samples: Floats, patient: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the 95 % limits of samples (repeats, measures); NaN of a single patient."""
    if len(np.unique(patient)) < 2:
        return np.full(samples.shape[1], np.nan), np.full(samples.shape[1], np.nan)
    return percentile_interval(samples)
