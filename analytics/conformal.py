"""Limits without a model of what is limited: quantiles that hold for one more patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def upper_limits(values: ArrayLike, patient: ArrayLike, levels: Sequence[float]) -> list[float]:
    """Return what a new patient's value stays below, with some probability.

    Parameters
    ----------
    values : array of shape (rows,)
        Such as absolute errors of predictions that did not know the rows.
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
    A new patient is one more of n + 1 who can be exchanged, and may have the largest value of all:
    the quantile is taken among the values and one that is infinite (Vovk, Gammerman and Shafer,
    Algorithmic Learning in a Random World, 2005; for errors of the folds of a cross-validation,
    Barber et al., Ann Stat 2021;49:486).
    """
    rows, who = np.asarray(values, np.float64), np.asarray(patient)
    _, number, counts = np.unique(who, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[number]
    order = np.argsort(rows, kind="stable")
    reached = np.cumsum(weight[order]) / (len(counts) + 1)
    at = np.searchsorted(reached, np.asarray(levels) - 1e-12, side="left")
    ends = np.append(rows[order], np.inf)
    return [float(ends[i]) for i in at]
