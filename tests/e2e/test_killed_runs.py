"""A run killed after any single write: the old rows stay visible, and the rerun ends the same."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_embed_flow import cine, visible

ROOT = Path(__file__).parents[2]
NEVER = 10_000


def run(archive, store, last=NEVER):
    return subprocess.run(
        [sys.executable, "-m", "tests.support.embed_child", str(archive), str(store), str(last)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def rows(tmp_path, store):
    """Return visible videos, visible studies and the ledger, free of run and commit ids."""
    from angioatlas.atlas import Atlas
    from core.schema import Level

    ledger = Atlas.open(tmp_path / store).inputs().drop(columns=["run_id"])
    return (
        visible(tmp_path, store),
        visible(tmp_path, store, level=Level.STUDY),
        ledger.to_dict("records"),
    )


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """Make an archive, a store of it as it was, and the store of an uninterrupted second run.

    In between a video is added, one is replaced, one is removed, a study goes, a study comes.
    """
    base = tmp_path_factory.mktemp("changed")
    archive = base / "archive"
    for study, names in {"a": ["a1", "a2"], "b": ["b1", "b2"], "c": ["c1"]}.items():
        for name in names:
            cine(archive / study, name, study=study)
    assert run(archive, base / "before").returncode == 0
    cine(archive / "a", "a3", study="a")
    cine(archive / "a", "a1", study="a", seed=77)
    (archive / "b" / "b1.dcm").unlink()
    shutil.rmtree(archive / "c")
    cine(archive / "d", "d1", study="c", StudyInstanceUID="1.2.826.0.1.4", PatientID="patient-d")
    shutil.copytree(base / "before", base / "after")
    assert run(archive, base / "after").returncode == 0
    return base


def check_killed_at(base, tmp_path, step):
    """Kill a run at its `step`-th write; return False when it ended before that."""
    shutil.copytree(base / "before", tmp_path / "store")
    killed = run(base / "archive", tmp_path / "store", step)
    if killed.returncode == 0:
        return False
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    old, new = rows(base, "before"), rows(base, "after")
    seen = rows(tmp_path, "store")
    assert all(row in old[0][1] or row in new[0][1] for row in seen[0][1]), (
        "a video that neither version holds"
    )
    if killed.stdout.strip() != "commits" and step < 10:
        assert seen == old, "the first commit was not finished, so nothing may have changed"
    assert run(base / "archive", tmp_path / "store").returncode == 0
    assert rows(tmp_path, "store") == new
    return True


@pytest.mark.parametrize("step", [1, 4, 9, 15])
def test_killed_between_two_writes(changed, tmp_path, step):
    assert rows(changed, "before") != rows(changed, "after")
    assert check_killed_at(changed, tmp_path, step)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_between_any_two_writes(changed, tmp_path):
    step = 1
    while check_killed_at(changed, tmp_path / str(step), step):
        step += 1
    assert step > 15  # a run of two commits makes more writes than that
