"""The page of the map: what is drawn on it is a cohort, and its numbers are the Atlas's."""

from __future__ import annotations

import json

import pytest

from analytics.maps.inside import Area
from analytics.maps.projection import MapSpec
from angioatlas.access.principal import Principal, Scope
from angioatlas.atlas import Atlas
from angioatlas.maps.areas import areas_as_word, areas_of_word, drawn_areas
from core.ids import KeptIdentity
from core.settings import Settings
from dashboard.session import opened
from store.store import Store
from tests.support.survival_store import survival_store

LONG = 400
"""Vertices of an outline that no address should have."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of 120 patients who were followed, with two maps."""
    home = tmp_path_factory.mktemp("map")
    survival_store(home / "store", 120, seed=1)
    atlas = Atlas.open(home / "store", settings=Settings(state_dir=home / "state"))
    atlas.import_labels([home / "store-labels"])
    atlas.draw_map("old", spec=MapSpec("pca", seed=2))
    atlas.draw_map("all", spec=MapSpec("pca"))
    atlas.close()
    return home / "store"


@pytest.fixture(scope="module")
def unfollowed(tmp_path_factory):
    """A store of 40 patients of whom no label is known."""
    home = tmp_path_factory.mktemp("unfollowed")
    survival_store(home / "store", 40, seed=2)
    return home / "store"


@pytest.fixture(scope="module")
def half(store):
    """Return the word of an area with the left half of the dots, and whose they are."""
    atlas = Atlas.open(store)
    dots = atlas.map("all").dots
    area = Area((-1e3, round(float(dots["x"].median()), 3)), (-1e3, 1e3))
    inside = dots.loc[dots["x"] < area.x[1], "study_uid"]
    atlas.close()
    return areas_as_word([area]), sorted(inside)


def said(app):
    return " ".join(each.value for each in (*app.markdown, *app.caption, *app.info, *app.error))


def drawn(app):
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def outlines(app):
    return drawn(app)["layout"].get("selections", [])


def test_the_newest_map_is_shown_and_asks_to_be_drawn_on(page, store):
    app = page(store, "map")
    picture, shown = opened().map_picture("all"), opened().map("all")
    assert app.selectbox(key="map").options == ["all", "old"]
    assert app.selectbox(key="colour").options == [
        each.title for each in opened().map_colours("all")
    ]
    figure = drawn(app)
    assert figure["layout"]["dragmode"] == "lasso"
    assert not outlines(app)
    assert {each["name"] for each in figure["data"]} == {
        name for name, count in picture.counts.items() if count
    }
    # The browser is told dates and values, no study and nobody's name.
    assert not any(uid in json.dumps(figure) for uid in picture.dots["study_uid"])
    assert "120 dots. By Island" in said(app)
    assert f"Trustworthiness {shown.quality.trustworthiness:.2f}" in said(app)
    assert "Draw round dots" in said(app)
    assert "What became of them" not in said(app)


def test_who_is_drawn_round_is_a_cohort_beside_everybody_else(page, store, half):
    word, inside = half
    app = page(store, "map", area=word, map="all")
    assert f"{len(inside)} exams of {len(inside)} patients" in said(app)
    (outline,) = outlines(app)
    assert outline["type"] == "rect"
    cohort = opened().choose_cohort(members=inside)
    assert app.session_state["drawn round"][0].cohort_id == cohort.cohort_id
    told = opened().compare_cohorts([cohort], names=["Lasso"], rest=True)
    assert told.outcomes is not None
    assert told.tested() in said(app).replace("\\", "")
    tables = {tuple(each.value.columns): each.value for each in app.dataframe}
    risks = next(table for names, table in tables.items() if "at risk" in names)
    assert risks["events"].tolist() == told.outcomes.horizons["events"].tolist()
    differ = next(table for names, table in tables.items() if "smd" in names)
    assert len(differ) == len(told.characteristics)
    exams = next(table for names, table in tables.items() if "n_videos" in names)
    assert sorted(exams["study_uid"]) == inside
    assert "patient_id" not in exams

    # Another colour shows the same people, drawn round as before; another map does not.
    app.selectbox(key="colour").select("Sex").run()
    assert not app.exception
    assert f"{len(inside)} exams" in said(app)
    assert [each["name"] for each in drawn(app)["data"]] != ["1"]
    assert outlines(app) == [outline]
    app.selectbox(key="map").select("old").run()
    assert not outlines(app)
    assert "drawn round" not in app.session_state


def test_it_is_saved_as_a_cohort_and_taken_away(page, store, half):
    word, inside = half
    app = page(store, "map", area=word)
    app.text_input[0].input("left half")
    next(each for each in app.button if each.label == "Save").click().run()
    assert not app.exception
    assert not app.error
    saved = opened().cohort("left half")
    assert sorted(saved.members["study_uid"]) == inside
    next(each for each in app.button if each.label == "Clear").click().run()
    assert "Draw round dots" in said(app)
    assert "area" not in app.query_params


def test_who_may_only_read_is_not_offered_to_save(page, store, unfollowed, half, monkeypatch):
    reader = Principal("reader", frozenset({Scope.READ, Scope.SEARCH}), "key")
    monkeypatch.setattr("dashboard.session._who", lambda: reader)
    app = page(store, "map", area=half[0])
    assert f"{len(half[1])} exams" in said(app)
    assert [each.label for each in app.button] == ["Clear"]
    app = page(unfollowed, "map")
    assert "No map is drawn yet" in said(app)
    assert not app.button


def test_what_is_too_long_for_an_address_is_kept_in_the_session(page, store, half):
    app = page(store, "map")
    shape = {"x": [float(half[0].split("_")[2])] * LONG, "y": [-1e3 + 5.0 * i for i in range(LONG)]}
    areas = drawn_areas([{"x": [*shape["x"], -1e3, -1e3], "y": [*shape["y"], 1e3, -1e3]}])
    app.session_state["area of a map"] = ("all", areas_as_word(areas))
    app.run()
    assert f"{len(half[1])} exams" in said(app)
    assert "too long for a link" in said(app)
    assert "area" not in app.query_params


def test_an_area_of_nobody_and_one_that_is_none(page, store):
    app = page(store, "map", area="1000_1000_1001_1001")
    assert "No dot lies in what is drawn" in said(app)
    app = page(store, "map", area="1_x")
    assert "no row of numbers" in said(app)
    assert "draw around the dots again" in said(app)


def test_without_a_map_one_is_drawn_and_without_labels_it_says_so(page, unfollowed, monkeypatch):
    # Components take no seconds to load what draws them.
    monkeypatch.setattr("analytics.maps.projection.MapSpec", lambda: MapSpec("pca"))
    app = page(unfollowed, "map")
    assert "angioatlas map draw" in said(app)
    next(each for each in app.button if each.label == "Draw one").click().run()
    assert not app.exception
    assert opened().maps()["name"].tolist() == ["exams"]
    dots = opened().map("exams").dots
    app.query_params["area"] = areas_as_word([Area((-1e3, float(dots["x"].median())), (-1e3, 1e3))])
    app.run()
    assert "can be followed beyond the index date" in said(app)
    assert "angioatlas labels import" in said(app)


def test_an_empty_store_says_what_to_do(page, tmp_path):
    Store.create(tmp_path / "store", identity=KeptIdentity().record)
    app = page(tmp_path / "store", "map")
    assert "angioatlas embed FOLDER" in said(app)


def test_a_lasso_and_its_word_are_around_the_same_exams(store):
    atlas = Atlas.open(store)
    dots = atlas.map("all").dots
    x, y = dots["x"].median(), dots["y"].median()
    areas = drawn_areas([{"x": [x - 0.3, x + 0.31, x], "y": [y - 0.3, y - 0.2, y + 0.4]}])
    inside = atlas.studies_on_map("all", areas)
    assert 0 < len(inside) < len(dots)
    assert atlas.studies_on_map("all", areas_of_word(areas_as_word(areas))) == inside
    atlas.close()
