"""The full-text index of a real store's reports: found is what is visible now, and nothing else."""

from __future__ import annotations

import datetime as dt
import shutil
import threading

import lancedb
import pyarrow as pa
import pytest

from core.errors import NotFoundError, StoreError
from store.maintain import compact, hide_patient
from store.report_text import ReportText
from tests.support.reported_store import give_reports, reported_store
from tests.support.store_cases import files_holding

REPORTS = {
    "1.1": "Occlusion of the proximal LAD. Mid RCA patent.",
    "1.2": "Normal coronary arteries.",
    "2.1": "Sténose sévère de l'IVA proximale; coronaire droite normale.",
    "2.2": "Stenoses of the mid RCA. The proximal LAD is free of disease.",
}


@pytest.fixture
def store(tmp_path):
    return reported_store(tmp_path / "s", 12, REPORTS, encoder_id="enc-a")


@pytest.fixture
def index(tmp_path):
    return ReportText(tmp_path / "state" / "reports")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Ask a store that stays as it is."""
    folder = tmp_path_factory.mktemp("asked")
    store = reported_store(folder / "s", 12, REPORTS, encoder_id="enc-a")
    index = ReportText(folder / "reports")
    return lambda text, **how: ask(index, store, text, **how)


def ask(index, store, text, version=None, **how):
    with store.snapshot(version) as snapshot:
        return [uid for uid, _ in index.search(snapshot, text, **how)]


def saved(index):
    (folder,) = [path for path in index.folder.iterdir() if path.name != ".lock"]
    return folder


def covered(table):
    about = table.index_stats("words")
    return table.count_rows(), about.num_indexed_rows, about.num_unindexed_rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("occlusion", ["1.1"]),
        ("proximal LAD occlusion", ["1.1"]),
        ("occlusions", ["1.1"]),
        ("RCA occlusion", []),  # one clause has the one word, another the other
        ("stenosis", ["2.1", "2.2"]),
        ("STENOSE", ["2.1", "2.2"]),
        ("severe", ["2.1"]),
        ("coronaires", ["2.1"]),
        ("LAD disease", []),  # what is denied is not said
        ("no occlusion", []),
        ("the of", []),
        ("LAD; normal", ["1.1", "1.2", "2.1", "2.2"]),
    ],
)
def test_words_find_what_a_clause_says(asked, text, expected):
    assert sorted(asked(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *('"{}', "{}'", "({}", "{} AND", "OR {}", "{} OR", "{}*", "+{}", "-{}", "{{{}}}", "[{}"),
        *("{}\\", "\\{}\\", "{}\0", "{} || {}", "{} && !", "{}^", "{}~", "%{}%", "/{}/", "{}:"),
        *("{}\t\r", "{}\u2028", "{}\U0001fac0", "';--{}"),
    ],
)
def test_what_is_typed_is_words_and_never_a_query(asked, text):
    assert asked(text.replace("{}", "occlusion")) == ["1.1"]


@pytest.mark.parametrize(
    "text", ["text:{}", "words:{}", "NOT normal", "{} patent", "study_uid:1.1"]
)
def test_a_word_of_a_query_language_is_a_word_like_others(asked, text):
    assert asked(text.replace("{}", "occlusion")) == []


@pytest.mark.parametrize("text", ["", " ", '"', "*", "(", "\0", "a" * 5000, "x " * 5000])
def test_what_is_no_word_of_a_report_finds_nothing(asked, text):
    assert asked(text) == []


def test_a_report_that_came_after_the_index_is_found_at_once(index, store):
    assert ask(index, store, "thrombus") == []
    give_reports(store, {"1.3": "Thrombus in the graft."})
    assert ask(index, store, "thrombus") == ["1.3"]
    assert index.rows() == 5


def test_old_words_of_a_replaced_report_are_not_found_and_leave_the_disk(index, store):
    give_reports(store, {"1.1": "Occlusion, xylophonic."})
    assert ask(index, store, "xylophonic") == ["1.1"]
    assert files_holding(index.folder, b"xylophonic")
    give_reports(store, {"1.1": "Patent."})
    assert ask(index, store, "xylophonic") == []
    assert ask(index, store, "patent") == ["1.1"]
    assert files_holding(index.folder, b"xylophonic") == []


def test_a_withdrawn_report_and_one_of_a_deleted_patient_are_not_found(index, store):
    assert sorted(ask(index, store, "stenosis")) == ["2.1", "2.2"]
    give_reports(store, {uid: text for uid, text in REPORTS.items() if uid != "2.1"}, replace=True)
    assert ask(index, store, "stenosis") == ["2.2"]
    hide_patient(store, "2")
    assert ask(index, store, "stenosis") == []
    assert ask(index, store, "occlusion") == ["1.1"]
    assert files_holding(index.folder, b"stenosis") == []


def test_an_older_version_finds_the_reports_of_then(index, store):
    then = store.latest_version
    give_reports(store, {"1.1": "Patent."})
    assert ask(index, store, "occlusion") == []
    assert ask(index, store, "occlusion", version=then) == ["1.1"]
    assert ask(index, store, "occlusion") == []


def test_the_index_stays_while_the_reports_do(index, store):
    ask(index, store, "LAD")
    made = saved(index)
    before = made.stat().st_ino
    compact(store, keep_versions=1, grace=dt.timedelta(0))
    ask(ReportText(index.folder), store, "LAD")
    assert (saved(index), saved(index).stat().st_ino) == (made, before)


def test_only_reports_of_the_allowed_studies_and_all_of_them(index, store):
    assert ask(index, store, "normal", among={"2.1"}) == ["2.1"]
    assert ask(index, store, "normal", among=set()) == []
    scores = {}
    for among in (None, {"1.1", "2.2", "9.9"}):
        with store.snapshot() as snapshot:
            scores[among is None] = dict(index.search(snapshot, "lad", among=among))
    assert scores[False] == scores[True]
    assert set(scores[True]) == {"1.1", "2.2"}


def test_an_index_that_does_not_cover_every_report_is_built_again(index, store):
    ask(index, store, "LAD")
    table = lancedb.connect(saved(index)).open_table("reports")
    extra = pa.table({"study_uid": ["1.2"], "words": pa.array([["lad"]], pa.list_(pa.string()))})
    table.add(extra)
    assert covered(table) == (5, 4, 1)
    assert sorted(ask(index, store, "LAD")) == ["1.1", "2.2"]
    table = lancedb.connect(saved(index)).open_table("reports")
    assert covered(table) == (4, 4, 0)
    table.drop_index("words")
    assert sorted(ask(index, store, "LAD")) == ["1.1", "2.2"]


@pytest.mark.parametrize("what", ["_indices", "data", "_versions"])
def test_a_damaged_index_is_built_again(index, store, what):
    ask(index, store, "LAD")
    shutil.rmtree(saved(index) / "reports.lance" / what)
    assert sorted(ask(ReportText(index.folder), store, "LAD")) == ["1.1", "2.2"]


def test_what_a_killed_build_left_goes(index, store):
    ask(index, store, "LAD")
    (index.folder / ".dead").mkdir()
    (index.folder / ".dead" / "file").write_text("a name")
    give_reports(store, {"1.3": "Thrombus."})
    ask(index, store, "LAD")
    assert files_holding(index.folder, b"a name") == []


def test_nobody_else_may_look_into_it(index, store):
    index.folder.mkdir(parents=True, mode=0o755)
    ask(index, store, "LAD")
    assert index.folder.stat().st_mode & 0o777 == 0o700


def test_clearing_leaves_no_word(index, store):
    assert index.rows() is None
    index.clear()
    ask(index, store, "LAD")
    assert index.rows() == 4
    index.clear()
    assert [path.name for path in index.folder.iterdir()] == [".lock"]
    assert index.rows() is None
    assert ask(index, store, "occlusion") == ["1.1"]


def test_without_reports_it_says_how_to_get_some(index, tmp_path):
    store = reported_store(tmp_path / "t", 3, {"1.1": "."}, encoder_id="enc-a")
    assert ask(index, store, "LAD") == []
    assert index.rows() == 1
    hide_patient(store, "1")
    with pytest.raises(NotFoundError, match="has no reports") as error:
        ask(index, store, "LAD")
    assert "angioatlas labels import" in error.value.hint
    assert index.rows() is None


def test_a_file_in_the_place_of_the_folder(store, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="opening the folder of the full-text index"):
        ask(ReportText(tmp_path / "file"), store, "LAD")


def test_several_searches_at_once(index, store):
    found = []

    def search():
        found.append(sorted(ask(ReportText(index.folder), store, "LAD")))

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["1.1", "2.2"]] * 4
