"""What a developer holds: the client, and curl as docs/api.md has it, against a served store."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qs

import duckdb
import httpx2
import pytest

from api import analysis_schemas, client_options, schemas
from api.client import ApiError, Client
from api.cohort_schemas import IndexExam, MemberPage, NewCohort
from api.schemas import ExamJob, Health, StudyPage, VideoPage
from core.schema import Format, Level
from tests.support.curl_document import examples, shell_of, wrong_with
from tests.support.served_archive import REAL_CINE, STUDIES, served_archive

DOCUMENT = Path(__file__).parents[2] / "docs/api.md"
RANKING = {"k": 2, "where": "n_videos > 0", "one_per_patient": True, "explain": True}


class Recorder(httpx2.BaseTransport):
    """Sends what it is given, and keeps what it sent."""

    def __init__(self):
        self.sent = []
        self.inner = httpx2.HTTPTransport()

    def handle_request(self, request):
        request.read()  # the files that it streams are closed afterwards
        self.sent.append(request)
        return self.inner.handle_request(request)

    def close(self):
        self.inner.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with served_archive(tmp_path_factory.mktemp("client")) as world:
        yield world


@pytest.fixture
def client(world):
    with Client(world.address, world.writer) as client:
        yield client


@pytest.fixture(scope="module")
def described(world) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {world.key}"}
    told: Mapping[str, Any] = httpx2.get(f"{world.address}/openapi.json", headers=headers).json()
    return told


def ask_everything(client, world, folder):
    """Call every method with every option; yields (method, answer)."""
    encoder = client.store().encoders[0]
    ranking = RANKING | {"encoder": encoder.encoder_id}
    case = ranking | {"exclude_same_patient": False}
    listed = {"where": "n_videos > 0", "encoder": encoder.encoder_id, "limit": 3}
    uid = client.resolve(world.study_uid, Level.STUDY).uid
    video = client.videos_of_study(uid)[0].sop_uid
    exam = case | {"score": "auto"}
    chosen = {"encoder": encoder.encoder_id, "members": [world.study_uid, "1.2.826.0.1.2"]}
    rule = {"which": "last", "min_views": 1, "since": "2000-01-01", "until": None}
    some = client.create_cohort("some", where="n_videos > 0", index=rule, **chosen)
    like = client.create_cohort("like", like=some.cohort_id, members=[uid])
    whole = {"format": Format.CSV, "encoder": encoder.encoder_id}
    job = client.send_exam([REAL_CINE], wait=30, **exam)
    calls = {
        "search_studies": ("occlusion", ranking | {"plain": True, "score": "auto"}),
        "search_videos": ("occlusion", ranking | {"plain": True, "where": "n_frames > 0"}),
        "similar_studies": (uid, case | {"score": "auto"}),
        "similar_videos": (video, case | {"where": "n_frames > 0"}),
        "job": (job.job_id, {}),
        "studies": (None, listed),
        "videos": (None, listed | {"where": "n_frames > 0"}),
        "resolve": (uid, {"level": Level.STUDY}),
        "study": (uid, {}),
        "videos_of_study": (uid, {}),
        "findings": (uid, {"encoder": encoder.encoder_id, "heads": encoder.heads[0]}),
        "timeline": (uid, {}),
        "video": (video, {}),
        "cohorts": (None, {}),
        "cohort": (some.cohort_id, {}),
        "cohort_members": (some.cohort_id, {"limit": 1}),
        "thumbnail": (video, {"height": 64}),
        "store": (None, {}),
        "versions": (None, {}),
        "healthz": (None, {}),
        "readyz": (None, {}),
        "metrics": (None, {}),
    }
    calls["search_studies"][1]["reports"] = False
    yield "send_exam", job
    yield "similar_to_exam", client.similar_to_exam([REAL_CINE], **exam)
    yield "create_cohort", like
    yield "export_cohort", client.export_cohort(some.cohort_id, folder / "some.zip", **whole)
    yield "cine", client.cine(video, folder / "cine.mp4", height=64)
    # Nothing can be fitted to so few exams: test_api_analyses asks in earnest.
    unfitted: dict[str, tuple[str, dict[str, Any]]] = {
        "survival_model": ("0" * 64, {}),
        "predict_survival": ("0" * 64, {"study_uids": [uid], "cohort": "all"}),
        "lvef_model": ("0" * 64, {}),
        "predict_lvef": ("0" * 64, {"study_uids": [uid], "cohort": "all"}),
        "outcomes_like": (
            uid,
            {
                "endpoint": "mi",
                "horizons_days": [365],
                "cohort": "all",
                "k": 3,
                "encoder": encoder.encoder_id,
            },
        ),
    }
    for name, (model, options) in unfitted.items():
        with pytest.raises(ApiError, match="there is no"):
            getattr(client, name)(model, **options)
        yield name, None
    calls |= {
        "survival_endpoints": (None, {}),
        "survival_models": (None, {}),
        "lvef_models": (None, {}),
        "patient_progression": (uid, {"encoder": encoder.encoder_id}),
    }
    for name, (subject, options) in calls.items():
        answer = getattr(client, name)(*([] if subject is None else [subject]), **options)
        yield name, answer if not inspect.isgenerator(answer) else list(answer)
    for each in {some.cohort_id, like.cohort_id}:
        yield "delete_cohort", client.delete_cohort(each)


def test_every_route_is_asked_with_every_parameter(world, described, tmp_path):
    recorder, asked = Recorder(), {}
    with Client(world.address, world.writer, transport=recorder) as client:
        for name, _ in ask_everything(client, world, tmp_path):
            asked[name] = True
    public = {
        name
        for name, _ in inspect.getmembers(Client, inspect.isfunction)
        if not name.startswith("_")
    }
    assert set(asked) == public - {"close"}
    sent: dict[tuple[str, str], set[str]] = {}
    for request in recorder.sent:
        route = route_of(request, described)
        sent.setdefault(route, set()).update(parameters_of(request))
    documented = {
        (path, verb): documented_parameters(told, described)
        for path, verbs in described["paths"].items()
        for verb, told in verbs.items()
    }
    assert sent == documented


def route_of(request, described):
    path = request.url.path
    fits = [
        each
        for each in described["paths"]
        if re.fullmatch(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(each)), path)
    ]
    return min(fits, key=lambda each: each.count("{")), request.method.lower()


def parameters_of(request):
    names = set(parse_qs(request.url.query.decode()))
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        names |= set(json.loads(request.content))
    if kind.startswith("multipart/form-data"):
        names |= {each.decode() for each in re.findall(rb'; name="(\w+)"', request.content)}
    return names


def documented_parameters(told, described):
    names = {each["name"] for each in told.get("parameters", []) if each["in"] == "query"}
    for content in told.get("requestBody", {}).get("content", {}).values():
        names |= set(resolved(content["schema"], described)["properties"])
    return names


def resolved(schema, described):
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return described["components"]["schemas"][name] if name else schema


def test_answers_are_the_documented_models(world, described):
    """The return annotation of each method is the model that its route documents."""
    documented = {}
    for verbs in described["paths"].values():
        for told in verbs.values():
            name = told["operationId"].split("_v1_")[0]
            good = next(each for code, each in told["responses"].items() if code < "300")
            content = good.get("content", {}).get("application/json")
            if content is not None:
                documented[re.sub(r"_(healthz|readyz)_get$", "", name)] = model_name(content)
    documented["send_exam"] = documented.pop("similar_to_exam")
    pages: dict[str, Any] = {
        "studies": StudyPage,
        "videos": VideoPage,
        "cohort_members": MemberPage,
    }
    for name, told in documented.items():
        hint = get_type_hints(getattr(Client, name))["return"]
        if name in pages:
            assert told == pages[name].__name__
            row = pages[name].model_fields[name.removeprefix("cohort_")].annotation
            assert get_args(row) == get_args(hint), name
        elif get_origin(hint) is list:
            assert f"list {get_args(hint)[0].__name__}" == told, name
        else:
            assert hint.__name__ == told, name


def model_name(content):
    schema = content["schema"]
    if schema.get("type") == "array":
        return "list " + schema["items"]["$ref"].rpartition("/")[2]
    return schema["$ref"].rpartition("/")[2]


@pytest.mark.parametrize(
    ("options", "model", "subject"),
    [
        (client_options.StudyTextOptions, schemas.StudyTextQuery, "text"),
        (client_options.TextOptions, schemas.TextQuery, "text"),
        (client_options.StudyCaseOptions, schemas.StudyCaseQuery, "uid"),
        (client_options.CaseOptions, schemas.CaseQuery, "uid"),
        (client_options.OutcomesOptions, analysis_schemas.OutcomesQuery, "uid"),
    ],
)
def test_options_have_the_types_of_the_models(options, model, subject):
    expected = get_type_hints(model)
    wanted = {name: expected[name] for name in model.model_fields if name != subject}
    assert get_type_hints(options) == wanted


def test_what_a_cohort_may_be_told_by_is_what_the_model_takes():
    assert {*get_type_hints(client_options.CohortOptions)} | {"name"} == {*NewCohort.model_fields}
    assert {*get_type_hints(client_options.IndexOptions)} == {*IndexExam.model_fields}


def test_a_cohort_as_a_file(world, client, tmp_path):
    made = client.create_cohort("all of them")
    file = client.export_cohort(made.cohort_id, tmp_path / "all.duckdb")
    with duckdb.connect(str(file), read_only=True) as held:
        found = held.sql("select study_uid from studies").fetchall()
    members = {(each.study_uid,) for each in client.cohort_members(made.cohort_id, limit=2)}
    assert {*found} == members
    assert len(members) == made.studies
    client.delete_cohort(made.cohort_id)
    with pytest.raises(ApiError, match="there is no cohort with the id"):
        client.export_cohort(made.cohort_id, tmp_path / "none.duckdb")
    assert [each.name for each in tmp_path.iterdir()] == ["all.duckdb"]


def test_what_it_gives_is_what_the_atlas_says(world, client):
    found = client.similar_studies(world.study_uid, k=2)
    expected = world.atlas.similar(world.study_uid, k=2)
    assert [hit.study_uid for hit in found.hits] == [*expected.hits["study_uid"]]
    assert found.hits[0].why.matched
    studies = [*client.studies(limit=2)]
    assert [each.study_uid for each in studies] == sorted(world.atlas.studies()["study_uid"])
    assert len(studies) == STUDIES + 1


def test_an_exam_is_waited_for_and_told_about_without_its_name(world, tmp_path):
    named = tmp_path / "DOE^JANE.dcm"
    named.write_bytes(REAL_CINE.read_bytes())
    told: list[ExamJob] = []
    recorder = Recorder()
    with Client(world.address, world.key, transport=recorder) as client:
        found = client.similar_to_exam([named], k=3, on_progress=told.append)
        assert [hit.rank for hit in found.hits] == [1, 2, 3]
        assert told[0].status in ("waiting", "running")
        assert told[-1].status == "done"
        assert b"DOE^JANE" not in recorder.sent[0].content
        with pytest.raises(ApiError, match="still being read") as raised:
            client.similar_to_exam([named], within_s=0)
        assert raised.value.code == "waited"
        assert client.job(raised.value.request_id).job_id == raised.value.request_id


def test_an_exam_is_kept_when_asked(world):
    before = world.atlas.store.position()
    with Client(world.address, world.writer) as writer:
        # The store has it: nothing is added, and it is a study of the store that is told.
        found = writer.similar_to_exam([REAL_CINE], store=True, k=2)
    assert found.query_uid in {*world.atlas.studies()["study_uid"]}
    assert world.atlas.store.position() == before
    with (
        Client(world.address, world.searcher) as searcher,
        pytest.raises(ApiError, match="needs the scope 'write'") as raised,
    ):
        searcher.send_exam([REAL_CINE], store=True)
    assert (raised.value.status, raised.value.code) == (403, "forbidden")


def test_an_exam_that_cannot_be_compared(client, tmp_path):
    none = tmp_path / "none.dcm"
    none.write_bytes(b"no DICOM")
    with pytest.raises(ApiError) as raised:
        client.similar_to_exam([none])
    assert (raised.value.status, raised.value.code) == (404, "not_found")


def test_a_cine_is_whole_or_not_there(world, client, tmp_path):
    uid = client.resolve(f"{world.study_uid}.1", Level.VIDEO).uid
    assert client.cine(uid, tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
    assert client.thumbnail(uid)[:2] == b"\xff\xd8"
    with pytest.raises(ApiError) as raised:
        client.cine("1.2.3", tmp_path / "b.mp4")
    assert raised.value.code == "not_found"
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_every_failure_is_one_error(world, client):
    with pytest.raises(ApiError, match="values of this request") as raised:
        client.search_studies("x", k=0)
    assert (raised.value.status, raised.value.code) == (422, "invalid_request")
    assert re.fullmatch("[0-9a-f]{32}", raised.value.request_id)
    assert raised.value.problem is not None
    assert [each.where for each in raised.value.problem.errors] == ["body.k"]
    with pytest.raises(ApiError) as raised:
        client.study("../store")  # stays one piece of the path
    assert raised.value.status in (404, 422)
    with Client(world.address) as nobody:
        assert nobody.healthz() == Health(status="ok")
        with pytest.raises(ApiError) as raised:
            nobody.store()
        assert (raised.value.status, raised.value.code) == (401, "unauthenticated")
        assert raised.value.hint


def test_a_server_that_is_not_there_or_another(tmp_path):
    with Client("http://127.0.0.1:9") as client, pytest.raises(ApiError) as raised:
        client.store()
    assert (raised.value.code, raised.value.status) == ("unreachable", None)
    page = httpx2.MockTransport(lambda _: httpx2.Response(502, html="<p>Bad gateway"))
    with Client("http://x", transport=page) as client, pytest.raises(ApiError) as raised:
        client.store()
    assert (raised.value.code, raised.value.status) == ("no_answer", 502)


@pytest.fixture(scope="module")
def shell(world, tmp_path_factory):
    """Return what the document's reader has: a folder with key and exam, and the variables."""
    folder = tmp_path_factory.mktemp("curl")
    (folder / "writer").write_text(f"Authorization: Bearer {world.writer}\n")
    (folder / "exam").mkdir()
    shutil.copy(REAL_CINE, folder / "exam/1.dcm")
    with Client(world.address, world.writer) as client:
        own = client.resolve(world.study_uid).uid
        video = client.videos_of_study(own)[0].sop_uid
        cohort = client.create_cohort("some").cohort_id
    variables = {
        "ATLAS": world.address,
        "STUDY": world.study_uid,
        "OWN": own,
        "VIDEO": video,
        "COHORT": cohort,
        **shell_of(folder, world.key),
    }
    return folder, variables


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("example", examples(DOCUMENT), ids=lambda example: example.name)
def test_curl_gets_what_the_document_says(shell, example):
    assert wrong_with(example, *shell) == []


def test_the_document_shows_every_kind_of_answer():
    told = "".join(each.told for each in examples(DOCUMENT))
    assert len(examples(DOCUMENT)) >= 12
    for status in ("201", "202", "204", "206", "304", "401", "404", "422"):
        assert status in told
