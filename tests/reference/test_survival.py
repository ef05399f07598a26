"""Survival statistics against R (tests/data/survival/reference.R; survival, riskRegression)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.calibration import brier
from analytics.survival.cox import fit_cox
from analytics.survival.discrimination import auc, harrell, uno
from analytics.survival.fine_gray import fit_fine_gray
from analytics.survival.kaplan_meier import kaplan_meier, median, restricted_mean
from analytics.survival.log_rank import log_rank
from tests.support.survival import AT, COVARIATES, censored, competing, reference, subjects

ROWS = subjects()
R = reference()
GROUPS = ("a", "b", "c")


def close(found, expected, tolerance=1e-9):
    np.testing.assert_allclose(
        np.asarray(found, float), np.asarray(expected, float), rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("interval", ["log", "log-log", "plain"])
def test_kaplan_meier(interval):
    told = pd.DataFrame(R[f"km {interval}"])
    for group in GROUPS:
        curve = kaplan_meier(censored(ROWS[ROWS["group"] == group]), interval=interval)
        expected = told[told["group"] == f"group={group}"]
        close(curve.at(AT), expected[["estimate", "se", "lower", "upper"]])
        assert curve.left(AT).tolist() == expected["n_risk"].tolist()


def test_median_and_restricted_mean():
    for i, group in enumerate(GROUPS):
        curve = kaplan_meier(censored(ROWS[ROWS["group"] == group]))
        found = median(curve)
        expected = [R["median"][name][i] for name in ("median", "lower", "upper")]
        close(
            (found.median, found.lower, found.upper), [np.inf if e is None else e for e in expected]
        )
        close(restricted_mean(curve, 1000), [R["restricted_mean"][n][i] for n in ("mean", "se")])


@pytest.mark.parametrize(("of", "state"), [("neither", 0), ("event", 1), ("competing", 2)])
def test_aalen_johansen(of, state):
    found = aalen_johansen(competing(ROWS), of=of).at(AT)
    told = R["aalen_johansen"]
    close(found, np.stack([np.array(told[n])[:, state] for n in ("p", "se", "lower", "upper")], 1))


@pytest.mark.parametrize("rho", [0, 1])
def test_log_rank(rho):
    found, told = log_rank(censored(ROWS), ROWS["group"], rho=rho), R[f"log-rank {rho}"]
    close(found.observed, told["observed"])
    close(found.expected, told["expected"])
    close(found.chi2, told["chi2"])


@pytest.mark.parametrize(
    ("name", "columns", "how"),
    [
        ("cox", COVARIATES, {}),
        ("cox_breslow", COVARIATES, {"ties": "breslow"}),
        ("cox_strata", ["age", "marker"], {"strata": ROWS["group"]}),
    ],
)
def test_cox(name, columns, how):
    fit, told = fit_cox(censored(ROWS), ROWS[columns], **how), R[name]
    for mine, theirs in (("coef", "coef"), ("se", "se"), ("hr_lower", "hr_lower")):
        close(fit.table[mine], told[theirs], 1e-8)
    close(fit.log_likelihood, told["loglik"], 1e-8)
    close(fit.log_likelihood_null, told["loglik_null"], 1e-8)
    close(fit.likelihood_ratio.chi2, told["lrt"], 1e-7)
    close(fit.score.chi2, told["score"], 1e-7)
    close(fit.covariance, told["covariance"])
    close((fit.concordance.c, fit.concordance.se), (told["concordance"], told["concordance_se"]))


def test_cox_by_clusters():
    fit = fit_cox(censored(ROWS), ROWS[COVARIATES], cluster=ROWS["id"] // 2)
    close(fit.table["se"], R["cox_cluster_se"])


def test_proportional_hazards():
    found, told = fit_cox(censored(ROWS), ROWS[COVARIATES]).proportional(), R["proportional"]
    close(found["chi2"], told["chisq"], 1e-7)
    assert found["df"].tolist() == told["df"]
    close(found["p"], told["p"], 1e-8)


def test_predictions_of_cox():
    fit = fit_cox(censored(ROWS), ROWS[COVARIATES])
    found = fit.survival({"age": 60, "female": 1, "marker": 2}, AT)
    close(found.T, [R["cox_survival"][name] for name in ("estimate", "lower", "upper")], 1e-8)
    # R does not centre covariates that are 0 or 1.
    found, told = fit.linear_predictor(ROWS), np.array(R["linear_predictor"])
    close(found - found.mean(), told - told.mean(), 1e-7)


def test_concordance():
    risk, times = R["linear_predictor"], censored(ROWS)
    for found, name in (
        (harrell(times.until(1000), risk), "concordance n"),
        (uno(times, risk, until=1000), "concordance n/G2"),
    ):
        close((found.c, found.se), (R[name]["c"], R[name]["se"]))


def test_fine_gray():
    fit = fit_fine_gray(competing(ROWS), ROWS[COVARIATES])
    close(fit.table["coef"], R["fine_gray"]["coef"])
    close(fit.table["se"], R["fine_gray"]["se"])


@pytest.mark.parametrize(("kind", "times"), [("survival", censored), ("competing", competing)])
def test_auc_and_brier_score(kind, times):
    told, lp = R[f"score {kind}"], np.array(R["linear_predictor"])
    for i, (horizon, scale) in enumerate(((365, 0.12), (730, 0.25), (1095, 0.38))):
        risk = 1 - np.exp(-np.exp(lp) * scale)
        close(auc(times(ROWS), risk, horizon), told["auc"][i])
        close(brier(times(ROWS), risk, horizon), told["brier"][i])
