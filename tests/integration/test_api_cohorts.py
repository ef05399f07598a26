"""Cohorts over HTTP: what the Atlas would choose, on record, and no name where none belongs."""

from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from api.limits import EXPORTS_AT_ONCE
from core.ids import PseudonymisedIdentity, load_key_file
from tests.support.api_world import ApiWorld, api_world
from tests.support.label_tables import write_tables

COHORTS = "/v1/cohorts"
NOBODY = "0" * 64


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("cohorts")
    with api_world(home) as world:
        labels = write_tables(
            home / "labels",
            {
                "events": [
                    "patient_id,date,kind,source",
                    "P0001,2021-03-01,mi,",
                    "P0002,2021-03-01,mi,",
                ],
                "measurements": [
                    "id,patient_id,study_uid,date,name,value,unit,method",
                    "P0001-b,P0001,,2020-01-02,lvef_percent,48,%,echo",
                    "P0001-a,P0001,,2020-01-03,lvef_percent,52,%,echo",
                    "P0003-a,P0003,,2020-01-04,lvef_percent,61,%,echo",
                ],
            },
        )
        world.atlas.import_labels([labels])
        until_followed(world)
        yield world


@pytest.fixture
def client(world):
    with world.client("curator") as client:
        yield client
        for each in client.get(COHORTS).json():
            client.delete(f"{COHORTS}/{each['cohort_id']}")


def until_followed(world: ApiWorld):
    """Let the server see what the store holds."""
    with world.client() as client:
        while _seen(client) < world.atlas.store.latest_version:
            time.sleep(0.05)


def _seen(client):
    return client.get("/v1/studies", params={"limit": 1}).json()["store_version"]


def own(world: ApiWorld):
    """Return the identity of the store."""
    return PseudonymisedIdentity(load_key_file(world.home / "identity.key"))


def created(client, **wanted):
    answer = client.post(COHORTS, json={"name": "some"} | wanted)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{COHORTS}/{answer.json()['cohort_id']}"
    return answer.json()


def refused(answer, status, code="usage"):
    told = answer.json()
    assert (answer.status_code, told["status"], told["code"]) == (status, status, code)
    return told


def members_of(client, cohort_id, limit=4):
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        at = f"{COHORTS}/{cohort_id}/members"
        page = client.get(at, params={"limit": limit} | cursor).json()
        found += page["members"]
        assert len(page["members"]) <= limit
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def test_a_cohort_is_created_listed_shown_read_and_deleted(world, client):
    where = "patient_sex is not null and date >= '2020-01-03'"
    index = {"which": "last", "since": "0001-01-01", "until": "9999-12-31"}
    made = created(client, name="late ones", where=where, index=index)
    expected = world.atlas.choose_cohort(where=where, index="last")
    assert made["studies"] == made["patients"] == len(expected.members) < 12
    assert made["definition"]["index"] == {"min_views": 1} | index
    assert made["attrition"][1]["step"] == f"where {where}"
    (listed,) = client.get(COHORTS).json()
    assert (listed["name"], listed["cohort_id"]) == ("late ones", made["cohort_id"])
    assert (listed["where"], listed["stale"]) == (where, False)
    shown = client.get(f"{COHORTS}/{made['cohort_id']}").json()
    even = {"is_stale": False, "latest_version": made["store_version"], "joined": 0, "left": 0}
    assert shown == made | {"staleness": even}
    members = pd.DataFrame(members_of(client, made["cohort_id"]))
    wanted = expected.members.sort_values("study_uid").astype({"index_date": str})
    assert members.to_dict("list") == wanted.to_dict("list")
    gone = client.delete(f"{COHORTS}/{made['cohort_id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    for verb, more in (("GET", ""), ("GET", "/members"), ("GET", "/export"), ("DELETE", "")):
        refused(client.request(verb, f"{COHORTS}/{made['cohort_id']}{more}"), 404, "not_found")


def test_a_verb_that_there_is_not_is_told_which_there_are(client):
    for path, verbs in ((COHORTS, "GET, POST"), (f"{COHORTS}/{NOBODY}", "DELETE, GET")):
        answer = client.put(path, json={})
        refused(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == verbs


def test_a_name_is_of_one_cohort(world, client):
    made = created(client, where="n_videos > 1")
    assert created(client, where="n_videos > 1") == made
    told = refused(client.post(COHORTS, json={"name": "some"}), 409, "name_taken")
    assert "another name" in told["hint"]
    # The same cohort may have two names; its id stands for both.
    assert created(client, name="other", where="n_videos > 1")["cohort_id"] == made["cohort_id"]
    assert len(client.get(COHORTS).json()) == 2
    assert client.delete(f"{COHORTS}/{made['cohort_id']}").status_code == 204
    assert client.get(COHORTS).json() == []


def test_a_list_may_hold_original_identifiers_and_is_told_nowhere(world, client):
    identity = own(world)
    listed = ["1.7.2", "P0000", identity.uid("1.7.5")]
    made = created(client, members=listed, index={"which": "every"})
    studies = world.truth.studies
    named = studies[
        studies["study_uid"].isin(["1.7.2", "1.7.5"]) | (studies["patient_id"] == "P0000")
    ]
    found = {each["study_uid"] for each in members_of(client, made["cohort_id"])}
    assert found == {identity.uid(uid) for uid in named["study_uid"]}
    assert made["definition"]["listed"] == 3
    shown = client.get(f"{COHORTS}/{made['cohort_id']}").json()
    assert (shown["staleness"]["joined"], shown["staleness"]["left"]) == (None, None)
    told = refused(client.post(COHORTS, json={"name": "no", "members": ["P0001", "DOE^JANE"]}), 422)
    assert "1 of 2 names on the list" in told["detail"]
    said = "".join(str(each) for each in world.atlas.trail.entries(limit=1000)) + str(told)
    for name in ("1.7.2", "P0000", "P0001", "DOE"):
        assert f"'{name}'" not in said
    assert "DOE" not in said


def test_who_asks_from_elsewhere_gives_a_predicate_not_sql(world, client):
    sql = "study_uid in (select study_uid from videos)"
    told = refused(client.post(COHORTS, json={"name": "no", "where": sql}), 422)
    assert "lvef_percent" in told["hint"]
    assert client.get(COHORTS).json() == []
    # What somebody at the machine saved can be shown, and taken anew.
    local = world.atlas.choose_cohort(where=sql, name="by hand")
    shown = client.get(f"{COHORTS}/{local.cohort_id}").json()
    assert shown["definition"]["where"] == sql
    like = created(client, name="like it", like=local.cohort_id)
    assert like["cohort_id"] == local.cohort_id


def test_a_cohort_like_another(world, client):
    one = created(client, where="n_videos > 1", index={"which": "last", "min_views": 2})
    assert created(client, name="again", like=one["cohort_id"])["definition"] == one["definition"]
    both = {"name": "no", "like": one["cohort_id"], "where": "n_videos > 0"}
    assert "leave them out" in refused(client.post(COHORTS, json=both), 422)["hint"]
    both = {"name": "no", "like": one["cohort_id"], "index": {"which": "first"}}
    refused(client.post(COHORTS, json=both), 422)
    refused(client.post(COHORTS, json={"name": "no", "like": NOBODY}), 404, "not_found")
    listed = created(client, name="listed", members=["P0000"])
    told = refused(client.post(COHORTS, json={"name": "no", "like": listed["cohort_id"]}), 422)
    assert "a list, which is not kept" in told["detail"]
    again = created(client, name="listed too", like=listed["cohort_id"], members=["P0000"])
    assert again["cohort_id"] == listed["cohort_id"]


def exported(client, cohort_id, **params):
    answer = client.get(f"{COHORTS}/{cohort_id}/export", params=params)
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    return answer


def test_an_export_holds_the_cohort_and_no_more(world, client, tmp_path):
    made = created(client, members=["P0001", "P0002"])
    created(client, name="another")
    answer = exported(client, made["cohort_id"])
    assert f'"cohort-{made["cohort_id"][:12]}.duckdb"' in answer.headers["content-disposition"]
    (tmp_path / "c.duckdb").write_bytes(answer.content)
    uids = {each["study_uid"] for each in members_of(client, made["cohort_id"])}
    patients = {own(world).patient(each) for each in ("P0001", "P0002")}
    with duckdb.connect(str(tmp_path / "c.duckdb"), read_only=True) as held:

        def column(sql):
            return {value for (value,) in held.execute(sql).fetchall()}

        for table in ("studies", "videos", "findings", "cohorts"):
            assert column(f"select study_uid from {table}") == uids, table
        assert column("select cohort from cohorts") == {"some"}
        for table in ("studies", "videos", "events", "labels"):
            assert column(f"select patient_id from {table}") <= patients
        assert column("select patient_id from events") == patients
        assert column("select value from measurements") == {48, 52}
        told = dict(held.execute("from provenance").fetchall())
        assert (told["cohort"], told["cohort_id"]) == ("some", made["cohort_id"])
        assert column("select lvef_percent from exams") >= {52}
        assert "reports" not in column("select table_name from duckdb_tables()")
    assert b"P0001" not in answer.content


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_an_export_as_an_archive(world, client, format, tmp_path):
    made = created(client, members=["P0001"])
    encoder = world.truth.encoder_id
    answer = exported(client, made["cohort_id"], format=format, encoder=encoder)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = {Path(name).stem for name in archive.namelist()}
        archive.extract(f"studies.{format}", tmp_path)
    assert {"studies", "videos", "findings", "events", "cohorts", "provenance"} <= names
    file = tmp_path / f"studies.{format}"
    studies = pd.read_csv(file) if format == "csv" else pd.read_parquet(file)
    found = members_of(client, made["cohort_id"])
    assert [*studies["study_uid"]] == [each["study_uid"] for each in found]
    refused(client.get(f"{COHORTS}/{made['cohort_id']}/export?encoder=none"), 404, "not_found")


def test_nothing_of_a_download_stays_even_where_nobody_takes_it(world, client):
    downloads = world.settings.state_dir / "downloads"
    made = created(client, members=["P0001"])
    at = f"{COHORTS}/{made['cohort_id']}/export"
    for _ in range(EXPORTS_AT_ONCE + 1):
        with client.stream("GET", at) as answer:
            assert answer.status_code == 200
            next(answer.iter_raw(100))
            assert [*downloads.iterdir()] == []
    # What a process left that was killed goes with the next export, what is being made does not.
    for name, age in (("old", 100_000), ("new", 0)):
        (downloads / name).mkdir()
        left = (downloads / name).stat().st_mtime - age
        os.utime(downloads / name, (left, left))
    exported(client, made["cohort_id"])
    assert [each.name for each in downloads.iterdir()] == ["new"]
    (downloads / "new").rmdir()


def test_scopes_are_asked_for_and_the_trail_names_the_cohort(world, client):
    made = created(client, where="n_videos > 0")
    at = f"{COHORTS}/{made['cohort_id']}"
    asked = [
        ("GET", COHORTS, {"reader"}),
        ("GET", at, {"reader"}),
        ("GET", f"{at}/members", {"reader"}),
        ("GET", f"{at}/export", {"reader"}),
        ("POST", COHORTS, set()),
        ("DELETE", at, {"writer"}),
    ]
    for verb, path, may in asked:
        for who in ("reader", "searcher", "writer"):
            body = {"json": {"name": "x"}} if verb == "POST" else {}
            with world.client(who) as other:
                status = other.request(verb, path, **body).status_code
            assert (status == 403) == (who not in may), (who, verb, path)
    entries = world.atlas.trail.entries(limit=10_000)
    of_it = [each for each in entries if made["cohort_id"] in each.object.values()]
    done = {(each.principal, each.action, each.object["use_case"], each.outcome) for each in of_it}
    assert done >= {
        ("curator", "cohort", "choose_cohort", "ok"),
        ("reader", "read", "members_of_cohort", "ok"),
        ("reader", "export", "export", "ok"),
        ("searcher", "export", "export", "forbidden"),
        ("writer", "write", "drop_cohort", "ok"),
        ("reader", "write", "drop_cohort", "forbidden"),
    }
    (chosen,) = [each for each in of_it if each.object["use_case"] == "choose_cohort"]
    assert (chosen.object["name"], chosen.object["where"]) == ("some", "n_videos > 0")


def test_the_store_moves_on_and_a_cohort_does_not(world, client, tmp_path):
    """Last, since it deletes a patient."""
    women = created(client, where="lvef_percent > 50")
    assert women["studies"] > 0
    everybody = created(client, name="everybody")
    labels = ["id,patient_id,study_uid,date,name,value,unit,method"]
    changed = [f"P000{i}-a,P000{i},,2020-01-03,lvef_percent,20,%,echo" for i in (1, 3)]
    world.atlas.import_labels(
        [write_tables(tmp_path, {"measurements": labels + changed})], replace=True
    )
    until_followed(world)
    shown = client.get(f"{COHORTS}/{women['cohort_id']}").json()
    version = women["store_version"]
    moved = {"is_stale": True, "latest_version": version + 1, "joined": 0, "left": women["studies"]}
    assert shown == women | {"staleness": moved}
    assert len(members_of(client, women["cohort_id"])) == women["studies"]
    assert client.get(COHORTS).json()[0]["stale"]
    world.atlas.purge_patient("P0001")
    until_followed(world)
    left = {each["name"]: each["patients"] for each in client.get(COHORTS).json()}
    assert left["everybody"] == everybody["patients"] - 1
    told = refused(client.get(f"{COHORTS}/{everybody['cohort_id']}"), 404, "not_found")
    assert "can no longer be read" in told["detail"]
    again = created(client, name="again", like=everybody["cohort_id"])
    assert again["patients"] == everybody["patients"] - 1
