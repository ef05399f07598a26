"""Mixed models of public data sets against lme4; their licences keep them out of here.

The folder (reference_shared.json and datasets/) is looked for beside the repository.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analytics.mixed import INTERCEPT, fit_mixed

FOLDER = (Path(__file__).parents[2] / "../shared/data/reference_stats").resolve()
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not here")

CASES = [
    # name of the result, data, outcome, patient, terms, random slopes
    ("sleepstudy_lmer_REML", "sleepstudy", "Reaction", "Subject", ["Days"], ["Days"]),
    ("sleepstudy_lmer_ML", "sleepstudy", "Reaction", "Subject", ["Days"], ["Days"]),
    ("pbcseq_lmer_REML", "pbcseq", "log_bili", "id", ["year"], ["year"]),
    ("pbcseq_lmer_ML", "pbcseq", "log_bili", "id", ["year"], ["year"]),
    ("heart_valve_ef_lmer_REML", "heart_valve", "ef", "num", ["time"], []),
    ("heart_valve_ef_lmer_slope_REML", "heart_valve", "ef", "num", ["time"], ["time"]),
    ("heart_valve_ef_lmer_adjusted_REML", "heart_valve", "ef", "num", ["time", "age", "sex"], []),
]


@pytest.fixture(scope="module")
def told():
    return json.loads((FOLDER / "reference_shared.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_mixed_model_is_that_of_lme4(told, case):
    name, data, outcome, patient, terms, slopes = case
    expected, table = told[name], pd.read_csv(FOLDER / "datasets" / f"{data}.csv")
    if data == "pbcseq":
        table["log_bili"] = np.log(table["bili"])
    found = fit_mixed(
        table[outcome],
        table[terms],
        table[patient],
        slopes=slopes,
        restricted=name.endswith("REML"),
    )
    assert (found.rows, found.patients) == (expected["n"], expected["groups"])
    assert found.converged
    for term, row in expected["fixed"].items():
        own = found.fixed.loc[INTERCEPT if term == "(Intercept)" else term]
        assert own["estimate"] == pytest.approx(row["estimate"], rel=0, abs=5e-6), term
        assert own["se"] == pytest.approx(row["se"], rel=3e-5), term
    assert found.log_likelihood == pytest.approx(expected["logLik"], abs=1e-6)
    pairs = {(row["first"], row["second"]): row for row in found.random.to_dict("records")}
    for row in expected["random"]:
        if row["grp"] == "Residual":
            assert found.residual_sd == pytest.approx(row["sdcor"], rel=1e-5)
            continue
        pair = [INTERCEPT if v == "(Intercept)" else v for v in (row["var1"], row["var2"]) if v]
        mine = pairs[pair[0], pair[-1]]
        assert mine["covariance"] == pytest.approx(row["vcov"], rel=1e-4)
        assert mine["correlation"] == pytest.approx(row["sdcor"], rel=1e-4)
