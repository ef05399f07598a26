"""`angioatlas embed --engine ray` as a person runs it, on a cluster of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import obstore
import pytest
from obstore.store import from_url

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle, embed
from core.schema import Level
from core.settings import load_settings
from embedder.cluster.machines import joined
from embedder.sampling import ClipRule
from tests.e2e.test_embed_flow import atlas, cine, visible
from tests.support.bucket import new_prefix, object_store
from tests.support.cli import ROOT, angioatlas, as_json, as_process
from tests.support.processes import members_of
from tests.support.tiny import TinyEncoder
from tests.support.waiting import wait_until

pytest.importorskip("ray")


def an_archive(folder, runs):
    for number in range(runs):
        study = "abc"[number % 3]
        cine(folder / study, f"{study}{number:02d}", study=study)
    return folder


def embed_words(archive, store):
    return "embed", archive, "--store", store, "--keep-identifiers", "--workers", 1


def test_the_same_rows_from_a_cluster_of_its_own(tmp_path):
    home, archive = tmp_path / "home", an_archive(tmp_path / "archive", 3)
    done = as_process(home, *embed_words(archive, tmp_path / "ray"), "--engine", "ray")
    assert done.returncode == 0, done.stderr
    assert "bound by" in done.stdout
    # Neither Ray nor LanceDB has anything to say to who embeds.
    shown = [line.split()[0] for line in done.stderr.splitlines() if line.strip()]
    assert set(shown) == {"headers", "studies"}
    # In a process of its own, too: what else one has computed may change how it rounds.
    done = as_process(home, *embed_words(archive, tmp_path / "local"), "--json")
    encoder = json.loads(done.stdout)["encoder_id"]
    for level in Level:
        given = {"level": level, "encoder": encoder}
        assert visible(tmp_path, "ray", **given) == visible(tmp_path, "local", **given)
    assert not (home / ".ray").exists()


def test_a_run_says_when_it_leaves_gpus_idle(tmp_path, monkeypatch):
    monkeypatch.setattr("angioatlas.engines.gpus", lambda: 2)
    told = as_json(tmp_path, *embed_words(an_archive(tmp_path / "archive", 1), tmp_path / "store"))
    assert "one of 2 GPUs is used; `--engine ray` uses all" in told["notes"][-1]


def test_an_address_without_the_engine_is_refused(tmp_path):
    words = embed_words(tmp_path, tmp_path / "store")
    refused = angioatlas(tmp_path / "home", *words, "--ray-address", "auto")
    assert refused.returncode == 2
    assert "--engine ray" in refused.stderr


@pytest.mark.slow
def test_the_same_rows_in_a_bucket(tmp_path):
    archive = an_archive(tmp_path / "archive", 6)
    handle = EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder)
    shown = {}
    with object_store():
        for engine in ("local", "ray"):
            store = f"{new_prefix()}/{engine}"
            embed(
                store,
                [archive],
                encoder=handle,
                settings=load_settings().with_embed(workers=1, engine=engine),
                options=EmbedOptions(keep_identifiers=True),
                on_progress=lambda phase, done, total: None,
            )
            with Atlas.open(store).snapshot() as snapshot:
                keys, vectors = snapshot.vectors(TinyEncoder.encoder_id, Level.VIDEO)
            shown[engine] = keys["uid"].to_pylist(), vectors.tobytes()
            assert not any("incoming" in each["path"] for each in list_all(store))
    assert len(shown["ray"][0]) == 6
    assert shown["ray"] == shown["local"]


def list_all(store):
    return obstore.list(from_url(store)).collect()


@pytest.mark.slow
def test_a_cluster_of_its_own_is_closed_to_others(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    for _ in range(2):  # the second has another token, in the same process
        with joined(None) as ray:
            assert [each["NodeManagerAddress"] for each in ray.nodes()] == ["127.0.0.1"]
            assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
            session = Path(ray._private.worker._global_node.get_session_dir_path())
            folder = session.parents[1]
            assert folder.stat().st_mode & 0o777 == 0o700
        assert not folder.exists()
        assert "RAY_AUTH_TOKEN" not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_leaves_no_process_and_no_file(tmp_path, times):
    home, archive = tmp_path / "home", an_archive(tmp_path / "archive", 60)
    store = tmp_path / "store"
    words = [*embed_words(archive, store), "--engine", "ray"]
    # A session of its own, as in a terminal: Ctrl-C reaches every process of the group.
    with subprocess.Popen(
        [sys.executable, "-m", "angioatlas.cli.main", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_until(lambda: list(store.glob("incoming/*/begun")))
        assert sessions_of(process.pid)
        time.sleep(2)  # processes are starting, or at their first portion
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.5)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "stopping after the studies in flight" in said
    assert "Traceback" not in said
    assert not (store / "incoming").exists()
    assert sessions_of(process.pid) == []
    wait_until(lambda: not members_of(process.pid))
    rest = as_json(home, *embed_words(archive, store))
    assert rest["by_status"]["embedded"] == 60
    if times == 1:  # its processes went on when Ctrl-C reached them, too
        assert rest["videos_embedded"] < 60
    assert rest["videos_embedded"] % 20 == 0  # whole studies
    assert len(atlas(tmp_path).studies()) == 3


def sessions_of(pid):
    """Return what Ray keeps of the cluster that a process started."""
    return list(Path("/tmp").glob(f"angioatlas-*/ray/session_*_{pid}"))
