"""Survival statistics of public data sets against R; their licences keep them out of here.

The folder (reference_shared.json and datasets/) is looked for beside the repository.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.calibration import brier
from analytics.survival.cox import fit_cox
from analytics.survival.discrimination import auc, harrell, uno
from analytics.survival.kaplan_meier import kaplan_meier, median, restricted_mean
from analytics.survival.log_rank import log_rank
from analytics.survival.times import follow_up

FOLDER = (Path(__file__).parents[2] / "../shared/data/reference_stats").resolve()
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not here")


@pytest.fixture(scope="module")
def told():
    return json.loads((FOLDER / "reference_shared.json").read_text())


def rows(name, *complete):
    found = pd.read_csv(FOLDER / "datasets" / f"{name}.csv")
    return found.dropna(subset=list(complete)) if complete else found


def close(found, expected, tolerance):
    np.testing.assert_allclose(
        np.asarray(found, float), np.asarray(expected, float), rtol=0, atol=tolerance
    )


def of_lung():
    data = rows("lung", "age", "sex", "ph.ecog")
    return follow_up(data["time"], data["status"] == 2), data[["age", "sex", "ph.ecog"]], {}, {}


def of_lung_breslow():
    return *of_lung()[:2], {"ties": "breslow"}, {}


def of_lung_strata():
    times, x, *_ = of_lung()
    return times, x[["age", "ph.ecog"]], {"strata": x["sex"]}, {}


def of_veteran():
    data = rows("veteran")
    kinds = ("smallcell", "adeno", "large")
    x = data[["trt"]].assign(**{kind: (data["celltype"] == kind) * 1 for kind in kinds})
    x = x.join(data[["karno", "diagtime", "age", "prior"]])
    terms = {each: [each] for each in ("trt", "karno", "diagtime", "age", "prior")}
    return follow_up(data["time"], data["status"]), x, {}, {**terms, "celltype": list(kinds)}


def of_pbc():
    data = rows("pbc", "age", "edema", "bili", "albumin", "protime")
    logs = {f"log({name})": np.log(data[name]) for name in ("bili", "albumin", "protime")}
    x = data[["age", "edema"]].assign(**logs)
    return follow_up(data["time"], data["status"] == 2), x, {}, {}


def of_mgus2():
    data = rows("mgus2_competing", "age", "sex", "mspike")
    x = data[["age", "mspike"]].assign(sexM=(data["sex"] == "M") * 1)[["age", "sexM", "mspike"]]
    return follow_up(data["etime"], data["ev"]), x, {}, {}


def of_heart_valve():
    data = rows("heart_valve").drop_duplicates("num")
    return follow_up(data["fuyrs"], data["status"]), data[["age", "sex", "ef"]], {}, {}


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("lung_cox_efron", of_lung),
        ("lung_cox_breslow", of_lung_breslow),
        ("lung_cox_stratified_sex", of_lung_strata),
        ("veteran_cox_efron", of_veteran),
        ("pbc_cox_efron", of_pbc),
        ("mgus2_cause_specific_cox_pcm", of_mgus2),
        ("heart_valve_baseline_cox", of_heart_valve),
    ],
)
def test_cox(told, name, case):
    times, x, how, terms = case()
    fit, block = fit_cox(times, x, **how), told[name]
    assert (fit.subjects, fit.events) == (block["n"], block["nevent"])
    columns = {"coef": "coef", "hr": "hr", "se": "se", "hr_lower": "hr_lower95", "p": "p"}
    for mine, theirs in columns.items():
        close(fit.table[mine], [term[theirs] for term in block["terms"].values()], 2e-6)
    close(fit.log_likelihood, block["loglik"], 1e-8)
    close(fit.log_likelihood_null, block["loglik_null"], 1e-8)
    close(fit.aic, block["AIC"], 2e-8)
    close(fit.covariance, block["vcov"], 1e-9)
    for test in ("likelihood_ratio", "wald", "score"):
        known = block[{"likelihood_ratio": "lrt"}.get(test, test)]
        # R's summary rounds the Wald statistic to two decimals.
        close(getattr(fit, test).chi2, known["chi2"], 0.005 if test == "wald" else 1e-7)
        assert getattr(fit, test).df == known["df"]
    close(fit.concordance.c, block["concordance"], 1e-12)
    close(fit.concordance.se, block["concordance_se"], 1e-9)
    if "zph" in block:
        found = fit.proportional(terms or None)
        for term, known in block["zph"]["table"].items():
            close(found.loc[term, ["chi2", "p"]], [known["chisq"], known["p"]], 1e-7)


def test_predictions_of_cox(told):
    times, x, *_ = of_lung()
    fit, block = fit_cox(times, x), told["lung_cox_efron"]
    close(fit.linear_predictor(x)[:10], block["linear_predictor_first10"], 1e-8)
    nobody = dict.fromkeys(x.columns, 0.0)
    baseline = block["baseline_cumhaz_at_x0"]
    close(fit.cumulative_hazard(nobody, baseline["times"]), baseline["cumhaz"], 1e-7)
    known = block["predicted_survival_age60_male_ecog1"]
    found = fit.survival({"age": 60, "sex": 1, "ph.ecog": 1}, known["times"])
    close(found.T, [known[each] for each in ("surv", "lower95", "upper95")], 1e-8)


@pytest.mark.parametrize(
    ("block", "data", "group", "interval"),
    [
        ("lung_km_by_sex_log", "lung", "sex", "log"),
        ("lung_km_by_sex_loglog", "lung", "sex", "log-log"),
        ("lung_km_by_sex_plain", "lung", "sex", "plain"),
        ("lung_km_overall_loglog", "lung", None, "log-log"),
        ("veteran_km_by_celltype", "veteran", "celltype", "log-log"),
    ],
)
def test_kaplan_meier(told, block, data, group, interval):
    everybody = rows(data)
    died = everybody["status"] == {"lung": 2, "veteran": 1}[data]
    for known in told[block]["at_times"]:
        member = (
            everybody[group].astype(str) == known["group"].split("=")[1] if group else died | ~died
        )
        curve = kaplan_meier(follow_up(everybody["time"][member], died[member]), interval=interval)
        close(
            curve.at(known["time"]), [known[n] for n in ("surv", "se", "lower95", "upper95")], 1e-12
        )
        assert curve.left(known["time"]) == known["n_risk"]
    for known in told[block]["median"]:
        member = (
            everybody[group].astype(str) == known["group"].split("=")[1] if group else died | ~died
        )
        found = median(
            kaplan_meier(follow_up(everybody["time"][member], died[member]), interval=interval)
        )
        assert (found.median, found.lower) == (known["median"], known["lower95"])
        assert found.upper == (np.inf if known["upper95"] is None else known["upper95"])


@pytest.mark.parametrize(
    ("block", "data", "group", "rho"),
    [
        ("lung_logrank_sex", "lung", "sex", 0),
        ("lung_peto_sex", "lung", "sex", 1),
        ("veteran_logrank_celltype", "veteran", "celltype", 0),
    ],
)
def test_log_rank(told, block, data, group, rho):
    everybody, known = rows(data), told[block]
    died = everybody["status"] == {"lung": 2, "veteran": 1}[data]
    found = log_rank(follow_up(everybody["time"], died), everybody[group], rho=rho)
    close((found.chi2, found.df, found.p), [known[n] for n in ("chi2", "df", "p")], 1e-10)
    close(sorted(found.observed), sorted(known["observed"]), 1e-10)
    close(sorted(found.expected), sorted(known["expected"]), 1e-10)


def test_restricted_mean(told):
    data, known = rows("lung"), told["lung_rmst_365_by_sex"]
    for i, sex in enumerate((1, 2)):
        of = data[data["sex"] == sex]
        curve = kaplan_meier(follow_up(of["time"], of["status"] == 2))
        close(restricted_mean(curve, 365), [known["rmst"][i], known["se"][i]], 1e-9)


@pytest.mark.parametrize("block", ["mgus2_aalen_johansen_overall", "mgus2_aalen_johansen_by_sex"])
@pytest.mark.parametrize(
    ("of", "name"), [("event", "pcm"), ("competing", "death"), ("neither", "event_free")]
)
def test_aalen_johansen(told, block, of, name):
    data = rows("mgus2_competing")
    for known in told[block]:
        member = (data["sex"] == known["group"][-1]) | (known["group"] == "all")
        curve = aalen_johansen(follow_up(data["etime"][member], data["ev"][member]), of=of)
        expected = [known[name][each] for each in ("p", "se", "lower95", "upper95")]
        close(curve.at(known["time"]), expected, 1e-9)


def test_discrimination_and_brier_score(told):
    data = rows("pbc_cox_predictions")
    times, known = follow_up(data["time"], data["event"]), told["pbc_score"]
    for i, horizon in enumerate(known["times"]):
        risk = data[f"risk_{horizon}"]
        close(auc(times, risk, horizon), known["auc"][i], 1e-5)
        close(brier(times, risk, horizon), known["brier"][i], 1e-5)
    found = harrell(times, data["lp"])
    close((found.c, found.se), [told["pbc_harrell_c"][n] for n in ("C", "se")], 1e-12)
    found = uno(times, data["lp"], until=1825)
    close((found.c, found.se), [told["pbc_uno_c_1825"][n] for n in ("C", "se")], 2e-5)
