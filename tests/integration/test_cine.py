"""Cines and thumbnails of a real store: made from the file that was embedded, kept, forgotten."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import imagecodecs
import numpy as np
import pytest
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from angioatlas.ingest import EmbedOptions, EncoderHandle
from angioatlas.picture_cache import PictureCache
from core.errors import NotFoundError, SourceError, StoreError, UsageError
from core.optional import MissingDependencyError
from core.settings import Settings
from embedder.dicom.cine import HEADER_TAGS
from embedder.dicom.claims import claims_of
from embedder.dicom.header import open_regular, parse_header
from embedder.frames import read_frames
from embedder.sampling import ClipRule
from store.maintain import hide_patient
from tests.support.dicom import moving_frames, write_cine
from tests.support.picture_child import PICTURE_BYTES
from tests.support.tiny import TinyEncoder

ROOT = Path(__file__).parents[2]
TINY = EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder)
REAL = ROOT / "tests/data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
# One patient with one cine for each test that changes something.
NAMES = ["seen", "kept", "changed", "missing", "moved", "again", "purged", "hidden", "absent"]
UIDS = {name: f"1.2.826.0.1.{i + 1}" for i, name in enumerate(NAMES)}


class Archive:
    """A folder of cines and the pseudonymised store that they were embedded into."""

    def __init__(self, root):
        self.root = root
        self.folder = root / "archive"
        self.state = root / "state"
        self.settings = Settings(
            state_dir=self.state, identity_key=root / "keys" / "identity.key"
        ).with_embed(all_runs=True, workers=1)
        for name in NAMES:
            self.write(name)
        shutil.copy(REAL, self.folder / "real.dcm")
        self.embed()
        self.atlas = self.open()
        videos = self.atlas.videos().set_index("source_uri")
        self.real = videos["sop_uid"].filter(like="real.dcm").item()

    def write(self, name, *, seed=None):
        return write_cine(
            self.path(name),
            moving_frames(20, seed=NAMES.index(name) if seed is None else seed),
            SOPInstanceUID=UIDS[name],
            StudyInstanceUID=f"{UIDS[name]}.9",
            PatientID=f"DOE-{name}",
        )

    def path(self, name):
        return self.folder / f"{name}.dcm"

    def embed(self):
        Atlas.embed_into(
            self.root / "store",
            [self.folder],
            encoder=TINY,
            settings=self.settings,
            options=EmbedOptions(),
        )

    def open(self, **settings):
        return Atlas.open(self.root / "store", settings=self.settings.model_copy(update=settings))

    def kept(self):
        return {path.name for path in self.state.rglob("cines/*/*")}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return Archive(tmp_path_factory.mktemp("cines"))


def grey(path, *, every=1):
    """Return frames of an MP4 as grey values."""
    with av.open(str(path)) as container:
        frames = [*container.decode(video=0)][::every]
        luma = [frame.to_ndarray()[: frame.height] for frame in frames]
    return (np.array(luma, float) - 16) * 255 / 219


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one - np.asarray(other, float)) ** 2))


def test_a_video_is_shown_by_either_of_its_uids(archive):
    path = archive.atlas.cine(UIDS["seen"])
    assert psnr(grey(path), moving_frames(20, seed=NAMES.index("seen"))) > 35
    still = imagecodecs.jpeg8_decode(archive.atlas.thumbnail(UIDS["seen"]).read_bytes())
    assert psnr(still, moving_frames(20, seed=NAMES.index("seen"))[10]) > 35
    videos = archive.atlas.videos()
    stored = videos[videos["source_uri"].str.endswith("seen.dcm")]["sop_uid"].item()
    assert stored != UIDS["seen"]
    assert archive.atlas.cine(stored) == path
    # Who else may read the state folder cannot read the pictures, and no name says whose they are.
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    for said in ("DOE", stored, UIDS["seen"]):
        assert said not in str(path.relative_to(archive.state))
        assert said.encode() not in path.read_bytes()


def test_a_real_cine_keeps_its_frames_its_rate_and_its_looks(archive):
    path = archive.atlas.cine(archive.real)
    with av.open(str(path)) as container:
        assert len(container.streams) == 1
        stream: Any = container.streams.video[0]
        assert (stream.codec.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.height, stream.width, stream.frames) == (512, 512, 75)
        assert float(stream.average_rate) == pytest.approx(15, rel=1e-4)
        assert float(stream.duration * stream.time_base) == pytest.approx(5, abs=1e-3)
    file, status = open_regular(REAL)
    with file:
        header = parse_header(file, status.st_size, tags=HEADER_TAGS)
        frames = read_frames(header, claims_of(header), [*range(0, 75, 9), 37], profile="display")
    assert psnr(grey(path, every=9), frames[:-1]) > 40
    small = archive.atlas.thumbnail(archive.real, height=64)
    blocks = frames[-1].reshape(64, 8, 64, 8).mean(axis=(1, 3))
    assert psnr(imagecodecs.jpeg8_decode(small.read_bytes()), blocks) > 35


def test_a_file_that_takes_too_long_costs_no_more_than_that(archive, monkeypatch):
    archive.atlas.thumbnail(UIDS["seen"])
    with monkeypatch.context() as hurried:
        hurried.setattr(archive.atlas._workshop.ready(), "seconds", 0.005)
        with pytest.raises(SourceError, match=r"no result within 0\.005 seconds") as refused:
            archive.atlas.cine(archive.real, height=500)
    assert refused.value.hint == "raise limits.decode_seconds"
    assert archive.atlas.cine(UIDS["seen"], height=20).exists()


def test_what_was_made_is_not_made_again(archive):
    first = archive.atlas.cine(UIDS["kept"])
    made = (first.stat().st_ino, first.read_bytes())
    archive.path("kept").unlink()
    another = archive.open()  # as another process would
    for height in (None, 48, 480):  # no picture is higher than the video
        again = another.cine(UIDS["kept"], height=height)
        assert (again.stat().st_ino, again.read_bytes()) == made
    assert another._workshop._pool is None  # nothing was drawn
    archive.write("kept")


def test_a_changed_file_is_not_shown(archive):
    uid, path = UIDS["changed"], archive.path("changed")
    embedded = path.read_bytes()
    archive.write("changed", seed=77)
    before = archive.kept()
    with pytest.raises(SourceError, match="its bytes are not those that were embedded") as refused:
        archive.atlas.cine(uid)
    assert "angioatlas embed" in refused.value.hint
    assert "changed.dcm" not in f"{refused.value.message} {refused.value.hint}"
    assert uid not in refused.value.message  # but the store's own
    assert archive.kept() == before
    path.write_bytes(embedded)  # a copy of it, at another time, is as good
    assert archive.atlas.cine(uid).exists()


def test_a_file_that_is_gone_is_said_to_be(archive):
    archive.path("missing").unlink()
    with pytest.raises(SourceError, match="No such file or directory"):
        archive.atlas.thumbnail(UIDS["missing"])
    with pytest.raises(NotFoundError, match=r"no video 1\.2\.3\.4 in store version"):
        archive.atlas.thumbnail("1.2.3.4")
    with pytest.raises(UsageError, match="a height of 15, expected 16 or more"):
        archive.atlas.thumbnail(UIDS["missing"], height=15)
    archive.write("missing")


def test_a_video_that_is_embedded_again_is_made_again(archive):
    """Two changes in one run: a file with other pixels, and one that moved."""
    old = archive.atlas.cine(UIDS["again"])
    archive.write("again", seed=78)
    archive.path("moved").rename(archive.path("elsewhere"))
    archive.embed()
    new = archive.atlas.cine(UIDS["again"])
    assert new != old
    assert psnr(grey(new), moving_frames(20, seed=78)) > 35
    # The ledger knows the moved file as a copy of one that is gone.
    moved = grey(archive.atlas.cine(UIDS["moved"]))
    assert psnr(moved, moving_frames(20, seed=NAMES.index("moved"))) > 35


def test_a_deleted_patient_is_not_shown(archive):
    for name in ("purged", "seen"):
        archive.atlas.thumbnail(UIDS[name])
    archive.atlas.purge_patient("DOE-purged")
    assert archive.kept() == set()
    with pytest.raises(NotFoundError):
        archive.atlas.thumbnail(UIDS["purged"])
    assert archive.atlas.thumbnail(UIDS["seen"]).exists()


def test_a_patient_who_is_deleted_while_a_picture_is_drawn_leaves_none(archive, monkeypatch):
    videos = archive.atlas.videos().set_index("source_uri")
    patient = videos["patient_id"].filter(like="hidden").item()
    make = archive.atlas._pictures.make

    def delete_first(name, draw):
        hide_patient(archive.atlas.store, patient)
        return make(name, draw)

    monkeypatch.setattr(archive.atlas._pictures, "make", delete_first)
    before = archive.kept()
    with pytest.raises(NotFoundError):
        archive.atlas.thumbnail(UIDS["hidden"])
    assert archive.kept() == before


def test_without_pyav_there_are_thumbnails_and_no_cines(archive, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match="cines as MP4 needs the package 'av'") as told:
        archive.atlas.cine(UIDS["absent"])
    assert told.value.hint == "pip install 'angioatlas[movies]'"
    assert archive.atlas.thumbnail(UIDS["absent"]).exists()


def test_the_command_writes_what_the_atlas_shows(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("ANGIOATLAS_STATE_DIR", str(archive.state))
    monkeypatch.setenv("ANGIOATLAS_IDENTITY_KEY", str(archive.settings.identity_key))
    store = ["--store", str(archive.root / "store")]
    archive.atlas.cine(UIDS["seen"])
    archive.atlas.thumbnail(UIDS["seen"], height=None)
    for options, path in (
        ([], archive.atlas.cine(UIDS["seen"])),
        (["--thumbnail"], archive.atlas.thumbnail(UIDS["seen"], height=None)),
    ):
        out = tmp_path / f"out{path.suffix}"
        told = CliRunner().invoke(app, ["cine", UIDS["seen"], "-o", str(out), *store, *options])
        assert told.exit_code == 0, told.output
        assert out.read_bytes() == path.read_bytes()
    nowhere = str(tmp_path / "none" / "run.mp4")
    told = CliRunner().invoke(app, ["cine", UIDS["seen"], "--out", nowhere, *store])
    assert told.exit_code == 2
    assert "run.mp4 cannot be written: No such file or directory" in told.output


class TestCache:
    def make(self, cache, name, size=100):
        return cache.make(name, lambda out: out.write_bytes(bytes(size)) and None)

    def test_what_was_not_asked_for_the_longest_goes_first(self, tmp_path):
        cache = PictureCache(tmp_path / "pictures", most_bytes=350)
        for i, name in enumerate("abc"):
            os.utime(self.make(cache, name), (i, i))
        cache.find("a")
        self.make(cache, "d")
        assert {path.name for path in cache.folder.iterdir()} == {"a", "c", "d"}
        # What is larger than the room is given, and then it is alone.
        self.make(cache, "e", size=1000)
        assert {path.name for path in cache.folder.iterdir()} == {"e"}

    def test_what_a_killed_process_left_goes_like_the_rest(self, tmp_path):
        cache = PictureCache(tmp_path, most_bytes=350)
        left = tmp_path / "x.0123.part"
        left.write_bytes(bytes(300))
        os.utime(left, (1, 1))
        self.make(cache, "a")
        assert [path.name for path in tmp_path.iterdir()] == ["a"]

    def test_a_drawing_that_fails_leaves_nothing(self, tmp_path):
        cache = PictureCache(tmp_path, most_bytes=350)

        def fail(out):
            out.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        with pytest.raises(StoreError, match=r"cannot be kept in .*: No space left on device"):
            cache.make("a", fail)
        with pytest.raises(StoreError, match="cleared while a picture was drawn"):
            cache.make("a", lambda out: cache.clear())
        assert list(tmp_path.iterdir()) == []

    def test_two_processes_share_it(self, tmp_path):
        command = [sys.executable, "-m", "tests.support.picture_child", str(tmp_path), "0.4"]
        both = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        told = [process.communicate(timeout=60)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], told
        assert all(int(count) for line in told for count in line.split())
        kept = [path.stat().st_size for path in tmp_path.iterdir()]
        assert set(kept) == {PICTURE_BYTES}
        assert len(kept) <= 7  # each may be one ahead of the other
