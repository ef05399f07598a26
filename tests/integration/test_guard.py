"""Who gets in, how often, and how long one waits for them: over real connections."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time

import httpx2
import pytest
from fastapi import Response

from angioatlas.access.access import Access
from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from api import guard, protocol
from api.app import create_app
from core.ids import create_key_file, load_key_file
from core.settings import ServeSettings, Settings
from tests.support.api_server import served
from tests.support.identity_provider import AUDIENCE, provided
from tests.support.retrieval_store import TEXTS, retrieval_store

CONNECTIONS = 12
LARGE = 2**25
NO_JOB = "/v1/jobs/none"
"""Answers whom it lets in with 404."""


@pytest.fixture(scope="module")
def provider():
    with provided() as provider:
        provider.add_key("first")
        yield provider


@pytest.fixture(scope="module")
def settings(tmp_path_factory, provider):
    home = tmp_path_factory.mktemp("guard")
    create_key_file(home / "identity.key")
    truth = retrieval_store(home / "store", 6, key=load_key_file(home / "identity.key"))
    return Settings(
        store=str(home / "store"),
        identity_key=home / "identity.key",
        state_dir=home / "state",
        encoder=truth.encoder_id,
        serve=ServeSettings(
            uploads_at_once=1,
            requests_per_second=0.2,
            requests_burst=15,
            oidc_issuer=provider.issuer,
            oidc_audience=AUDIENCE,
        ),
    )


@pytest.fixture(scope="module")
def address(settings):
    app = create_app(Atlas.open(settings.store, settings=settings), settings)
    app.add_api_route("/broken", broken)
    app.add_api_route("/large", lambda: Response(bytes(LARGE)))
    options = {"http": protocol.PatientProtocol, "limit_concurrency": CONNECTIONS}
    with served(app, **options) as address:
        yield address


def broken():
    raise ValueError("the study 1.2.3 of a patient")


def headers_of(settings, name, *scopes):
    _, token = Access(settings).create_key(name, scopes, None)
    return {"Authorization": f"Bearer {token}"}


def connected(address):
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def ends_within(connection, seconds):
    """Tell whether the server closes a connection in time, whatever it says before."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def test_a_token_of_the_provider_does_what_its_scopes_allow(address, provider):
    headers = {"Authorization": f"Bearer {provider.token()}"}
    found = httpx2.post(
        f"{address}/v1/studies:search", json={"text": next(iter(TEXTS))}, headers=headers
    )
    assert found.status_code == 200
    assert httpx2.get(f"{address}/v1/studies", headers=headers).status_code == 403
    forged = {"Authorization": f"Bearer {provider.token()[:-8]}AAAAAAAA"}
    refused = httpx2.get(f"{address}/v1/studies", headers=forged)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


def test_who_asks_too_often_waits_and_nobody_else_does(address, settings):
    often = headers_of(settings, "often", Scope.READ)
    seldom = headers_of(settings, "seldom", Scope.READ)
    with httpx2.Client(base_url=address) as client:
        answers = [client.get(NO_JOB, headers=often) for _ in range(20)]
        refused = [each for each in answers if each.status_code != 404]
        assert 4 <= len(refused) <= 5
        for each in refused:
            assert (each.status_code, each.json()["code"]) == (429, "too_many_requests")
            assert 1 <= int(each.headers["retry-after"]) <= 5
        assert client.get(NO_JOB, headers=seldom).status_code == 404
        assert all(client.get("/healthz").status_code == 200 for _ in range(20))


def test_wrong_keys_are_slowed_down_and_good_ones_beside_them_are_not(address, settings):
    good = headers_of(settings, "good", Scope.READ)
    with httpx2.Client(base_url=address) as client:
        wrong = [
            client.get(NO_JOB, headers={"Authorization": "Bearer x"}).status_code
            for _ in range(guard.REFUSALS_BURST + 10)
        ]
        assert wrong[0] == 401
        assert wrong[-1] == 429
        assert client.get(NO_JOB, headers=good).status_code == 404


def test_a_failure_tells_nobody_what_it_was_about(address, settings, caplog):
    answer = httpx2.get(f"{address}/broken", headers=headers_of(settings, "unlucky", Scope.READ))
    told = answer.json()
    assert (answer.status_code, told["code"]) == (500, "internal")
    assert told["request_id"] == answer.headers["x-request-id"]
    ours = [each for each in caplog.records if told["request_id"] in each.getMessage()]
    assert any("ValueError at " in each.getMessage() for each in ours)
    assert "1.2.3" not in answer.text + caplog.text
    assert all(each.exc_info is None for each in caplog.records)


def begin_upload(address, headers):
    connection = connected(address)
    given = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(
        f"POST /v1/exams:similar HTTP/1.1\r\nHost: 127.0.0.1\r\n{given}"
        "Content-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 100000\r\n\r\n--b".encode()
    )
    return connection


def status_of(connection):
    return int(connection.recv(65_536).split(b" ", 2)[1])


def test_nobody_unknown_sends_an_exam(address, settings):
    with begin_upload(address, {}) as unknown:  # refused though its body never comes
        assert status_of(unknown) == 401
    with begin_upload(address, headers_of(settings, "no-search", Scope.READ)) as reader:
        assert status_of(reader) == 403


def test_so_many_exams_arrive_at_a_time(address, settings):
    headers = headers_of(settings, "uploader", Scope.SEARCH)
    with begin_upload(address, headers):
        time.sleep(0.3)
        with begin_upload(address, headers) as second:
            assert status_of(second) == 429
    time.sleep(0.3)  # the first has gone, and its place is free
    with begin_upload(address, headers) as third:
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(1)


def test_a_head_must_arrive_in_time(address, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 1.0)
    with connected(address) as silent:
        assert ends_within(silent, 8)
    with connected(address) as slow:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            slow.sendall(b"GET /healthz HTTP/1.1\r\n")
            while time.monotonic() - began < 8:
                slow.sendall(b"X: y\r\n")  # every byte in time, and yet no end
                time.sleep(0.05)
        assert time.monotonic() - began < 6
    # Between requests there is more time than in them.
    with contextlib.closing(http.client.HTTPConnection(address.removeprefix("http://"))) as patient:
        used = []
        for _ in range(2):
            patient.request("GET", "/healthz")
            answer = patient.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
            used.append(patient.sock)
            time.sleep(1.2)
    assert used[0] is used[1] is not None


def test_a_refused_body_must_end(address, monkeypatch):
    monkeypatch.setattr(protocol, "REST_SECONDS", 0.4)
    with begin_upload(address, {}) as unknown:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 3:
                unknown.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - began < 2


def test_an_answer_must_be_taken(address, settings, monkeypatch):
    monkeypatch.setattr(protocol, "TAKE_SECONDS", 0.4)
    headers = headers_of(settings, "downloader", Scope.READ)
    request = (
        "GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: {headers['Authorization']}\r\nConnection: close\r\n\r\n"
    ).encode()
    assert taken(address, request, pause=0.05) > LARGE
    assert taken(address, request, pause=1.5) < LARGE


def taken(address, request, *, pause):
    """Ask, wait, and return how many bytes come then."""
    with connected(address) as connection:
        connection.sendall(request)
        time.sleep(pause)
        size = 0
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(2**20):
                size += len(piece)
        return size


def test_heads_too_large(address):
    answer = httpx2.get(f"{address}/healthz", headers={f"x-{i}": "y" for i in range(100)})
    assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")
    answer = httpx2.get(f"{address}/healthz", headers={"x": "y" * 17_000})
    assert answer.status_code in (400, 431)
    with connected(address) as endless, contextlib.suppress(ConnectionError):
        endless.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        for _ in range(1000):
            endless.sendall(b"x" * 10_000)
        pytest.fail("a head without end was read")


def test_so_many_connections_and_no_more(address):
    with contextlib.ExitStack() as opened:
        held = [opened.enter_context(connected(address)) for _ in range(CONNECTIONS + 5)]
        time.sleep(0.3)
        ended = sum(ends_within(each, 0.05) for each in held)
        assert 6 <= ended < len(held)
    time.sleep(0.3)
    assert httpx2.get(f"{address}/healthz").status_code == 200
