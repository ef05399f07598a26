"""Linear mixed models: repeated measurements of patients, with statsmodels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from core.errors import UsageError

INTERCEPT: Final = "intercept"
_FEWEST_PATIENTS: Final = 5
_METHODS: Final = ("bfgs", "lbfgs", "powell", "cg")


@final
@dataclass(frozen=True, eq=False)
class MixedFit:
    """A fitted model.

    Attributes
    ----------
    fixed : DataFrame
        By term: estimate, se, lower, upper (95 %), z, p (of the normal distribution).
    random : DataFrame
        By pair of random terms: first, second, covariance, and correlation (of a term with itself:
        its standard deviation).
    residual_sd : float
    log_likelihood : float
        Restricted where the fit is.
    rows, patients : int
    restricted : bool
    converged : bool
        False: the likelihood has its highest point at the edge of what variances can be, such as a
        variance of 0, or was not found; the fixed effects may still be of use.
    """

    fixed: pd.DataFrame
    random: pd.DataFrame
    residual_sd: float
    log_likelihood: float
    rows: int
    patients: int
    restricted: bool
    converged: bool


def fit_mixed(
    y: ArrayLike,
    x: pd.DataFrame,
    patient: ArrayLike,
    *,
    slopes: Sequence[str] = (),
    restricted: bool = True,
) -> MixedFit:
    """Fit a model with a random intercept of each patient, and random slopes.

    Parameters
    ----------
    y : array of shape (rows,)
    x : DataFrame of shape (rows, terms)
        Without an intercept, which is added.
    patient : array of shape (rows,)
    slopes : sequence of str
        Columns of `x` whose effect differs between patients.
    restricted : bool
        Restricted maximum likelihood (REML); False is maximum likelihood, to compare models with
        other fixed effects.

    Raises
    ------
    UsageError
        There are too few patients, no patient has two rows, or a number is not finite.

    References
    ----------
    Laird and Ware, Biometrics 1982;38:963.
    """
    target, who = np.asarray(y, np.float64), np.asarray(patient)
    counts = np.unique(who, return_counts=True)[1]
    if len(counts) < _FEWEST_PATIENTS or counts.max() < 2:
        raise UsageError(
            f"{len(counts)} patients, {(counts > 1).sum()} of them with two rows or more: a mixed "
            "model cannot be fitted",
            f"it needs {_FEWEST_PATIENTS} patients, and some with several exams",
        )
    design = pd.concat(
        [pd.Series(1.0, index=x.index, name=INTERCEPT), x.astype(np.float64)], axis=1
    )
    if not (np.isfinite(target).all() and np.isfinite(design.to_numpy()).all()):
        raise UsageError("numbers that are not finite", "leave out rows with gaps")
    terms = [INTERCEPT, *slopes]
    model = MixedLM(target, design, groups=who, exog_re=design[terms])
    result, converged = _fitted(model, restricted)
    return MixedFit(
        fixed=_fixed(result, design, terms, who),
        random=_random(np.atleast_2d(np.asarray(result.cov_re)), terms),
        residual_sd=float(result.scale**0.5),
        log_likelihood=float(result.llf),
        rows=len(target),
        patients=len(counts),
        restricted=restricted,
        converged=converged,
    )


def _fitted(model: MixedLM, restricted: bool) -> tuple[Any, bool]:
    """Return the fit with the highest likelihood among several ways to look for it."""
    best, converged = None, False
    with warnings.catch_warnings():
        # What they say is told by `converged`.
        for kind in (ConvergenceWarning, UserWarning, RuntimeWarning):
            warnings.simplefilter("ignore", kind)
        for method in _METHODS:
            try:
                found = model.fit(reml=restricted, method=method, maxiter=500)
            except np.linalg.LinAlgError:
                continue
            if best is None or found.llf > best.llf + 1e-9:
                best, converged = found, bool(found.converged)
            if converged:
                break
    if best is None:
        raise UsageError(
            "the mixed model cannot be fitted: its terms say the same twice",
            "leave one of them out",
        )
    edge = np.linalg.eigvalsh(np.atleast_2d(best.cov_re)).min() < 1e-8 * best.scale
    return best, converged and not edge


def _fixed(
    result: Any, design: pd.DataFrame, terms: list[str], patient: np.ndarray
) -> pd.DataFrame:
    """Tell the fixed effects; their errors are those of known variances, as lme4's are."""
    x, random = design.to_numpy(np.float64), design[terms].to_numpy(np.float64)
    between, within = np.atleast_2d(np.asarray(result.cov_re)), float(result.scale)
    order = np.argsort(patient, kind="stable")
    starts = np.unique(patient[order], return_index=True)[1]
    information = np.zeros((x.shape[1], x.shape[1]))
    for rows in np.split(order, starts[1:]):
        spread = random[rows] @ between @ random[rows].T + within * np.eye(len(rows))
        information += x[rows].T @ np.linalg.solve(spread, x[rows])
    estimate = np.asarray(result.fe_params, np.float64)
    se = np.sqrt(np.diag(np.linalg.inv(information)))
    z, half = estimate / se, stats.norm.ppf(0.975) * se
    return pd.DataFrame(
        {
            "estimate": estimate,
            "se": se,
            "lower": estimate - half,
            "upper": estimate + half,
            "z": z,
            "p": 2 * stats.norm.sf(np.abs(z)),
        },
        index=pd.Index(design.columns, name="term"),
    )


def _random(covariance: np.ndarray, terms: list[str]) -> pd.DataFrame:
    sd = np.sqrt(np.clip(np.diag(covariance), 0, None))
    rows = []
    for i, first in enumerate(terms):
        for j, second in enumerate(terms[i:], i):
            product = sd[i] * sd[j]
            related = sd[i] if i == j else covariance[i, j] / product if product else np.nan
            rows.append((first, second, float(covariance[i, j]), float(related)))
    return pd.DataFrame(rows, columns=["first", "second", "covariance", "correlation"])
