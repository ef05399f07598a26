"""The whole demo: with the encoder that is shipped, or an untrained one before there is one."""

from __future__ import annotations

import subprocess

import imagecodecs
import pytest

from angioatlas.atlas import Atlas
from angioatlas.demo import demo
from angioatlas.demo_report import tight
from angioatlas.demo_settings import HITS, QUERIES, DemoSettings
from core.settings import load_settings
from embedder.encoders.registry import BUNDLED, SPEC_FILE
from phantom.files.truth_tables import read_truth
from phantom.seeds import DEMO_SEEDS
from phantom.words.concepts import EVALUATION_QUERIES, holds
from tests.support.compact import write_untrained

SHIPPED = (BUNDLED / "phantom-mini" / SPEC_FILE).exists()
SMALL = DemoSettings(patients=3, seed=DEMO_SEEDS[1], size=64)


def settings_with_encoder(home):
    settings = load_settings(encoders_dir=home / "encoders").with_embed(workers=1, device="cpu")
    if not SHIPPED:
        write_untrained(settings.encoders_dir / "phantom-mini")
    return settings


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def settings(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        return settings_with_encoder(home)


@pytest.fixture(scope="module")
def phases():
    return []


@pytest.fixture(scope="module")
def report(home, settings, phases):
    return demo(
        home / "demo",
        settings=settings,
        options=SMALL,
        on_progress=lambda phase, done, total: phases.append((phase, done)),
    )


def test_the_demo_holds_every_answer_against_the_truth(report):
    truth = read_truth(report.places.cohort / "truth")
    assert report.patients == 3
    assert report.studies == len(truth)
    texts = [answer for answer in report.answers if answer.case is None]
    assert [answer.text for answer in texts] == list(QUERIES)
    for answer in report.answers:
        assert len(answer.hits) == min(HITS, answer.studies)
        assert [hit.rank for hit in answer.hits] == list(range(1, len(answer.hits) + 1))
        for hit in answer.hits:
            of = truth[hit.study_uid]
            if answer.case is None:
                assert hit.right == holds(EVALUATION_QUERIES[answer.text], of, of.disease)
            else:
                assert hit.right == bool(tight(of) & tight(truth[answer.case]))
        if answer.case is not None:
            own = truth[answer.case].patient_id
            assert own not in {hit.patient_id for hit in answer.hits}


def test_the_folder_has_store_labels_and_picture(report, settings):
    atlas = Atlas.open(report.places.store, settings=settings)
    studies = set(atlas.studies()["study_uid"])
    assert set(atlas.labels("reports")["study_uid"]) == studies
    assert set(atlas.labels("measurements")["study_uid"]) <= studies
    assert len(atlas.labels("follow_up")) == 3
    assert {each.level for each in atlas.indexes()} == {"study", "video"}
    read = imagecodecs.png_decode(report.places.picture.read_bytes())
    assert read.shape[2] == 3
    # Three patients are too few.
    assert (report.survival, report.lvef, report.progression) == (None, None, None)
    assert report.map is None


def test_the_same_call_again_skips_what_is_done(report, settings, phases):
    phases.clear()
    version = Atlas.open(report.places.store, settings=settings).store.latest_version
    files = {path: path.stat().st_mtime_ns for path in report.places.cohort.rglob("*.dcm")}
    again = demo(
        report.folder,
        settings=settings,
        options=SMALL,
        over_http=False,
        on_progress=lambda phase, done, total: phases.append((phase, done)),
    )
    assert again.answers == report.answers
    assert Atlas.open(report.places.store, settings=settings).store.latest_version == version
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert not any(phase == "videos" and done for phase, done in phases)


def test_a_server_of_the_store_is_asked_with_an_exam_that_is_not_in_it(report, settings):
    served, atlas = report.served, Atlas.open(report.places.store, settings=settings)
    assert served is not None
    files = sorted(report.places.exam.iterdir())
    assert [path.name for path in files] == [f"{i + 1}.dcm" for i in range(len(files))]
    # The call that is shown is one that can be typed.
    script = f"printf '%s\\n' {served.command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    typed = done.stdout.splitlines()
    assert [word for word in typed if "files" in word] == [f"-Ffiles=@{path}" for path in files]
    assert f"-Fk={HITS}" in typed
    # It is as the Atlas answers, held against the exam's own truth.
    found = atlas.similar_to_files(files, k=HITS)
    assert [hit.study_uid for hit in served.answer.hits] == [*found.hits["study_uid"]]
    assert served.answer.case == found.query_uid
    assert found.query_uid not in {*atlas.studies()["study_uid"]}
    assert served.answer.text.startswith("70 % or more in a segment of the case (proximal LAD")
    assert served.answer.studies == report.studies


@pytest.mark.slow
@pytest.mark.skipif(not SHIPPED, reason="needs the shipped encoder phantom-mini")
def test_the_demo_as_it_is_shipped_is_right(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    report = demo(
        tmp_path / "demo", settings=load_settings(), on_progress=lambda phase, done, total: None
    )
    for answer in report.answers:
        assert answer.positives >= HITS
        if answer.case is None:
            assert answer.right == HITS, answer.text
        else:
            assert answer.right / HITS > 1.5 * answer.positives / answer.studies
    assert report.served is not None
    sent = report.served.answer
    assert sent.right / HITS > 1.5 * sent.positives / sent.studies
    found = report.survival
    assert found is not None
    assert found.patients == report.patients
    assert found.lower < found.c < found.upper
    assert found.c > 0.5
    lvef, progression, drawn = report.lvef, report.progression, report.map
    assert lvef is not None
    assert progression is not None
    assert drawn is not None
    assert lvef.exams == report.studies
    assert lvef.mae < 0.7 * lvef.mae_of_mean
    assert progression.treated_beyond > progression.natural_beyond
    assert progression.auc > 0.75
    assert drawn.dots == report.studies
    assert drawn.trustworthiness > 0.8
