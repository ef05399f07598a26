"""A cohort of phantoms on disk: whole, resumable, the same every time, fit to be embedded."""

import csv
import json
import multiprocessing
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from core.errors import AtlasError, UsageError
from core.schema import View
from core.settings import EmbedSettings
from embedder.contrast import contrast_signal
from embedder.dicom.view import view_from_angles
from embedder.frames import read_clip
from embedder.inputs import Input, read_input
from embedder.runs import left_out
from embedder.sampling import ClipRule
from phantom import ids
from phantom.files.cohort import write_cohort
from phantom.files.cohort_runs import draw
from phantom.files.cohort_settings import CohortSettings
from phantom.files.transfer_syntax import TransferSyntax
from phantom.picture.render import render
from tests.support.cli import angioatlas, as_json
from tests.support.iod import faults

SMALL: dict[str, Any] = {"patients": 2, "seed": 3900, "size": 64, "fps": 10.0, "runs": 3}
XA = frozenset({"XA"})
RULE = ClipRule("display", 4000)


def write(out, **changes):
    return write_cohort(out, **{**SMALL, "workers": 1, **changes})


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def table(folder, name):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantoms") / "cohort"
    return out, write(out)


def test_every_run_is_a_valid_file_that_the_tables_describe(cohort):
    out, report = cohort
    rows = table(out, "truth/runs.csv")
    assert {row["file"] for row in rows} == {
        str(path.relative_to(out)) for path in out.rglob("*.dcm")
    }
    assert len(rows) == report.runs == report.runs_written
    for row in rows:
        path = out / row["file"]
        cine, facts = read_input(Input(path), modalities=XA)
        assert (cine.sop_uid, cine.study_uid) == (row["sop_uid"], row["study_uid"])
        assert cine.frame_time_ms == pytest.approx(float(row["frame_time_ms"]), abs=1e-3)
        assert cine.n_frames == int(row["n_frames"])
        angles = float(row["primary_angle_deg"]), float(row["secondary_angle_deg"])
        assert (cine.primary_angle_deg, cine.secondary_angle_deg) == pytest.approx(angles, abs=0.06)
        assert cine.view is view_from_angles(*(round(angle, 1) for angle in angles))
        assert cine.view is not View.OTHER
        assert left_out(facts, min_frames=8) is None
        assert faults(dcmread(path)) == set()


def test_uids_are_those_of_the_study_and_patient(cohort):
    out, report = cohort
    studies = table(out, "truth/studies.csv")
    assert len(studies) == report.studies
    for index in range(2):
        patient = ids.patient_id(SMALL["seed"], index)
        for number, folder in enumerate(sorted((out / "dicom" / patient).iterdir()), start=1):
            assert folder.name == str(number)
            read = [dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
            assert {each.PatientID for each in read} == {patient}
            assert {each.StudyInstanceUID for each in read} == {
                ids.study_uid(SMALL["seed"], index, number)
            }
            assert len({each.SeriesInstanceUID for each in read}) == len(read)
            order = sorted(read, key=lambda each: each.InstanceNumber)
            assert [each.SeriesTime for each in order] == sorted(each.SeriesTime for each in read)


def test_pixels_are_those_rendered(tmp_path):
    write(tmp_path, patients=1, transfer_syntax=TransferSyntax.JPEG_LOSSLESS)
    settings = CohortSettings(**SMALL | {"patients": 1})
    patient = draw(settings, 0)
    exam = patient.exams[0]
    shown = render(patient.anatomy, exam.disease, exam.acquisitions[1], size=64)
    path = tmp_path / "dicom" / patient.patient_id / "1" / "2.dcm"
    np.testing.assert_array_equal(dcmread(path).pixel_array, shown)


def test_processes_change_nothing(cohort, tmp_path):
    out, _ = cohort
    write(tmp_path / "again", workers=2)
    assert contents(tmp_path / "again") == contents(out)


def test_what_is_there_is_kept_and_what_is_missing_is_written(cohort, tmp_path):
    out, report = cohort

    def die_in_the_middle(phase, done, total):
        if (phase, done) == ("runs", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, on_progress=die_in_the_middle)
    begun = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.dcm")}
    assert len(begun) == 2
    assert not (tmp_path / "cohort.json").exists()
    (tmp_path / "dicom" / "PHANTOM-3900-00000" / "1" / "3.dcm.part").write_bytes(b"half")
    resumed = write(tmp_path)
    assert resumed.runs_written == report.runs - 2
    assert {path: path.stat().st_mtime_ns for path in begun} == begun
    assert contents(tmp_path) == contents(out)
    assert write(tmp_path).runs_written == 0
    assert contents(tmp_path) == contents(out)


def test_killed_processes_are_told_of_and_the_rest_is_written_later(cohort, tmp_path):
    out, _ = cohort

    def kill(phase, done, total):
        if (phase, done) == ("runs", 1):
            for child in multiprocessing.active_children():
                child.kill()

    with pytest.raises(AtlasError, match="a process that renders phantoms was killed"):
        write(tmp_path, workers=2, on_progress=kill)
    assert not (tmp_path / "cohort.json").exists()
    write(tmp_path)
    assert contents(tmp_path) == contents(out)


def test_what_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AtlasError, match="could not be written: Not a directory"):
        write(tmp_path / "file" / "cohort")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 3901}, "seed 3900; asked for seed 3901"),
        ({"size": 128}, "size 64; asked for size 128"),
        ({"fps": None}, "fps 10.0; asked for fps None"),
        ({"transfer_syntax": TransferSyntax.RLE}, "jpeg; asked for transfer_syntax rle"),
    ],
)
def test_another_cohort_in_the_same_folder_is_refused(cohort, change, told):
    out, _ = cohort
    before = contents(out)
    with pytest.raises(UsageError, match=f"holds another phantom cohort: .*{told}"):
        write(out, **change)
    assert contents(out) == before


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no phantom cohort"):
        write(tmp_path)
    (tmp_path / "cohort.json").write_text("[]")
    with pytest.raises(UsageError, match="describes no phantom cohort"):
        write(tmp_path)
    with pytest.raises(UsageError, match="is not empty and holds no phantom cohort"):
        write(tmp_path / "thesis.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort.json", "thesis.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patients": 0}, "patients 0, expected 1 to 100000"),
        ({"seed": -1}, "seed -1, expected 0"),
        ({"size": 32}, "size 32, expected 64 to 2048"),
        ({"fps": 0.5}, "fps 0.5, expected 1 to 60"),
        ({"runs": 1}, "runs 1, expected 2"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, change, message):
    with pytest.raises(UsageError, match=f"a phantom cohort cannot have {message}"):
        write(tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_another_frame_rate_keeps_how_long_a_run_lasts():
    whole, slow = (draw(CohortSettings(3, 3900, fps=fps), 0) for fps in (None, 8.0))
    for before, after in zip(whole.exams[0].acquisitions, slow.exams[0].acquisitions, strict=True):
        assert after.frame_time_ms == 125
        lasted = before.n_frames * before.frame_time_ms
        assert after.n_frames * 125 == pytest.approx(lasted, abs=63)
        assert (after.seed, after.primary_deg) == (before.seed, before.primary_deg)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_fewer_runs_still_show_both_arteries(runs):
    for index in range(20):
        whole = draw(CohortSettings(20, 3900), index).exams[0].acquisitions
        kept = draw(CohortSettings(20, 3900, runs=runs), index).exams[0].acquisitions
        assert len(kept) == min(runs, len(whole))
        assert {each.artery for each in kept} == {"left", "right"}
        assert [each for each in whole if each in kept] == list(kept)


def test_the_embedder_sees_contrast_in_every_run(tmp_path):
    write(tmp_path, patients=1, size=128)
    least = EmbedSettings().min_contrast
    for path in tmp_path.rglob("*.dcm"):
        assert contrast_signal(read_clip(path, rule=RULE).frames) >= least, path


def test_the_command(tmp_path):
    out = tmp_path / "phantoms"
    words = ("phantom", out, "--patients", 1, "--size", 64, "--fps", 8, "--runs", 2)
    first = as_json(tmp_path, *words)
    assert (first["patients"], first["runs_written"]) == (1, first["runs"])
    assert first["bytes"] == sum(path.stat().st_size for path in out.rglob("*.dcm"))
    assert json.loads((out / "cohort.json").read_text())["seed"] == 3000
    again = angioatlas(tmp_path, *words)
    assert again.returncode == 0, again.stderr
    assert f"angioatlas embed {out / 'dicom'}" in again.stdout
    assert "Research use only" in again.stdout
    refused = angioatlas(tmp_path, *words, "--seed", 3001)
    assert refused.returncode == 2
    assert "hint: name another folder, or delete this one" in refused.stderr
