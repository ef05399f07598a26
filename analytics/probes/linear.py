"""Linear probes of many findings at once: ridge regression, everything chosen on the other side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytics.leakage import refuse, same_patient
from analytics.roc import youden
from analytics.splits import Split, even_folds

Floats = NDArray[np.float64]
PENALTIES: Final = tuple(np.logspace(0, 4, 9).tolist())
_INNER_FOLDS: Final = 3


@final
@dataclass(frozen=True, eq=False)
class Probed:
    """What probes say of rows that they were not fitted to.

    Attributes
    ----------
    scores : float64 array of shape (rows, findings)
        Higher means that the finding is more likely, or its number larger; NaN for rows on no test
        side.
    thresholds : float64 array of shape (rows, findings)
        From which score on the finding is said to be there: Youden's, of inner folds of the
        training side; NaN where that has too little to choose one.
    """

    scores: Floats
    thresholds: Floats

    @property
    def called(self) -> NDArray[np.bool_]:
        """Which findings are said to be there, bool (rows, findings)."""
        return self.scores >= self.thresholds


def probe(
    x: ArrayLike,
    truth: ArrayLike,
    patient: ArrayLike,
    *,
    outer_folds: int = 5,
    seed: int = 0,
    splits: Sequence[Split] | None = None,
) -> Probed:
    """Cross-validate a linear probe of each finding.

    Parameters
    ----------
    x : array of shape (rows, dim)
        Embeddings.
    truth : array of shape (rows, findings)
        1 and 0, or numbers; NaN where it is not known.
    patient : array of shape (rows,)
        All rows of a patient are on one side.
    outer_folds, seed : int
    splits : sequence of Split, optional
        In place of the cross-validation.

    Raises
    ------
    LeakageError
        A patient would be on both sides.
    UsageError
        There are fewer patients than folds.

    Notes
    -----
    Of 1 and 0, ridge regression ranks as linear discriminant analysis does with the same penalty.
    Its penalty is chosen for each finding by the squared error of inner folds of patients.
    """
    rows, known = np.asarray(x, np.float64), np.asarray(truth, np.float64)
    who = np.asarray(patient).astype(str)
    every = tuple(splits or even_folds(who, count=outer_folds, seed=seed))
    refuse(leak for split in every for leak in same_patient(split, who))
    scores = np.full(known.shape, np.nan)
    thresholds = np.full(known.shape, np.nan)
    for split in every:
        said, at = _one_side(rows, known, who, split, seed)
        scores[split.test], thresholds[split.test] = said, at
    return Probed(scores, thresholds)


def _one_side(
    x: Floats, truth: Floats, who: NDArray[np.str_], split: Split, seed: int
) -> tuple[Floats, Floats]:
    """Return scores of the test side and thresholds, everything learned from the other side."""
    mean, spread = x[split.train].mean(axis=0), x[split.train].std(axis=0)
    scaled = (x - mean) / np.where(spread > 0, spread, 1.0)
    train, own = scaled[split.train], truth[split.train]
    inner = [
        (each.train, each.test)
        for each in even_folds(who[split.train], count=_INNER_FOLDS, seed=seed)
    ]
    left_out = np.full((len(PENALTIES), *own.shape), np.nan)
    for fit, rest in inner:
        left_out[:, rest] = _path(train[fit], own[fit], train[rest])
    errors = np.nanmean((left_out - own) ** 2, axis=1, where=np.isfinite(own))
    best = np.nanargmin(np.where(np.isfinite(errors), errors, np.inf), axis=0)
    said = _path(train, own, scaled[split.test])
    columns = np.arange(own.shape[1])
    thresholds = [threshold(own[:, j], left_out[best[j], :, j]) for j in columns]
    return said[best, :, columns].T, np.array(thresholds)


def _path(x: Floats, truth: Floats, new: Floats) -> Floats:
    """Return predictions for every penalty, (penalties, new rows, findings)."""
    found = np.full((len(PENALTIES), len(new), truth.shape[1]), np.nan)
    # Findings that are known of the same rows share one decomposition.
    known = np.isfinite(truth)
    patterns, group = np.unique(known, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        columns, rows = np.flatnonzero(group == number), patterns[:, number]
        if rows.sum() < 2:
            continue
        own = truth[np.ix_(rows, columns)]
        middle, centre = own.mean(axis=0), x[rows].mean(axis=0)
        u, s, vt = np.linalg.svd(x[rows] - centre, full_matrices=False)
        inside, outside = u.T @ (own - middle), (new - centre) @ vt.T
        for i, penalty in enumerate(PENALTIES):
            shrunk = (s / (s**2 + penalty))[:, None] * inside
            found[i][:, columns] = outside @ shrunk + middle
    return found


def threshold(truth: Floats, score: Floats) -> float:
    """Return Youden's threshold of a finding; NaN where there are not both kinds, or numbers."""
    known = np.isfinite(truth) & np.isfinite(score)
    has = truth[known]
    if set(np.unique(has).tolist()) != {0.0, 1.0}:
        return float("nan")
    return youden(has == 1, score[known])
