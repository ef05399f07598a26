"""Runs that meet trouble: signals, a full disk, a store that cannot be written, many bad files."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydicom.uid import JPEG2000Lossless

from angioatlas.atlas import Atlas
from angioatlas.failure_budget import TooManyFailedError
from angioatlas.survey import no_progress
from core.errors import StoreError
from core.settings import load_settings
from store.store import Store
from tests.e2e.test_embed_flow import UIDS, cine, tiny
from tests.support.cli import ROOT, process_environment


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Write 24 studies of two cines each."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(24):
        uid = f"{UIDS['a']}.{number}"
        for run in ("x", "y"):
            name = f"{run}{number}"
            cine(folder / str(number), name, StudyInstanceUID=uid, PatientID=f"patient-{number}")
    return folder


def command(home, archive, store, **settings):
    given = {f"ANGIOATLAS_EMBED__{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "angioatlas.cli.main", "embed", archive, "--store", store, "--json"],
        env=process_environment(home) | given,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_a_commit(store, running):
    until = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < until:
        if (Path(store) / "tables" / "meta.lance").exists() and Store.open(store).latest_version:
            return
        time.sleep(0.02)
    raise AssertionError(running.communicate())


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_run_after_the_studies_in_flight(tmp_path, archive, number):
    store = tmp_path / "store"
    running = command(tmp_path, archive, store, commit_studies=1, workers=1, batch_size=1)
    wait_for_a_commit(store, running)
    os.killpg(running.pid, number)  # as a terminal and batch systems do
    out, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "stopping after the studies in flight" in said
    assert "the same command resumes" in said
    assert "Traceback" not in said
    report = json.loads(out)
    assert 0 < report["studies_embedded"] < 24
    assert report["left_for_later"] == 2 * (24 - report["studies_embedded"])
    assert Store.open(store).lease_holder() is None
    again = command(tmp_path, archive, store)
    out, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    resumed = json.loads(out)
    assert resumed["studies_embedded"] == 24 - report["studies_embedded"]
    assert resumed["by_status"]["embedded"] == 48


def embed(archive, store, *, encoder="tiny", **settings):
    return Atlas.embed_into(
        store,
        [archive],
        encoder=tiny(encoder),
        settings=load_settings().with_embed(workers=1, commit_studies=4, **settings),
    )


def with_pixels_of_no_picture(path):
    """Overwrite what a cine's frames are compressed to; its header stays as it is."""
    data = path.read_bytes()
    path.write_bytes(data[:-6_000] + b"\x55" * 5_992 + data[-8:])


def test_too_many_bad_files_end_the_run_and_what_was_good_stays(tmp_path):
    folder = tmp_path / "archive"
    for number in range(20):
        uid = f"{UIDS['a']}.{number}"
        path = cine(
            folder / f"{number:02}",
            f"c{number}",
            StudyInstanceUID=uid,
            PatientID=f"patient-{number}",
            transfer_syntax=JPEG2000Lossless,
        )
        if number >= 8:
            with_pixels_of_no_picture(path)
    with pytest.raises(TooManyFailedError, match=r"3 of 20 inputs failed so far.*--max-failed 10%"):
        embed(folder, tmp_path / "store", max_failed="10%")
    atlas = Atlas.open(tmp_path / "store")
    counts = atlas.inputs()["status"].value_counts().to_dict()
    assert counts == {"embedded": 8, "quarantined": 3}
    assert len(atlas.studies()) == 8
    report = embed(folder, tmp_path / "store", max_failed="9")  # of the nine that are left
    assert report.by_status == {"embedded": 8, "skipped": 0, "quarantined": 12, "duplicate": 0}


def test_known_files_that_went_bad_are_counted_against_all_that_are_decoded(tmp_path):
    for name in ("c1", "c2", "c3", "c4"):
        cine(tmp_path / "archive", name, transfer_syntax=JPEG2000Lossless)
    embed(tmp_path / "archive", tmp_path / "store")
    bad = tmp_path / "archive" / "c2.dcm"
    known = bad.stat()
    with_pixels_of_no_picture(bad)
    os.utime(bad, ns=(known.st_atime_ns, known.st_mtime_ns))
    with pytest.raises(TooManyFailedError, match=r"1 of 4 .*--max-failed 24%"):
        embed(tmp_path / "archive", tmp_path / "store", encoder="another", max_failed="24%")
    report = embed(tmp_path / "archive", tmp_path / "store", encoder="third")
    assert report.by_code == {"decode_failed": 1}
    assert report.videos_embedded == 3


def test_bad_headers_count_as_well_and_stay_noted(tmp_path):
    for number in range(4):
        path = cine(tmp_path / "archive", f"c{number}")
        path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(TooManyFailedError, match=r"4 of 4 .*: truncated 4"):
        embed(tmp_path / "archive", tmp_path / "store", max_failed="2")
    assert Atlas.open(tmp_path / "store").inputs()["code"].tolist() == ["truncated"] * 4


FULL_DISK = """
import resource, sys
from pathlib import Path
from angioatlas.ingest import EmbedOptions, embed
from core.errors import StoreError
from core.settings import load_settings
from tests.e2e.test_embed_flow import tiny

def fill(phase, done, total):
    if phase == "studies":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))

try:
    embed(
        Path(sys.argv[2]), [Path(sys.argv[1])], encoder=tiny(), options=EmbedOptions(),
        settings=load_settings().with_embed(workers=1, commit_studies=4), on_progress=fill,
    )
except StoreError as error:
    print(error.message, "|", error.hint)
"""


@pytest.mark.parametrize(
    "most", [4_000, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 2_500, 5_000, 15_000))]
)
def test_a_disk_that_takes_no_more_ends_the_run_and_loses_nothing(tmp_path, archive, most):
    store = tmp_path / "store"
    embed(archive / "0", store)
    failed = subprocess.run(
        [sys.executable, "-c", FULL_DISK, archive, store, str(most)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert re.search("failed: (File too large|No space left)", failed.stdout), failed
    assert "what was committed stays, and the same command resumes" in failed.stdout
    assert "Traceback" not in failed.stderr
    assert len(Atlas.open(store).videos()) == 2
    for name in ("inputs", "videos"):  # in what would be read next, too
        Store.open(store).tables.read(name)
    assert embed(archive, store).by_status["embedded"] == 48
    assert Atlas.open(store).videos()["sop_uid"].is_unique


def tmpfs(folder, options):
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "angioatlas-test", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("file systems cannot be mounted here")


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    tmpfs(folder, "size=700k")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_room_is_all_it_needs(small_disk, archive):
    store = small_disk / "store"
    with pytest.raises(StoreError, match="No space left") as refused:
        embed(archive, store)
    assert "free some space" in refused.value.hint
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert embed(archive, store).by_status["embedded"] == 48


def test_a_store_that_cannot_be_written_is_told_at_once_and_still_read(small_disk, archive):
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    store = small_disk / "store"
    embed(archive / "0", store)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match="Read-only file system"):
        embed(archive, store)
    assert len(Atlas.open(store).videos()) == 2
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert embed(archive, store).by_status["embedded"] == 48


def test_a_second_run_is_refused_while_the_first_one_writes(tmp_path, archive):
    store = tmp_path / "store"
    embed(archive / "0", store)
    with Store.open(store).writer("first"):
        second = command(Path.home(), archive, store)
        _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        words = " ".join(said.split())
        assert f"process {os.getpid()} on" in words
        assert "(run first) is writing to this store" in words
        assert len(Atlas.open(store).videos()) == 2


def test_a_cine_that_changes_between_header_and_pixels_is_read_again(tmp_path):
    folder = tmp_path / "archive"
    for name in ("c1", "c2"):
        cine(folder, name)

    def replace(phase, done, total):
        if (phase, done) == ("studies", 0):
            cine(folder, "c2", seed=99)

    def run(on_progress=no_progress):
        return Atlas.embed_into(
            tmp_path / "store", [folder], encoder=tiny(), on_progress=on_progress
        )

    assert run(replace).by_code == {"changed_while_read": 1}
    assert run().by_status["embedded"] == 2
    hashes = Atlas.open(tmp_path / "store").inputs().set_index("uri")["sha256"]
    assert hashes.to_dict() == {
        path.as_uri(): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
    }
