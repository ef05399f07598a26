"""What is drawn of a map: samples in which rare levels are seen, densities of all, one figure."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from analytics.maps.picture import Colour, MapFacts, density, make_picture, sampled
from analytics.report.maps import draw_picture
from core.errors import UsageError

ABOUT = MapFacts("all", "study", "enc-a", 3)
N = 2_000
RNG = np.random.default_rng(0)
DOTS = pd.DataFrame(
    {
        "uid": [f"1.{i}" for i in range(N)],
        "study_uid": [f"1.{i}" for i in range(N)],
        "patient_id": [f"SECRET-{i}" for i in range(N)],
        "study_date": [None, *[dt.date(2015, 1, 1)] * (N - 1)],
        "x": RNG.normal(size=N),
        "y": RNG.normal(size=N) / 3,
    }
)
SITE = Colour("site", "Site", levels=("A", "<b>B</b>", "C", "nobody's"))
LVEF = Colour("lvef_percent", "LVEF", "%", is_number=True)


def sites():
    """Mostly A, ten of B, three of C, two not known."""
    words = np.array(["A"] * (N - 15) + ["<b>B</b>"] * 10 + ["C"] * 3 + [None] * 2, object)
    return pd.Series(pd.Categorical(RNG.permutation(words), categories=list(SITE.levels)))


def numbers():
    values = np.full(N, np.nan)
    values[:1000] = np.linspace(10, 20, 1000)
    values[7] = 400.0
    return pd.Series(values)


def test_all_dots_are_drawn_where_they_may_be():
    found = make_picture(ABOUT, DOTS, SITE, sites(), most=N)
    assert len(found) == found.total == N
    assert found.density is None
    assert dict(found.counts) == {
        "A": N - 15,
        "<b>B</b>": 10,
        "C": 3,
        "nobody's": 0,
        "not known": 2,
    }
    assert list(found.counts)[-1] == "not known"
    assert "patient_id" not in found.dots


def test_a_sample_shows_what_is_rare_and_the_density_all():
    values = sites()
    found = make_picture(ABOUT, DOTS, SITE, values, most=100)
    assert (len(found), found.total) == (100, N)
    shown = found.dots["value"].value_counts()
    assert (shown["<b>B</b>"], shown["C"], found.dots["value"].isna().sum()) == (10, 3, 2)
    of_all = values.set_axis(DOTS["uid"])
    assert all(
        row.value == of_all[row.uid] for row in found.dots[found.dots["value"].notna()].itertuples()
    )
    assert found.counts["A"] == N - 15
    cells = found.density
    assert cells is not None
    assert cells.counts.sum() == N
    assert cells.counts.shape == (len(cells.y) - 1, len(cells.x) - 1)
    np.testing.assert_allclose(np.diff(cells.x)[0], np.diff(cells.y)[0])
    column = np.searchsorted(cells.x, DOTS["x"][0], side="right") - 1
    row = np.searchsorted(cells.y, DOTS["y"][0], side="right") - 1
    assert cells.counts[row, column] >= 1


def test_a_sample_is_the_same_again_and_mostly_in_another_colour():
    strata = RNG.integers(0, 4, N)
    one, again = sampled(strata, 500), sampled(strata, 500)
    np.testing.assert_array_equal(one, again)
    assert len(np.unique(one)) == 500
    other = sampled(RNG.integers(0, 3, N), 500)
    assert len(np.intersect1d(one, other)) > 400  # a quarter of them by chance alone: 125
    # Half of the dots are shared out evenly; a level that has more than its part gets no more.
    skewed = (np.arange(N) < 200).astype(int)
    assert skewed[sampled(skewed, 500)].sum() == 125
    rare = (np.arange(N) < 20).astype(int)
    assert rare[sampled(rare, 500)].sum() == 20


@pytest.mark.parametrize("most", [1, 2, 3, N - 1])
def test_any_number_can_be_drawn(most):
    found = make_picture(ABOUT, DOTS, LVEF, numbers(), most=most)
    assert len(found) == most
    with pytest.raises(UsageError, match="0 dots of a map to draw; expected 1 or more"):
        make_picture(ABOUT, DOTS, LVEF, numbers(), most=0)


def test_the_scale_of_numbers_is_not_that_of_one_outlier():
    found = make_picture(ABOUT, DOTS, LVEF, numbers(), most=200)
    assert found.scale is not None
    low, high = found.scale
    assert 10 <= low < 10.2
    assert 19.8 < high <= 20
    assert 400.0 in found.dots["value"].to_numpy()  # rare values are seen
    assert dict(found.counts) == {"known": 1000, "not known": 1000}
    fixed = Colour("stenosis", "Stenosis", "%", is_number=True, scale=(0.0, 100.0))
    assert make_picture(ABOUT, DOTS, fixed, numbers()).scale == (0.0, 100.0)


def test_dots_that_lie_on_one_another_have_a_density():
    cells = density(np.ones((5, 2)))
    assert cells.counts.sum() == 5
    assert cells.counts.max() == 5


def test_nothing_known_of_any_dot_is_drawn_in_grey():
    values = pd.Series(np.full(N, np.nan))
    figure = draw_picture(make_picture(ABOUT, DOTS, LVEF, values))
    (only,) = figure.data
    assert only.name == "not known"


def test_a_figure_of_levels():
    figure = draw_picture(make_picture(ABOUT, DOTS, SITE, sites(), most=100))
    heat, unknown, *levels = figure.data
    assert heat.type == "heatmap"
    assert heat.hoverinfo == "skip"
    assert unknown.marker.symbol == "circle-open"
    # The rarest is drawn last; the legend has them in order, and a site's name is no markup.
    assert [each.name for each in levels] == ["A", "&lt;b&gt;B&lt;/b&gt;", "C"]
    assert [each.legendrank for each in levels] == [1, 2, 3]
    assert len({each.marker.symbol for each in levels}) == 3
    assert len({each.marker.color for each in levels}) == 3
    drawn = [uid for each in (unknown, *levels) for uid in each.customdata]
    assert len(set(drawn)) == 100
    assert all(each.type == "scattergl" for each in (unknown, *levels))
    assert "SECRET" not in figure.to_json()
    assert {*levels[0].text} == {"2015-01-01"}


def test_each_of_many_levels_looks_different():
    names = tuple(str(i) for i in range(49))
    values = pd.Series(pd.Categorical(RNG.choice(names, N), categories=list(names)))
    figure = draw_picture(make_picture(ABOUT, DOTS, Colour("island", "Island", "", names), values))
    looks = {(each.marker.color, each.marker.symbol) for each in figure.data}
    assert len(figure.data) == len(looks) == 49


def test_a_figure_of_numbers():
    figure = draw_picture(make_picture(ABOUT, DOTS, LVEF, numbers()))
    unknown, known = figure.data
    assert unknown.name == "not known"
    assert unknown.text[0] == "2015-01-01"
    assert known.text[0] == "date not known"
    assert known.marker.colorbar.title.text == "LVEF (%)"
    assert known.marker.cmax == pytest.approx(20, abs=0.2)
    assert "marker.color" in known.hovertemplate
    assert len(known.customdata) == 1000
