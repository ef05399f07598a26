"""How well scores tell two groups apart: ROC curve, its area, DeLong's test, precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.metrics import average_precision_score, roc_curve

from core.errors import UsageError

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Areas:
    """Areas under the ROC curves of several scores of the same subjects.

    Attributes
    ----------
    auc : float64 array of shape (scores,)
        Probability that who has the finding has the higher score; equal scores count a half.
    covariance : float64 array of shape (scores, scores)
        By DeLong; of independent subjects.
    """

    auc: Floats
    covariance: Floats

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the limits of each area, symmetric and cut at 0 and 1."""
        half = stats.norm.ppf(0.5 + level / 2) * np.sqrt(np.diag(self.covariance))
        return np.clip(self.auc - half, 0, 1), np.clip(self.auc + half, 0, 1)

    def compare(self, one: int, other: int) -> tuple[float, float, float]:
        """Return the difference of two areas, its z, and the two-sided p."""
        difference = float(self.auc[one] - self.auc[other])
        contrast = np.zeros(len(self.auc))
        contrast[[one, other]] = 1, -1
        variance = float(contrast @ self.covariance @ contrast)
        if variance <= 0:
            return difference, 0.0, 1.0
        z = difference / variance**0.5
        return difference, z, float(2 * stats.norm.sf(abs(z)))


def auc(truth: ArrayLike, score: ArrayLike) -> float:
    """Return the area under the ROC curve; NaN where everybody or nobody has the finding.

    Parameters
    ----------
    truth : array of shape (subjects,)
        Who has the finding.
    score : array of shape (subjects,)
        Higher means that it is more likely.
    """
    found, values = np.asarray(truth, bool), np.asarray(score, np.float64)
    cases = int(found.sum())
    controls = len(found) - cases
    if not cases or not controls:
        return float("nan")
    ranks = stats.rankdata(values)
    return float((ranks[found].sum() - cases * (cases + 1) / 2) / (cases * controls))


def average_precision(truth: ArrayLike, score: ArrayLike) -> float:
    """Return the area under the precision-recall curve, without interpolation; NaN without cases.

    Its value for scores that tell nothing is the share of cases.
    """
    found = np.asarray(truth, bool)
    if not found.any():
        return float("nan")
    return float(average_precision_score(found, np.asarray(score, np.float64)))


def delong(truth: ArrayLike, scores: ArrayLike) -> Areas:
    """Return areas with their covariance, of subjects who are independent of each other.

    Parameters
    ----------
    truth : array of shape (subjects,)
        Who has the finding.  One row a patient: rows of one patient are not independent.
    scores : array of shape (subjects, scores) or (subjects,)

    Raises
    ------
    UsageError
        Fewer than two subjects have the finding, or do not have it.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837.  Sun and Xu, IEEE Signal Process
    Lett 2014;21:1389 (by ranks).
    """
    found = np.asarray(truth, bool)
    values = np.asarray(scores, np.float64).reshape(len(found), -1)
    cases, controls = values[found], values[~found]
    if len(cases) < 2 or len(controls) < 2:
        raise UsageError(
            f"{len(cases)} subjects with the finding and {len(controls)} without: areas have no "
            "variance",
            "take more subjects, at least two of each",
        )
    together = stats.rankdata(values, axis=0)
    ahead = (together[found] - stats.rankdata(cases, axis=0)) / len(controls)
    behind = 1 - (together[~found] - stats.rankdata(controls, axis=0)) / len(cases)
    spread = [np.atleast_2d(np.cov(each, rowvar=False)) / len(each) for each in (ahead, behind)]
    return Areas(ahead.mean(axis=0), spread[0] + spread[1])


def curve(truth: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return false positive rates, true positive rates and thresholds of the ROC curve.

    Whose score is the threshold or higher is said to have the finding.
    """
    false, true, thresholds = roc_curve(np.asarray(truth, bool), np.asarray(score, np.float64))
    return false, true, thresholds


def youden(truth: ArrayLike, score: ArrayLike) -> float:
    """Return the threshold with the highest sum of sensitivity and specificity.

    It lies half-way to the next lower score.  To be chosen on the training side alone.

    References
    ----------
    Youden, Cancer 1950;3:32.
    """
    false, true, thresholds = curve(truth, score)
    best = thresholds[int(np.argmax(true - false))]
    values = np.unique(np.asarray(score, np.float64))
    lower = values[values < best]
    return float((best + lower[-1]) / 2 if len(lower) else best)
