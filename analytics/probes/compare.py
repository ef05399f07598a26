"""Several ways to tell findings, side by side, and whether one is better than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.resampling import bootstrap, percentile_interval
from analytics.roc import auc, average_precision, delong

Floats = NDArray[np.float64]
FEWEST_CASES: Final = 10
"""Findings with fewer cases, or fewer controls, are weak rows: told without an interval."""
COLUMNS: Final = (
    *("finding", "method", "exams", "cases"),
    *("auc", "auc_lower", "auc_upper"),
    *("average_precision", "average_precision_lower", "average_precision_upper"),
    *("sensitivity", "specificity", "weak"),
)


def compare(
    truth: Floats,
    scores: Mapping[str, Floats],
    names: Sequence[str],
    patient: NDArray[np.str_],
    *,
    called: Mapping[str, NDArray[np.bool_]] | None = None,
    repeats: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge each way to tell each finding.

    Parameters
    ----------
    truth : float64 array of shape (rows, findings)
        1, 0, or NaN where it is not known.
    scores : mapping of str to float64 array of shape (rows, findings)
        By method; a column of NaN where it says nothing of a finding.
    names : sequence of str
        Of the findings.
    patient : array of shape (rows,)
        Samples are of patients.
    called : mapping of str to bool array of shape (rows, findings), optional
        By method: which findings are said to be there, by thresholds that did not see these rows.
    repeats, seed : int

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a finding and method.
    """
    rows = []
    for j, name in enumerate(names):
        for method, all_ in scores.items():
            known = np.isfinite(truth[:, j]) & np.isfinite(all_[:, j])
            has, score = truth[known, j] == 1, all_[known, j]
            cases = int(has.sum())
            if not known.any() or not cases or cases == len(has):
                continue
            weak = min(cases, len(has) - cases) < FEWEST_CASES
            limits = (np.full(2, np.nan), np.full(2, np.nan))
            if not weak:
                samples = bootstrap(
                    lambda drawn, has=has, score=score: _areas(has[drawn], score[drawn]),  # type: ignore[misc]
                    patient[known],
                    repeats=repeats,
                    seed=seed,
                )
                limits = percentile_interval(samples)
            area, precision = _areas(has, score)
            said = None if called is None or method not in called else called[method][known, j]
            rows.append(
                (
                    *(name, method, len(has), cases),
                    *(area, limits[0][0], limits[1][0]),
                    *(precision, limits[0][1], limits[1][1]),
                    float("nan") if said is None else float(said[has].mean()),
                    float("nan") if said is None else float((~said[~has]).mean()),
                    weak,
                )
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def differences(
    truth: Floats,
    one: Floats,
    other: Floats,
    names: Sequence[str],
    patient: NDArray[np.str_],
    *,
    repeats: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """Return by how much the AUC of one method exceeds that of another, of the same rows.

    Returns
    -------
    DataFrame
        finding, exams, difference, lower, upper (95 %, of bootstrap samples of patients), p_delong
        (DeLong's test where each patient has one row, else NaN: it takes rows as independent);
        findings that both methods tell, with `FEWEST_CASES` cases and controls or more.
    """
    rows = []
    for j, name in enumerate(names):
        known = np.isfinite(truth[:, j]) & np.isfinite(one[:, j]) & np.isfinite(other[:, j])
        has = truth[known, j] == 1
        if min(has.sum(), (~has).sum()) < FEWEST_CASES:
            continue
        a, b = one[known, j], other[known, j]

        def apart(
            drawn: NDArray[np.int64], has: NDArray[np.bool_] = has, a: Floats = a, b: Floats = b
        ) -> Floats:
            return np.array([auc(has[drawn], a[drawn]) - auc(has[drawn], b[drawn])])

        samples = bootstrap(apart, patient[known], repeats=repeats, seed=seed)
        low, high = percentile_interval(samples)
        found = float(apart(np.arange(len(has)))[0])
        p = float("nan")
        if len(np.unique(patient[known])) == len(has):
            _, _, p = delong(has, np.column_stack([a, b])).compare(0, 1)
        rows.append((name, len(has), found, float(low[0]), float(high[0]), p))
    columns = ["finding", "exams", "difference", "lower", "upper", "p_delong"]
    return pd.DataFrame(rows, columns=columns)


def _areas(has: NDArray[np.bool_], score: Floats) -> Floats:
    return np.array([auc(has, score), average_precision(has, score)])
