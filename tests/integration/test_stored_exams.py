"""Exams that are sent to stay: kept whole, once, or not at all; gone with their patient."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from angioatlas.access.principal import Principal, Scope
from angioatlas.atlas import Atlas
from angioatlas.stored_exam import forget_files, keep_exam
from api.app import create_app
from core.errors import AtlasError, ForbiddenError, LeaseHeldError, UsageError
from core.settings import ServeSettings
from core.uris import path_of, uri_of
from tests.support.api_server import served
from tests.support.api_world import ApiWorld, api_world
from tests.support.dicom import moving_frames, write_cine

EXAM = "/v1/exams:similar"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with api_world(tmp_path_factory.mktemp("stored")) as world:
        yield world


NUMBERS = itertools.count(1)


@pytest.fixture
def exam(tmp_path):
    """Two cines of one study, which no other test has."""
    return written(tmp_path, "P0003")


def written(folder, patient_id):
    uid = f"1.2.826.0.2.{next(NUMBERS)}"
    return [
        write_cine(
            folder / f"DOE^JANE {number}.dcm",
            moving_frames(16, seed=number),
            StudyInstanceUID=uid,
            SOPInstanceUID=f"{uid}.{number}",
            PatientID=patient_id,
        )
        for number in (1, 2)
    ]


@dataclass(frozen=True)
class Kept:
    """What there is of exams: files in the archive, and where the store stands."""

    files: frozenset[Path]
    position: Any

    @classmethod
    def of(cls, world: ApiWorld) -> Kept:
        archive = world.home / "sent"
        assert not [*(world.settings.state_dir / "uploads").glob("*")]
        return cls(frozenset(archive.rglob("*")), world.atlas.store.position())


def send(world: ApiWorld, files: Sequence[Path], who: str = "curator", **form: Any) -> Any:
    sent = [("files", (path.name, path.read_bytes())) for path in files]
    with world.client(who) as client:
        return client.post(f"{EXAM}?store=true&wait=60", files=sent, data=form)


@dataclass(frozen=True)
class Sent:
    """An exam that was stored, what was answered, and the files that came of it."""

    exam: Sequence[Path]
    told: Any
    new: frozenset[Path]

    @property
    def uid(self) -> str:
        uid: str = self.told["answer"]["query_uid"]
        return uid


@pytest.fixture(scope="module")
def sent(world, tmp_path_factory):
    exam = written(tmp_path_factory.mktemp("sent"), "P0003")
    before = Kept.of(world).files
    told = send(world, exam, k=30, encoder="phantom-mini").json()
    assert told["status"] == "done", told
    return Sent(exam, told, Kept.of(world).files - before)


def test_it_is_in_the_store_whole_and_found_by_all(world, sent):
    with world.client() as client:
        shown = client.get(f"/v1/studies/{sent.uid}").json()
        videos = client.get(f"/v1/studies/{sent.uid}/videos").json()
        similar = client.post("/v1/studies:similar", json={"uid": sent.uid, "k": 30}).json()
        cine = client.get(f"/v1/videos/{videos[0]['sop_uid']}/cine.mp4")
    assert (shown["study_uid"], len(videos)) == (sent.uid, 2)
    assert similar["hits"] == sent.told["answer"]["hits"]
    assert cine.content[4:8] == b"ftyp"
    # Its patient has other exams in the store.
    studies = world.atlas.studies()
    assert len(studies[studies["patient_id"] == shown["patient_id"]]) > 1
    assert shown["patient_id"] not in {hit["patient_id"] for hit in similar["hits"]}


def test_its_files_are_kept_as_they_came_under_names_of_ours(world, sent):
    (folder,) = [path for path in sent.new if path.is_dir()]
    kept = {path.name: path for path in sent.new if path.is_file()}
    assert folder.parent == world.home / "sent"
    assert {*kept} == {f"{hashlib.sha256(p.read_bytes()).hexdigest()}.dcm" for p in sent.exam}
    assert folder.stat().st_mode & 0o777 == 0o700
    for name, path in kept.items():
        assert path.stat().st_mode & 0o777 == 0o600
        assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}.dcm" == name
    inputs = world.atlas.inputs()
    ours = inputs[inputs["study_uid"] == sent.uid]
    assert {path_of(uri) for uri in ours["uri"]} == {*kept.values()}
    assert {*ours["status"]} == {"embedded"}


def test_it_is_on_record_as_a_write_of_that_study(world, sent):
    entries = [each for each in on_record(world) if each.object.get("study_uid") == sent.uid]
    entry = next(each for each in entries if each.object["use_case"] == "store_exam")
    assert (entry.principal, entry.action, entry.outcome) == ("curator", "write", "ok")
    assert entry.object["query_uid"] == sent.uid
    assert entry.object["store_version"] == sent.told["answer"]["store_version"]
    assert "DOE" not in str(entry)


def on_record(world):
    return world.atlas.trail.entries(limit=10_000)


def test_the_same_exam_again_is_not_stored_again(world, sent):
    before = Kept.of(world)
    again = send(world, sent.exam[::-1], k=30).json()
    assert again["answer"]["hits"] == sent.told["answer"]["hits"]
    assert again["answer"]["query_uid"] == sent.uid
    assert Kept.of(world) == before


def test_one_exam_sent_twice_at_the_same_time_is_stored_once(world, exam):
    """As by two processes: each waits for nothing, and one may find the other writing."""
    before, ended = Kept.of(world), []

    def store():
        atlas = Atlas.open(world.home / "store", settings=world.settings)
        try:
            ended.append(atlas.store_exam(exam).query_uid)
        except AtlasError as error:
            ended.append(error.code)

    threads = [threading.Thread(target=store) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = {*ended} - {"lease_held"}
    assert len(stored) == 1
    new = Kept.of(world).files - before.files
    assert len([path for path in new if path.is_dir()]) == 1
    assert Kept.of(world).position.version == before.position.version + 1


def test_while_somebody_else_writes_nothing_is_stored(world, exam):
    before = Kept.of(world)
    with world.atlas.store.writer("another run"):
        told = send(world, exam).json()
    assert told["status"] == "failed"
    failure = told["failure"]
    assert (failure["status"], failure["code"]) == (409, "lease_held")
    assert "another run" in failure["detail"]
    assert "when that has ended" in failure["hint"]
    assert Kept.of(world) == before


@pytest.mark.parametrize("who", ["reader", "searcher", "writer"])
def test_who_may_not_store_does_not(world, exam, who):
    before = Kept.of(world)
    answer = send(world, exam, who)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert Kept.of(world) == before


def test_the_use_case_asks_for_both_scopes_by_itself(world, exam):
    before = Kept.of(world)
    for held in (Scope.SEARCH, Scope.WRITE):
        atlas = world.atlas.acting_as(Principal("half", frozenset({held}), "key"))
        with pytest.raises(ForbiddenError, match="this needs the scope"):
            atlas.store_exam(exam)
        assert on_record(world)[-1].outcome == "forbidden"
    assert Kept.of(world) == before


def test_without_a_folder_for_files_none_is_stored(world, exam):
    plain = world.settings.model_copy(update={"serve": ServeSettings()})
    atlas = Atlas.open(world.home / "store", settings=plain)
    before = Kept.of(world)
    with served(create_app(atlas, plain)) as address:
        other = ApiWorld(address, {}, world.home, atlas, world.truth, plain, world.tokens)
        told = send(other, exam).json()
    assert (told["status"], told["code"]) == (422, "usage")
    assert "serve.archive_dir" in told["hint"]

    atlas = Atlas.open(world.home / "store", settings=plain)
    inside = world.settings.serve.model_copy(update={"archive_dir": world.home / "store/sent"})
    atlas.settings = plain.model_copy(update={"serve": inside})
    with pytest.raises(UsageError, match="inside the store"):
        atlas.store_exam(exam)
    assert Kept.of(world) == before


def test_an_encoder_that_the_store_has_no_vectors_of(world, exam):
    before = Kept.of(world)
    for encoder, status, code in (
        ("enc-b", 404, "not_found"),  # whose folder is not here
        ("nobody", 404, "not_found"),
    ):
        failure = send(world, exam, encoder=encoder).json()["failure"]
        assert (failure["status"], failure["code"]) == (status, code)
    assert send(world, exam, encoder="../x").status_code == 422
    assert Kept.of(world) == before


def test_a_file_of_no_use_among_others_is_accounted_for(world, exam, tmp_path):
    cut = tmp_path / "cut"
    cut.write_bytes(exam[0].read_bytes()[:5000])
    told = send(world, [exam[1], cut]).json()
    inputs = world.atlas.inputs().set_index("uri")
    (good,) = inputs.index[inputs["study_uid"] == told["answer"]["query_uid"]]
    beside = {uri_of(path) for path in path_of(good).parent.iterdir()} - {good}
    assert (inputs.loc[good, "status"], *inputs.loc[[*beside], "status"]) == (
        "embedded",
        "quarantined",
    )


def test_a_predicate_that_is_none_is_said_before_anything_is_stored(world, exam):
    before = Kept.of(world)
    failure = send(world, exam, where="colour = 'red'").json()["failure"]
    assert (failure["status"], failure["code"]) == (422, "usage")
    assert Kept.of(world) == before


def test_a_run_that_fails_leaves_nothing(world, exam):
    before = Kept.of(world)

    def embed(paths: list[Path], **hooks: Any) -> Any:
        hooks["on_step"]("a write")
        raise LeaseHeldError("it went wrong in the middle")

    with pytest.raises(LeaseHeldError):
        keep_exam(exam, archive=world.home / "sent", store=world.atlas.store, embed=embed)
    assert Kept.of(world) == before


def test_a_deleted_patient_s_files_go_and_stay_away(world, exam):
    told = send(world, exam).json()
    inputs = world.atlas.inputs()
    mine = inputs[inputs["study_uid"] == told["answer"]["query_uid"]]["uri"]
    folders = {path_of(uri).parent for uri in mine}
    assert all(folder.exists() for folder in folders)
    world.atlas.purge_patient("P0003")
    assert not any(folder.exists() for folder in folders)
    before = Kept.of(world)
    assert "patient_deleted 2" in send(world, exam).json()["failure"]["detail"]
    assert Kept.of(world) == before


def test_what_else_lies_in_the_archive_is_not_ours_to_remove(tmp_path):
    exams = [tmp_path / ("ab" * 16) / "1.dcm", tmp_path / "2024" / "2.dcm", tmp_path / "3.dcm"]
    deep = tmp_path / "2024" / ("cd" * 16) / "4.dcm"
    for path in (*exams, deep):
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"x")
    forget_files(tmp_path, [uri_of(path) for path in (*exams, deep)])
    assert [path.exists() for path in (*exams, deep)] == [False, True, True, True]
