"""Movies: the right frames, the right grey, and every lie of a container found out."""

import hashlib
import itertools
import struct
import sys
import tracemalloc
from dataclasses import replace

import av
import numpy as np
import pytest

from core.outcomes import Code, InputRefused
from core.schema import View
from core.uris import uri_of
from embedder.contrast import contrast_signal
from embedder.inputs import CineFile, Input, read_input, read_input_clip
from embedder.movies import read, stream
from embedder.movies.read import surrogate_uid
from embedder.movies.rows import MovieRow
from embedder.movies.stream import container_of
from embedder.sampling import ClipRule, frame_indices
from tests.support.dicom import moving_frames, write_cine
from tests.support.movies import write_movie

ROW = MovieRow(
    study_uid="1.2.3", sop_uid="", series_uid="1.2.3.9", patient_id="p", patient_known=True,
    patient_sex="F", patient_age_years=61.0, study_date=None, series_time="101500.000000",
    instance_number=2, view=View.RAO_CAUDAL, primary_angle_deg=-30.0, secondary_angle_deg=-20.0,
    frame_time_ms=None,
)  # fmt: skip
XA = frozenset({"XA", "RF"})


def ramps(n_frames=20):
    """Every grey value, in another place in each frame; steps are smooth enough for JPEG."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    return np.stack([np.roll(ramp, 5 * i, axis=1) for i in range(n_frames)])


def cine_of(path, row=ROW):
    return read_input(Input(path, row), modalities=XA)[0]


def clip_of(path, row=ROW):
    return read_input_clip(CineFile(path, cine_of(path, row).n_frames), rule=ClipRule("display"))


def windowed(path, frame_time_ms, window_ms):
    item = CineFile(path, cine_of(path).n_frames, frame_time_ms)
    return read_input_clip(item, rule=ClipRule("display", window_ms)).frames


def refusal_of(function, *arguments):
    with pytest.raises(InputRefused) as caught:
        function(*arguments)
    return caught.value


def largest_error(clip, frames):
    expected = frames[frame_indices(len(frames))]
    return int(np.abs(clip.frames.astype(int) - expected).max())


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options", "largest"),
    [
        ("a.avi", "mjpeg", "yuvj420p", {"qmin": "1", "qmax": "2"}, 2),
        ("a.mp4", "libx264", "yuvj420p", {"crf": "5"}, 2),
        ("limited.mp4", "libx264", "yuv420p", {"crf": "5"}, 3),
        ("a.avi", "mpeg4", "yuv420p", {"qmin": "1", "qmax": "1"}, 3),
        ("grey.avi", "ffv1", "gray", None, 0),
        ("grey16.avi", "ffv1", "gray16le", None, 1),
        ("rgb.avi", "png", "rgb24", None, 0),
        ("raw.avi", "rawvideo", "bgr24", None, 0),
        ("limited.avi", "huffyuv", "yuv422p", None, 1),
        ("packed.avi", "rawvideo", "yuyv422", None, 3),
    ],
)
def test_a_grey_ramp_survives(tmp_path, name, codec, pixels, options, largest):
    frames = ramps()
    path = write_movie(tmp_path / name, frames, codec=codec, pixels=pixels, options=options)
    clip = clip_of(path)
    assert clip.frames.shape == (16, 64, 256)
    assert largest_error(clip, frames) <= largest
    assert clip.frames.min() <= largest
    assert clip.frames.max() >= 255 - largest


def test_colour_becomes_luma(tmp_path):
    frames = np.zeros((16, 32, 32, 3), np.uint8)
    frames[...] = (200, 100, 50)
    path = write_movie(tmp_path / "a.avi", frames, codec="png", pixels="rgb24")
    assert set(np.unique(clip_of(path).frames)) == {124}  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50


def test_a_movie_is_a_cine_by_its_row_and_its_frames(tmp_path):
    path = write_movie(tmp_path / "a.avi", moving_frames(30), rate=15)
    cine, facts = read_input(Input(path, ROW), modalities=XA)
    assert cine.transfer_syntax_uid == "avi:mjpeg"
    assert (cine.n_frames, cine.rows, cine.columns) == (30, 48, 64)
    assert cine.frame_time_ms == pytest.approx(1000 / 15)
    assert (cine.study_uid, cine.series_uid, cine.patient_id) == ("1.2.3", "1.2.3.9", "p")
    assert (cine.view, cine.primary_angle_deg) == (View.RAO_CAUDAL, -30.0)
    assert cine.source_uri == uri_of(path)
    assert cine.sop_uid == surrogate_uid("1.2.3", hashlib.sha256(path.read_bytes()).hexdigest())
    assert facts.n_frames == 30
    clip = clip_of(path)
    assert clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (clip.size, clip.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert clip.contrast == contrast_signal(clip.frames)
    h264 = write_movie(tmp_path / "a.mp4", codec="libx264", pixels="yuv420p")
    assert cine_of(h264).transfer_syntax_uid == "mp4:h264"


@pytest.mark.parametrize("n_frames", [2, 5, 16, 17, 40])
def test_the_frames_are_those_of_the_clip(tmp_path, n_frames):
    # Each frame is of one grey value, its number.
    frames = np.repeat(np.arange(n_frames, dtype=np.uint8) * 6, 32 * 32).reshape(-1, 32, 32)
    for name, codec, pixels in [("a.avi", "ffv1", "gray"), ("a.mp4", "libx264", "yuvj420p")]:
        path = write_movie(tmp_path / name, frames, codec=codec, pixels=pixels)
        seen = clip_of(path).frames[:, 16, 16].astype(int)
        assert np.abs(seen - 6 * np.array(frame_indices(n_frames))).max() <= 2


def test_the_row_goes_before_what_the_movie_says(tmp_path):
    path = write_movie(tmp_path / "a.avi")
    cine = cine_of(path, replace(ROW, sop_uid="1.2.3.4", frame_time_ms=40.0))
    assert (cine.sop_uid, cine.frame_time_ms) == ("1.2.3.4", 40.0)


def test_a_surrogate_follows_from_study_and_content():
    one = surrogate_uid("1.2.3", "aa")
    assert one == surrogate_uid("1.2.3", "aa")
    assert len({one, surrogate_uid("1.2.4", "aa"), surrogate_uid("1.2.3", "ab")}) == 3
    assert one.startswith("2.25.")
    assert len(one) <= 44


def test_movies_are_told_by_content(tmp_path):
    avi = write_movie(tmp_path / "a.avi").read_bytes()
    mp4 = write_movie(tmp_path / "a.mp4", codec="libx264", pixels="yuv420p").read_bytes()
    assert (container_of(avi[:132]), container_of(mp4[:132])) == ("avi", "mp4")
    assert container_of(b"RIFF\0\0\0\0WAVE") is None
    assert container_of(b"") is None
    dicom = write_cine(tmp_path / "a.dcm")
    dicom.write_bytes(avi[:128] + dicom.read_bytes()[128:])  # a preamble may be anything
    assert cine_of(dicom).transfer_syntax_uid.startswith("1.2.840.10008")
    assert clip_of(dicom).frames.shape == (16, 48, 64)
    named = tmp_path / "movie.avi"
    named.write_text("not a movie")
    assert refusal_of(cine_of, named).reason is Code.NOT_DICOM


def test_a_movie_without_a_row_has_no_study(tmp_path):
    assert (
        refusal_of(cine_of, write_movie(tmp_path / "a.avi"), None).reason
        is Code.MOVIE_WITHOUT_STUDY
    )


def test_without_pyav_the_outcome_says_what_to_install(tmp_path, monkeypatch):
    path = write_movie(tmp_path / "a.avi")
    monkeypatch.setitem(sys.modules, "av", None)
    refusal = refusal_of(cine_of, path)
    assert refusal.reason is Code.MOVIE_SUPPORT_MISSING
    assert "angioatlas[movies]" in refusal.hint


def test_one_frame_is_no_cine(tmp_path):
    path = write_movie(tmp_path / "a.avi", moving_frames(1))
    assert refusal_of(cine_of, path).reason is Code.SINGLE_FRAME


def test_sound_alone_is_no_cine(tmp_path):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    assert refusal_of(cine_of, path).reason is Code.NO_PIXEL_DATA


def test_what_breaks_off_is_refused(tmp_path):
    whole = write_movie(tmp_path / "a.avi", moving_frames(30)).read_bytes()
    path = tmp_path / "cut.avi"
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        assert refusal_of(cine_of, path).reason in (Code.TRUNCATED, Code.DECODE_FAILED)
    path.write_bytes(whole[:300])
    assert refusal_of(cine_of, path).reason in (Code.BAD_HEADER, Code.NO_PIXEL_DATA)
    mp4 = write_movie(tmp_path / "a.mp4", codec="libx264", pixels="yuv420p").read_bytes()
    path.write_bytes(mp4[: len(mp4) // 2])  # its table of frames is at the end
    assert refusal_of(cine_of, path).reason is Code.BAD_HEADER


def claimed_frames(data, number):
    """Write another dwLength and dwTotalFrames into an AVI's headers."""
    for tag, offset in ((b"strh", 8 + 32), (b"avih", 8 + 16)):
        struct.pack_into("<L", data, data.index(tag) + offset, number)
    return data


def test_the_decoded_frames_count_and_not_the_claim(tmp_path):
    path = write_movie(tmp_path / "a.avi", moving_frames(20))
    whole = bytearray(path.read_bytes())
    path.write_bytes(claimed_frames(whole, 0))
    assert cine_of(path).n_frames == 20
    path.write_bytes(claimed_frames(whole, 7))
    assert cine_of(path).n_frames == 20
    path.write_bytes(claimed_frames(whole, 90))
    refusal = refusal_of(cine_of, path)
    assert (refusal.reason, refusal.message) == (Code.TRUNCATED, "20 frames are there, 90 claimed")


def test_claims_over_the_limits_are_refused(tmp_path, monkeypatch):
    path = write_movie(tmp_path / "a.avi", moving_frames(20))
    monkeypatch.setattr(stream, "MAX_FRAMES", 19)
    assert refusal_of(cine_of, path).message == "more than 19 frames"
    monkeypatch.setattr(stream, "MAX_SIDE", 60)
    refusal = refusal_of(cine_of, path)
    assert (refusal.reason, refusal.message) == (
        Code.BAD_CLAIM, "48 x 64 pixels, expected sides of 1 to 60"
    )  # fmt: skip
    monkeypatch.undo()
    monkeypatch.setattr(stream, "MAX_FRAME_PIXELS", 3000)
    assert refusal_of(cine_of, path).message == "48 x 64 pixels is over the limit"


def test_a_frame_of_another_size_is_refused(tmp_path):
    path = tmp_path / "a.avi"
    parts = [write_movie(tmp_path / f"{n}.avi", moving_frames(8, rows=n)) for n in (48, 64)]
    with av.open(str(path), "w") as out:
        inputs = [av.open(str(part)) for part in parts]
        stream = out.add_stream_from_template(inputs[0].streams.video[0])
        numbers = itertools.count()
        for each in inputs:
            for packet in each.demux(video=0):
                if packet.size:
                    packet.stream, packet.pts, packet.dts = stream, *[next(numbers)] * 2
                    out.mux(packet)
            each.close()
    assert refusal_of(cine_of, path).message == "frame 8 has 64 x 64 pixels, the first 48 x 64"


def test_another_number_of_frames_than_known_is_refused(tmp_path):
    path = write_movie(tmp_path / "a.avi", moving_frames(20))
    with pytest.raises(InputRefused, match="20 frames decode, expected 25") as caught:
        read_input_clip(CineFile(path, 25), rule=ClipRule("display"))
    assert caught.value.reason is Code.TRUNCATED


def test_a_movie_that_changes_meanwhile_is_refused(tmp_path, monkeypatch):
    path = write_movie(tmp_path / "a.avi")
    n_frames = cine_of(path).n_frames
    grey = stream.grey_of

    def touch(frame):
        path.touch()
        return grey(frame)

    monkeypatch.setattr(read, "grey_of", touch)
    assert refusal_of(read_clip_of, path, n_frames).reason is Code.CHANGED_WHILE_READ


def read_clip_of(path, n_frames):
    return read_input_clip(CineFile(path, n_frames), rule=ClipRule("display"))


def test_memory_does_not_grow_with_the_movie(tmp_path):
    peaks = []
    for n_frames in (40, 400):
        path = tmp_path / f"{n_frames}.avi"
        write_movie(path, moving_frames(n_frames, rows=128, columns=128))
        tracemalloc.start()
        read_clip_of(path, n_frames)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000  # 360 more frames would be 5.9 MB


def test_a_window_of_time_is_read_by_the_frame_time_of_the_cine(tmp_path):
    """A longer movie than its window, in which nothing is injected: so from the start."""
    frames = ramps()
    path = write_movie(tmp_path / "m.avi", frames, rate=10)
    for frame_time_ms in (100.0, 150.0):
        nearest = [int(i * 100 / frame_time_ms + 0.5) for i in range(16)]
        found = windowed(path, frame_time_ms, 1500.0)
        assert np.abs(found.astype(int) - frames[nearest]).max() <= 6


def test_a_movie_without_frame_time_is_seen_whole(tmp_path):
    path = write_movie(tmp_path / "m.avi", ramps())
    np.testing.assert_array_equal(windowed(path, None, 500.0), clip_of(path).frames)
