"""Which runs of an archive are embedded, why the others are not, and what changes that."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from angioatlas.identities import store_identity
from angioatlas.ingest import EmbedOptions
from core.errors import UsageError
from core.identity_map import IdentityMap
from core.settings import load_settings
from embedder.dicom.cine import read_header
from tests.e2e.test_embed_flow import UIDS, cine, tiny, visible
from tests.support.dicom import moving_frames, write_cine

ROOT = Path(__file__).parents[2]
PHILIPS = ROOT / "tests/data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
HEAD = "SOPInstanceUID,main_structure_class,contrast_agent_class,stent_presence_class\n"


def run(archive, name, number, *, study="a", **attributes):
    """Write a run whose place in its study is its number."""
    return cine(
        archive, name, study=study, seed=number, InstanceNumber=number,
        SeriesTime=f"10{number:02}00", **attributes,
    )  # fmt: skip


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "archive"
    run(folder, "fluoro", 1, SeriesDescription="Fluoro Store Doe^Jane")
    run(folder, "left", 2, SeriesDescription="Left Coronary 15 fps")
    run(folder, "right", 3)
    run(folder, "lv", 4, ProtocolName="LV gram")
    run(folder, "spin", 5, PositionerPrimaryAngleIncrement=[0.0, *[4.0] * 19])
    run(folder, "sc", 6, RadiationSetting="SC")
    run(folder, "after", 7)
    run(folder, "other", 1, study="b")
    write_cine(
        folder / "short.dcm", moving_frames(5), StudyInstanceUID=UIDS["b"], PatientID="patient-b"
    )
    return folder


@pytest.fixture
def embed(tmp_path, archive):
    def run(*, encoder=None, dry_run=False, reselect=False, kept=False, prune=False, **settings):
        return Atlas.embed_into(
            tmp_path / "store",
            [archive],
            encoder=encoder or tiny(),
            settings=load_settings().with_embed(workers=1, min_contrast=0, **settings),
            options=EmbedOptions(
                dry_run=dry_run, reselect=reselect, keep_identifiers=kept, prune=prune
            ),
        )

    return run


def ledger(tmp_path):
    rows = Atlas.open(tmp_path / "store").inputs()
    return {Path(str(row.uri)).stem: row.code or row.status for row in rows.itertuples()}


def table(tmp_path, archive, **said):
    """Write a classifier's table: the names of runs and their three cells."""
    rows = [
        f"{read_header(archive / f'{name}.dcm').sop_uid},{cells}" for name, cells in said.items()
    ]
    path = tmp_path / "classified.csv"
    path.write_text(HEAD + "\n".join(rows) + "\n")
    return path


BY_HEADER = {
    "fluoro": "fluoroscopy",
    "left": "embedded",
    "right": "embedded",
    "lv": "not_coronary",
    "spin": "rotational",
    "sc": "fluoroscopy",
    "after": "embedded",
    "other": "embedded",
    "short": "too_few_frames",
}


def test_the_header_decides_and_every_reason_is_noted(embed, tmp_path):
    planned = embed(dry_run=True)
    assert planned.by_code == {
        "fluoroscopy": 2, "not_coronary": 1, "rotational": 1, "too_few_frames": 1,
    }  # fmt: skip
    assert planned.left_out == 5
    assert not (tmp_path / "store").exists()
    done = embed()
    assert (done.by_code, done.by_status) == (planned.by_code, planned.by_status)
    assert ledger(tmp_path) == BY_HEADER
    again = embed()
    assert (again.unchanged, again.store_version) == (9, done.store_version)


def test_no_text_of_a_header_is_in_the_store(embed, tmp_path):
    embed(kept=True)
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)
    assert b"says 'fluoro'" in content
    assert b"Doe" not in content
    assert b"LV gram" not in content


def test_no_rule_when_none_is_wanted(embed, tmp_path):
    assert embed(all_runs=True).by_status["embedded"] == 9


def test_the_real_cine_counts(tmp_path):
    report = Atlas.embed_into(
        tmp_path / "store", [PHILIPS], encoder=tiny(), settings=load_settings()
    )
    assert report.by_status["embedded"] == 1


def test_changed_rules_reach_known_runs_only_when_that_is_asked_for(embed, tmp_path):
    first = embed()
    assert embed(all_runs=True, min_frames=2).store_version == first.store_version
    report = embed(min_frames=5, reselect=True)
    assert (report.studies_embedded, report.left_out) == (1, 4)
    assert ledger(tmp_path) == BY_HEADER | {"short": "embedded"}
    report = embed(min_frames=5, reselect=True)
    assert (report.studies_embedded, report.unchanged) == (0, 9)
    assert report.store_version == first.store_version + 1
    assert embed(all_runs=True, reselect=True).by_status["embedded"] == 9
    report = embed(min_frames=21, reselect=True)
    assert (report.studies_removed, report.by_status["embedded"]) == (2, 0)
    assert embed(reselect=True).studies_embedded == 2
    assert ledger(tmp_path) == BY_HEADER


def test_a_dry_run_of_other_rules_says_what_would_be_done(embed, tmp_path):
    embed()
    planned = embed(min_frames=21, reselect=True, dry_run=True)
    assert planned.by_status["embedded"] == 0
    assert ledger(tmp_path) == BY_HEADER
    assert embed(min_frames=21, reselect=True).by_code == planned.by_code


def test_the_first_runs_of_a_study_in_its_order(embed, tmp_path, archive):
    report = embed(videos_per_study=2)
    assert report.by_code["over_videos_per_study"] == 1
    assert ledger(tmp_path) == BY_HEADER | {"after": "over_videos_per_study"}
    # An earlier run comes: the study is decided anew, and its last run makes room.
    run(archive, "first", 1)
    embed(videos_per_study=2)
    assert ledger(tmp_path) == BY_HEADER | {
        "first": "embedded", "right": "over_videos_per_study", "after": "over_videos_per_study",
    }  # fmt: skip
    (archive / "left.dcm").unlink()
    embed(videos_per_study=2, prune=True)
    assert ledger(tmp_path)["right"] == "embedded"
    assert ledger(tmp_path)["after"] == "over_videos_per_study"


def test_a_copy_steps_in_for_a_left_out_run_that_is_gone(embed, tmp_path, archive):
    shutil.copy(archive / "after.dcm", archive / "copy.dcm")
    embed(videos_per_study=2)
    assert ledger(tmp_path)["copy"] == "same_instance"
    (archive / "after.dcm").unlink()
    embed(videos_per_study=3, reselect=True)
    assert ledger(tmp_path)["copy"] == "embedded"


def test_a_classifier_is_joined_by_original_uid(embed, tmp_path, archive):
    path = table(
        tmp_path, archive,
        fluoro="2,0,0", left="0,1,0", right="1,1,1", lv="0,1,0", after="1,1,0", other="3,1,0",
    )  # fmt: skip
    embed(classified=path)
    assert ledger(tmp_path) == BY_HEADER | {
        "fluoro": "other_structure",
        "right": "after_intervention",
        "lv": "embedded",
        "spin": "after_intervention",  # of which side, the table does not say
        "sc": "after_intervention",
        "after": "after_intervention",
        "other": "other_structure",
    }
    # A later table is asked when the study is.
    path = table(tmp_path, archive, right="1,1,0", left="0,0,0")
    assert embed(classified=path).videos_embedded == 0
    embed(classified=path, reselect=True)
    assert ledger(tmp_path) == BY_HEADER | {"left": "no_contrast"}


def test_contrast_that_a_classifier_saw_is_not_measured(embed, tmp_path, archive):
    def with_contrast(path):
        settings = load_settings().with_embed(workers=1, min_contrast=1e9, classified=path)
        return Atlas.embed_into(tmp_path / "store", [archive], encoder=tiny(), settings=settings)

    report = with_contrast(table(tmp_path, archive, left="0,1,0"))
    assert (report.videos_embedded, report.by_code["no_contrast"]) == (1, 3)
    # The others are no reason to embed the study again ...
    assert with_contrast(None).videos_embedded == 0
    run(archive, "lv2", 9, ProtocolName="LV")
    assert with_contrast(None).videos_embedded == 0
    # ... until somebody says that they may count.
    embed(reselect=True)
    assert ledger(tmp_path) == BY_HEADER | {"lv2": "not_coronary"}


def test_a_table_that_names_no_run_is_noted_and_a_bad_one_makes_no_store(embed, tmp_path):
    path = tmp_path / "classified.csv"
    path.write_text(HEAD + "1.2.3,0,1,9\n")
    with pytest.raises(UsageError, match="line 2, column stent_presence_class: expected 0 or 1"):
        embed(classified=path)
    assert not (tmp_path / "store").exists()
    path.write_text(HEAD + "1.2.3,0,1,0\n")
    assert any("names none of the runs" in note for note in embed(classified=path).notes)


def test_another_encoder_sees_the_same_studies_whatever_the_rules(embed, tmp_path):
    embed()
    report = embed(encoder=tiny("other"), min_frames=100, videos_per_study=1)
    assert report.videos_embedded == 4
    spaces = [
        [row["uid"] for row in visible(tmp_path, encoder=f"{name}-000000000000")[0]]
        for name in ("tiny", "other")
    ]
    assert spaces[0] == spaces[1]


def test_the_private_map_knows_only_what_was_embedded(embed, tmp_path, archive):
    embed()
    key = load_settings().identity_key
    identity = store_identity(Atlas.open(tmp_path / "store").store.identity, key)
    original = {path.stem: read_header(path).sop_uid for path in archive.iterdir()}
    with IdentityMap(key.with_suffix(".map.sqlite")) as known:
        kept = {name for name, uid in original.items() if known.original(identity.uid(uid)) == uid}
    assert kept == {"left", "right", "after", "other"}


def test_a_purge_forgets_the_runs_that_a_rule_left_out_too(embed, tmp_path, archive):
    embed()
    embed(videos_per_study=1, reselect=True)
    assert ledger(tmp_path)["right"] == "over_videos_per_study"
    private_map = load_settings().identity_key.with_suffix(".map.sqlite")
    right = read_header(archive / "right.dcm").sop_uid.encode()
    assert right in private_map.read_bytes()
    Atlas.open(tmp_path / "store").purge_patient("patient-a")
    assert right not in private_map.read_bytes()


def test_the_command_line_says_how_many_were_left_out_and_why(tmp_path, archive, monkeypatch):
    monkeypatch.setattr("angioatlas.embedding.encoder_handle", lambda name, settings: tiny())
    path = table(tmp_path, archive, right="1,1,1", left="0,1,0", after="0,1,0")
    words = ["embed", archive, "--store", tmp_path / "store", "--dry-run", "--classified", path]

    def cli(*more, code=0):
        result = CliRunner().invoke(app, [str(word) for word in (*words, *more)])
        assert result.exit_code == code, result.stderr
        return result

    shown = cli("--videos-per-study", 1).stdout
    assert re.search(r"left out by rules +7", shown)
    assert re.search(r"after_intervention +4 ", shown)
    assert re.search(r"over_videos_per_study +1 ", shown)
    counts = json.loads(cli("--json", "--all-runs").stdout)
    assert (counts["left_out"], counts["by_status"]["embedded"]) == (0, 9)
    path.write_text("FileName,main_structure_class\nx,0\n")
    error = cli(code=2).stderr
    assert "expected the columns SOPInstanceUID and at least one of" in error
    assert "'videos_per_study' cannot be used" in cli("--videos-per-study", 0, code=2).stderr


def child(archive, store, last, *words):
    return subprocess.run(
        [sys.executable, "-m", "tests.support.embed_child",
         str(archive), str(store), str(last), *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """Make an archive of three studies of two runs, and a store of them."""
    base = tmp_path_factory.mktemp("embedded")
    for study in "abc":
        for number in (1, 2):
            run(base / "archive", f"{study}{number}", number, study=study)
    assert child(base / "archive", base / "store", 10_000).returncode == 0
    return base


@pytest.mark.parametrize("step", [4, 14])  # in the first commit, and in the second
def test_a_run_leaves_the_ledger_and_its_study_in_one_commit(embedded, tmp_path, step):
    shutil.copytree(embedded / "store", tmp_path / "store")
    killed = child(embedded / "archive", tmp_path / "store", step, "1")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    videos = {Path(row["source_uri"]).stem for row in visible(tmp_path)[1]}
    seen = ledger(tmp_path)
    assert {name for name, code in seen.items() if code == "embedded"} == videos
    assert sum(code == "over_videos_per_study" for code in seen.values()) in {0, 2}
    assert child(embedded / "archive", tmp_path / "store", 10_000, "1").returncode == 0
    assert [code for _, code in sorted(ledger(tmp_path).items())] == [
        "embedded", "over_videos_per_study",
    ] * 3  # fmt: skip
