"""Every page of the explorer on stores with little in them, and on one with very much."""

from __future__ import annotations

import pytest

from angioatlas.atlas import Atlas
from core.ids import KeptIdentity
from store.store import Store
from tests.support.survival_store import survival_store

PAGES = ("search", "case", "map", "cohort", "survival", "lvef", "progression", "operations")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Stores by what is in them, and an exam of each."""
    home = tmp_path_factory.mktemp("stores")
    Store.create(home / "nothing", identity=KeptIdentity().record)
    survival_store(home / "one exam", 1, seed=1)
    survival_store(home / "no labels", 30, seed=1)
    return home


def words(app):
    parts = (app.title, app.markdown, app.caption, app.info, app.error, app.warning)
    return [each.value for part in parts for each in part]


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_store_is_told_with_the_next_step(page, stores, name):
    told = words(page(stores / "nothing", name))
    assert any("Next step: `angioatlas embed" in each for each in told), told


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("store", ["one exam", "no labels"])
def test_what_is_missing_is_told_with_the_next_step(page, stores, store, name):
    app = page(stores / store, name)
    if app.error:
        assert any("Next step: " in each for each in words(app)), words(app)


@pytest.mark.parametrize(
    ("name", "choice"), [("case", "study"), ("progression", "study"), ("survival", "like")]
)
@pytest.mark.parametrize("store", ["one exam", "no labels"])
def test_an_exam_without_labels_is_shown_as_far_as_it_goes(page, stores, store, name, choice):
    uid = Atlas.open(stores / store).studies()["study_uid"][0]
    app = page(stores / store, name, **{choice: uid})
    assert len(words(app)) > 3
    if app.error:
        assert any("Next step: " in each for each in words(app)), words(app)
