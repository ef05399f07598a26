"""Prediction intervals without a model of the errors: quantiles of errors out of fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def half_widths(errors: ArrayLike, patient: ArrayLike, levels: Sequence[float]) -> list[float]:
    """Return how far from a prediction a new measurement lies at most, with some probability.

    Parameters
    ----------
    errors : array of shape (rows,)
        Absolute errors of rows that the predictions did not know.
    patient : array of shape (rows,)
        Each patient weighs the same, however many rows there are of one.
    levels : sequence of float
        Probabilities, 0 to 1.

    Returns
    -------
    list of float
        For each level; infinite where there are too few patients to tell.

    Notes
    -----
    A new patient is one more of n + 1 who can be exchanged, and may have the largest error of all:
    the quantile is taken among the errors and one that is infinite (Vovk, Gammerman and Shafer,
    Algorithmic Learning in a Random World, 2005; of the folds of a cross-validation, Barber et al.,
    Ann Stat 2021;49:486).
    """
    values, who = np.asarray(errors, np.float64), np.asarray(patient)
    _, number, rows = np.unique(who, return_inverse=True, return_counts=True)
    weight = 1.0 / rows[number]
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) / (len(rows) + 1)
    at = np.searchsorted(reached, np.asarray(levels) - 1e-12, side="left")
    ends = np.append(values[order], np.inf)
    return [float(ends[i]) for i in at]
