"""How well predicted numbers agree with measured ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import UsageError

Floats = NDArray[np.float64]
_FEWEST: Final = 3
_LIMITS: Final = 1.96
"""Standard deviations; the published figure, not the quantile of the normal distribution."""


@final
@dataclass(frozen=True)
class Agreement:
    """Measures of agreement, in the unit of the numbers where they have one.

    Attributes
    ----------
    mae, rmse : float
        Mean absolute error; root of the mean squared error.
    r2 : float
        Share of the variance of the measured numbers that is explained; below 0 is worse than their
        mean.
    correlation, concordance : float
        Pearson's; Lin's, which also falls when the line is not the diagonal.
    bias, sd : float
        Mean and standard deviation of predicted minus measured.
    lower, upper : float
        Limits of agreement: bias ± 1.96 sd (Bland and Altman, Lancet 1986;1:307).
    intercept, slope : float
        Of the line of measured on predicted; 0 and 1 where predictions are calibrated.
    """

    mae: float
    rmse: float
    r2: float
    correlation: float
    concordance: float
    bias: float
    sd: float
    lower: float
    upper: float
    intercept: float
    slope: float


def agreement(measured: ArrayLike, predicted: ArrayLike) -> Agreement:
    """Return how well numbers agree.

    Parameters
    ----------
    measured, predicted : arrays of shape (rows,)
        Finite.

    Raises
    ------
    UsageError
        There are fewer than three rows, of different lengths, or not finite.

    References
    ----------
    Lin, Biometrics 1989;45:255 (with the divisor n).
    """
    y, p = np.asarray(measured, np.float64), np.asarray(predicted, np.float64)
    if y.shape != p.shape or y.ndim != 1 or len(y) < _FEWEST:
        raise UsageError(
            f"{y.shape} measured and {p.shape} predicted numbers",
            f"one each, and at least {_FEWEST}",
        )
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise UsageError("numbers that are not finite", "leave out rows with gaps")
    error = p - y
    bias, sd = float(error.mean()), float(error.std(ddof=1))
    both, spread_y, spread_p = float(np.cov(y, p, ddof=0)[0, 1]), float(y.var()), float(p.var())
    slope = both / spread_p if spread_p > 0 else float("nan")
    apart = spread_y + spread_p + bias**2
    scale = (spread_y * spread_p) ** 0.5
    return Agreement(
        mae=float(np.abs(error).mean()),
        rmse=float((error**2).mean() ** 0.5),
        r2=1 - float((error**2).mean()) / spread_y if spread_y > 0 else float("nan"),
        correlation=both / scale if scale > 0 else float("nan"),
        concordance=2 * both / apart if apart > 0 else float("nan"),
        bias=bias,
        sd=sd,
        lower=bias - _LIMITS * sd,
        upper=bias + _LIMITS * sd,
        intercept=float(y.mean()) - slope * float(p.mean()),
        slope=slope,
    )
