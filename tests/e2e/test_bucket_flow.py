"""Phantom cines into a store in an object store: the same rows, hits and files as in a folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle
from core.errors import LeaseHeldError
from core.settings import Settings
from embedder.sampling import ClipRule
from phantom.files.cohort_runs import draw, run_files, write_files
from store.bucket import Bucket
from store.store import Store, Where
from tests.support.bucket import new_prefix, object_store
from tests.support.cli import angioatlas, as_process
from tests.support.phantom_exams import SETTINGS
from tests.support.store_cases import seen
from tests.support.tiny import TinyEncoder

ROOT = Path(__file__).parents[2]
TINY = EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder)


@pytest.fixture(scope="module", autouse=True)
def server():
    with object_store() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms") / "archive"
    for index in range(2):
        runs = [*run_files(folder, SETTINGS, draw(SETTINGS, index))]
        write_files(runs, workers=1, on_done=lambda done: None)
    return folder


def settings(home: Path) -> Settings:
    return Settings(state_dir=home / "state").with_embed(workers=1, commit_studies=1)


def embed(store: Where, archive: Path, home: Path, files: Sequence[Path] = ()):
    return Atlas.embed_into(
        store,
        files or [archive],
        encoder=TINY,
        settings=settings(home),
        options=EmbedOptions(keep_identifiers=True),
    )


def answers(store: Where, home: Path) -> Any:
    """Return what the two studies that come first are like."""
    atlas = Atlas.open(store, settings=settings(home))
    uids = atlas.studies()["study_uid"].head(2)
    return [atlas.similar(uid, exclude_same_patient=False).hits.to_json() for uid in uids]


@pytest.fixture(scope="module")
def here(archive, tmp_path_factory):
    """The store in a folder."""
    home = tmp_path_factory.mktemp("here")
    assert embed(home / "store", archive, home).videos_embedded > 3
    return home / "store"


def test_rows_vectors_and_hits_are_those_of_a_folder(archive, here, tmp_path):
    uri = new_prefix()
    report = embed(uri, archive, tmp_path)
    assert seen(Store.open(uri)) == seen(Store.open(here))
    assert answers(uri, tmp_path) == answers(here, here.parent)
    again = embed(uri, archive, tmp_path)
    assert (again.videos_embedded, again.unchanged) == (0, report.inputs)
    assert again.store_version == report.store_version
    # Nothing was written beside the process, as a folder with the name of the URI.
    assert not Path("s3:").exists()


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 3, 6, 8, 11, 12, 13, 20])
def test_a_run_that_is_killed_is_gone_on_with(archive, here, tmp_path, step):
    uri = new_prefix()
    command = [sys.executable, "-m", "tests.support.embed_child", archive, uri, str(step)]
    child = subprocess.run([str(word) for word in command], cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    report = embed(Bucket(uri, dead_after_s=0), archive, tmp_path)
    assert any("did not end by itself" in note for note in report.notes)
    assert seen(Store.open(uri)) == seen(Store.open(here))


@pytest.mark.slow
def test_a_run_that_is_killed_is_gone_on_with_when_its_time_is_over(archive, here, tmp_path):
    uri = new_prefix()
    command = [sys.executable, "-m", "tests.support.embed_child", archive, uri, "12"]
    subprocess.run([str(word) for word in command], cwd=ROOT, check=False)
    place = Bucket(uri, dead_after_s=4)
    with pytest.raises(LeaseHeldError, match="is writing to this store since"):
        embed(place, archive, tmp_path)
    time.sleep(5)
    assert any("did not end" in note for note in embed(place, archive, tmp_path).notes)
    assert seen(Store.open(uri)) == seen(Store.open(here))


@pytest.mark.slow
def test_labels_cohorts_exports_and_a_deletion(archive, tmp_path):
    uri = new_prefix()
    embed(uri, archive, tmp_path)
    atlas = Atlas.open(uri, settings=settings(tmp_path))
    patients = sorted(set(atlas.studies()["patient_id"]))
    labels = tmp_path / "covariates.csv"
    lines = [f",{patient},2021-03-01,diabetes,yes" for patient in patients]
    labels.write_text("\n".join(["id,patient_id,date,name,value", *lines]) + "\n")
    atlas.import_labels([labels])
    cohort = atlas.choose_cohort(where="n_videos > 0", name="all")
    assert cohort is not None
    atlas.export(tmp_path / "all.duckdb", cohort="all")
    with duckdb.connect(str(tmp_path / "all.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM studies").fetchone() == (2,)
    atlas.purge_patient(patients[0])
    atlas.compact()
    assert set(atlas.studies()["patient_id"]) == set(patients[1:])


@pytest.mark.slow
def test_a_live_atlas_follows(archive, tmp_path):
    uri = new_prefix()
    embed(uri, archive, tmp_path, files=sorted(archive.rglob("*.dcm"))[:2])
    with Atlas.open(uri, settings=settings(tmp_path), follow=True) as atlas:
        before = len(atlas.studies())
        embed(uri, archive, tmp_path)
        until = time.monotonic() + 20
        while len(atlas.studies()) == before and time.monotonic() < until:
            time.sleep(0.1)
        assert len(atlas.studies()) > before
        uid = atlas.studies()["study_uid"].iloc[-1]
        assert atlas.similar(uid, k=1, exclude_same_patient=False).hits.shape[0] == 1


@pytest.mark.slow
def test_the_command_line(archive, tmp_path):
    uri, folder = new_prefix(), tmp_path / "store"
    words = ("embed", archive, "--keep-identifiers", "--json", "--store")
    embedded = [as_process(tmp_path, *words, uri), angioatlas(tmp_path, *words, folder)]
    assert [done.returncode for done in embedded] == [0, 0], embedded[0].stderr
    assert json.loads(embedded[0].stdout)["videos_embedded"] > 3
    assert seen(Store.open(uri)) == seen(Store.open(folder))
    asked = ("search", "proximal LAD occlusion", "--json", "--store")
    said = [as_process(tmp_path, *asked, uri), angioatlas(tmp_path, *asked, folder)]
    assert said[0].returncode == 0, said[0].stderr
    hits = [json.loads(each.stdout)["hits"] for each in said]
    assert hits[0] == hits[1] != []
    nowhere = as_process(tmp_path, *asked, "s3://no-such-bucket/atlas")
    assert nowhere.returncode == 1
    assert "there is no such bucket" in nowhere.stderr
    assert "secret-of-a-test" not in nowhere.stdout + nowhere.stderr
