"""Runs killed at moments that nobody chose, parent or worker, end as an uninterrupted one does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from angioatlas.atlas import Atlas
from core.schema import Level
from store.maintain import compact
from store.store import Store
from store.tables import key_column
from tests.e2e.test_embed_flow import UIDS, cine
from tests.support.cli import ROOT, process_environment
from tests.support.processes import members_of

STUDIES, RUNS = 30, 2
COMMIT_STUDIES = 4


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Write an archive, and embed it without interruption."""
    base = tmp_path_factory.mktemp("world")
    for number in range(STUDIES):
        for run in range(RUNS):
            cine(
                base / "archive" / str(number),
                f"{'xyz'[run]}{number}",
                StudyInstanceUID=f"{UIDS['a']}.{number}",
                PatientID=f"patient-{number}",
            )
    began = time.monotonic()
    done = start(base, base / "uninterrupted")
    _, said = done.communicate(timeout=120)
    assert done.returncode == 0, said
    return base, time.monotonic() - began


def start(base, store):
    """Embed with the shipped encoder, in a process group of its own, with two decode processes."""
    given = {"COMMIT_STUDIES": COMMIT_STUDIES, "WORKERS": 2}
    words = ["embed", base / "archive", "--store", store, "--keep-identifiers", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "angioatlas.cli.main", *words],
        env=process_environment(base)
        | {f"ANGIOATLAS_EMBED__{name}": str(value) for name, value in given.items()},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows(store):
    """Return what a store shows, vectors as bytes, and its ledger, free of run and commit ids."""
    atlas = Atlas.open(store)
    shown = []
    with atlas.snapshot() as snapshot:
        (space,) = snapshot.spaces()
        for level in (Level.VIDEO, Level.STUDY):
            keys, vectors = snapshot.vectors(space, level)
            shown.append(
                {
                    uid: np.asarray(vector).tobytes()
                    for uid, vector in zip(keys["uid"].to_pylist(), vectors, strict=True)
                }
            )
    ledger = atlas.inputs().drop(columns=["run_id"]).to_dict("records")
    return shown, atlas.videos().to_dict("records"), atlas.studies().to_dict("records"), ledger


def check_nothing_is_left_over(store):
    """No key twice in any table, and, once compacted, no row that nobody can see."""
    opened = Store.open(store)
    compact(opened, keep_versions=1)
    shown, videos, studies, ledger = rows(store)
    with opened.snapshot() as snapshot:
        (space,) = snapshot.spaces()
    expected = {
        "videos": len(videos),
        "studies": len(studies),
        "inputs": len(ledger),
        f"spaces/{space}/video_vectors": len(shown[0]),
        f"spaces/{space}/study_vectors": len(shown[1]),
    }
    for name, count in expected.items():
        keys = opened.tables.read(name, columns=[key_column(name)])[key_column(name)].to_pylist()
        assert len(keys) == len(set(keys)) == count, name


def wait_until_gone(pids):
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until, "processes outlive the one that started them"
        time.sleep(0.05)


def wait_at_random(store, rng, running, whole_s):
    """Wait until so many commits are there, none in one run of eight, and then for a while."""
    commits = int(rng.integers(0, STUDIES // COMMIT_STUDIES + 1))
    while commits and running.poll() is None:
        log = store / "tables" / "commits.lance" / "_versions"
        if log.exists() and len(list(log.iterdir())) > commits:  # the first is the empty table
            break
        time.sleep(0.01)
    time.sleep(float(rng.uniform(0, 0.5 if commits else whole_s)))


def check_killed(world, tmp_path, rng, victim):
    """Kill one process of a run after a random time, run again until the end, compare."""
    base, whole_s = world
    store = tmp_path / "store"
    running = start(base, store)
    wait_at_random(store, rng, running, whole_s)
    others = [pid for pid in members_of(running.pid) if pid != running.pid]
    if victim == "parent" or not others:
        running.kill()
        running.communicate(timeout=60)
        wait_until_gone(others)
    else:
        os.kill(int(rng.choice(others)), signal.SIGKILL)
        running.communicate(timeout=120)
    killed_with = running.returncode
    is_there = (store / "tables" / "meta.lance").exists()
    dead = Store.open(store).lease_holder() if is_there else None
    again = start(base, store)
    out, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    told = any("did not end by itself" in note for note in json.loads(out)["notes"])
    assert told == (dead is not None)
    assert rows(store) == rows(base / "uninterrupted")
    check_nothing_is_left_over(store)
    return killed_with, json.loads(out)["studies_embedded"]


@pytest.mark.parametrize(
    ("victim", "seed"), [("parent", 3), pytest.param("worker", 4, marks=pytest.mark.slow)]
)
def test_a_run_killed_at_a_random_moment_resumes_to_the_same_rows(world, tmp_path, victim, seed):
    check_killed(world, tmp_path, np.random.default_rng(seed), victim)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_runs_killed_at_random_moments(world, tmp_path):
    rng = np.random.default_rng(20261128)
    ends = []
    for number in range(30):
        victim = "worker" if number % 3 == 2 else "parent"
        ends.append((victim, *check_killed(world, tmp_path / str(number), rng, victim)))
    left = [studies for _, _, studies in ends]
    # In the midst of the work, not before and after it.
    assert len({*left} - {0, STUDIES}) >= 4, ends
