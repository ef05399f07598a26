"""ROC areas, DeLong's test and agreement against R; licences keep the data sets out of here.

The folder (reference_shared.json and datasets/) is looked for beside the repository.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from analytics.agreement import agreement
from analytics.roc import auc, delong, youden

FOLDER = (Path(__file__).parents[2] / "../shared/data/reference_stats").resolve()
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not here")


@pytest.fixture(scope="module")
def told():
    return json.loads((FOLDER / "reference_shared.json").read_text())


def rows(name):
    return pd.read_csv(FOLDER / "datasets" / f"{name}.csv")


def test_areas_of_bleedings_are_those_of_proc(told):
    expected, table = told["aSAH_roc"], rows("aSAH")
    names = ["s100b", "ndka", "wfns"]
    found = delong(table["outcome"] == "Poor", table[names])
    low, high = found.interval()
    for i, name in enumerate(names):
        assert found.auc[i] == pytest.approx(expected[name]["auc"], abs=1e-12)
        assert low[i] == pytest.approx(expected[name]["lower95"], abs=1e-12)
        assert high[i] == pytest.approx(expected[name]["upper95"], abs=1e-12)
        assert auc(table["outcome"] == "Poor", table[name]) == pytest.approx(found.auc[i])
    _, z, p = found.compare(0, 1)
    assert z == pytest.approx(expected["delong_s100b_vs_ndka"]["z"], abs=1e-10)
    assert p == pytest.approx(expected["delong_s100b_vs_ndka"]["p"], abs=1e-10)


def test_youdens_threshold_is_that_of_proc(told):
    expected, table = told["aSAH_roc"]["s100b_youden"], rows("aSAH")
    poor = table["outcome"] == "Poor"
    at = youden(poor, table["s100b"])
    assert at == pytest.approx(expected["threshold"], abs=1e-12)
    positive = table["s100b"] >= at
    assert positive[poor].mean() == pytest.approx(expected["sensitivity"], abs=1e-12)
    assert (~positive[~poor]).mean() == pytest.approx(expected["specificity"], abs=1e-12)


def test_errors_of_a_linear_model_are_those_of_r(told):
    expected = told["heart_valve_ef_ols"]
    first = rows("heart_valve").groupby("num").first()
    x = sm.add_constant(first[["age", "sex", "lv"]])
    found = agreement(first["ef"], sm.OLS(first["ef"], x).fit().predict(x))
    assert found.r2 == pytest.approx(expected["r2"], abs=1e-9)
    assert found.rmse == pytest.approx(expected["rmse"], abs=1e-9)
    assert found.mae == pytest.approx(expected["mae"], abs=1e-9)
    assert found.correlation == pytest.approx(expected["pearson_r"], abs=1e-9)
    # Of a model's own rows the line is the diagonal.
    np.testing.assert_allclose([found.intercept, found.slope], [0, 1], atol=1e-9)


def test_two_measurements_agree_as_in_r(told):
    expected, table = told["heart_valve_first_vs_second"], rows("heart_valve")
    both = table.groupby("num")["ef"].apply(list)
    pairs = np.array([each[:2] for each in both if len(each) > 1], float)
    assert len(pairs) == expected["n"]
    found = agreement(pairs[:, 0], pairs[:, 1])
    assert found.bias == pytest.approx(expected["mean_diff"], abs=1e-9)
    assert found.sd == pytest.approx(expected["sd_diff"], abs=1e-9)
    assert found.lower == pytest.approx(expected["loa_lower"], abs=1e-9)
    assert found.upper == pytest.approx(expected["loa_upper"], abs=1e-9)
    assert found.concordance == pytest.approx(expected["lin_ccc"], abs=1e-9)
    assert found.correlation == pytest.approx(expected["pearson_r"], abs=1e-9)
