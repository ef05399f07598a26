"""What somebody sends who means harm: the right status, nothing told, nothing stored, alive after.

Every answer of every case goes through `Target.checked`.
"""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import json
import logging
import re
import socket
import struct
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from angioatlas.access.access import Access
from angioatlas.access.principal import Scope
from tests.support.api_world import ApiWorld, api_world
from tests.support.dicom import moving_frames, patch, write_cine

PREDICATES = Path(__file__).parents[1] / "data/refused_predicates.tsv"
MARK = "zqmarkqz"
"""In what is sent; no log may have it."""
ORIGINAL = re.compile(r"(?<![\d.])1\.7\.\d+(?!\d)|\bP00\d\d\b|EVIL\^|1\.2\.826\.0\.1\.9")
INSIDE = re.compile(
    r"Traceback|site-packages|File \"|\.py\b|\bSELECT\b|sqlite|lancedb|pydicom|0x[0-9a-f]{8}"
    r"|(?<!')duckdb"  # as a format of exports it is quoted
)
SEARCH = "/v1/studies:search"
EXAM = "/v1/exams:similar"


@dataclass(frozen=True)
class Target:
    """What is attacked."""

    world: ApiWorld
    client: httpx2.Client
    sop_uid: str

    def ask(self, verb: str, path: str, **sent: Any) -> httpx2.Response:
        return self.checked(self.client.request(verb, path, **sent))

    def ask_as(self, who: str, verb: str, path: str, **sent: Any) -> httpx2.Response:
        with self.world.client(who) as client:
            return self.checked(client.request(verb, path, **sent))

    def checked(self, answer: httpx2.Response) -> httpx2.Response:
        """Return an answer that tells nothing it should not."""
        told = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        if "json" in answer.headers.get("content-type", "") or answer.status_code >= 400:
            told += answer.text
        home = str(self.world.home)
        for secret in (home, "identity.key", *self.world.tokens.values()):
            assert secret not in told
        assert not INSIDE.search(told), INSIDE.search(told)
        assert not ORIGINAL.search(told), ORIGINAL.search(told)
        assert answer.status_code < 500
        assert not {"set-cookie", "server", "x-pwned"} & {*answer.headers}
        if answer.status_code >= 400:
            problem = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert problem["status"] == answer.status_code
            assert re.fullmatch("[0-9a-f]{32}", problem["request_id"])
        return answer

    def raw(self, sent: bytes, *, seconds: float = 1) -> list[int]:
        """Send bytes as they are, and return the statuses of what comes back."""
        host, port = self.world.address.removeprefix("http://").split(":")
        received = b""
        # A connection that was closed on us, or stays open for more, has said what it says.
        with (
            suppress(ConnectionError, TimeoutError),
            socket.create_connection((host, int(port)), timeout=seconds) as connection,
        ):
            connection.sendall(sent)
            while part := connection.recv(65_536):
                received += part
        assert not INSIDE.search(received.decode("latin-1"))
        assert b"pwned" not in received.lower()
        return [int(each) for each in re.findall(rb"^HTTP/1\.1 (\d{3}) ", received, re.MULTILINE)]

    def upload(
        self, files: list[tuple[str, bytes]], *, store: bool = False, **data: Any
    ) -> dict[str, Any]:
        """Upload an exam and return what its job, or the answer itself, says is wrong."""
        sent = [("files", each) for each in files]
        path, who = (f"{EXAM}?store=true", "curator") if store else (EXAM, "reader")
        answer = self.ask_as(who, "POST", path, files=sent, data=data)
        told: dict[str, Any] = answer.json()
        if answer.status_code == 200:
            assert told["status"] == "failed", told
            failure: dict[str, Any] = told["failure"]
            return failure
        return told


@pytest.fixture(scope="module")
def served_target(tmp_path_factory):
    home = tmp_path_factory.mktemp("attacked")
    write_cine(
        home / "archive" / "a.dcm",
        moving_frames(20),
        StudyInstanceUID="1.2.826.0.1.9",
        SOPInstanceUID="1.2.826.0.1.9.1",
        PatientID="EVIL^ID",
    )
    with api_world(home, archive=home / "archive") as world, world.client() as client:
        videos = world.atlas.videos()
        yield Target(world, client, videos[videos["n_frames"] == 20]["sop_uid"].iloc[0])


def held(world):
    """Return where the store stands, and what lies beside it and in the archive."""
    places = [*world.home.glob("*"), *(world.home / "sent").rglob("*")]
    return world.atlas.store.position(), sorted(places)


@pytest.fixture
def target(served_target, caplog):
    """What is attacked; afterwards it lives, holds nothing new and has said nothing."""
    world = served_target.world
    before = held(world)
    with caplog.at_level(logging.DEBUG):
        yield served_target
    assert served_target.client.get("/readyz").status_code == 200
    assert held(world) == before
    assert not any((world.settings.state_dir / "uploads").glob("*"))
    # By itself, `records` are those of this phase.
    records = caplog.get_records("call") + caplog.records
    said = [each.getMessage() for each in records if each.name.startswith(("angio", "api"))]
    for line in said:
        assert MARK not in line
        assert "\n" not in line
        assert "\r" not in line


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/studies/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("/v1/studies/%2e%2e", 422),
        ("/v1/studies/....//....//etc/passwd", 404),
        ("/v1/videos/%2e%2e%2f%2e%2e%2fidentity.key/cine.mp4", 404),
        ("/v1/videos/%252e%252e/cine.mp4", 422),
        ("/v1/videos/1.2.3%00.dcm/cine.mp4", 422),
        ("/v1/videos/1.2.3%0a/thumbnail.jpg", 422),
        ("/v1/studies/1.2.3%0d%0aSet-Cookie:%20x=1", 422),
        ("/v1/studies/1.2.3'%20OR%20'1'='1", 422),
        ("/v1/studies/1.2.3;drop%20table%20studies", 422),
        ("/v1/studies/%EF%BC%91.%EF%BC%92", 422),
        ("/v1/studies/1.2%E2%80%8B.3", 422),
        ("/v1/studies/%E2%80%AE3.2.1", 422),
        ("/v1/studies/%ff%fe", 422),
        (f"/v1/studies/{'1' * 65}", 422),
        (f"/v1/studies/{'1' * 20_000}", 422),
        ("/v1/studies/%7B%7B7*7%7D%7D", 422),
        (f"/v1/studies/%3Cscript%3E{MARK}", 422),
        ("/v1/jobs/..%2f..%2fjobs.sqlite", 404),
        ("/v1/jobs/' OR 1=1 --", 404),
        ("/v1/jobs/%00", 404),
        ("/static/../../../etc/passwd", 404),
        ("/docs", 404),
        ("/.env", 404),
        (f"/v1/{MARK}?key={MARK}", 404),
    ],
)
def test_paths(target, path, status):
    assert target.ask("GET", path).status_code == status


def _refused() -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    with PREDICATES.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row and row[0] != "group":
                groups.setdefault(row[0], []).append(json.loads(row[2]))
    return groups


@pytest.mark.parametrize("group", [*_refused()])
def test_predicates(target, group):
    for number, where in enumerate(_refused()[group][:: max(1, len(_refused()[group]) // 3)]):
        body = json.dumps({"text": "stenosis", "where": where})
        json_type = {"content-type": "application/json"}
        if number % 2:
            answer = target.ask("POST", SEARCH, content=body.encode(), headers=json_type)
        else:
            safe = where.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
            answer = target.ask("GET", "/v1/studies", params={"where": safe})
        assert answer.status_code == 422, where


COHORTS = "/v1/cohorts"
NO_COHORT = f"{COHORTS}/{'0' * 64}"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param({"name": "../../identity.key"}, 422, id="up"),
        pytest.param({"name": "/etc/passwd"}, 422, id="path"),
        pytest.param({"name": ".hidden"}, 422, id="hidden"),
        pytest.param({"name": f"{MARK}\r\nSet-Cookie: x=1"}, 422, id="line breaks"),
        pytest.param({"name": "a\n"}, 422, id="line break at the end"),
        pytest.param({"name": "\u202egnp"}, 422, id="bidi"),
        pytest.param({"name": "w\u043emen"}, 422, id="Cyrillic o"),
        pytest.param({"name": "EVIL^ID"}, 422, id="person"),
        pytest.param({"name": "a" * 101}, 422, id="long"),
        pytest.param({"name": "0" * 64}, 422, id="an id as a name"),
        pytest.param({"where": "study_uid in (select study_uid from reports)"}, 422, id="reports"),
        pytest.param({"where": "(select count(*) from range(1000000000000)) > 0"}, 422, id="long"),
        pytest.param({"where": f'"/etc/{MARK}" = 1'}, 422, id="a path for a column"),
        pytest.param({"where": f"site = '/etc/{MARK}'"}, 422, id="nobody at a path"),
        pytest.param({"where": "n_videos > 0); drop table studies; --"}, 422, id="two statements"),
        pytest.param({"where": "getenv('HOME') <> ''"}, 422, id="environment"),
        pytest.param({"where": "1 = 1"}, 422, id="no column"),
        pytest.param({"members": ["EVIL^ID", "P0003"] * 451}, 422, id="902 members"),
        pytest.param({"members": ["1.7.0"] * 9000}, 413, id="9,000 members"),
        pytest.param({"members": []}, 422, id="no members"),
        pytest.param({"members": ["EVIL^OTHER", f"/{MARK}"]}, 422, id="unknown members"),
        pytest.param({"members": ["' OR '1'='1", "\x00", "%"]}, 422, id="quotes"),
        pytest.param({"members": "1.7.0"}, 422, id="no list"),
        pytest.param({"index": {"which": "best"}}, 422, id="rule"),
        pytest.param({"index": {"min_views": 10**30}}, 422, id="many views"),
        pytest.param({"index": {"since": "9999-12-31"}}, 422, id="the last day"),
        pytest.param({"index": {"until": "0001-01-01"}}, 422, id="the first day"),
        pytest.param({"index": {"since": "10000-01-01"}}, 422, id="after the last day"),
        pytest.param({"like": "../" * 20}, 422, id="like up"),
        pytest.param({"like": "0" * 64}, 404, id="like nothing"),
        pytest.param({"encoder": "/etc"}, 422, id="encoder at a path"),
        pytest.param({"store": "/tmp"}, 422, id="unknown field"),
    ],
)
def test_cohorts_that_are_none(target, asked, status):
    answer = target.ask_as("curator", "POST", COHORTS, json={"name": "new"} | asked)
    assert answer.status_code == status
    assert MARK not in answer.headers.get("location", "")
    assert target.ask("GET", COHORTS).json() == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{COHORTS}/..%2f..%2fidentity.key/export", 404),
        (f"{COHORTS}/%2e%2e/export", 422),
        (f"{COHORTS}/{MARK}", 422),
        (f"{COHORTS}/{'0' * 63}%00", 422),
        (f"{COHORTS}/{'0' * 64}%0a", 422),
        (f"{COHORTS}/{'%EF%BC%90' * 64}", 422),
        (f"{COHORTS}/{'A' * 64}", 422),
        (f"{COHORTS}/{'0' * 8}", 422),
        (f"{NO_COHORT}/export?format=../csv", 422),
        (f"{NO_COHORT}/export?format=xlsx", 422),
        (f"{NO_COHORT}/export?format=csv&source_paths=true&reports=true", 404),
        (f"{NO_COHORT}/export?encoder=../../etc", 422),
        (f"{NO_COHORT}/members?cursor=Li4vLi4", 422),
        (f"{NO_COHORT}/members?limit=1e9", 422),
    ],
)
def test_paths_of_cohorts(target, path, status):
    assert target.ask("GET", path).status_code == status
    assert not any((target.world.settings.state_dir / "downloads").glob("*"))


@pytest.mark.parametrize("who", ["searcher", "writer", "reader"])
def test_who_may_not_save_saves_nothing(target, who):
    answer = target.ask_as(who, "POST", COHORTS, json={"name": MARK, "where": "n_videos > 0"})
    assert answer.status_code == 403
    assert target.ask("GET", COHORTS).json() == []
    if who != "reader":
        for path in (COHORTS, NO_COHORT, f"{NO_COHORT}/members", f"{NO_COHORT}/export"):
            assert target.ask_as(who, "GET", path).status_code == 403
    if who != "writer":
        assert target.ask_as(who, "DELETE", NO_COHORT).status_code == 403


JSON = "application/json"


@pytest.mark.parametrize(
    ("content", "kind", "statuses"),
    [
        pytest.param(b'{"text":"a","k":1,"k":99999}', JSON, {422}, id="twice the same key"),
        pytest.param(b"[" * 30_000, JSON, {400, 422}, id="deep and open"),
        pytest.param(b"[" * 30_000 + b"]" * 30_000, JSON, {400, 422}, id="deep"),
        pytest.param(
            b'{"text":' + b'{"a":' * 9000 + b"1" + b"}" * 9001, JSON, {400, 422}, id="deep objects"
        ),
        pytest.param(b'{"text":"a","k":1e400}', JSON, {422}, id="infinite number"),
        pytest.param(b'{"text":"a","k":' + b"9" * 5000 + b"}", JSON, {400, 422}, id="huge number"),
        pytest.param(b'{"text":"a","k":NaN}', JSON, {422}, id="NaN"),
        pytest.param(b'{"text":"a","k":-Infinity}', JSON, {422}, id="-Infinity"),
        pytest.param(b'{"text":"a","k":true}', JSON, {422, 200}, id="true for 1"),
        pytest.param(rb'{"text":"\ud800"}', JSON, {422}, id="lone surrogate"),
        pytest.param(rb'{"text":"a","where":"\udfff"}', JSON, {422}, id="lone surrogate, where"),
        pytest.param(rb'{"\ud800":"a","text":"a"}', JSON, {422}, id="lone surrogate, key"),
        pytest.param(rb'{"text":"\u0000"}', JSON, {200, 422}, id="NUL"),
        pytest.param('{"text":"a\u200b\u202e\u2066b"}'.encode(), JSON, {200}, id="bidi"),
        pytest.param(('{"text":"' + "e\u0301" * 1000 + '"}').encode(), JSON, {200}, id="accents"),
        pytest.param(f'{{"text":"\\r\\n{MARK}"}}'.encode(), JSON, {200}, id="line breaks"),
        pytest.param(f'{{"text":"${{jndi:{MARK}}}"}}'.encode(), JSON, {200}, id="jndi"),
        pytest.param(b'{"text":"' + b"(a+)+" * 400 + b'"}', JSON, {200}, id="regular expression"),
        pytest.param(b'{"text":"a","__proto__":{"x":1}}', JSON, {422}, id="prototype"),
        pytest.param(b'{"text":"a","encoder":"../../../etc"}', JSON, {422}, id="encoder up"),
        pytest.param(b'{"text":"a","encoder":"/etc"}', JSON, {422}, id="encoder at a path"),
        pytest.param(b'{"text":"a","encoder":"~root"}', JSON, {422}, id="encoder at home"),
        pytest.param(b'{"text":"a","encoder":"nobody"}', JSON, {404}, id="unknown encoder"),
        pytest.param(b'{"text":"' + b"x" * 70_000 + b'"}', JSON, {413}, id="oversized"),
        pytest.param(b" " * 65_000 + b"{", JSON, {422}, id="blank"),
        pytest.param(b"null", JSON, {422}, id="null"),
        pytest.param(b"\xff\xfe{\x00}\x00", JSON, {400, 422}, id="UTF-16"),
        pytest.param(b'{"text":"\xff"}', JSON, {400, 422}, id="not UTF-8"),
        pytest.param(zlib.compress(b"0" * 10**6), JSON, {400, 422}, id="compressed"),
        pytest.param(b'{"text":"a"}', "text/plain", {415, 422}, id="text"),
        pytest.param(b"<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;", "text/xml",
                     {415, 422}, id="XML entity"),
        pytest.param(b"text=a", "application/x-www-form-urlencoded", {415, 422}, id="form"),
        pytest.param(b'{"text":"a"}', "application/json; charset=utf-7", {200, 422}, id="charset"),
    ],
)  # fmt: skip
def test_bodies(target, content, kind, statuses):
    answer = target.ask("POST", SEARCH, content=content, headers={"content-type": kind})
    assert answer.status_code in statuses


@pytest.mark.parametrize(
    "verb", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "X" * 99]
)
def test_verbs(target, verb):
    assert target.ask(verb, "/v1/studies").status_code == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Forwarded-Host": "pwned.example", "X-Forwarded-Proto": "https"},
        {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1;host=pwned.example"},
        {"X-Original-URL": "/metrics", "X-Rewrite-URL": "/metrics"},
        {"X-Request-ID": "pwned"},
        {"Origin": "https://pwned.example"},
        {"Accept": "../../etc/passwd"},
        {"If-None-Match": 'W/"' + "x" * 10_000 + '"'},
        {"If-None-Match": ",".join(['""'] * 5000)},
        {"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"},
        {"Cookie": "session=pwned"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_headers_that_change_nothing(target, headers):
    plain = target.ask("GET", "/v1/studies")
    answer = target.ask("GET", "/v1/studies", headers=headers)
    assert (answer.status_code, answer.json()) == (200, plain.json())
    assert "pwned" not in str(answer.headers)


@pytest.mark.parametrize(
    "host",
    ["pwned.example", "127.0.0.1.pwned.example", "pwned.example#127.0.0.1", "127.0.0.1@x", "*", "",
     "localhost:80:80", "127.0.0.1 pwned", "0", "2130706433", "[::1"],
)  # fmt: skip
def test_hosts(target, host):
    answer = target.ask("GET", "/v1/studies", headers={"Host": host})
    assert answer.status_code == 421


def _request(head: str, body: bytes = b"", *, key: str = "") -> bytes:
    lines = [head, "Host: 127.0.0.1", "Connection: close"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    return "\r\n".join(lines).encode() + b"\r\n" + body


NONE = 0
"""The connection was closed on what was still being sent."""
HEALTH = "GET /healthz HTTP/1.1\r\n"
CHUNKED = f"POST {SEARCH} HTTP/1.1\r\nTransfer-Encoding: chunked"
POST = f"POST {SEARCH} HTTP/1.1\r\nContent-Type: application/json"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        pytest.param(_request(CHUNKED, b"\r\nZZ\r\n{}\r\n0\r\n\r\n"),
                     [400], id="chunk size"),
        pytest.param(_request(CHUNKED, b"\r\n" + b"F" * 40 + b"\r\n"),
                     [400], id="huge chunk size"),
        pytest.param(_request(f"{CHUNKED}, gzip", b"\r\n0\r\n\r\n"),
                     [501, 400], id="two codings"),
        pytest.param(_request(f"{POST}\r\nContent-Length: -1", b"\r\n"), [400], id="below 0"),
        pytest.param(_request(f"{POST}\r\nContent-Length: 1\r\nContent-Length: 2", b"\r\n{}"),
                     [400], id="two lengths"),
        pytest.param(_request(HEALTH + "Host: pwned.example", b"\r\n"), [400],
                     id="two hosts"),
        pytest.param(b"GET /healthz HTTP/1.1\r\n\r\n", [400], id="no host"),
        pytest.param(_request("GET /healthz HTTP/9.9", b"\r\n"), [200, 400, 505], id="version"),
        pytest.param(_request("GET /a b HTTP/1.1", b"\r\n"), [400], id="space in a path"),
        pytest.param(_request("GET /\x00 HTTP/1.1", b"\r\n"), [400, 404], id="NUL in a path"),
        pytest.param(_request(HEALTH + " X-Pwned: folded", b"\r\n"), [400, 200],
                     id="folded"),
        pytest.param(_request(HEALTH + "X\x00: 1", b"\r\n"), [400],
 id="NUL in a name"),
        pytest.param(_request(HEALTH + "X: a\rX-Pwned: 1", b"\r\n"), [400, 200],
 id="CR"),
        pytest.param(_request(HEALTH + "" + "\r\n".join(["X: 1"] * 40_000), b"\r\n"),
                     [NONE, 400, 431], id="flood of headers"),
        pytest.param(_request(HEALTH + "X: " + "1" * 200_000, b"\r\n"), [NONE, 400, 431],
                     id="large header"),
        pytest.param(_request(f"GET /{'a' * 200_000} HTTP/1.1", b"\r\n"), [NONE, 400, 414],
 id="long path"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, [400],
 id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 421, 505], id="HTTP/2"),
    ],
)  # fmt: skip
def test_what_is_hardly_http(target, sent, statuses):
    came = target.raw(sent)
    assert len(came) <= 1
    assert (came[0] if came else NONE) in statuses


def test_a_request_smuggled_in_another_is_not_answered(target):
    hidden = b"GET /v1/store HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    head = (
        f"{POST}\r\nHost: 127.0.0.1\r\nContent-Length: {5 + len(hidden)}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    came = target.raw(head.encode() + b"0\r\n\r\n" + hidden)
    assert came == [400]


@pytest.mark.parametrize(
    ("asked", "status", "length"),
    [
        ("bytes=0-99", 206, 100),
        ("bytes=-10", 206, 10),
        ("bytes=99999999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-1", 200, None),
        ("bytes=" + ",".join(["0-"] * 1500), 200, None),
        ("bytes=" + ",".join(f"{i}-{i}" for i in range(1500)), 200, None),
        ("bytes=0-1;" + MARK, 200, None),
        ("lines=0-1", 200, None),
        ("bytes=" + "9" * 5000 + "-", 200, None),
        ("bytes=\xb2-\xb3", 200, None),
    ],
)
def test_ranges(target, asked, status, length):
    path = f"/v1/videos/{target.sop_uid}/cine.mp4"
    whole = target.ask("GET", path)
    assert whole.content[4:8] == b"ftyp"
    answer = target.ask("GET", path, headers={"Range": asked.encode("latin-1")})
    assert answer.status_code == status
    if status < 400:
        assert len(answer.content) == (length or len(whole.content))


@pytest.mark.parametrize(
    "height", ["-1", "0", "99999999999999999999", "1e3", "NaN", "48;x", "../x"]
)
def test_heights(target, height):
    path = f"/v1/videos/{target.sop_uid}/thumbnail.jpg"
    assert target.ask("GET", path, params={"height": height}).status_code == 422


@pytest.mark.parametrize(
    "cursor",
    [
        *(base64.urlsafe_b64encode(each.encode()).decode().rstrip("=")
          for each in ("1.2' OR '1'='1", "../../etc", "1." * 90, "1.2\n", "\uff11.2", "", "%00")),
        "====", "a b", "\u202e", "!" * 128,
    ],
)  # fmt: skip
def test_forged_cursors(target, cursor):
    assert target.ask("GET", "/v1/studies", params={"cursor": cursor}).status_code == 422


def test_a_forged_cursor_that_names_a_place_shows_no_more_than_the_page_there(target):
    every = target.ask("GET", "/v1/studies").json()["studies"]
    forged = base64.urlsafe_b64encode(b"2.25.3").decode().rstrip("=")
    page = target.ask("GET", "/v1/studies", params={"cursor": forged}).json()["studies"]
    assert page == [each for each in every if each["study_uid"] > "2.25.3"]


def _token(**header: Any) -> str:
    parts = [header, {"sub": "admin", "scope": "admin", "iss": "x", "exp": 2**40}]
    made = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode() for each in parts]
    return ".".join([each.rstrip("=") for each in made] + [""])


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic YWRtaW46YWRtaW4=",
        "Bearer",
        "Bearer null",
        f"Bearer {_token(alg='none')}",
        f"Bearer {_token(alg='HS256', kid='../../dev/null')}",
        "Bearer aa_000000000000_' OR 1=1 --",
        "Bearer " + "a" * 10_000,
        "Bearer \xff\xfe",
        f"Negotiate {MARK}",
    ],
)
def test_keys_that_are_none(target, authorization):
    headers = {"Authorization": authorization.encode("latin-1")}
    answer = httpx2.get(f"{target.world.address}/v1/store", headers=headers)
    assert target.checked(answer).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer " + "a" * 20_000}, {f"X-{i}": "y" for i in range(80)}],
    ids=["long", "many"],
)
def test_a_head_that_is_too_large(target, headers):
    answer = target.ask("GET", "/v1/studies", headers=headers)
    assert answer.status_code == 431


def test_keys_in_the_wrong_place(target):
    token = target.world.tokens["reader"]
    address = f"{target.world.address}/v1/store"
    for sent in (
        {"params": {"access_token": token}},
        {"headers": {"X-API-Key": token}},
        {"headers": {"Cookie": f"Authorization={token}"}},
        {"headers": {"Authorization": token}},
    ):
        assert target.checked(httpx2.get(address, **sent)).status_code == 401


def test_keys_that_were_revoked_or_have_expired(target):
    access = Access(target.world.settings)
    key, token = access.create_key("gone", [Scope.READ], None)
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{target.world.address}/v1/store"
    assert httpx2.get(address, headers=headers).status_code == 200
    access.revoke_key(key.id)
    assert target.checked(httpx2.get(address, headers=headers)).status_code == 401
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.5)
    _, token = access.create_key("short", [Scope.READ], soon)
    time.sleep(0.6)
    headers = {"Authorization": f"Bearer {token}"}
    assert target.checked(httpx2.get(address, headers=headers)).status_code == 401


@pytest.mark.parametrize("who", ["searcher", "writer"])
@pytest.mark.parametrize("path", ["/v1/studies", "/v1/store", "/v1/versions", "/metrics"])
def test_a_key_for_something_else_learns_nothing_even_of_what_it_has(target, who, path):
    tag = target.ask("GET", path).headers.get("etag", "*")
    answer = target.ask_as(who, "GET", path, headers={"If-None-Match": tag})
    assert answer.status_code == 403


def _multipart(*parts: bytes, boundary: bytes = b"b") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + (
        b"--" + boundary + b"--\r\n"
    )


def _file(name: str = "a", content: bytes = b"x") -> bytes:
    told = f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return told.encode("utf-8", "surrogateescape") + content


FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content", "kind", "statuses"),
    [
        pytest.param(_multipart(_file()), "multipart/form-data", {400, 422}, id="no boundary"),
        pytest.param(_multipart(_file()), "multipart/form-data; boundary=" + "b" * 5000,
                     {400, 422}, id="long boundary"),
        pytest.param(_multipart(_file()), JSON, {400, 422}, id="not a form"),
        pytest.param(b"--b\r\n" + _file(), FORM, {400, 422}, id="no end"),
        pytest.param(b"\r\n" * 1000, FORM, {400, 422}, id="blank"),
        pytest.param(_multipart(b'Content-Disposition: form-data; name="files"\r\n\r\nx'), FORM,
                     {422}, id="no file"),
        pytest.param(_multipart(b"X" * 20_000 + b": 1\r\n\r\nx"), FORM, {400, 422}, id="long name"),
        pytest.param(_multipart(b"X: 1\r\n" * 5000 + b"\r\nx"), FORM, {400, 422}, id="flood"),
        pytest.param(_multipart(*[_file()] * 10_000), FORM, {400, 413}, id="10,000 files"),
        pytest.param(_multipart(*[b'Content-Disposition: form-data; name="k"\r\n\r\n1'] * 2000),
                     FORM, {400, 422}, id="2,000 fields"),
        pytest.param(_multipart(_file(), b'Content-Disposition: form-data; name="k"\r\n\r\n1e9'),
                     FORM, {422}, id="k"),
        pytest.param(_multipart(_file(), b'Content-Disposition: form-data; name="k"\r\n\r\n'
                                + b"1" * 2_000_000), FORM, {400, 413, 422}, id="large field"),
        pytest.param(b"", FORM, {400, 422}, id="nothing"),
    ],
)  # fmt: skip
# Of a form that does not end a file is left to the garbage collector, which closes it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_forms(target, content, kind, statuses):
    answer = target.ask("POST", EXAM, content=content, headers={"content-type": kind})
    assert answer.status_code in statuses


@pytest.mark.parametrize("wait", ["NaN", "inf", "-1", "61", "1e308", "0x1"])
def test_waits(target, wait):
    answer = target.ask("POST", EXAM, params={"wait": wait}, files={"files": b"x"})
    assert answer.status_code == 422


def _zip_bomb() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("DICOMDIR", b"\0" * 50_000_000)
    return held.getvalue()


def test_names_and_contents_that_are_no_exam(target, tmp_path):
    names = [
        *("../../../../tmp/pwned", "/etc/cron.d/pwned", "C:\\pwned", "link -> /etc/passwd"),
        *("DICOMDIR", "a" * 255, "\u202egnp.dcm", "$(touch pwned)", MARK, "nul", "..", "."),
    ]
    nested = _multipart(_file("inner"), boundary=b"inner")
    contents = [
        b"",
        b"\0" * 128 + b"DICM",
        _zip_bomb(),
        b"\0" * 128 + b"DICM" + _zip_bomb(),
        nested,
    ]
    for start in range(0, len(names), 4):
        files = [
            (name, contents[(start + i) % len(contents)])
            for i, name in enumerate(names[start : start + 4])
        ]
        failure = target.upload(files)
        assert (failure["status"], failure["code"]) == (404, "not_found")
    assert not [*target.world.home.rglob("*pwned*")]


def _deflated_bomb(path: Path) -> bytes:
    """A file of a megabyte, or less, that is 100 MiB when inflated."""
    _of_one_study(path, DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    meta = 128 + 4 + 12 + struct.unpack_from("<I", content, 128 + 4 + 8)[0]
    plain = zlib.decompress(content[meta:], -zlib.MAX_WBITS)
    at = plain.index(b"\xe0\x7f\x10\x00")
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    made = packer.compress(plain[:at] + b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", 100 * 2**20))
    made += b"".join(packer.compress(b"\0" * 2**20) for _ in range(100)) + packer.flush()
    return content[:meta] + made


def _of_one_study(path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    frames = moving_frames(10)
    return write_cine(path, frames, transfer_syntax=syntax, StudyInstanceUID="1.2.826.0.1.9.7")


def _exams(folder: Path) -> dict[str, bytes]:
    """Files that claim or become more than they are."""
    folder.mkdir()
    small = _of_one_study(folder / "small").read_bytes()
    wide = _of_one_study(folder / "wide")
    for keyword in ("Rows", "Columns"):
        patch(wide, keyword, b"\xff\xff")
    long = patch(_of_one_study(folder / "long"), "NumberOfFrames", b"2147483648")
    below = patch(_of_one_study(folder / "below"), "NumberOfFrames", b"-5")
    words = patch(_of_one_study(folder / "words"), "NumberOfFrames", b"1e9;x")
    jpeg = _of_one_study(folder / "jpeg", JPEGBaseline8Bit)
    start = jpeg.read_bytes()
    sof = start.index(b"\xff\xc0")
    run = _of_one_study(folder / "rle", RLELossless).read_bytes()
    item = run.index(b"\xfe\xff\x00\xe0", run.index(b"\xe0\x7f\x10\x00") + 20)
    return {
        "65535 x 65535": wide.read_bytes(),
        "2^31 frames": long.read_bytes(),
        "-5 frames": below.read_bytes(),
        "frames in words": words.read_bytes(),
        "cut": small[: len(small) // 2],
        "JPEG of 65500 x 65500": start[: sof + 5] + b"\xff\xdc\xff\xdc" + start[sof + 9 :],
        "RLE segments": run[: item + 8] + b"\xff" * 64 + run[item + 72 :],
        "deflated 100 MiB": _deflated_bomb(folder / "deflated"),
    }


def test_exams_that_claim_or_become_too_much(target, tmp_path):
    exams = [*_exams(tmp_path / "exams").items()]
    came = []
    for some in (exams[:4], exams[4:]):
        began = time.monotonic()
        failure = target.upload(some)
        assert (failure["status"], failure["code"]) == (404, "not_found")
        assert time.monotonic() - began < 30
        came.append({*failure["detail"].partition(": ")[2].split(", ")})
    assert came == [{"bad_claim 4"}, {"decode_failed 2", "no_contrast 1", "truncated 1"}]


def test_a_bomb_that_is_to_be_stored(target, tmp_path):
    exams = _exams(tmp_path / "exams")
    bombs = ["65535 x 65535", "JPEG of 65500 x 65500", "deflated 100 MiB", "cut"]
    failure = target.upload([(name, exams[name]) for name in bombs], store=True)
    assert (failure["status"], failure["code"]) == (404, "not_found")
    assert "bad_claim 1" in failure["detail"]
    assert "decode_failed 1" in failure["detail"]


@pytest.mark.parametrize(
    "query", ["store=true", "store=1", "store=False&store=on", "%73tore=%74rue", "wait=9&store=Y"]
)
def test_a_body_of_who_may_not_store_is_not_waited_for(target, query):
    head = f"POST {EXAM}?{query} HTTP/1.1\r\nContent-Length: 1000000"
    head += "\r\nContent-Type: multipart/form-data; boundary=x"
    for who in ("searcher", "writer"):
        sent = _request(head, b"\r\n--x", key=target.world.tokens[who])
        assert target.raw(sent, seconds=5) == [403]


def test_two_studies_at_once(target, tmp_path):
    files = []
    for number in (1, 2):
        path = write_cine(
            tmp_path / str(number), moving_frames(10), StudyInstanceUID=f"1.2.826.0.1.9.{number}"
        )
        files.append((str(number), path.read_bytes()))
    for store in (False, True):
        failure = target.upload(files, store=store)
        assert (failure["status"], failure["code"]) == (422, "usage")


def test_an_exam_whose_words_are_a_formula_and_a_script(target, tmp_path):
    path = write_cine(
        tmp_path / "a",
        moving_frames(16),
        PatientID="=cmd|' /C calc'!A0",
        PatientName=f"<script>{MARK}</script>",
        StudyDescription="'; drop table studies; --",
    )
    answer = target.ask("POST", EXAM, files={"files": ("a", path.read_bytes())}, data={"k": "2"})
    told = answer.json()
    assert (answer.status_code, told["status"]) == (200, "done"), told
    assert len(told["answer"]["hits"]) == 2
    for word in ("calc", "script", MARK, "drop table"):
        assert word not in answer.text
    # Nobody else may ask after it, whatever they may otherwise do.
    for who in ("other", "searcher", "writer"):
        assert target.ask_as(who, "GET", f"/v1/jobs/{told['job_id']}").status_code == 404
