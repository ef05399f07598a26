"""A new exam of a phantom against a store, through the commands: compared, explained, forgotten."""

from __future__ import annotations

import json
import shutil
import tempfile

import numpy as np
import pytest
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from angioatlas.identities import lookup_identity
from angioatlas.phantom_mini import SHIPPED
from core.schema import Level
from core.settings import load_settings
from embedder.encoders.registry import load_encoder
from embedder.encoders.spec import VideoVectors
from phantom.files.cohort import write_cohort
from phantom.ids import patient_id
from store.store import Store

SEED = 3902


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception}"
    return result


def as_json(*words):
    return json.loads(run(*words, "--json").stdout)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A pseudonymised store without one second exam, whose files stand beside it."""
    folder = tmp_path_factory.mktemp("new-exam")
    write_cohort(folder / "phantoms", patients=5, seed=SEED, size=96, fps=10.0, runs=3, workers=1)
    (again, *_) = (folder / "phantoms/dicom").glob("*/2")
    exam = folder / "exam"
    again.rename(exam)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        run("embed", folder / "phantoms/dicom", "--store", folder / "store", "--workers", 1)
    return folder


@pytest.fixture(autouse=True)
def at_home(world, tmp_path, monkeypatch):
    """Use the key that made the store; what is temporary stands where it can be seen."""
    monkeypatch.setenv("HOME", str(world))
    aside = tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))


def all_files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def own_pseudonym(world):
    """Of the cohort's first patient, who came again."""
    identity = lookup_identity(Store.open(world / "store").identity, load_settings().identity_key)
    assert identity is not None
    return identity.patient(patient_id(SEED, 0))


def test_it_is_compared_as_if_it_were_in_the_store(world, tmp_path):
    words = ["-k", 20, "--store", world / "store", "--why"]
    before, key = all_files(world / "store"), all_files(world / ".config")
    found = as_json("similar", world / "exam", *words)
    # Neither in the store, nor in the map of pseudonyms, nor anywhere else.
    assert all_files(world / "store") == before
    assert all_files(world / ".config") == key
    assert list((tmp_path / "aside").iterdir()) == []

    assert own_pseudonym(world) not in {hit["patient_id"] for hit in found["hits"]}
    assert len(found["hits"]) == 4

    copied = shutil.copytree(world / "store", tmp_path / "store")
    run("embed", world / "exam", "--store", copied, "--workers", 1)
    known = as_json("similar", found["query"], "-k", 20, "--store", copied, "--why")
    assert known["query"] == found["query"]
    uids = [hit["study_uid"] for hit in known["hits"]]
    assert [hit["study_uid"] for hit in found["hits"]] == uids
    for hit, same in zip(found["hits"], known["hits"], strict=True):
        assert hit["score"] == pytest.approx(same["score"], abs=1e-5)
        parts = {each["sop_uid"]: each for each in hit["why"]["matched"]}
        assert len(parts) == hit["n_videos"]
        for each in same["why"]["matched"]:
            told = parts[each["sop_uid"]]
            assert told["contribution"] == pytest.approx(each["contribution"], abs=1e-5)
            assert told["query_sop_uid"] == each["query_sop_uid"]


def test_without_each_video_the_encoder_makes_the_vector_again(world):
    atlas = Atlas.open(world / "store")
    query = atlas.studies()["study_uid"][0]
    found = atlas.similar(query, k=2, explain=True)
    encoder = load_encoder(SHIPPED, device="cpu")
    with atlas.snapshot() as snapshot:
        studies, vectors = snapshot.vectors(encoder.encoder_id, Level.STUDY)
        keys, pooled = snapshot.vectors(encoder.encoder_id, Level.VIDEO, kind="pooled")
    asked = vectors[studies["uid"].to_pylist().index(query)]
    of, sops = np.array(keys["study_uid"].to_pylist()), keys["uid"].to_pylist()
    for uid, score in zip(found.hits["study_uid"], found.hits["score"], strict=True):
        why = found.why(uid)
        assert len(why.matched) == (of == uid).sum() >= 2
        for each in why.matched:
            kept = pooled[[i for i in np.flatnonzero(of == uid) if sops[i] != each.sop_uid]]
            left = encoder.encode_study(VideoVectors(kept, kept)) @ asked
            assert each.contribution == pytest.approx(score - left, abs=1e-5)


def test_its_own_patient_is_recognised_by_pseudonym(world):
    words = ["similar", *(world / "exam").glob("*.dcm"), "-k", 50, "--store", world / "store"]
    hits = as_json(*words, "--same-patient")["hits"]
    assert own_pseudonym(world) in {hit["patient_id"] for hit in hits}


def test_files_of_several_studies_are_refused_by_uid(world):
    refused = run("similar", world / "phantoms/dicom", "--store", world / "store", code=2)
    uids = Atlas.open(world / "store").studies()["study_uid"]
    assert f"the files are of {len(uids)} studies: " in refused.stderr
    assert uids[0] in refused.stderr


def test_files_that_cannot_be_used_are_named_by_code(world, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "note.txt").write_text("not a cine, and long enough to look at: " * 20)
    refused = run("similar", files, "--store", world / "store", code=1)
    assert "none of the 1 files could be used: not_dicom 1" in refused.stderr.lower()
    (files / "note.txt").unlink()
    refused = run("similar", files, "--store", world / "store", code=1)
    assert "none of the 0 files could be used: there are none" in refused.stderr


def test_what_is_no_path_is_a_uid(world):
    refused = run("similar", "1.2.3", "--store", world / "store", code=1)
    assert "no study 1.2.3" in refused.stderr
    refused = run("similar", world / "exam", world / "gone", "--store", world / "store", code=2)
    assert "only one UID can be asked about" in refused.stderr
    words = ["similar", world / "exam", "--level", "video", "--store", world / "store"]
    assert "a new exam is compared as a study" in run(*words, code=2).stderr


def test_the_key_must_be_here(world, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    refused = run("similar", world / "exam", "--store", world / "store", code=1)
    assert "key" in refused.stderr
    assert "angioatlas-exam" not in refused.stderr
