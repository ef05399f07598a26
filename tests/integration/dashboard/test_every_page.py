"""Every page of the explorer on stores with little in them, and on one with very much."""

from __future__ import annotations

import time

import pytest

from angioatlas.atlas import Atlas
from angioatlas.phantom_mini import SHIPPED
from angioatlas.reference_queries import REFERENCE_QUERIES
from benchmarks.live_store import large_store
from core.ids import KeptIdentity
from embedder.encoders.registry import load_text_encoder
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


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A store of 100,000 studies, and one of them."""
    folder = tmp_path_factory.mktemp("large") / "atlas"
    reader = load_text_encoder(SHIPPED, device="cpu")
    large_store(folder, 100_000, reader.encoder_id, reader.encode(REFERENCE_QUERIES))
    return folder, Atlas.open(folder).page("study", limit=1).rows[0]["study_uid"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_studies_are_shown_without_a_wait(page, large):
    folder, uid = large
    choices = {"search": {"q": "calcified LAD"}, "case": {"study": uid}}
    seconds = {}
    for turn in ("first", "again"):
        for name in PAGES:
            began = time.perf_counter()
            page(folder, name, **choices.get(name, {}))
            seconds[name, turn] = round(time.perf_counter() - began, 2)
    print(seconds)  # noqa: T201
    assert max(each for (_, turn), each in seconds.items() if turn == "again") < 10
