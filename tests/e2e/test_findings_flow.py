"""From files to findings, through real workers and LanceDB, with a small encoder that has heads."""

import numpy as np
import pytest

from angioatlas.atlas import Atlas
from angioatlas.ingest import EncoderHandle
from core.errors import NotFoundError
from core.segments import FINDINGS, HEADS, SEGMENTS, head_name
from core.settings import load_settings
from embedder.frames import read_clip
from embedder.sampling import ClipRule
from tests.support.dicom import moving_frames, write_cine
from tests.support.tiny import TinyEncoder, TinyFinder

STUDIES = {"1.2.826.0.1.1": 3, "1.2.826.0.1.2": 1}
VECTORS_ONLY = EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder)
WITH_HEADS = EncoderHandle(
    TinyFinder.encoder_id, ClipRule("display"), TinyFinder, heads_id=TinyFinder.heads_id
)


@pytest.fixture
def archive(tmp_path):
    for study_uid, n in STUDIES.items():
        for number in range(n):
            write(tmp_path / "archive", study_uid, number)
    return tmp_path / "archive"


def write(archive, study_uid, number, **attributes):
    return write_cine(
        archive / f"{study_uid}-{number}.dcm",
        moving_frames(seed=number),
        StudyInstanceUID=study_uid,
        SeriesInstanceUID=f"{study_uid}.1",
        SOPInstanceUID=f"{study_uid}.1.{number}",
        InstanceNumber=number,
        PatientID=f"patient of {study_uid}",
        **attributes,
    )


@pytest.fixture
def embed(tmp_path, archive):
    def run(encoder):
        settings = load_settings().with_embed(workers=2, min_contrast=0)
        return Atlas.embed_into(tmp_path / "store", [archive], encoder=encoder, settings=settings)

    return run


def expected(archive, study_uid) -> dict[str, float]:
    paths = sorted(archive.glob(f"{study_uid}-*"))
    encoder = TinyFinder()
    videos = encoder.encode_videos([read_clip(p, rule=ClipRule("display")).frames for p in paths])
    found = encoder.encode_findings(videos)
    assert found is not None
    return dict(found.raw)


def raw(atlas, study_uid) -> dict[str, float]:
    table = atlas.findings(study_uid=study_uid).table.set_index("segment")
    columns = {f: f"{f.column}_logit" if f.is_probability else f.column for f in FINDINGS}
    return {
        head_name(segment, finding): float(table.loc[segment, columns[finding]])
        for segment in SEGMENTS
        for finding in FINDINGS
    }


def assert_as_computed(atlas, archive, study_uid):
    found, wanted = raw(atlas, study_uid), expected(archive, study_uid)
    np.testing.assert_allclose(
        [found[head] for head in HEADS], [wanted[head] for head in HEADS], rtol=1e-5, atol=1e-6
    )


def test_findings_are_those_of_the_whole_study(embed, tmp_path, archive):
    report = embed(WITH_HEADS)
    assert report.studies_embedded == 2
    atlas = Atlas.open(tmp_path / "store")
    for study_uid in STUDIES:
        assert_as_computed(atlas, archive, study_uid)
    assert atlas.findings().heads_id == "heads-tiny"
    again = embed(WITH_HEADS)
    assert (again.studies_embedded, again.store_version) == (0, report.store_version)


def test_heads_that_come_later_bring_what_is_missing_and_leave_the_vectors(
    embed, tmp_path, archive
):
    embed(VECTORS_ONLY)
    atlas = Atlas.open(tmp_path / "store")
    with pytest.raises(NotFoundError, match="holds no findings of tiny-"):
        atlas.findings()
    before = vectors(atlas)
    later = embed(WITH_HEADS)
    assert (later.studies_embedded, later.unchanged) == (2, 4)
    assert vectors(atlas) == before
    assert_as_computed(atlas, archive, next(iter(STUDIES)))
    assert embed(WITH_HEADS).studies_embedded == 0
    # Who embeds without heads has nothing to do either.
    assert embed(VECTORS_ONLY).studies_embedded == 0


def vectors(atlas) -> dict[str, bytes]:
    from core.schema import Level

    with atlas.snapshot() as snapshot:
        keys, matrix = snapshot.vectors(TinyEncoder.encoder_id, Level.VIDEO)
    return dict(zip(keys["uid"].to_pylist(), (row.tobytes() for row in matrix), strict=True))


def test_a_study_that_changes_never_shows_findings_of_what_it_was(embed, tmp_path, archive):
    embed(WITH_HEADS)
    atlas = Atlas.open(tmp_path / "store")
    first, second = STUDIES
    old = raw(atlas, first)
    write(archive, first, 7)
    assert embed(VECTORS_ONLY).studies_embedded == 1
    with pytest.raises(NotFoundError, match="has no findings of heads-tiny"):
        atlas.findings(study_uid=first)
    assert_as_computed(atlas, archive, second)
    assert embed(WITH_HEADS).studies_embedded == 1
    assert_as_computed(atlas, archive, first)
    assert raw(atlas, first) != old
