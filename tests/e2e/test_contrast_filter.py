"""Runs without contrast medium are left out, and come in when they are asked for."""

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle
from core.settings import load_settings
from embedder.sampling import ClipRule
from tests.support.dicom import write_cine
from tests.support.fluoroscopy import fluoroscopy
from tests.support.tiny import TinyEncoder

TINY = EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder)


def test_a_run_without_contrast_is_left_out_until_it_is_asked_for(tmp_path):
    still = fluoroscopy(n_frames=1).repeat(20, axis=0)
    for number, frames in enumerate([fluoroscopy(vessels=40), still], start=1):
        write_cine(
            tmp_path / f"archive/{number}.dcm",
            frames,
            SOPInstanceUID=f"1.2.3.{number}",
            StudyInstanceUID="1.2.3",
        )

    def embed(min_contrast=None, **options):
        return Atlas.embed_into(
            tmp_path / "store",
            [tmp_path / "archive"],
            encoder=TINY,
            settings=load_settings().with_embed(workers=1, min_contrast=min_contrast),
            options=EmbedOptions(keep_identifiers=True, **options),
        )

    first = embed()
    assert first.by_code == {"no_contrast": 1}
    assert first.by_status == {"embedded": 1, "skipped": 1, "quarantined": 0, "duplicate": 0}
    rows = Atlas.open(tmp_path / "store").inputs()
    (row,) = rows[rows["code"] == "no_contrast"].itertuples()
    assert str(row.uri).endswith("/2.dcm")
    assert row.message == "contrast signal 0.00, expected 1.5 or more"
    assert list(Atlas.open(tmp_path / "store").videos()["sop_uid"]) == ["1.2.3.1"]

    assert embed(min_contrast=0).unchanged == 2
    assert embed(reselect=True).by_code == {"no_contrast": 1}  # looked at again, and still left out
    report = embed(min_contrast=0, reselect=True)
    assert report.videos_embedded == 2
    assert len(Atlas.open(tmp_path / "store").videos()) == 2
