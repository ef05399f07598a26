"""Whether groups share one hazard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analytics.survival.curves import tabulate
from analytics.survival.times import Times
from core.errors import UsageError


@dataclass(frozen=True)
class LogRank:
    """A test that several groups have one hazard.

    Attributes
    ----------
    observed, expected : tuple of float
        Events of each group, and how many it would have had (weighted, if the test is).
    chi2 : float
    df : int
    p : float
    """

    observed: tuple[float, ...]
    expected: tuple[float, ...]
    chi2: float
    df: int
    p: float


def log_rank(times: Times, group: ArrayLike, *, rho: float = 0.0) -> LogRank:
    """Test whether groups share one hazard.

    Parameters
    ----------
    times : Times
        Competing events count as censored: hazards are compared, not incidences.
    group : array of shape (subjects,)
        Groups in the order of their sorted labels.
    rho : float
        Weights S(t-) to this power (Fleming and Harrington): 0 is the log-rank test, 1 Peto's.

    Raises
    ------
    UsageError
        There are fewer than two groups.
    """
    labels, number = np.unique(np.asarray(group), return_inverse=True)
    if len(labels) < 2:
        raise UsageError("one group cannot be compared", "choose at least two")
    table = tabulate(times)
    step = np.searchsorted(table.time, times.time)
    shape = (len(labels), len(table.time))
    ended, events = np.zeros(shape), np.zeros(shape)
    np.add.at(ended, (number, step), 1)
    np.add.at(events, (number[times.event], step[times.event]), 1)
    at_risk = ended[:, ::-1].cumsum(axis=1)[:, ::-1]
    y, d = table.at_risk.astype(np.float64), table.events
    weight = np.append(1.0, np.cumprod(1 - d / y)[:-1]) ** rho
    share = at_risk / y
    observed, expected = (weight * events).sum(axis=1), (weight * share * d).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(y > 1, weight**2 * d * (y - d) / (y - 1), 0.0)
    covariance = np.diag((share * spread).sum(axis=1)) - (share * spread) @ share.T
    known = expected > 0
    gap, rest = (observed - expected)[known][1:], covariance[known][:, known][1:, 1:]
    # Nothing varies where all who are at risk have the event at once.
    df = int(np.linalg.matrix_rank(rest, hermitian=True)) if len(gap) else 0
    chi2 = float(gap @ np.linalg.pinv(rest, hermitian=True) @ gap) if df else 0.0
    told = tuple(observed.tolist()), tuple(expected.tolist())
    return LogRank(*told, chi2, df, float(stats.chi2.sf(chi2, df)) if df else float("nan"))
