"""The page of searches: what it shows is what the Atlas finds."""

from __future__ import annotations

import pytest

from angioatlas.atlas import Atlas
from tests.support.clinical_store import clinical_store
from tests.support.store_cases import new_store

TEXT = "LAD occlusion, EF < 40"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return clinical_store(tmp_path_factory.mktemp("search") / "atlas").store.path


def scores(app):
    """Return the scores of the cards, in the order of the page."""
    return [each.value for each in app.markdown if each.value.startswith(":blue-badge[")]


def badge(score):
    return f":blue-badge[{score:.3f}]"


def test_the_cards_are_the_hits(page, store):
    app = page(store, "search", q=TEXT)
    hits = Atlas.open(store).search(TEXT, k=8).hits
    assert len(hits) == 3
    assert scores(app) == [badge(score) for score in hits["score"]]
    (table,) = [each.value for each in app.dataframe]
    assert table["study_uid"].tolist() == hits["study_uid"].tolist()
    assert table["chance"].tolist() == pytest.approx(hits["chance"].tolist(), nan_ok=True)


def test_a_card_without_its_file_says_so_and_keeps_the_others(page, store):
    app = page(store, "search", q=TEXT)
    unseen = [each.value for each in app.caption if "it is no file of this machine" in each.value]
    assert len(unseen) == 3
    assert "angioatlas embed" in unseen[0]


def test_no_page_names_a_patient(page, store):
    app = page(store, "search", q=TEXT)
    # A study of this store is named after its patient: it stands in the column of studies alone.
    (table,) = [each.value for each in app.dataframe]
    assert "patient_id" not in table.columns
    assert not any("P0" in each.value for each in [*app.markdown, *app.caption])


def test_a_part_is_switched_off_and_on_again(page, store):
    app = page(store, "search", q=TEXT)
    (ef,) = [each for each in app.toggle if each.label.startswith("EF")]
    assert ef.value is True
    ef.set_value(False).run()
    assert len(scores(app)) == 6
    assert app.query_params["without"] == "EF < 40"
    (ef,) = [each for each in app.toggle if each.label.startswith("EF")]
    assert ef.value is False
    ef.set_value(True).run()
    assert len(scores(app)) == 3
    assert "without" not in app.query_params


def test_a_link_switches_it_off_too(page, store):
    assert len(scores(page(store, "search", q=TEXT, without="EF < 40"))) == 6


def test_what_was_switched_off_in_another_text_is_forgotten(page, store):
    app = page(store, "search", q=TEXT, without="calcified RCA")
    assert len(scores(app)) == 3
    assert "without" not in app.query_params


def test_what_is_left_to_rank_by_nothing_can_be_put_back(page, store):
    app = page(store, "search", q=TEXT, without="LAD occlusion")
    assert "nothing of the text is left" in app.error[0].value.lower()
    (button,) = [each for each in app.button if each.label == "Use all of it again"]
    button.click().run()
    assert len(scores(app)) == 3


def test_what_was_read_becomes_a_filter_to_edit(page, store):
    app = page(store, "search", q=TEXT)
    (edit,) = [each for each in app.button if each.label == "Edit as filter"]
    edit.click().run()
    where = app.text_input(key="where")
    assert where.value == "lvef_percent < 40"
    assert len(scores(app)) == 3
    where.set_value("lvef_percent < 32").run()
    assert len(scores(app)) == 2


def test_a_filter_that_is_none_is_refused_with_the_columns(page, store):
    app = page(store, "search", q=TEXT, where="weight > 80")
    (error,) = [each.value for each in app.error]
    assert "weight" in error
    assert "lvef" in " ".join(each.value for each in app.caption).replace("\\", "")


def test_words_that_were_never_met_are_told(page, store):
    app = page(store, "search", q="xyzzy plugh")
    assert any("in the vocabulary" in each.value for each in app.warning)
    assert any("No case answers" in each.value for each in app.info)


def test_markdown_of_a_text_is_shown_as_it_is(page, store):
    app = page(store, "search", q="LAD occlusion **bold** [x](http://evil.example)")
    shown = " ".join([each.label for each in app.toggle])
    assert "\\*\\*bold" in shown
    assert "[x](" not in shown


def test_examples_are_offered_and_do_what_they_say(page, store):
    app = page(store, "search")
    (button,) = [each for each in app.button if each.label == "calcified LAD"]
    button.click().run()
    assert app.text_input(key="q").value == "calcified LAD"
    assert scores(app)


def test_a_hit_is_judged_once(page, store):
    app = page(store, "search", q="LAD occlusion")
    atlas = Atlas.open(store)
    best = atlas.search("LAD occlusion", k=8).hits.iloc[0]
    app.feedback(key=f"judge LAD occlusion {best['study_uid']}").set_value(1).run()
    said = atlas.judgements()
    assert said[["query", "uid", "relevance", "rank"]].values.tolist() == [
        ["LAD occlusion", best["study_uid"], 3, 1]
    ]
    app.run()
    assert len(atlas.judgements()) == 1


def test_an_empty_store_says_what_comes_first(page, tmp_path):
    app = page(new_store(tmp_path / "empty").path, "search", q="LAD occlusion")
    assert any("Nothing is in the store yet" in each.value for each in app.info)
    assert any("angioatlas embed" in each.value for each in app.caption)
