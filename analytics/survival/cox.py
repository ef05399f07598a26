"""Cox's proportional hazards: fit, tests, baseline hazard, predictions, and the assumption itself.

lifelines fits; the inference is completed here to what R's `coxph` prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analytics.survival.curves import Floats
from analytics.survival.discrimination import Concordance, harrell
from analytics.survival.kaplan_meier import kaplan_meier
from analytics.survival.risk_sets import RiskSets, Ties, risk_sets, score_residuals
from analytics.survival.times import Times
from core.errors import UsageError


@dataclass(frozen=True)
class ChiSquared:
    """A test statistic and what it says."""

    chi2: float
    df: int

    @property
    def p(self) -> float:
        """Probability of a statistic this large by chance."""
        return float(stats.chi2.sf(self.chi2, self.df))


@final
@dataclass(frozen=True, eq=False)
class CoxFit:
    """A fitted model; higher covariates times coefficients mean a higher hazard.

    Attributes
    ----------
    table : DataFrame
        One row a covariate: coef, hr, se, z, p, hr_lower, hr_upper (95 %).
    covariance : float64 array of shape (covariates, covariates)
        Of the coefficients; by clusters when they were given.
    log_likelihood, log_likelihood_null : float
    likelihood_ratio, wald, score : ChiSquared
        Tests that all coefficients are zero.
    concordance : Concordance
        Of the subjects that it was fitted to.
    subjects, events : int
    """

    table: pd.DataFrame
    covariance: Floats
    log_likelihood: float
    log_likelihood_null: float
    likelihood_ratio: ChiSquared
    wald: ChiSquared
    score: ChiSquared
    concordance: Concordance
    subjects: int
    events: int
    _times: Times
    _x: Floats
    _stratum: NDArray[np.int64]
    _sets: RiskSets

    @property
    def coefficients(self) -> Floats:
        """The coefficients in the order of the covariates."""
        return self.table["coef"].to_numpy(np.float64)

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return 2 * len(self.table) - 2 * self.log_likelihood

    def linear_predictor(self, x: pd.DataFrame) -> Floats:
        """Return log hazard ratios to a subject whose covariates are those of the mean."""
        return np.asarray((self._columns(x) - self._x.mean(axis=0)) @ self.coefficients)

    def cumulative_hazard(self, x: Mapping[str, float], times: ArrayLike) -> Floats:
        """Return the cumulative hazard of covariates at times (unstratified models)."""
        return self._hazard(self._columns(pd.DataFrame([x]))[0], times)[0]

    def survival(self, x: Mapping[str, float], times: ArrayLike, *, level: float = 0.95) -> Floats:
        """Return survival, and its lower and upper limit, of covariates at times.

        Parameters
        ----------
        x : mapping of str to float
            A value of each covariate.
        times : array of shape (times,)
        level : float
            Coverage; the interval is symmetric for the logarithm.

        Returns
        -------
        float64 array of shape (times, 3)

        Raises
        ------
        UsageError
            The model is stratified: each stratum has a baseline of its own.

        References
        ----------
        Tsiatis, Ann Stat 1981;9:93.
        """
        hazard, se = self._hazard(self._columns(pd.DataFrame([x]))[0], times)
        z = float(stats.norm.ppf(0.5 + level / 2))
        limits = [np.exp(-hazard - z * se), np.exp(-hazard + z * se).clip(max=1)]
        return np.stack([np.exp(-hazard), *limits], axis=-1)

    def _hazard(self, x: Floats, times: ArrayLike) -> tuple[Floats, Floats]:
        if len(np.unique(self._stratum)) > 1:
            raise UsageError(
                "a stratified model has a baseline hazard for each stratum",
                "fit one without strata for predictions",
            )
        sets, until = self._sets, np.searchsorted(self._sets.time, np.asarray(times), side="right")
        relative = float(np.exp(x @ self.coefficients))
        each = relative / sets.total
        away = (x - sets.mean) * each[:, None]
        hazard, own = (np.append(0.0, np.cumsum(part))[until] for part in (each, each**2))
        drift = np.concatenate([np.zeros((1, len(x))), np.cumsum(away, axis=0)])[until]
        variance = own + np.einsum("ti,ij,tj->t", drift, self.covariance, drift)
        return hazard, np.sqrt(variance)

    def _columns(self, x: pd.DataFrame) -> Floats:
        missing = [name for name in self.table.index if name not in x.columns]
        if missing:
            raise UsageError(
                f"covariates {', '.join(missing)} are missing",
                f"the model was fitted with {', '.join(self.table.index)}",
            )
        return x[list(self.table.index)].to_numpy(np.float64)

    def proportional(self, terms: Mapping[str, Sequence[str]] | None = None) -> pd.DataFrame:
        """Test whether hazards are proportional: whether coefficients change with time.

        Parameters
        ----------
        terms : mapping of str to sequence of str, optional
            Covariates that are tested together, such as the indicators of one factor; each alone by
            default.

        Returns
        -------
        DataFrame
            chi2, df, p by term, and of all of them (``GLOBAL``).  A small p means that the
            coefficient is not constant.

        Notes
        -----
        The score test of coefficients that are linear in the Kaplan-Meier transform of time.

        References
        ----------
        Grambsch and Therneau, Biometrika 1994;81:515; in the form of R's survival 3, `cox.zph`.
        """
        sets, p = self._sets, len(self.table)
        late = 1 - np.append(1.0, (curve := kaplan_meier(self._times)).estimate[:-1])
        of_event = late[np.searchsorted(curve.time, sets.time)]
        g = of_event - of_event.mean()
        score = (g[:, None] * (sets.x - sets.mean)).sum(axis=0)
        plain = sets.information()
        crossed = np.einsum("e,eij->ij", g, sets.covariance)
        squared = np.einsum("e,eij->ij", g**2, sets.covariance)
        rest = squared - crossed @ np.linalg.solve(plain, crossed)
        names = list(self.table.index)
        groups = {name: [name] for name in names} if terms is None else dict(terms)
        rows = {}
        for name, columns in groups.items():
            at = [names.index(column) for column in columns]
            rows[name] = _quadratic(score[at], rest[np.ix_(at, at)])
        rows["GLOBAL"] = _quadratic(score, rest) if p else ChiSquared(0.0, 0)
        return pd.DataFrame(
            {
                "chi2": [t.chi2 for t in rows.values()],
                "df": [t.df for t in rows.values()],
                "p": [t.p for t in rows.values()],
            },
            index=list(rows),
        )


def _quadratic(score: Floats, variance: Floats) -> ChiSquared:
    return ChiSquared(float(score @ np.linalg.solve(variance, score)), len(score))


def fit_cox(
    times: Times,
    x: pd.DataFrame,
    *,
    strata: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    ties: Ties = "efron",
) -> CoxFit:
    """Fit a Cox model without penalty.

    Parameters
    ----------
    times : Times
        Competing events count as censored: hazards are cause-specific.
    x : DataFrame of shape (subjects, covariates)
        Numbers without gaps.
    strata : array of shape (subjects,), optional
        Groups with baseline hazards of their own.
    cluster : array of shape (subjects,), optional
        Rows that belong together, such as exams of one patient: the covariance is then the robust
        one of Lin and Wei.
    ties : {"efron", "breslow"}

    Raises
    ------
    UsageError
        A covariate has a gap or does not vary, or there are fewer events than covariates.
    """
    values = checked_covariates(times, x)
    stratum = _numbered(strata, len(times))
    beta = _by_lifelines(times, values, stratum)
    for _ in range(_POLISH):
        sets = risk_sets(times, values, beta, stratum=stratum, ties=ties)
        beta = beta + np.linalg.solve(sets.information(), sets.score())
    sets = risk_sets(times, values, beta, stratum=stratum, ties=ties)
    null = risk_sets(times, values, 0 * beta, stratum=stratum, ties=ties)
    covariance = np.linalg.inv(sets.information())
    if cluster is not None:
        each = score_residuals(sets, times, values, beta, stratum=stratum)
        covariance = robust_covariance(each @ covariance, cluster)
    likelihood, likelihood_null = sets.log_likelihood(beta), null.log_likelihood(0 * beta)
    return CoxFit(
        table=coefficient_table(list(x.columns), beta, covariance),
        covariance=covariance,
        log_likelihood=likelihood,
        log_likelihood_null=likelihood_null,
        likelihood_ratio=ChiSquared(2 * (likelihood - likelihood_null), len(beta)),
        wald=_quadratic(beta, covariance),
        score=_quadratic(null.score(), null.information()),
        concordance=harrell(times, values @ beta, stratum=stratum),
        subjects=len(times),
        events=int(times.event.sum()),
        _times=times,
        _x=values,
        _stratum=stratum,
        _sets=sets,
    )


_POLISH = 4
"""Newton steps after lifelines, which takes Efron's way with ties and stops when the likelihood no
longer changes visibly: the coefficients are then exact to rounding, for either way."""


def _by_lifelines(times: Times, values: Floats, stratum: NDArray[np.int64]) -> Floats:
    names = [f"x{i}" for i in range(values.shape[1])]
    frame = pd.DataFrame(values, columns=names)
    frame = frame.assign(time=times.time, event=times.event, stratum=stratum)
    fitted = CoxPHFitter().fit(frame, duration_col="time", event_col="event", strata="stratum")
    return np.asarray(fitted.params_, np.float64)


def robust_covariance(influence: Floats, cluster: ArrayLike | None) -> Floats:
    """Return the covariance of coefficients from the influence of subjects.

    Parameters
    ----------
    influence : float64 array of shape (subjects, covariates)
        How far the coefficients move with each subject.
    cluster : array of shape (subjects,) or None
        Subjects whose influences belong together; each is alone without.
    """
    if cluster is not None:
        number = np.unique(np.asarray(cluster), return_inverse=True)[1]
        together = np.zeros((int(number.max()) + 1, influence.shape[1]))
        np.add.at(together, number, influence)
        influence = together
    return np.asarray(influence.T @ influence, np.float64)


def coefficient_table(names: list[str], beta: Floats, covariance: Floats) -> pd.DataFrame:
    """Return coefficients, hazard ratios, standard errors, tests and 95 % limits, one row each."""
    se = np.sqrt(np.diag(covariance))
    z = beta / se
    half = float(stats.norm.ppf(0.975)) * se
    columns = {
        "coef": beta,
        "hr": np.exp(beta),
        "se": se,
        "z": z,
        "p": 2 * stats.norm.sf(np.abs(z)),
        "hr_lower": np.exp(beta - half),
        "hr_upper": np.exp(beta + half),
    }
    return pd.DataFrame(columns, index=names)


def checked_covariates(times: Times, x: pd.DataFrame) -> Floats:
    """Return covariates as numbers.

    Raises
    ------
    UsageError
        The rows do not match, a covariate has gaps or does not vary, or there are not more events
        than covariates.
    """
    if len(x) != len(times):
        raise UsageError(
            f"{len(times)} follow-up times and {len(x)} rows of covariates",
            "one row for each subject, in the same order",
        )
    values = x.to_numpy(np.float64)
    gaps = [
        str(name)
        for name, column in zip(x.columns, values.T, strict=True)
        if not np.isfinite(column).all()
    ]
    if gaps:
        raise UsageError(
            f"covariates {', '.join(gaps)} have missing values",
            "impute them inside each training fold, or leave the subjects out",
        )
    flat = [
        str(name) for name, column in zip(x.columns, values.T, strict=True) if np.ptp(column) == 0
    ]
    if flat:
        raise UsageError(
            f"covariates {', '.join(flat)} are the same for everybody", "leave them out"
        )
    if times.event.sum() <= values.shape[1]:
        raise UsageError(
            f"{int(times.event.sum())} events for {values.shape[1]} covariates",
            "leave covariates out, or take a penalised model",
        )
    return values


def _numbered(strata: ArrayLike | None, n: int) -> NDArray[np.int64]:
    if strata is None:
        return np.zeros(n, np.int64)
    return np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.int64)
