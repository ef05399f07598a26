"""Embedding in processes of a Ray cluster that die: the rows are those of the local engine."""

import logging
import signal
import socket
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle, embed
from core.errors import ClusterError
from core.schema import Level
from core.settings import load_settings
from embedder.cluster import engine
from embedder.sampling import ClipRule
from tests.e2e.test_embed_flow import cine, visible
from tests.e2e.test_killed_runs import rows as rows_without_findings
from tests.e2e.test_killed_runs import run as as_child
from tests.support.dicom import moving_frames
from tests.support.mortal import POISON_ROWS, MortalEncoder
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
MEMORY = 80 * 2**20
STUDIES = 12


@pytest.fixture(scope="module")
def cluster():
    """Start a cluster that notices within seconds who is gone; this process joins it once."""
    import ray
    from ray.cluster_utils import Cluster

    with (
        pytest.MonkeyPatch.context() as patch,
        # The paths of Ray's sockets must be short, so not in pytest's folder.
        TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
    ):
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("PYTHONPATH", str(ROOT))
        started = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": MEMORY,
                "include_dashboard": False,
                "_system_config": {
                    "health_check_initial_delay_ms": 500,
                    "health_check_period_ms": 500,
                    "health_check_timeout_ms": 3000,
                    "health_check_failure_threshold": 5,
                },
            },
        )
        started.add_node(num_cpus=1, object_store_memory=MEMORY)
        try:
            ray.init(address=started.address, log_to_driver=False, logging_level=logging.ERROR)
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    for number in range(STUDIES):
        study = {
            "StudyInstanceUID": f"1.2.826.0.7.{number}",
            "PatientID": f"patient-{number}",
            "SeriesInstanceUID": f"1.2.826.0.7.{number}.1",
        }
        for run in range(1 + number % 2):
            cine(folder / f"study-{number}", f"n{number:02d}{run}", **study)
    bad = cine(folder / "study-3", "bad", StudyInstanceUID="1.2.826.0.7.3", PatientID="patient-3")
    bad.write_bytes(bad.read_bytes()[:-5000])
    (folder / "notes.txt").write_text("not a cine")
    return folder


@pytest.fixture
def small_portions(monkeypatch):
    monkeypatch.setattr(engine, "_CINES", 2)


def embed_with(
    chosen, store, archive, marks, *, on_progress=None, encoder_id=None, cpus=1, **encoder
):
    """Embed with the one engine or the other; processes leave their marks in a folder."""
    settings = load_settings().with_embed(
        workers=1, commit_studies=3, engine=chosen, ray_cpus=cpus, batch_size=2
    )
    handle = EncoderHandle(
        encoder_id or MortalEncoder.encoder_id,
        ClipRule("display"),
        partial(MortalEncoder, marks, **encoder),
        MortalEncoder.heads_id,
    )
    return embed(
        store,
        [archive],
        encoder=handle,
        settings=settings,
        options=EmbedOptions(keep_identifiers=True),
        on_progress=on_progress or (lambda phase, done, total: None),
    )


def rows(store):
    """Return all that a store shows, free of run and commit ids."""
    opened = Atlas.open(store)
    return (
        visible(store.parent, store.name),
        visible(store.parent, store.name, level=Level.STUDY),
        opened.inputs().drop(columns=["run_id"]).to_dict("records"),
        opened.findings().table.to_dict("records"),
    )


@pytest.fixture(scope="module")
def local(archive, tmp_path_factory):
    """Embed with the local engine: the report, and the rows."""
    base = tmp_path_factory.mktemp("local")
    return embed_with("local", base / "store", archive, base), rows(base / "store")


@pytest.fixture
def run(tmp_path, archive):
    marks = tmp_path / "marks"
    marks.mkdir()
    return partial(embed_with, "ray", tmp_path / "store", archive, marks)


@pytest.fixture
def marks(tmp_path):
    """What processes left behind, as names of files."""
    return lambda pattern: [path.name for path in (tmp_path / "marks").glob(pattern)]


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


@pytest.mark.usefixtures("cluster", "small_portions")
def test_a_process_killed_mid_run_leaves_no_trace_in_the_rows(run, marks, local, tmp_path, capfd):
    report = run(kill_once=True)
    assert capfd.readouterr().out == ""  # where a JSON document goes
    assert report.notes == ["processes of the cluster that were lost: 1; others did their part"]
    assert len(marks("once-*")) == 1
    assert rows(tmp_path / "store") == local[1]
    assert report.by_status == local[0].by_status
    assert report.stages.bound_by is not None
    assert not (tmp_path / "store" / "incoming").exists()


@pytest.mark.usefixtures("small_portions")
def test_a_machine_killed_mid_run_leaves_no_trace_in_the_rows(cluster, run, marks, local, tmp_path):
    machine = cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
    (raylet,) = machine.all_processes["raylet"]

    def kill_at_work():
        wait_until(lambda: raylet.process.pid in map(parent_of, marks("[0-9]*")))
        cluster.remove_node(machine, allow_graceful=False)

    killer = threading.Thread(target=kill_at_work)
    killer.start()
    # All three are at their first portion when the machine goes.
    report = run(together=3, seconds=0.2)
    killer.join()
    assert "processes of the cluster that were lost: 1" in report.notes[-1]
    assert rows(tmp_path / "store") == local[1]


@pytest.mark.usefixtures("cluster", "small_portions")
def test_a_study_that_kills_every_process_is_quarantined_and_the_others_are_not(
    run, marks, archive
):
    poison = archive / "study-5" / "poison.dcm"
    cine(
        poison.parent,
        poison.stem,
        PixelData=moving_frames(rows=POISON_ROWS).tobytes(),
        Rows=POISON_ROWS,
        StudyInstanceUID="1.2.826.0.7.5",
        PatientID="patient-5",
    )
    try:
        report = run()
    finally:
        poison.unlink()
    assert len(marks("poison-*")) == 3
    assert report.by_code["encoder_crashed"] == 3  # all cines of its study
    assert report.studies_embedded == STUDIES - 1
    crashed = [Path(p.uri).parent.name for p in report.problems if p.code == "encoder_crashed"]
    assert set(crashed) == {"study-5"}


@pytest.mark.usefixtures("cluster")
def test_another_encoder_on_a_machine_ends_the_run_and_names_the_machine(run, tmp_path):
    with pytest.raises(ClusterError, match=r"its encoder is tiny-0.*expected other-0") as caught:
        run(encoder_id="other-000000000000")
    assert socket.gethostname() in caught.value.message
    assert "encoders_dir" in caught.value.hint
    assert not (tmp_path / "store" / "incoming").exists()


@pytest.mark.usefixtures("cluster")
def test_a_process_that_fits_on_no_machine_is_refused(run, tmp_path):
    with pytest.raises(ClusterError, match="no machine of the cluster has 64 CPUs"):
        run(cpus=64)
    assert not (tmp_path / "store" / "incoming").exists()


@pytest.mark.usefixtures("cluster")
def test_processes_that_die_before_they_begin_end_the_run(run, marks):
    with pytest.raises(ClusterError, match="lost before they can begin"):
        run(stillborn=True)
    # Two at once, and those in their place: not one after another for ever.
    assert 3 <= len(marks("stillborn-*")) <= 4


@pytest.mark.usefixtures("cluster", "small_portions")
def test_an_interrupted_run_keeps_what_is_complete_and_frees_the_cluster(run, local, tmp_path):
    import ray

    def interrupt(phase, done, total):
        if phase == "studies" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(on_progress=interrupt)
    assert len(Atlas.open(tmp_path / "store").studies()) == 5
    assert not (tmp_path / "store" / "incoming").exists()
    assert run().studies_embedded == STUDIES - 5
    assert rows(tmp_path / "store") == local[1]
    wait_until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])


@pytest.mark.slow
def test_a_run_whose_own_process_is_killed_is_resumed(cluster, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("ANGIOATLAS_EMBED__ENGINE", "local")
    assert as_child(archive, tmp_path / "local").returncode == 0
    monkeypatch.setenv("ANGIOATLAS_EMBED__ENGINE", "ray")
    monkeypatch.setenv("ANGIOATLAS_EMBED__RAY_ADDRESS", cluster.address)
    for last in (1, 12):
        killed = as_child(archive, tmp_path / "ray", last)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert (tmp_path / "ray" / "incoming").exists()
    resumed = as_child(archive, tmp_path / "ray")
    assert resumed.returncode == 0, resumed.stderr
    assert not (tmp_path / "ray" / "incoming").exists()
    assert rows_without_findings(tmp_path, "ray") == rows_without_findings(tmp_path, "local")


@pytest.mark.usefixtures("small_portions")
def test_ray_keeps_nothing_of_patients_or_files(cluster, run, archive):
    """Of this run and of those before it, which lost processes and machines."""
    run(kill_once=True)
    folder = Path(cluster.head_node.get_session_dir_path())
    kept = {}
    for path in folder.rglob("*"):
        with suppress(OSError):  # a folder, a socket, or taken away meanwhile
            kept[path] = path.read_bytes()
    assert any(b"Worker.embed" in data for data in kept.values())
    for needle in (b"patient-", b"1.2.826.0.7.", bytes(archive), b"study-3"):
        assert [path.name for path, data in kept.items() if needle in data] == []
