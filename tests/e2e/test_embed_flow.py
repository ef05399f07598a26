"""From files to visible rows, through real workers, LanceDB and FAISS, with a small encoder."""

import os
import shutil
from typing import Any

import numpy as np
import pytest

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle
from core.errors import IdentityError, NotFoundError, UsageError
from core.identity_map import IdentityMap
from core.schema import Level
from core.settings import load_settings
from embedder.sampling import ClipRule
from tests.support.dicom import moving_frames, write_cine, write_dicomdir
from tests.support.tiny import TinyEncoder

UIDS = {"a": "1.2.826.0.1.1", "b": "1.2.826.0.1.2", "c": "1.2.826.0.1.3"}


def tiny(name="tiny"):
    class Named(TinyEncoder):
        encoder_id = f"{name}-000000000000"

    return EncoderHandle(Named.encoder_id, ClipRule("display"), Named)


def cine(folder, name, *, study="a", seed=None, **attributes):
    """Write a cine whose pixels and SOPInstanceUID follow from its name."""
    number = sum(ord(letter) << (8 * i) for i, letter in enumerate(name))
    given: dict[str, Any] = {
        "SOPInstanceUID": f"1.2.826.0.2.{number}",
        "SeriesInstanceUID": f"{UIDS[study]}.1",
        "StudyInstanceUID": UIDS[study],
        "PatientID": f"patient-{study}",
        "InstanceNumber": number % 1000,
    }
    frames = moving_frames(seed=number % 997 if seed is None else seed)
    return write_cine(folder / f"{name}.dcm", frames, **(given | attributes))


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "archive"
    for study, names in {"a": ["a1", "a2"], "b": ["b1", "b2", "b3"], "c": ["c1"]}.items():
        for name in names:
            cine(folder / study, name, study=study)
    (folder / "notes.txt").write_text("not a cine")
    return folder


@pytest.fixture
def embed(tmp_path, archive):
    def run(*paths, encoder=None, **options):
        store = options.pop("store", tmp_path / "store")
        settings = load_settings().with_embed(workers=2, site=options.pop("site", None))
        return Atlas.embed_into(
            store,
            paths or [archive],
            encoder=encoder or tiny(),
            settings=settings,
            options=EmbedOptions(**options),
        )

    return run


def atlas(tmp_path, name="store"):
    return Atlas.open(tmp_path / name)


def visible(tmp_path, name="store", level=Level.VIDEO, encoder="tiny-000000000000"):
    """Return what a store shows, as plain values that do not depend on how it came about."""
    opened = atlas(tmp_path, name)
    with opened.snapshot() as snapshot:
        keys, vectors = snapshot.vectors(encoder, level)
    facts = opened.studies() if level is Level.STUDY else opened.videos()
    rows = [
        {"uid": uid, "vector": vector.tobytes()}
        for uid, vector in zip(keys["uid"].to_pylist(), vectors, strict=True)
    ]
    return rows, facts.to_dict("records")


def ledger(tmp_path):
    rows = atlas(tmp_path).inputs()
    return {row.uri.split("/")[-1]: (row.status, row.code) for row in rows.itertuples()}


def test_every_input_is_accounted_for_and_a_rerun_embeds_nothing(embed, tmp_path):
    first = embed()
    assert first.by_status == {"embedded": 6, "skipped": 1, "quarantined": 0, "duplicate": 0}
    assert first.inputs == sum(first.by_status.values()) == 7
    assert (first.studies_embedded, first.videos_embedded) == (3, 6)
    assert "a new identity key was made" in first.notes[0]
    again = embed()
    assert again.notes == []
    assert again.by_status == first.by_status
    assert (again.studies_embedded, again.unchanged) == (0, 7)
    assert again.store_version == first.store_version


def test_vectors_are_those_of_the_encoder_on_the_decoded_frames(embed, tmp_path, archive):
    from embedder.frames import read_clip

    embed(keep_identifiers=True)
    encoder = TinyEncoder()
    rows, facts = visible(tmp_path)
    by_uid = {row["uid"]: row["vector"] for row in rows}
    for fact in facts:
        name = fact["source_uri"].split("archive/")[1]
        clip = read_clip(archive / name, rule=ClipRule("display"))
        expected = encoder.encode_videos([clip.frames]).embedding[0]
        assert by_uid[fact["sop_uid"]] == expected.tobytes()


def test_dry_run_says_the_same_and_writes_nothing(embed, tmp_path):
    planned = embed(dry_run=True)
    assert not (tmp_path / "store").exists()
    done = embed()
    assert planned.by_status == done.by_status
    assert planned.videos_embedded == done.videos_embedded


def test_nothing_in_the_store_names_the_patient_or_an_original_uid(embed, tmp_path):
    embed()
    needles = [b"patient-a", UIDS["a"].encode(), b"Test^Cine"]
    kept = tmp_path / "kept"
    embed(store=kept, keep_identifiers=True)

    def holds(folder):
        files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        return [any(needle in data for data in files) for needle in needles]

    assert holds(kept) == [True, True, False]  # the search does find what is there
    assert holds(tmp_path / "store") == [False, False, False]


def test_similar_takes_original_and_surrogate_uids_and_leaves_the_patient_out(embed, tmp_path):
    embed()
    found = atlas(tmp_path).similar(UIDS["a"], k=10)
    assert found.query_uid.startswith("2.25.")
    assert len(found.hits) == 2
    assert found.query_uid not in set(found.hits["study_uid"])
    by_surrogate = atlas(tmp_path).similar(found.query_uid, k=10)
    assert by_surrogate.hits.equals(found.hits)
    videos = atlas(tmp_path).similar(
        atlas(tmp_path).videos(UIDS["b"])["sop_uid"][0], level="video", exclude_same_patient=False
    )
    assert len(videos.hits) == 5
    with pytest.raises(NotFoundError, match="no study 1\\.2\\.3 with vectors"):
        atlas(tmp_path).similar("1.2.3")


def test_one_atlas_follows_the_store(embed, tmp_path, archive):
    embed()
    opened = atlas(tmp_path)
    assert len(opened.similar(UIDS["a"]).hits) == 2
    cine(archive / "d", "d1", study="c", StudyInstanceUID="1.2.826.0.1.4", PatientID="patient-d")
    embed()
    assert len(opened.similar(UIDS["a"]).hits) == 3
    opened.purge_patient("patient-d")
    assert len(opened.similar(UIDS["a"]).hits) == 2


def test_an_added_video_embeds_its_study_again_and_no_other(embed, tmp_path, archive):
    embed()
    old = atlas(tmp_path).snapshot()
    before = old.vectors("tiny-000000000000", Level.STUDY)[1].copy()
    cine(archive / "a", "a3", study="a")
    report = atlas(tmp_path).embed([archive], encoder=tiny())
    assert (report.studies_embedded, report.videos_embedded) == (1, 3)
    assert old.videos().num_rows == 6
    np.testing.assert_array_equal(old.vectors("tiny-000000000000", Level.STUDY)[1], before)
    old.close()
    studies = atlas(tmp_path).studies()
    assert sorted(studies["n_videos"]) == [1, 3, 3]


def test_a_replaced_file_replaces_its_video(embed, tmp_path, archive):
    embed()
    rows, _ = visible(tmp_path)
    cine(archive / "b", "b2", study="b", seed=5)
    report = embed()
    assert report.videos_embedded == 3
    after, _ = visible(tmp_path)
    changed = [a["uid"] for a, b in zip(rows, after, strict=True) if a != b]
    assert len(changed) == 1


def test_a_file_that_left_stays_until_pruned(embed, tmp_path, archive):
    embed()
    (archive / "b" / "b2.dcm").unlink()
    shutil.rmtree(archive / "c")
    assert embed().videos_embedded == 0
    assert len(atlas(tmp_path).videos()) == 6
    pruned = embed(prune=True)
    assert (pruned.no_longer_there, pruned.studies_embedded, pruned.studies_removed) == (2, 1, 1)
    assert len(atlas(tmp_path).videos()) == 4
    assert len(atlas(tmp_path).studies()) == 2
    assert ledger(tmp_path)["c1.dcm"] == ("skipped", "no_longer_there")
    cine(archive / "c", "c1", study="c")  # it comes back
    assert embed().videos_embedded == 1


def test_prune_drops_the_video_of_a_file_that_went_bad_and_then_left(embed, tmp_path, archive):
    embed()
    bad = archive / "a" / "a1.dcm"
    bad.write_bytes(bad.read_bytes()[:-5000])
    assert embed(prune=True).by_code["truncated"] == 1
    assert len(atlas(tmp_path).videos()) == 6
    bad.unlink()
    report = embed(prune=True)
    assert (report.no_longer_there, report.videos_embedded) == (1, 1)
    assert len(atlas(tmp_path).videos()) == 5
    assert ledger(tmp_path)["a1.dcm"] == ("skipped", "no_longer_there")
    assert embed(prune=True).no_longer_there == 0


def test_prune_spares_what_nobody_could_look_at(embed, tmp_path, archive, monkeypatch):
    embed()
    hidden = archive / "c"
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path) == os.fspath(hidden):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)  # root reads everything, whatever the mode
        report = embed(prune=True)
    assert report.no_longer_there == 0
    assert report.by_code["unreadable"] == 1
    assert len(atlas(tmp_path).videos()) == 6


def test_a_copy_takes_over_when_the_original_is_pruned(embed, tmp_path, archive):
    embed()
    shutil.copy(archive / "c" / "c1.dcm", archive / "z.dcm")
    assert embed().by_status["duplicate"] == 1
    shutil.rmtree(archive / "c")
    report = embed(prune=True)
    assert report.studies_removed == 0
    assert report.inputs == sum(report.by_status.values())
    assert ledger(tmp_path)["z.dcm"] == ("embedded", None)
    assert len(atlas(tmp_path).videos()) == 6


def test_a_study_whose_files_were_moved_is_read_from_their_new_place(embed, tmp_path, archive):
    embed()
    (archive / "b").rename(archive / "moved")
    assert embed().by_status["duplicate"] == 3  # nothing to embed: the same bytes
    cine(archive / "moved", "b4", study="b")
    report = embed()
    assert report.videos_embedded == 4
    assert report.by_status == {"embedded": 7, "skipped": 1, "quarantined": 0, "duplicate": 0}
    videos = atlas(tmp_path).videos(UIDS["b"])
    assert videos["source_uri"].str.contains("/moved/").all()
    rows = atlas(tmp_path).inputs()
    old = rows[rows["uri"].str.contains("/archive/b/")]
    assert set(old["code"]) == {"no_longer_there"}


def test_copies_that_change_together_stay_copies(embed, tmp_path, archive):
    shutil.copy(archive / "c" / "c1.dcm", archive / "z.dcm")
    assert embed().by_status["duplicate"] == 1
    cine(archive / "c", "c1", study="c", seed=9)
    shutil.copy(archive / "c" / "c1.dcm", archive / "z.dcm")
    report = embed()
    assert report.videos_embedded == 1
    # The files of a folder come before those of its folders.
    assert ledger(tmp_path)["z.dcm"] == ("embedded", None)
    assert ledger(tmp_path)["c1.dcm"] == ("duplicate", "same_instance")


def test_touched_duplicate_and_conflicting_files(embed, tmp_path, archive):
    embed()
    os.utime(archive / "a" / "a1.dcm", ns=(1, 1))
    shutil.copy(archive / "a" / "a1.dcm", archive / "copy.dcm")
    cine(archive, "a1", study="a", seed=3)  # the same UID, other pixels
    report = embed()
    assert report.videos_embedded == 0
    assert ledger(tmp_path)["copy.dcm"] == ("duplicate", "same_instance")
    assert report.by_code == {"not_dicom": 1, "same_instance": 1, "uid_conflict": 1}
    assert embed(verify=True).videos_embedded == 0


def test_quarantined_is_tried_again_only_when_asked(embed, tmp_path, archive):
    bad = archive / "a" / "a1.dcm"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-5000])
    os.utime(bad, ns=(7, 7))
    report = embed()
    assert report.by_code["truncated"] == 1
    assert report.problems[0].uri.endswith("a1.dcm")
    assert embed().unchanged == 7
    assert embed(retry=True).by_status["quarantined"] == 1
    bad.write_bytes(whole)
    assert embed().studies_embedded == 1


def test_a_good_copy_replaces_a_file_that_went_bad(embed, tmp_path, archive):
    embed()
    original = archive / "a" / "a1.dcm"
    whole = original.read_bytes()
    original.write_bytes(whole[:-5000])
    assert embed().by_code["truncated"] == 1
    assert len(atlas(tmp_path).videos()) == 6  # nothing is lost by a bad copy
    (archive / "restored.dcm").write_bytes(whole)
    report = embed()
    assert report.videos_embedded == 2
    videos = atlas(tmp_path).videos()
    assert len(videos) == 6
    assert videos["source_uri"].str.endswith("restored.dcm").sum() == 1


def test_a_study_of_two_patients_keeps_the_first(embed, tmp_path, archive):
    cine(archive / "a", "ax", study="a", PatientID="somebody else", SeriesTime="235900")
    cine(archive / "a", "ay", study="a", PatientID=None)
    report = embed()
    assert report.by_code["patient_conflict"] == 1
    studies = atlas(tmp_path).studies()
    assert sorted(studies["n_videos"]) == [1, 3, 3]
    assert studies["patient_known"].all()


def test_unknown_patients_are_never_merged(embed, tmp_path, archive):
    for study in UIDS:
        for file in (archive / study).iterdir():
            cine(archive / study, file.stem, study=study, PatientID="ANONYMOUS")
    embed()
    studies = atlas(tmp_path).studies()
    assert not studies["patient_known"].any()
    assert studies["patient_id"].nunique() == 3


def test_a_second_encoder_gets_its_own_space_and_the_facts_stay(embed, tmp_path, archive):
    embed(site="north")
    before = atlas(tmp_path).studies()
    report = embed(encoder=tiny("other"))
    assert report.videos_embedded == 6
    assert atlas(tmp_path).studies().equals(before)
    with atlas(tmp_path).snapshot() as snapshot:
        assert snapshot.spaces() == ["other-000000000000", "tiny-000000000000"]
    with pytest.raises(UsageError, match="several encoders"):
        atlas(tmp_path).similar(UIDS["a"])
    # The first space shows a study only while it was made from what the study now is.
    cine(archive / "a", "a3", study="a")
    embed(encoder=tiny("other"))
    assert len(visible(tmp_path, level=Level.STUDY)[0]) == 2
    assert set(atlas(tmp_path).studies()["site"]) == {"north"}


def test_a_second_encoder_takes_what_was_verified_touched_or_moved(embed, tmp_path, archive):
    embed()
    (archive / "b").rename(archive / "moved")
    os.utime(archive / "c" / "c1.dcm")
    assert embed(dry_run=True, verify=True, encoder=tiny("other")).videos_embedded == 6
    report = embed(verify=True, encoder=tiny("other"))
    assert (report.videos_embedded, report.by_status["duplicate"]) == (6, 0)
    assert embed(encoder=tiny("other")).unchanged == 7


def test_a_dry_run_counts_a_copy_that_steps_in_as_embedded(embed, archive):
    embed()
    (archive / "b").rename(archive / "moved")
    cine(archive / "moved", "b4", study="b")
    planned = embed(dry_run=True)
    assert planned.by_status == embed().by_status


def test_a_dicomdir_is_followed_and_a_broken_one_is_one_bad_input(embed, tmp_path, archive):
    media = tmp_path / "media"
    for file in ("IM1", "IM2"):
        cine(media, file, study="c")
        (media / f"{file}.dcm").rename(media / file)
    write_dicomdir(media / "DICOMDIR", ["IM1", "IM2", "GONE"])
    report = embed(media / "DICOMDIR")
    assert report.by_status == {"embedded": 2, "skipped": 0, "quarantined": 1, "duplicate": 0}
    broken = tmp_path / "DICOMDIR"
    broken.write_bytes((media / "DICOMDIR").read_bytes()[:400])
    assert embed(broken).by_status["quarantined"] == 1


def test_the_store_inside_the_archive_is_no_input(embed, archive):
    roundabout = archive / "a" / ".." / "store"
    report = embed(store=roundabout)
    assert report.inputs == 7
    assert embed(archive / "b" / "..", store=roundabout).unchanged == 7


def test_identity_options_are_of_a_new_store_only(embed):
    embed()
    with pytest.raises(UsageError, match="was made otherwise"):
        embed(keep_identifiers=True)
    with pytest.raises(UsageError, match="needs pseudonyms"):
        embed(store="elsewhere", keep_identifiers=True, shift_dates=True)


def test_dates_shift_by_one_constant_per_patient(embed, tmp_path):
    embed(keep_identifiers=True)
    plain = atlas(tmp_path).videos().set_index("instance_number")["acquisition_datetime"]
    embed(store=tmp_path / "shifted", shift_dates=True)
    shifted = atlas(tmp_path, "shifted").videos().set_index("instance_number")
    moved = (shifted["acquisition_datetime"] - plain).dt.total_seconds() / 86400
    assert (moved % 1 == 0).all()
    assert (moved != 0).all()
    assert moved.groupby(shifted["patient_id"]).nunique().max() == 1
    assert moved.nunique() > 1


def test_a_deleted_patient_does_not_come_back(embed, tmp_path):
    embed()
    query = atlas(tmp_path).similar(UIDS["b"]).query_uid
    private_map = load_settings().identity_key.with_suffix(".map.sqlite")
    with IdentityMap(private_map) as known:
        assert known.original(query) == UIDS["b"]
    atlas(tmp_path).purge_patient("patient-b")
    with IdentityMap(private_map) as known:
        assert known.original(query) is None
    assert b"patient-b" not in private_map.read_bytes()
    assert atlas(tmp_path).indexes() == []
    assert len(atlas(tmp_path).studies()) == 2
    report = embed()
    assert report.by_code["patient_deleted"] == 3
    assert report.videos_embedded == 0
    assert len(atlas(tmp_path).similar(UIDS["a"]).hits) == 1
    with pytest.raises(NotFoundError, match="no such patient"):
        atlas(tmp_path).purge_patient("nobody")


def test_an_interrupted_run_keeps_the_studies_that_are_complete(tmp_path, archive):
    def interrupt(phase, done, total):
        if phase == "studies" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Atlas.embed_into(tmp_path / "store", [archive], encoder=tiny(), on_progress=interrupt)
    assert len(atlas(tmp_path).studies()) == 2
    report = Atlas.embed_into(tmp_path / "store", [archive], encoder=tiny())
    assert (report.studies_embedded, len(atlas(tmp_path).studies())) == (1, 3)


def test_a_patient_who_was_pruned_can_still_be_purged(embed, tmp_path, archive):
    embed(keep_identifiers=True)
    shutil.rmtree(archive / "b")
    assert embed(prune=True).studies_removed == 1

    def named():
        files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
        return [path for path in files if b"patient-b" in path.read_bytes()]

    assert named()  # older versions hold the patient
    atlas(tmp_path).purge_patient("patient-b")
    assert not named()
    assert len(atlas(tmp_path).studies()) == 2


def test_another_modality_is_read_again_when_it_is_admitted(embed, tmp_path, archive):
    ultrasound = "1.2.840.10008.5.1.4.1.1.3.1"
    cine(archive, "us", study="c", Modality="US", SOPClassUID=ultrasound, PatientID="patient-c")
    assert embed().by_code["other_modality"] == 1
    settings = load_settings().with_embed(modalities=("XA", "RF", "US"))
    report = Atlas.embed_into(tmp_path / "store", [archive], encoder=tiny(), settings=settings)
    assert report.videos_embedded == 2  # its study, as a whole
    assert report.by_status["skipped"] == 1


def test_a_store_can_be_read_without_its_key_and_not_be_added_to(
    embed, tmp_path, clean_environment
):
    embed()
    surrogate = atlas(tmp_path).studies()["study_uid"][0]
    (clean_environment / ".config/angioatlas/identity.key").unlink()
    assert len(atlas(tmp_path).similar(surrogate).hits) == 2
    with pytest.raises(NotFoundError, match="no study"):
        atlas(tmp_path).similar(UIDS["a"])  # originals cannot be looked up
    with pytest.raises(IdentityError, match="none is given"):
        embed()
    pseudonym = atlas(tmp_path).studies()["patient_id"][0]
    atlas(tmp_path).purge_patient(pseudonym)
    assert len(atlas(tmp_path).studies()) == 2


def test_many_commits_end_in_a_compaction(embed, tmp_path, archive):
    settings = load_settings()
    retention = settings.retention.model_copy(update={"compact_after": 2})
    settings = settings.model_copy(update={"retention": retention}).with_embed(commit_studies=1)
    rows = []
    for _ in range(2):
        report = Atlas.embed_into(tmp_path / "store", [archive], encoder=tiny(), settings=settings)
        kinds = [row["kind"] for row in atlas(tmp_path).versions()]
        assert kinds == ["compact", "embed", "embed", "embed"]  # once, not at every run
        assert report.store_version == 4
        rows.append(visible(tmp_path))
    assert rows[0] == rows[1]


def test_limits_come_from_the_settings(tmp_path, archive):
    """A worker that may take 1 ms for a header quarantines what it cannot read in that time."""
    settings = load_settings()
    limits = settings.limits.model_copy(update={"header_seconds": 0.000001})
    report = Atlas.embed_into(
        tmp_path / "store",
        [archive],
        encoder=tiny(),
        settings=settings.model_copy(update={"limits": limits}),
    )
    assert report.by_code["time_limit"] >= 1
    assert report.inputs == sum(report.by_status.values())
