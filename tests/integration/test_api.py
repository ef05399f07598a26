"""The API over HTTP, against a real store of a pseudonymised archive."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from angioatlas.access.access import Access
from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from api import gate
from api.app import create_app
from core.ids import create_key_file, load_key_file
from core.settings import ServeSettings, Settings
from tests.support.api_server import served
from tests.support.retrieval_store import OTHER, TEXTS, Truth, retrieval_store

REAL_CINE = Path(__file__).parents[1] / "data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
TEXT = next(iter(TEXTS))


@dataclass(frozen=True)
class World:
    """A served store, and what is true of it."""

    address: str
    atlas: Atlas
    truth: Truth
    settings: Settings
    tokens: dict[str, str]
    clients: dict[str, httpx2.Client]

    def client(self, who: str = "reader") -> httpx2.Client:
        """Return a client with the key of somebody; of nobody without a key."""
        if who not in self.clients:
            token = self.tokens.get(who)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            self.clients[who] = httpx2.Client(base_url=self.address, headers=headers, timeout=60)
        return self.clients[who]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("api")
    create_key_file(home / "identity.key")
    truth = retrieval_store(home / "store", 40, key=load_key_file(home / "identity.key"))
    settings = Settings(
        identity_key=home / "identity.key",
        state_dir=home / "state",
        encoder=truth.encoder_id,
        serve=ServeSettings(upload_mib=8, upload_files=5, upload_frames=400, requests_per_second=0),
    )
    access = Access(settings)
    scopes = {
        "reader": [Scope.SEARCH, Scope.READ],
        "searcher": [Scope.SEARCH],
        "writer": [Scope.WRITE],
    }
    tokens = {name: access.create_key(name, given, None)[1] for name, given in scopes.items()}
    atlas = Atlas.open(home / "store", settings=settings)
    with served(create_app(atlas, settings)) as address:
        world = World(address, atlas, truth, settings, tokens, {})
        yield world
        for client in world.clients.values():
            client.close()


def problem_of(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["request_id"] == answer.headers["x-request-id"]
    return told


def test_only_health_is_told_without_a_key(world):
    described = world.client().get("/openapi.json").json()
    asked = [(path, verb) for path, verbs in described["paths"].items() for verb in verbs]
    asked += [("/openapi.json", "get"), ("/v1/nowhere", "get")]
    open_to_all = []
    for path, verb in asked:
        answer = world.client("nobody").request(verb, re.sub(r"\{.*?\}", "1.2.3", path))
        if answer.status_code == 200:
            open_to_all.append(path)
            continue
        assert answer.status_code == 401, path
        assert "1.2.3" not in answer.text
    assert open_to_all == ["/healthz", "/readyz"]


@pytest.mark.parametrize(
    "token",
    ["x", "aa_000000000000_" + "0" * 64, "aa_" + "é" * 12, "Bearer", "x" * 5000, "../../etc"],
)
def test_a_token_that_is_none_is_refused_in_the_same_words(world, token):
    headers = {b"Authorization": f"Bearer {token}".encode()}
    answer = httpx2.get(f"{world.address}/v1/store", headers=headers)
    told = problem_of(answer)
    assert (answer.status_code, told["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_text_is_answered_as_the_atlas_answers_it(world):
    query = {"text": TEXT, "k": 7, "explain": False}
    told = world.client().post("/v1/studies:search", json=query).json()
    found = world.atlas.search(TEXT, k=7)
    assert [hit["study_uid"] for hit in told["hits"]] == [*found.hits["study_uid"]]
    assert [hit["score"] for hit in told["hits"]] == pytest.approx([*found.hits["score"]])
    assert [hit["chance"] for hit in told["hits"]] == pytest.approx([*found.hits["chance"]])
    assert told["parse"]["parts"][0]["words"] == TEXT
    assert "esearch use only" in told["notice"]


@pytest.mark.parametrize("level", ["study", "video"])
def test_similar_cases_by_the_original_uid_with_reasons(world, level):
    plural = {"study": "studies", "video": "videos"}[level]
    uid = "1.7.3" if level == "study" else "1.7.3.1"
    told = world.client().post(f"/v1/{plural}:similar", json={"uid": uid, "k": 5}).json()
    found = world.atlas.similar(uid, level=level, k=5, explain=True)
    key = f"{'study' if level == 'study' else 'sop'}_uid"
    assert [hit[key] for hit in told["hits"]] == [*found.hits[key]]
    assert told["query_uid"] == found.query_uid != uid
    for hit in told["hits"]:
        why = found.why(hit[key])
        assert [each["sop_uid"] for each in hit["why"]["matched"]] == [
            each.sop_uid for each in why.matched
        ]
    assert uid not in json.dumps(told)


def test_pages_hold_every_study_once(world):
    client, seen, cursor = world.client(), [], None
    while True:
        params = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        told = client.get("/v1/studies", params=params).json()
        seen += [each["study_uid"] for each in told["studies"]]
        assert len(told["studies"]) <= 7
        cursor = told["next"]
        if cursor is None:
            break
    assert seen == sorted(world.atlas.studies()["study_uid"])
    for wrong in ("!", "AAAA", "MS4yLi4z", "a" * 129):
        answer = client.get("/v1/studies", params={"cursor": wrong})
        assert answer.status_code == 422, wrong


def test_a_page_of_what_satisfies_a_predicate(world):
    client = world.client()
    told = client.get("/v1/studies", params={"where": "n_videos = 2", "limit": 1000}).json()
    assert len(told["studies"]) == len(world.atlas.studies())
    none = client.get("/v1/videos", params={"where": "n_frames < 0"}).json()
    assert (none["videos"], none["next"]) == ([], None)
    refused = problem_of(client.get("/v1/studies", params={"where": "1 = 1; drop table x"}))
    assert refused["code"] == "usage"


def test_a_study_its_videos_findings_and_patient(world):
    client = world.client()
    uid = client.post("/v1/uids:resolve", json={"uid": "1.7.5"}).json()["uid"]
    study = client.get(f"/v1/studies/{uid}").json()
    assert study["study_uid"] == uid
    videos = client.get(f"/v1/studies/{uid}/videos").json()
    assert [each["study_uid"] for each in videos] == [uid, uid]
    assert client.get(f"/v1/videos/{videos[0]['sop_uid']}").json() == videos[0]
    findings = client.get(f"/v1/studies/{uid}/findings").json()
    assert len(findings["findings"]) == 18
    timeline = client.get(f"/v1/studies/{uid}/timeline").json()
    assert timeline["patient_id"] == study["patient_id"]
    assert uid in [each["study_uid"] for each in timeline["studies"]]
    for path in ("1.7.5", "1.2.3", "1.2.3/videos", "1.2.3/findings", "1.2.3/timeline"):
        assert problem_of(client.get(f"/v1/studies/{path}"))["code"] == "not_found"


def test_what_has_not_changed_is_not_sent_again(world):
    client = world.client()
    first = client.get("/v1/store")
    again = client.get("/v1/store", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    other = client.get("/v1/store", headers={"If-None-Match": 'W/"other"'})
    assert other.json() == first.json()


def test_a_key_does_what_it_is_for_and_that_is_on_record(world):
    searcher, writer = world.client("searcher"), world.client("writer")
    assert searcher.post("/v1/studies:search", json={"text": TEXT}).status_code == 200
    told = problem_of(searcher.get("/v1/studies"))
    assert (told["status"], told["code"]) == (403, "forbidden")
    assert problem_of(writer.post("/v1/studies:search", json={"text": TEXT}))["status"] == 403
    assert problem_of(writer.get("/metrics"))["status"] == 403
    entries = Access(world.settings).trail.entries(limit=10_000)
    assert any(
        (each.principal, each.action, each.outcome) == ("searcher", "search", "ok")
        for each in entries
    )
    assert any(
        (each.principal, each.action, each.outcome) == ("writer", "search", "forbidden")
        for each in entries
    )
    assert Access(world.settings).trail.verify().intact


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({}, "body.text"),
        ({"text": ""}, "body.text"),
        ({"text": TEXT, "k": 0}, "body.k"),
        ({"text": TEXT, "k": 10**9}, "body.k"),
        ({"text": "x" * 2001}, "body.text"),
        ({"text": TEXT, "secret": 1}, "body.secret"),
        ({"text": [TEXT]}, "body.text"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_and_not_sent_back(world, query, where):
    told = problem_of(world.client().post("/v1/studies:search", json=query))
    assert (told["status"], told["code"]) == (422, "invalid_request")
    assert [each["where"] for each in told["errors"]] == [where]
    assert "x" * 100 not in json.dumps(told)


def test_hosts_that_it_does_not_serve(world):
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        answer = httpx2.get(f"{world.address}/healthz", headers={"Host": host})
        assert problem_of(answer)["code"] == "unknown_host"


def test_bodies_too_large_and_too_slow(world, monkeypatch):
    client = world.client()
    large = client.post("/v1/studies:search", json={"text": "x" * 70_000})
    assert problem_of(large)["status"] == 413
    unannounced = client.post("/v1/studies:search", content=(b" " * 1000 for _ in range(80)))
    assert problem_of(unannounced)["status"] == 413
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.3)

    def slowly():
        import time

        for _ in range(20):
            yield b" "
            time.sleep(0.1)

    assert problem_of(client.post("/v1/studies:search", content=slowly()))["status"] == 408


def test_an_uploaded_exam_is_compared_and_forgotten(world):
    client = world.client("searcher")
    before = world.atlas.store.position()
    with REAL_CINE.open("rb") as file:
        answer = client.post(
            "/v1/exams:similar", files=[("files", ("../../x", file))], data={"k": 3}
        )
    told = answer.json()
    assert (answer.status_code, told["status"]) == (200, "done")
    found = world.atlas.similar_to_files([REAL_CINE], k=3, encoder=world.truth.encoder_id)
    hits = [hit["study_uid"] for hit in told["answer"]["hits"]]
    assert hits == [*found.hits["study_uid"]]
    assert all(hit["why"]["matched"] for hit in told["answer"]["hits"])
    assert [*(world.settings.state_dir / "uploads").iterdir()] == []
    assert world.atlas.store.position() == before
    assert client.get(f"/v1/jobs/{told['job_id']}").json() == told
    assert problem_of(world.client().get(f"/v1/jobs/{told['job_id']}"))["code"] == "not_found"


def test_an_exam_may_name_the_encoder(world):
    files = [("files", ("a", REAL_CINE.read_bytes()))]
    ask, client = {"k": 1, "explain": False}, world.client()
    told = client.post("/v1/exams:similar", files=files, data=ask | {"encoder": "phantom-mini"})
    assert told.json()["answer"]["encoder_id"] == world.truth.encoder_id
    # The store has vectors of it, and nobody its folder.
    told = client.post("/v1/exams:similar", files=files, data=ask | {"encoder": OTHER})
    assert told.json()["failure"]["code"] == "not_found"
    told = client.post("/v1/exams:similar", files=files, data=ask | {"encoder": "../x"})
    assert problem_of(told)["errors"][0]["where"] == "body.encoder"


@pytest.mark.parametrize("said", ["0", "yes", "True", "null"])
def test_a_form_says_true_or_false(world, said):
    files = [("files", ("a", REAL_CINE.read_bytes()))]
    told = world.client().post("/v1/exams:similar", files=files, data={"explain": said})
    assert problem_of(told)["errors"][0]["where"] == "body.explain"


@pytest.mark.parametrize("name", ["k", "where", "explain", "score", "encoder"])
def test_what_is_empty_in_a_form_is_refused(world, name):
    files = [("files", ("a", REAL_CINE.read_bytes()))]
    told = problem_of(world.client().post("/v1/exams:similar", files=files, data={name: ""}))
    assert (told["status"], told["detail"]) == (422, f"{name} is empty")


def test_who_does_not_wait_asks_again(world):
    client = world.client()
    files = [("files", ("a", REAL_CINE.read_bytes()))]
    answer = client.post("/v1/exams:similar?wait=0", files=files)
    assert answer.status_code == 202
    at = answer.headers["location"]
    while (told := client.get(at).json())["status"] in ("waiting", "running"):
        assert told["answer"] is None
    assert told["status"] == "done"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ([b"no DICOM"], 404, "not_found"),
        ([b""], 404, "not_found"),
        ([b"x"] * 6, 413, "too_large"),
        ([b"x" * (9 * 2**20)], 413, "request_entity_too_large"),
        ([b"x"] * 1200, 400, "bad_request"),
        ([], 422, "invalid_request"),
    ],
)
def test_uploads_that_are_refused(world, sent, status, code):
    files = [("files", (f"{i}", data)) for i, data in enumerate(sent)]
    answer = world.client().post("/v1/exams:similar", files=files or {"other": b"x"})
    told = answer.json()
    if told.get("job_id"):
        told = told["failure"]
    assert (told["status"], told["code"]) == (status, code)
    assert not any((world.settings.state_dir / "uploads").glob("*"))


def test_an_exam_of_more_frames_than_are_taken(world, tmp_path):
    from tests.support.dicom import moving_frames, write_cine

    path = tmp_path / "long.dcm"
    write_cine(path, moving_frames(401))
    files = [("files", ("a", path.read_bytes()))]
    told = world.client().post("/v1/exams:similar", files=files).json()
    assert told["status"] == "failed"
    assert told["failure"]["code"] == "too_large"
    assert "401 frames" in told["failure"]["detail"]


def test_no_log_and_no_figure_says_who_was_asked_about(world, caplog):
    client = world.client()
    uid = client.post("/v1/uids:resolve", json={"uid": "1.7.9"}).json()["uid"]
    with caplog.at_level(logging.DEBUG):
        client.get(f"/v1/studies/{uid}")
        client.get("/v1/studies/1.7.9")
        client.get(f"/v1/studies/{uid}%0d%0aX/zz")
        client.post("/v1/studies:search", json={"text": "zebra stripes"})
        figures = client.get("/metrics").text
    # The server's own log of paths is off when `angioatlas serve` runs it.
    ours = [each for each in caplog.records if each.name.startswith(("angioatlas", "api"))]
    said = "\n".join(each.getMessage() for each in ours)
    assert "/v1/studies/{study_uid}" in said
    assert 'route="/v1/studies/{study_uid}"' in figures
    for secret in (uid, "1.7.9", "zebra", *world.tokens.values()):
        assert secret not in said
        assert secret not in figures
