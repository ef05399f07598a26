"""Encoders that are asked over a socket answer like those that are loaded here."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import numpy as np
import pytest

from angioatlas.atlas import Atlas
from angioatlas.phantom_mini import SHIPPED
from api.app import create_app
from core.errors import EncoderAwayError, EncoderError, NotFoundError, TooManyRequestsError
from core.settings import Settings
from embedder.encoders.registry import SPEC_FILE, read_spec
from embedder.encoders.served import asked
from embedder.encoders.served.asked import AskedEncoders, Line
from embedder.encoders.served.packing import in_parts
from embedder.encoders.served.process import EncoderProcess
from embedder.encoders.served.service import Service, ServiceOptions
from embedder.encoders.served.wire import Message, receive, send
from embedder.encoders.sources import LocalEncoders
from embedder.encoders.spec import Encoder, TextEmbedder, VideoVectors
from embedder.encoders.text_memory import TextCounts
from tests.support.api_server import served
from tests.support.retrieval_store import retrieval_store

SPACE = read_spec(SHIPPED).encoder_id
TEXTS = ["severe stenosis of the proximal LAD", "", "normal", "severe stenosis of the proximal LAD"]


@contextmanager
def answering(folder, encoders, **options):
    """Answer with some encoders until the block ends; yields the path of the socket."""
    path = folder / "socket"
    end, lifeline = os.pipe()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        service = Service(encoders, **options)
        thread = threading.Thread(target=service.run, args=(listening, end))
        thread.start()
        try:
            yield path
        finally:
            os.close(lifeline)
            thread.join()
            os.close(end)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return LocalEncoders(tmp_path_factory.mktemp("encoders"), device="cpu")


@pytest.fixture
def path(tmp_path, local):
    with answering(tmp_path, local) as path:
        yield path


@pytest.fixture
def away(path, tmp_path):
    return AskedEncoders(path, tmp_path / "encoders")


def test_a_text_encoder_is_the_same_from_afar(away, local, monkeypatch):
    monkeypatch.setattr(asked, "_PART_TEXTS", 3)
    near, far = local.reader(SPACE), away.reader(SPACE)
    assert isinstance(far, TextEmbedder)
    assert (far.encoder_id, far.text_id) == (near.encoder_id, near.text_id)
    np.testing.assert_array_equal(far.encode(TEXTS), near.encode(TEXTS))
    assert far.encode([]).shape == (0, 512)
    assert far.coverage("severe pizza of the LAD") == near.coverage("severe pizza of the LAD")
    assert away.reader(SPACE) is far


def test_an_encoder_is_the_same_from_afar(away, local, monkeypatch):
    monkeypatch.setattr(asked, "_PART_BYTES", 200_000)
    near, far = local.encoder(SPACE), away.encoder(SPACE)
    assert isinstance(far, Encoder)
    for fact in ("encoder_id", "heads_id", "frames", "clip_rule", "batch_size"):
        assert getattr(far, fact) == getattr(near, fact)
    rng = np.random.default_rng(1)
    clips = [rng.integers(0, 256, (16, 64, 64 + 8 * i), np.uint8) for i in range(4)]
    expected, videos = near.encode_videos(clips), far.encode_videos(clips)
    assert len(videos.pooled) == 4
    # In other batches, for their sizes: that moves a row by rounding.
    np.testing.assert_allclose(videos.pooled, expected.pooled, atol=1e-5)
    np.testing.assert_allclose(videos.embedding, expected.embedding, atol=1e-5)
    assert videos.summaries is not None
    assert expected.summaries is not None
    np.testing.assert_allclose(videos.summaries, expected.summaries, atol=1e-4)
    # Held against what was computed there, not computed again: that may differ by rounding.
    done = {
        name: recorded(monkeypatch, near, name)
        for name in ("encode_study", "encode_studies", "encode_findings")
    }
    study = far.encode_study(videos)
    ((given, said),) = done["encode_study"]
    assert_same(given, videos)
    np.testing.assert_array_equal(study, said)
    some = [VideoVectors(videos.pooled[:n], videos.embedding[:n]) for n in (1, 3, 4)]
    studies = far.encode_studies(some)
    for one, other in zip(
        some, [each for given, _ in done["encode_studies"] for each in given], strict=True
    ):
        assert_same(other, one)
    np.testing.assert_array_equal(
        studies, np.concatenate([said for _, said in done["encode_studies"]])
    )
    assert far.encode_studies([]).shape == (0, 512)
    found = far.encode_findings(videos)
    ((given, said),) = done["encode_findings"]
    assert_same(given, videos)
    assert found is not None
    assert said is not None
    assert found.raw == dict(said.raw)
    np.testing.assert_array_equal(found.pooled, said.pooled)
    assert away.encoder(SPACE) is far


def recorded(monkeypatch, encoder, name):
    """Return what a method of an encoder is given and returns, from now on."""
    calls, real = [], getattr(encoder, name)

    def recording(given):
        calls.append((given, real(given)))
        return calls[-1][1]

    monkeypatch.setattr(encoder, name, recording)
    return calls


def assert_same(one, other):
    for part in ("pooled", "embedding", "summaries"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_items_are_cut_by_their_sizes():
    assert [*in_parts("abcd", [1, 2, 9, 1], 3)] == [["a", "b"], ["c"], ["d"]]
    assert [*in_parts("", [], 3)] == []


def test_what_fails_there_fails_here(away, path, tmp_path):
    line = Line(path)
    with pytest.raises(NotFoundError, match="no encoder"):
        away.reader("zebra-000000000000")
    with pytest.raises(NotFoundError, match="no encoder 'zebra-000000000000'"):
        line.ask("reader", 10, space="zebra-000000000000")
    (tmp_path / "encoders").mkdir()
    shutil.copytree(SHIPPED, tmp_path / "encoders" / "mine")
    with pytest.raises(NotFoundError, match="no encoder's id"):
        line.ask("reader", 10, space=str(tmp_path / "encoders" / "mine"))
    with pytest.raises(EncoderError, match="the encoder process failed"):
        line.ask("texts", 10, space=SPACE)
    with pytest.raises(EncoderError, match="the encoder process failed"):
        line.ask("texts", 10, space=SPACE, texts=[3])
    assert len(away.reader(SPACE).encode(["a"])) == 1  # it lives


def test_an_encoder_that_was_changed_is_no_answer(path, tmp_path):
    spec = read_spec(SHIPPED)
    other = spec.model_copy(update={"name": "other"})
    line = Line(path)
    with pytest.raises(NotFoundError):
        asked.AskedReader(other, line)
    # Its text weights are others: the space is the same, its texts are not.
    mine = tmp_path / "encoders" / "mine"
    shutil.copytree(SHIPPED, mine)
    told = (mine / SPEC_FILE).read_text()
    (mine / SPEC_FILE).write_text(told.replace(spec.text_files[0].sha256, "0" * 64))
    changed = read_spec(mine)
    assert (changed.encoder_id, changed.text_id == spec.text_id) == (SPACE, False)
    with pytest.raises(
        EncoderError, match=f"text_id {changed.text_id} was expected, {spec.text_id}"
    ):
        asked.AskedReader(changed, line)


def test_too_many_questions_are_told_to_come_back(tmp_path, local):
    with answering(tmp_path, local, most=1) as path:
        line = Line(path)
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(path))
            time.sleep(0.2)
            with pytest.raises(TooManyRequestsError, match="too many ask") as refused:
                line.ask("count", 10)
            assert refused.value.retry_after_s == 2
        until = time.monotonic() + 10
        while True:
            try:
                assert line.ask("count", 10).fields.keys() == {"remembered", "embedded"}
                break
            except TooManyRequestsError:
                assert time.monotonic() < until


def test_what_is_no_question_ends_its_connection_alone(path, away):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.settimeout(10)
        with suppress(ConnectionResetError):  # what was not read is thrown away
            assert connection.recv(10) == b""
    assert isinstance(away.texts(), TextCounts)


def test_a_question_that_was_lost_is_asked_once_more(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def die_once():
            listening.accept()[0].close()
            with listening.accept()[0] as connection:
                assert receive(connection).fields == {"do": "count"}
                send(connection, Message({"remembered": 3, "embedded": 4}))

        thread = threading.Thread(target=die_once)
        thread.start()
        assert AskedEncoders(path, tmp_path).texts() == TextCounts(3, 4)
        thread.join()


def test_nobody_answers(tmp_path, monkeypatch):
    path = tmp_path / "socket"
    with pytest.raises(EncoderAwayError, match="does not answer"):
        Line(path).ask("count", 1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        with pytest.raises(EncoderAwayError):
            Line(path).ask("count", 0.1)


def test_the_api_asks_and_says_when_there_is_no_answer(tmp_path, local, path, away):
    retrieval_store(tmp_path / "store", 4)
    settings = Settings(state_dir=tmp_path / "state", encoder=SPACE)
    atlas = Atlas.open(tmp_path / "store", settings=settings, encoders=away)
    plain = Atlas.open(tmp_path / "store", settings=settings)
    text = "severe stenosis of the mid RCA"
    query = {"text": text, "k": 3}
    with (
        served(create_app(atlas, settings, insecure=True)) as address,
        httpx2.Client(base_url=address, timeout=30) as client,
    ):
        found = client.post("/v1/studies:search", json=query).json()
        expected = plain.search(text, k=3).hits
        assert [hit["study_uid"] for hit in found["hits"]] == [*expected["study_uid"]]
        counts = away.texts()
        assert f'texts_total{{from="encoder"}} {counts.embedded}.0' in client.get("/metrics").text

        path.rename(tmp_path / "elsewhere")
        answer = client.post("/v1/studies:search", json=query)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert answer.json()["code"] == "encoder_away"
        assert "in a few seconds" in answer.json()["hint"]
        assert "texts_total" not in client.get("/metrics").text
        similar = {"uid": found["hits"][0]["study_uid"], "k": 1}
        assert client.post("/v1/studies:similar", json=similar).status_code == 200
        (tmp_path / "elsewhere").rename(path)
        assert client.post("/v1/studies:search", json=query).json() == found


@pytest.fixture
def short_path():
    """A path in which a socket's name has room, unlike that of a test's own folder."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_the_socket_is_private_and_short_enough(tmp_path, short_path):
    options = ServiceOptions(str(tmp_path), "cpu", 1, 10)
    for state, has_room in ((short_path, True), (tmp_path / ("long" * 30), False)):
        with EncoderProcess(state, options) as process:
            assert (state in process.path.parents) == has_room
            assert stat.S_IMODE(process.path.stat().st_mode) == 0o600
            assert stat.S_IMODE(process.path.parent.stat().st_mode) == 0o700
        assert not process.path.parent.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)
