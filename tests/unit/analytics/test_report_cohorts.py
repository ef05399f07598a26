"""Figures of cohorts: they show the numbers of the tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analytics.balance import balance
from analytics.report.cohorts import attrition_figure, differences_figure

GROUPS = {
    "one": pd.DataFrame({"age_years": [60.0, 62, 64], "sex": ["F", "M", "F"], "mi": [True] * 3}),
    "other": pd.DataFrame({"age_years": [60.0, 62, 65], "sex": ["M"] * 3, "mi": [False] * 3}),
}


def test_each_step_of_attrition_is_a_bar_from_all_studies_on():
    long = "where " + "x" * 100
    steps = pd.DataFrame(
        {"step": ["all", long, long], "studies": [1200, 7, 7], "patients": [9, 5, 5]}
    )
    figure = attrition_figure(steps)
    (bars,) = figure.data
    assert [*bars.x][::-1] == [1200, 7, 7]
    assert bars.text[-1] == "1,200 studies, 9 patients"
    names = figure.layout.yaxis.ticktext
    assert names[-1] == "all"
    assert len({*bars.y}) == 3, "steps that are called alike stay apart"
    assert all(len(each) < 40 for each in names)


def test_differences_are_dots_by_size_and_an_infinite_one_is_a_triangle():
    told = balance(GROUPS)
    figure = differences_figure(told)
    (dots,) = figure.data
    largest = told.largest()
    assert [*dots.y][-1] == "mi"
    assert [*dots.y] == [str(each).replace("_", " ") for each in largest.sort_values().index]
    assert np.isinf(largest["mi"])
    assert dots.marker.symbol[-1] == "triangle-right"
    assert dots.x[0] == largest["age_years"]
    assert max(dots.x) <= figure.layout.xaxis.range[1], "the triangle is on the figure"


def test_what_is_balanced_is_told_apart_without_colour():
    one = GROUPS["one"].assign(mi=[True, False, True])
    figure = differences_figure(balance({"one": one, "same": one}))
    assert {*figure.data[0].marker.symbol} == {"circle-open"}
