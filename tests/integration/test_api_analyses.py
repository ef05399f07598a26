"""Analyses over HTTP: saved models, what they say of exams, outcomes, serial exams."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from angioatlas.access.access import Access
from angioatlas.atlas import Atlas
from angioatlas.predictions import MOST_STUDIES
from angioatlas.progression.study import scored_pairs
from api.client import ApiError, Client
from core.errors import TooLargeError
from store.registry import Registry
from tests.support.analysed_store import (
    HORIZONS,
    PATIENTS,
    SEXLESS,
    STRANGER,
    TWINS,
    analysed_store,
    served_serial_store,
)
from tests.support.curl_document import examples, shell_of, wrong_with

DOCUMENT = Path(__file__).parents[2] / "docs/api-analyses.md"
UID = "1.1.3"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with analysed_store(tmp_path_factory.mktemp("analyses")) as world:
        yield world


@pytest.fixture(scope="module")
def client(world):
    with client_of(world.address, world.tokens["reader"]) as client:
        yield client


def client_of(address, token):
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=address, headers=headers, timeout=60)


def problem_of(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    return told


def ask(client, at, **body):
    answer = client.post(f"/v1/{at}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def last_entry(world):
    return world.atlas.trail.entries(limit=10_000)[-1]


def test_models_are_listed_and_shown_with_their_figures(world, client):
    listed = client.get("/v1/survival/models").json()
    assert [each["name"] for each in listed] == ["damaged", "elsewhere", "mace-a"]
    (row,) = client.get("/v1/lvef/models").json()
    assert (row["name"], row["model_id"]) == ("lvef-a", world.lvef.model_id)
    told = client.get(f"/v1/survival/models/{world.mace.model_id}").json()
    summary = json.loads(world.mace.description)["summary"][0]
    assert told["figures"] == {each: summary[each] for each in told["figures"]}
    assert 0.5 < told["figures"]["c_lower"] < told["figures"]["c"] == listed[2]["c"]
    assert told["fitted_to"]["patients"] == PATIENTS / 2
    assert told["cohort"] == "site-a"
    assert told["clinical"] == ["sex", "diabetes"]
    assert "mi" in told["endpoint"]["events"]
    assert "scikit-survival" in told["made_with"]
    ef = client.get(f"/v1/lvef/models/{world.lvef.model_id}").json()
    assert ef["figures"]["mae"] == row["mae"] < ef["figures"]["mae_of_mean"]
    assert set(ef["figures"]["auc_below"]) <= {"40", "50"}
    assert all("esearch use only" in each["notice"] for each in (told, ef))


def test_a_model_that_was_saved_before_figures_had_numbers_of_people(world, client):
    registry = Registry(world.atlas.store.tables)
    old = json.loads(world.lvef.description)
    del old["fitted_to"], old["made_with"]
    described = json.dumps(old)
    registry.save_model(replace(world.lvef, name="old", model_id="a" * 64, description=described))
    told = client.get(f"/v1/lvef/models/{'a' * 64}").json()
    assert told["fitted_to"] == {"exams": None, "patients": None}
    assert told["made_with"] == {}
    world.atlas.drop_model("old")
    assert problem_of(client.get(f"/v1/lvef/models/{'a' * 64}"))["status"] == 404


def test_single_studies_are_predicted_as_in_their_cohort(world, client):
    at = f"survival/models/{world.mace.model_id}/predictions"
    table = world.atlas.predict_survival("mace-a").table.set_index("study_uid")
    own, other = world.identity.uid(UID), world.identity.uid("1.1.4")
    # By the original, by the store's own, and one of them twice.
    told = ask(client, at, study_uids=[UID, other, own])
    assert [each["study_uid"] for each in told["predictions"]] == [own, other]
    assert UID not in json.dumps(told)
    for each in told["predictions"]:
        row = table.loc[each["study_uid"]]
        assert [risk["horizon_days"] for risk in each["risks"]] == [*HORIZONS]
        expected = [row[f"risk_{days}d"] for days in HORIZONS]
        assert [risk["risk"] for risk in each["risks"]] == pytest.approx(expected, rel=1e-9)
        assert each["score"] == pytest.approx(row["score"], rel=1e-9)
        assert each["risk_group"] == row["risk_group"]
        assert each["exam_date"] == row["index_date"].isoformat()
    # Sites alternate, and the model was fitted to site A.
    assert [each["in_training"] for each in told["predictions"]] == [False, True]
    assert told["endpoint"] == "mace"
    assert (told["model_id"], told["store_version"]) == (world.mace.model_id, 2)


def test_lvef_comes_with_its_intervals(world, client):
    told = ask(client, f"lvef/models/{world.lvef.model_id}/predictions", study_uids=[UID])
    (said,) = told["predictions"]
    assert [each["percent"] for each in said["intervals"]] == [80, 90, 95]
    for each in said["intervals"]:
        assert 0 <= each["lower"] < said["lvef_percent"] < each["upper"] <= 100
    lows = [each["lower"] for each in said["intervals"]]
    assert lows == sorted(lows, reverse=True)


def test_a_cohort_is_predicted_whole_and_a_large_one_refused(world, client):
    at = f"lvef/models/{world.lvef.model_id}/predictions"
    told = ask(client, at, cohort="site-a")
    members = world.atlas.cohort("site-a").members
    assert [each["study_uid"] for each in told["predictions"]] == [*members["study_uid"]]
    assert all(each["in_training"] for each in told["predictions"])
    everybody = ask(client, at)
    assert len(everybody["predictions"]) == PATIENTS
    with pytest.raises(TooLargeError, match="has 240 exams; at the most 200"):
        world.atlas.predict_lvef("lvef-a", most=200)


def test_what_is_not_known_of_an_exam_is_filled_in_and_said(world, client):
    at = f"survival/models/{world.mace.model_id}/predictions"
    (said,) = ask(client, at, study_uids=[SEXLESS])["predictions"]
    assert said["filled_in"] == ["sex"]
    table = world.atlas.predict_survival("mace-a").table.set_index("study_uid")
    assert said["score"] == pytest.approx(table.loc[said["study_uid"], "score"], rel=1e-9)


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        ({"study_uids": ["1.2.3"]}, 404, "not_found", "the study is not in store version 2"),
        ({"study_uids": [UID, "1.2.3"]}, 404, "not_found", "study 2 of 2 is not in store"),
        ({"cohort": "nobody"}, 404, "not_found", "there is no cohort 'nobody'"),
        ({"cohort": "site-a", "study_uids": [UID]}, 422, "usage", "name one"),
        ({"study_uids": []}, 422, "invalid_request", ""),
        ({"study_uids": ["1.2.3"] * (MOST_STUDIES + 1)}, 422, "invalid_request", ""),
        ({"study_uids": ["x'; drop table"]}, 422, "invalid_request", ""),
        ({"cohort": "a" * 101}, 422, "invalid_request", ""),
        ({"encoder": "enc-a"}, 422, "invalid_request", ""),
    ],
)
def test_exams_that_cannot_be_asked_about(world, client, body, status, code, told):
    answer = client.post(f"/v1/survival/models/{world.mace.model_id}/predictions", json=body)
    problem = problem_of(answer)
    assert (problem["status"], problem["code"]) == (status, code)
    assert told in f"{problem['detail']} {problem['hint']}"
    assert "1.2.3" not in answer.text


@pytest.mark.parametrize(
    ("kind", "model_id", "status", "code", "told"),
    [
        ("survival", "0" * 64, 404, "not_found", "there is no model"),
        ("survival", "e" * 64, 422, "usage", "reads embeddings of enc-z, not of enc-a"),
        ("lvef", "e" * 64, 422, "usage", "is one of survival, not of lvef"),
        ("survival", "mace-a", 422, "invalid_request", ""),
        ("survival", "..%2Fmace-a", 404, "not_found", ""),
    ],
)
def test_models_that_cannot_be_asked(client, kind, model_id, status, code, told):
    answer = client.post(f"/v1/{kind}/models/{model_id}/predictions", json={"study_uids": [UID]})
    problem = problem_of(answer)
    assert (problem["status"], problem["code"]) == (status, code)
    assert told in problem["detail"]


def test_bytes_that_do_not_give_their_id_are_never_read(client):
    at = f"/v1/survival/models/{'d' * 64}/predictions"
    problem = problem_of(client.post(at, json={"study_uids": [UID]}))
    assert (problem["status"], problem["code"]) == (409, "model")
    assert "its bytes do not give its id" in problem["detail"]


def test_the_trail_names_models_and_studies_by_the_stores_own(world, client):
    ask(client, f"survival/models/{world.mace.model_id}/predictions", study_uids=[UID, "1.1.4"])
    entry = last_entry(world)
    assert (entry.principal, entry.action, entry.outcome) == ("reader", "analyse", "ok")
    assert entry.object["model_id"] == world.mace.model_id
    assert entry.object["study_uids"].split() == [*map(world.identity.uid, (UID, "1.1.4"))]
    assert entry.object["rows"] == 2
    ask(client, "studies:outcomes", uid=UID, horizons_days=[365])
    assert last_entry(world).object["query_uid"] == world.identity.uid(UID)
    client.get(f"/v1/studies/{world.identity.uid(UID)}/progression")
    assert last_entry(world).object["study_uid"] == world.identity.uid(UID)
    entries = world.atlas.trail.entries(limit=10_000)
    assert not [each for each in entries if UID in each.object.values()]
    assert Access(world.atlas.settings).trail.verify().intact


def test_who_may_only_search_is_refused(world):
    with client_of(world.address, world.tokens["searcher"]) as searcher:
        own = world.identity.uid(UID)
        for path in (
            *("survival/endpoints", "survival/models", "lvef/models"),
            f"survival/models/{world.mace.model_id}",
            f"lvef/models/{world.lvef.model_id}",
            f"studies/{own}/progression",
        ):
            assert problem_of(searcher.get(f"/v1/{path}"))["code"] == "forbidden", path
        for path, body in (
            (f"survival/models/{world.mace.model_id}/predictions", {"study_uids": [UID]}),
            (f"lvef/models/{world.lvef.model_id}/predictions", {"study_uids": [UID]}),
            ("studies:outcomes", {"uid": UID}),
        ):
            assert problem_of(searcher.post(f"/v1/{path}", json=body))["code"] == "forbidden", path


def test_outcomes_are_those_of_the_atlas(world, client):
    told = ask(client, "studies:outcomes", uid=UID, horizons_days=[*HORIZONS])
    found = world.atlas.outcomes_like(UID, horizons=HORIZONS)
    assert told["query_uid"] == world.identity.uid(UID)
    for column in ("incidence", "lower", "upper", "cohort_incidence"):
        assert [each[column] for each in told["horizons"]] == pytest.approx(
            [*found.horizons[column]]
        )
    near = [each["study_uid"] for each in told["neighbours"]]
    assert near == [*found.neighbours["study_uid"]]
    assert world.identity.uid(UID) not in near
    assert told["effective_size"] == pytest.approx(found.effective_size)
    assert "no prediction for this patient" in told["meaning"]
    assert {each["what"] for each in told["participants"]} >= {"exams", "sex"}


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        ({"uid": STRANGER}, 422, "far_from_all", "the exam is far from all"),
        ({"uid": TWINS[0]}, 422, "leakage", "runs of other patients that the exam has as well"),
        ({"k": 3}, 422, "usage", "count as much as"),
        ({"horizons_days": [9000]}, 422, "usage", "no horizon is supported"),
        ({"endpoint": "stroke"}, 422, "usage", "no horizon is supported"),
        ({"endpoint": "mce"}, 404, "not_found", "there is no endpoint 'mce'"),
        ({"endpoint": "mi; drop"}, 422, "invalid_request", ""),
        ({"uid": "1.2.3"}, 404, "not_found", "with a vector of enc-a"),
        ({"horizons_days": [0]}, 422, "invalid_request", ""),
        ({"horizons_days": []}, 422, "invalid_request", ""),
        ({"encoder": "enc-z"}, 404, "not_found", "enc-z"),
    ],
)
def test_outcomes_that_are_refused(world, client, body, status, code, told):
    problem = problem_of(client.post("/v1/studies:outcomes", json={"uid": UID, **body}))
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert told in problem["detail"]


def test_endpoints_are_those_that_are_answered(world, client):
    told = client.get("/v1/survival/endpoints").json()
    mace = next(each for each in told if each["name"] == "mace")
    assert {"mi", "stroke"} < set(mace["events"])
    assert len({each["name"] for each in told}) == len(told) > 10


def test_one_exam_of_a_patient_has_nothing_to_be_compared_with(world, client):
    at = f"/v1/studies/{world.identity.uid(UID)}/progression"
    answer = client.get(at)
    told = answer.json()
    assert (told["changes"], told["floor"]) == ([], None)
    assert "no two exams are known" in told["not_told"]
    again = client.get(at, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert problem_of(client.get(f"/v1/studies/{UID}/progression"))["code"] == "not_found"


def test_serial_exams_are_told_as_a_study_of_everybody_tells_them(tmp_path):
    with served_serial_store(tmp_path) as (address, atlas, token):
        everybody = atlas.choose_cohort(index="every")
        floor, pairs = scored_pairs(atlas.store, everybody, encoder_id="enc-a")
        pairs = pairs.set_index("study_uid")
        treated = pairs[pairs["treatment"] == "pci"].iloc[0]
        with client_of(address, token) as client:
            told = client.get(f"/v1/studies/{treated['prior_uid']}/progression").json()
            other = client.get(f"/v1/studies/{treated.name}/progression").json()
        (change,) = told["changes"]
        assert change["prior_uid"] == treated["prior_uid"]
        for name in ("change", "score", "p", "days"):
            assert change[name] == pytest.approx(treated[name])
        assert change["beyond"] == bool(treated["beyond"])
        assert (change["treatment"], change["treated_segments"]) == ("pci", ["mid_lad"])
        assert [each["number"] for each in told["exams"]] == [1, 2]
        assert told["floor"]["threshold"] == pytest.approx(floor.threshold)
        assert told["floor"]["source"] == floor.source
        assert told["not_told"] == ""
        assert other == {**told, "study_uid": treated.name}
        with atlas.snapshot() as snapshot:
            once = atlas._everybody(snapshot, "enc-a")
            assert atlas._everybody(snapshot, "enc-a") is once


def test_the_client_reads_every_answer(world):
    with Client(world.address, world.tokens["reader"]) as client:
        assert client.survival_model(world.mace.model_id).figures.c is not None
        assert client.lvef_model(world.lvef.model_id).target.name == "lvef_percent"
        (said,) = client.predict_survival(world.mace.model_id, [UID]).predictions
        assert said.study_uid == world.identity.uid(UID)
        of_cohort = client.predict_lvef(world.lvef.model_id, cohort="site-a").predictions
        assert len(of_cohort) == PATIENTS / 2
        assert [*HORIZONS] == [
            each.horizon_days
            for each in client.outcomes_like(UID, horizons_days=[*HORIZONS]).horizons
        ]
        with pytest.raises(ApiError) as raised:
            client.outcomes_like(STRANGER)
        assert raised.value.code == "far_from_all"
        assert client.patient_progression(said.study_uid).not_told


@pytest.fixture(scope="module")
def shell(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curl")
    return folder, {
        "ATLAS": world.address,
        "STUDY": SEXLESS,
        "OWN": world.identity.uid(SEXLESS),
        "STRANGER": STRANGER,
        "MODEL": world.mace.model_id,
        "LVEF_MODEL": world.lvef.model_id,
        **shell_of(folder, world.tokens["reader"]),
    }


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("example", examples(DOCUMENT), ids=lambda example: example.name)
def test_curl_gets_what_the_document_says(shell, example):
    assert wrong_with(example, *shell) == []


def test_so_many_analyses_are_made_at_a_time_and_no_more(world, client, monkeypatch):
    monkeypatch.setattr(world.state.analyses, "_most", 0)
    own = world.identity.uid(UID)
    for answer in (
        client.post("/v1/studies:outcomes", json={"uid": UID}),
        client.post(
            f"/v1/lvef/models/{world.lvef.model_id}/predictions", json={"study_uids": [UID]}
        ),
        client.get(f"/v1/studies/{own}/progression"),
    ):
        assert problem_of(answer)["status"] == 429
        assert int(answer.headers["retry-after"]) > 0
    assert client.get("/v1/survival/models").status_code == 200


@pytest.mark.parametrize("level", ["studies", "videos"])
def test_so_many_comparisons_are_made_at_a_time_and_so_many_wait(world, client, monkeypatch, level):
    monkeypatch.setattr(world.state.cases, "_most", 0)
    answer = client.post(f"/v1/{level}:similar", json={"uid": UID})
    assert problem_of(answer)["status"] == 429
    assert int(answer.headers["retry-after"]) > 0


def test_a_deleted_patient_is_asked_about_no_more(world, client):
    """Last, since it changes the store: older versions go, and with them cohorts of those."""
    at = f"/v1/survival/models/{world.mace.model_id}/predictions"
    gone = world.identity.uid("1.1.4")
    assert client.post(at, json={"study_uids": [gone]}).status_code == 200
    patient = world.atlas.row("study", gone)["patient_id"]
    Atlas.open(world.atlas.store.path, settings=world.atlas.settings).purge_patient(patient)
    assert problem_of(client.post(at, json={"study_uids": [gone]}))["code"] == "not_found"
    # The version that is there is lent until the new one is ready, as far as it can be read.
    until = time.monotonic() + 30
    while (answer := client.post(at, json={"cohort": "site-a"})).status_code in (200, 503):
        assert time.monotonic() < until
        time.sleep(0.1)
    problem = problem_of(answer)
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert "can no longer be read" in problem["detail"]
    told = client.get(f"/v1/survival/models/{world.mace.model_id}").json()
    assert told["cohort"] == "site-a"
