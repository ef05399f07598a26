"""AVI and MP4 files with a table, through real workers into a store; what a changed row does."""

import csv
import os
import shutil
from functools import partial

import numpy as np
import pytest

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle
from core.errors import UsageError
from core.schema import Level
from core.settings import load_settings
from embedder.sampling import ClipRule, frame_indices
from tests.support.dicom import moving_frames, write_cine
from tests.support.movies import write_movie
from tests.support.tiny import TinyEncoder

grey_movie = partial(write_movie, codec="ffv1", pixels="gray")
TINY = EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder)
A, B = "1.2.826.0.1.1", "1.2.826.0.1.2"


class Archive:
    """A folder of movies with a table, and the store that they go to."""

    def __init__(self, root):
        self.root = root
        self.folder = root / "archive"
        self.folder.mkdir()
        self.table = self.folder / "movies.csv"
        self.rows = []

    def movie(self, name, study, *, seed=0, write=True, **columns):
        if write:
            grey_movie(self.folder / name, moving_frames(20, seed=seed))
        row = {"FileName": name, "StudyInstanceUID": study, "ss_patient_id": f"patient-{study}"}
        self.rows.append(row | columns)
        return self.rows[-1]

    def embed(self, *, table=True, retry=False, verify=False, prune=False, dry_run=False):
        if table:
            names = list(dict.fromkeys(name for row in self.rows for name in row))
            with self.table.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, names, delimiter="\u03b1")
                writer.writeheader()
                writer.writerows(self.rows)
        settings = load_settings().with_embed(workers=2, movies=self.table if table else None)
        return Atlas.embed_into(
            self.root / "store",
            [self.folder],
            encoder=TINY,
            settings=settings,
            options=EmbedOptions(
                keep_identifiers=True, retry=retry, verify=verify, prune=prune, dry_run=dry_run
            ),
        )

    @property
    def atlas(self):
        return Atlas.open(self.root / "store")

    def videos(self):
        return {
            row.source_uri.split("archive/")[1]: row for row in self.atlas.videos().itertuples()
        }

    def codes(self):
        rows = self.atlas.inputs().itertuples()
        return {row.uri.split("archive/")[1]: row.code or row.status for row in rows}


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


def test_movies_become_videos_of_their_studies(archive):
    archive.movie("one.avi", A, seed=1, SeriesTime="93005.0", primary_angle=30, secondary_angle=25)
    archive.movie("two.avi", A, seed=2, SOPInstanceUID="1.2.3.4", view_class="RAO Caudal")
    archive.movie("three.avi", B, seed=3)
    report = archive.embed()
    assert report.by_status == {"embedded": 3, "skipped": 1, "quarantined": 0, "duplicate": 0}
    assert report.by_code == {"not_dicom": 1}  # the table itself
    videos = archive.videos()
    assert videos["one.avi"].series_time == "093005.000000"
    assert videos["one.avi"].view == "LAO Cranial"
    assert videos["one.avi"].sop_uid.startswith("2.25.")
    assert videos["one.avi"].transfer_syntax_uid == "avi:ffv1"
    assert (videos["two.avi"].sop_uid, videos["two.avi"].view) == ("1.2.3.4", "RAO Caudal")
    studies = archive.atlas.studies().set_index("study_uid")
    assert dict(studies["patient_id"]) == {A: f"patient-{A}", B: f"patient-{B}"}
    again = archive.embed()
    assert (again.videos_embedded, again.unchanged) == (0, 3)  # the table was written again


def test_the_vector_is_that_of_the_frames(archive):
    archive.movie("one.avi", A, seed=1)
    archive.embed()
    frames = np.asarray(moving_frames(20, seed=1), np.uint8)[frame_indices(20)]
    expected = TinyEncoder().encode_videos([frames]).embedding[0]
    with archive.atlas.snapshot() as snapshot:
        _, vectors = snapshot.vectors(TinyEncoder.encoder_id, Level.VIDEO)
    np.testing.assert_array_equal(vectors[0], expected)


def test_identifiers_of_the_table_are_pseudonymised(archive):
    archive.movie("one.avi", A, SOPInstanceUID="1.2.3.4.5.6.7")
    Atlas.embed_into(
        archive.root / "store", [archive.folder], encoder=TINY, settings=settings_of(archive)
    )
    (row,) = archive.videos().values()
    assert row.patient_id != f"patient-{A}"
    assert row.study_uid.startswith("2.25.")
    files = [path for path in (archive.root / "store").rglob("*") if path.is_file()]
    needles = [f"patient-{A}".encode(), A.encode(), b"1.2.3.4.5.6.7"]
    assert not [n for n in needles for path in files if n in path.read_bytes()]


def settings_of(archive):
    with archive.table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, archive.rows[0])
        writer.writeheader()
        writer.writerows(archive.rows)
    return load_settings().with_embed(workers=1, movies=archive.table)


def test_movies_and_dicom_of_one_study_are_one_study(archive):
    archive.movie("one.avi", A, seed=1, SeriesTime="090000")
    write_cine(archive.folder / "two.dcm", StudyInstanceUID=A, PatientID=f"patient-{A}")
    assert archive.embed().studies_embedded == 1
    assert list(archive.atlas.studies()["n_videos"]) == [2]
    archive.movie("other.avi", A, seed=2, ss_patient_id="somebody else")
    assert archive.embed().by_code["patient_conflict"] == 1


def test_copies_are_duplicates_and_equal_names_are_not(archive):
    archive.movie("x/IM0001.avi", A, seed=1)
    archive.movie("y/IM0001.avi", B, seed=2)
    archive.movie("copy.avi", A, write=False)
    shutil.copy(archive.folder / "x/IM0001.avi", archive.folder / "copy.avi")
    report = archive.embed()
    assert report.by_status["embedded"] == 2
    assert report.by_code["same_instance"] == 1
    sops = [row.sop_uid for row in archive.videos().values()]
    assert len(set(sops)) == 2


def test_one_content_in_two_studies_is_two_videos(archive):
    archive.movie("one.avi", A, seed=1)
    archive.movie("two.avi", B, seed=1)
    assert archive.embed().videos_embedded == 2


def test_a_movie_that_is_renamed_keeps_its_identity(archive):
    row = archive.movie("one.avi", A, seed=1)
    archive.embed()
    before = archive.videos()["one.avi"].sop_uid
    (archive.folder / "one.avi").rename(archive.folder / "moved.avi")
    row["FileName"] = "moved.avi"
    assert archive.embed().videos_embedded == 0
    assert archive.codes()["moved.avi"] == "same_instance"
    assert archive.atlas.videos()["sop_uid"].tolist() == [before]


def test_a_movie_that_no_table_names_waits_for_one(archive):
    archive.movie("one.avi", A, seed=1)
    report = archive.embed(table=False)
    assert report.by_code == {"movie_without_study": 1}
    assert report.by_status["skipped"] == 1
    assert archive.embed(table=False).unchanged == 1
    assert archive.embed().videos_embedded == 1
    # A known movie needs the table no more, also when its study is looked at again.
    write_cine(archive.folder / "two.dcm", StudyInstanceUID=A, PatientID=f"patient-{A}")
    assert archive.embed(table=False).videos_embedded == 2
    assert archive.embed(table=False, verify=True).by_status["embedded"] == 2
    assert len(archive.videos()) == 2


def test_a_changed_study_takes_effect(archive):
    row = archive.movie("one.avi", A, seed=1)
    archive.movie("two.avi", A, seed=2)
    archive.embed()
    row |= {"StudyInstanceUID": B, "ss_patient_id": "patient-b"}
    report = archive.embed()
    assert (report.studies_embedded, report.videos_embedded) == (2, 2)
    studies = archive.atlas.studies().set_index("study_uid")
    assert dict(studies["n_videos"]) == {A: 1, B: 1}
    assert studies.loc[B, "patient_id"] == "patient-b"
    assert archive.embed().videos_embedded == 0


@pytest.mark.parametrize("own_uid", [True, False])
def test_a_changed_study_or_patient_of_a_movie_with_an_own_uid_takes_effect(archive, own_uid):
    row = archive.movie("one.avi", A, seed=1)
    if own_uid:
        row["SOPInstanceUID"] = "1.2.3.4"
    archive.embed()
    row["ss_patient_id"] = "corrected"
    assert archive.embed().videos_embedded == 1
    assert archive.atlas.studies()["patient_id"].tolist() == ["corrected"]
    row["StudyInstanceUID"] = B
    report = archive.embed()
    assert (report.studies_embedded, report.studies_removed) == (1, 1)
    assert archive.atlas.studies()["study_uid"].tolist() == [B]
    row["view_class"] = "AP Cranial"
    assert archive.embed().videos_embedded == 1
    assert archive.videos()["one.avi"].view == "AP Cranial"
    assert archive.embed().videos_embedded == 0


@pytest.mark.parametrize("verify", [False, True])
def test_a_changed_study_takes_effect_when_the_file_is_read_again_anyway(archive, verify):
    row = archive.movie("one.avi", A, seed=1, SOPInstanceUID="1.2.3.4")
    archive.embed()
    row["StudyInstanceUID"] = B
    if not verify:
        os.utime(archive.folder / "one.avi")
    assert archive.embed(verify=verify).videos_embedded == 1
    assert archive.atlas.studies()["study_uid"].tolist() == [B]


def test_facts_of_the_study_are_no_change_of_the_movie(archive):
    """Rows of one study may differ in sex, age or date; that must not embed it at every run."""
    archive.movie("one.avi", A, seed=1, InstanceNumber=1, PatientSex="F", PatientAge="61")
    archive.movie("two.avi", A, seed=2, InstanceNumber=2, PatientSex="M", StudyDate="20240101")
    archive.movie("three.avi", A, seed=3, ss_patient_id="")
    archive.embed()
    assert archive.embed().videos_embedded == 0
    assert archive.atlas.studies()["patient_sex"].tolist() == ["F"]


def test_a_movie_that_is_not_there_is_one_bad_input(archive):
    archive.movie("one.avi", A, seed=1)
    archive.movie("gone.avi", A, write=False)
    for _ in range(2):
        report = archive.embed()
        assert report.by_code["unreadable"] == 1
        assert report.by_status["embedded"] == 1
    assert [problem.message for problem in report.problems] == [
        "a table names it, and it is not there"
    ]
    archive.rows.pop()
    archive.movie("gone.avi", A, seed=4)
    assert archive.embed().videos_embedded == 2
    (archive.folder / "one.avi").unlink()
    assert archive.embed(prune=True).no_longer_there == 1
    report = archive.embed()
    assert report.by_code == {"not_dicom": 1}
    assert list(archive.videos()) == ["gone.avi"]


@pytest.mark.parametrize("name", ["a" * 300 + ".avi", "a\0.avi", "one.avi/two.avi"])
def test_a_name_that_no_file_can_have_is_one_bad_input(archive, name):
    archive.movie("one.avi", A, seed=1)
    archive.movie(name, A, write=False)
    report = archive.embed()
    assert (report.by_status["embedded"], report.by_code["unreadable"]) == (1, 1)


def test_a_damaged_movie_is_one_bad_input(archive):
    archive.movie("one.avi", A, seed=1)
    archive.movie("cut.avi", A, seed=2)
    cut = archive.folder / "cut.avi"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    report = archive.embed()
    assert report.by_status == {"embedded": 1, "skipped": 1, "quarantined": 1, "duplicate": 0}


def test_a_replaced_movie_replaces_its_video(archive):
    archive.movie("one.avi", A, seed=1)
    archive.movie("two.avi", A, seed=2)
    archive.embed()
    before = archive.videos()
    grey_movie(archive.folder / "two.avi", moving_frames(24, seed=9))
    assert archive.embed().videos_embedded == 2
    after = archive.videos()
    assert after["one.avi"].sop_uid == before["one.avi"].sop_uid
    assert after["two.avi"].n_frames == 24
    assert len(after) == 2


def test_a_bad_table_ends_the_run_before_a_store_is_made(archive):
    archive.movie("one.avi", "not a uid")
    with pytest.raises(UsageError, match="line 2, column StudyInstanceUID: expected a UID"):
        archive.embed()
    assert not (archive.root / "store").exists()


def test_a_dry_run_decodes_and_writes_nothing(archive):
    archive.movie("one.avi", A, seed=1)
    report = archive.embed(dry_run=True)
    assert report.videos_embedded == 1
    assert not (archive.root / "store").exists()
