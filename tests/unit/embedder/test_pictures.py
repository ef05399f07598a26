"""A cine's file to an MP4 and a JPEG: every frame, at its time, and nothing else of the file."""

import errno
import hashlib
from pathlib import Path
from typing import Any

import av
import imagecodecs
import numpy as np
import pytest

from core.outcomes import Code, InputRefused
from embedder import playback
from embedder.inputs import CineFile
from embedder.pictures import Drawing, draw, shrink
from tests.support.dicom import moving_frames, write_cine
from tests.support.movies import write_movie


def drawing(source, out, *, kind="mp4", n_frames=20, frame_time_ms=None, height=8192, sha256=None):
    digest = sha256 or hashlib.sha256(source.read_bytes()).hexdigest()
    return Drawing(kind, CineFile(source, n_frames, frame_time_ms), digest, height, out)


def shown(path):
    """Return the grey frames of an MP4, when each begins, and when the last one ends (ms)."""
    frames, times = [], []
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        for frame in container.decode(video=0):
            assert frame.format.name == "yuv420p"
            luma = frame.to_ndarray()[: frame.height].astype(float)
            frames.append((luma - 16) * 255 / 219)
            times.append(float((frame.pts or 0) * stream.time_base) * 1000)
        times.append(float(stream.duration * stream.time_base) * 1000)
    return np.array(frames), times


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one - np.asarray(other, float)) ** 2))


def cine(tmp_path, frames=None, **attributes):
    return write_cine(tmp_path / "run.dcm", frames, **attributes)


def test_every_frame_is_there_at_its_time(tmp_path):
    frames = moving_frames(20)
    assert draw(drawing(cine(tmp_path, frames), tmp_path / "out")) == 0
    found, times = shown(tmp_path / "out")
    assert psnr(found, frames) > 35
    np.testing.assert_allclose(times, np.arange(21) * 66.67, atol=0.01)


def test_frames_of_unequal_length_keep_their_times(tmp_path):
    steps = [40.0 if i % 3 else 125.0 for i in range(19)]
    source = cine(tmp_path, FrameTime=None, FrameTimeVector=[0.0, *steps])
    draw(drawing(source, tmp_path / "out"))
    starts = np.cumsum([0, *steps])
    np.testing.assert_allclose(shown(tmp_path / "out")[1][:-1], starts, atol=0.01)


@pytest.mark.parametrize(
    ("attributes", "expected_ms"),
    [
        ({"FrameTime": None, "CineRate": 25}, 40),
        ({"FrameTime": None}, 1000 / 15),
        # A vector that is too short, or not sane, is a mean at the best.
        ({"FrameTime": None, "FrameTimeVector": [0.0, 50.0]}, 50),
        ({"FrameTime": None, "FrameTimeVector": [0.0] + [0.5, 99.5] * 9 + [50.0]}, 50),
        ({"FrameTime": 50, "FrameTimeVector": [0.0] + [80.0] * 19}, 50),
    ],
)
def test_the_rate_is_what_the_header_says(tmp_path, attributes, expected_ms):
    draw(drawing(cine(tmp_path, **attributes), tmp_path / "out"))
    np.testing.assert_allclose(
        shown(tmp_path / "out")[1], np.arange(21) * expected_ms, rtol=1e-3, atol=0.01
    )


def test_grey_is_that_of_the_display(tmp_path):
    frames = moving_frames(20, bits=12)
    source = cine(tmp_path, frames, bits_stored=12, PhotometricInterpretation="MONOCHROME1")
    draw(drawing(source, tmp_path / "out"))
    assert psnr(shown(tmp_path / "out")[0], 255 - frames / 4095 * 255) > 35


def test_odd_sides_become_even_by_a_repeated_edge(tmp_path):
    frames = moving_frames(20, 47, 63)
    draw(drawing(cine(tmp_path, frames), tmp_path / "out"))
    found, _ = shown(tmp_path / "out")
    assert found.shape == (20, 48, 64)
    assert psnr(found, np.pad(frames, ((0, 0), (0, 1), (0, 1)), mode="edge")) > 35


def test_one_frame_is_a_movie_and_a_still(tmp_path):
    source = cine(tmp_path, moving_frames(1))
    for kind in ("mp4", "jpg"):
        assert draw(drawing(source, tmp_path / kind, kind=kind, n_frames=1)) == 0
    found, times = shown(tmp_path / "mp4")
    assert len(found) == 1
    np.testing.assert_allclose(times, [0, 66.67], atol=0.01)
    assert imagecodecs.jpeg8_decode((tmp_path / "jpg").read_bytes()).shape == (48, 64)


def test_the_still_is_the_middle_frame(tmp_path):
    frames = moving_frames(20)
    draw(drawing(cine(tmp_path, frames), tmp_path / "out", kind="jpg"))
    found = imagecodecs.jpeg8_decode((tmp_path / "out").read_bytes())
    assert found.ndim == 2
    assert np.argmax([psnr(found, frame) for frame in frames]) == 10


def test_a_movie_is_shown_at_the_rate_of_its_row(tmp_path):
    frames = moving_frames(20)
    source = write_movie(tmp_path / "run.avi", frames, codec="ffv1", pixels="gray", rate=15)
    draw(drawing(source, tmp_path / "out", frame_time_ms=40.0))
    found, times = shown(tmp_path / "out")
    assert psnr(found, frames) > 35
    np.testing.assert_allclose(times, np.arange(21) * 40, atol=0.01)
    draw(drawing(source, tmp_path / "still", kind="jpg"))
    still = imagecodecs.jpeg8_decode((tmp_path / "still").read_bytes())
    assert np.argmax([psnr(still, frame) for frame in frames]) == 10


def test_shrinking_takes_means_of_areas():
    frame = np.arange(36, dtype=np.uint8).reshape(6, 6)
    blocks = frame.reshape(3, 2, 3, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(shrink(frame, 3), np.floor(blocks + 0.5))
    assert shrink(frame, 6) is frame
    for height in range(1, 60):  # whatever the proportion, weights sum to one
        flat = shrink(np.full((61, 47), 200, np.uint8), height)
        assert flat.shape == (height, max(1, round(47 * height / 61)))
        assert (flat == 200).all()


def test_nothing_that_the_header_says_is_in_the_picture(tmp_path):
    said = {"PatientID": "SECRET-17", "PatientName": "Doe^Jane", "InstitutionName": "Hospital"}
    source = cine(tmp_path, **said, SOPInstanceUID="1.2.3.4.5678", StudyDate="20240131")
    for kind in ("mp4", "jpg"):
        draw(drawing(source, tmp_path / kind, kind=kind))
        content = (tmp_path / kind).read_bytes()
        for word in (b"SECRET", b"Doe", b"Hospital", b"1.2.3.4", b"2024", b"run.dcm"):
            assert word not in content
    assert b"Doe" in source.read_bytes()
    with av.open(str(tmp_path / "mp4")) as container:
        assert set(container.metadata) == {"major_brand", "minor_version", "compatible_brands"}
        assert set(container.streams[0].metadata) == {"language", "handler_name"}
        assert container.streams[0].metadata["handler_name"] == "VideoHandler"
    content = (tmp_path / "mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it plays before it is there


def test_the_same_file_gives_the_same_bytes(tmp_path):
    source = cine(tmp_path)
    for name in ("one", "two"):
        draw(drawing(source, tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def refusal(what):
    with pytest.raises(InputRefused) as refused:
        draw(what)
    return refused.value


def test_another_file_is_refused(tmp_path):
    found = refusal(drawing(cine(tmp_path), tmp_path / "out", sha256="0" * 64))
    assert found.reason is Code.CHANGED_WHILE_READ
    assert found.message == "its bytes are not those that were embedded"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("container", ["dcm", "avi"])
def test_more_pixels_than_the_limit_are_refused(tmp_path, monkeypatch, container):
    monkeypatch.setattr(playback, "MAX_PIXELS", 20 * 48 * 64 - 1)
    write = write_cine if container == "dcm" else write_movie
    source = write(tmp_path / f"run.{container}", moving_frames(20))
    found = refusal(drawing(source, tmp_path / "out"))
    assert found.reason is Code.BAD_CLAIM
    assert "20 frames of 48 x 64 are 61,440 pixels" in found.message
    # A still is one frame, however long the run.
    assert draw(drawing(source, tmp_path / "out", kind="jpg")) == 0


def test_a_movie_with_fewer_frames_than_were_embedded_is_refused(tmp_path):
    source = write_movie(tmp_path / "run.avi", moving_frames(20))
    found = refusal(drawing(source, tmp_path / "out", n_frames=21))
    assert found.reason is Code.TRUNCATED


@pytest.mark.parametrize("kind", ["mp4", "jpg"])
def test_a_full_disk_is_told_from_a_bad_file(tmp_path, kind):
    assert draw(drawing(cine(tmp_path), Path("/dev/full"), kind=kind)) == errno.ENOSPC
