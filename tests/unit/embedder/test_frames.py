"""Clips: the right frames, decoded exactly, in every transfer syntax and every layout of a file."""

import hashlib
import io
import itertools
import os
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from core.outcomes import Code, InputRefused
from embedder import frames
from embedder.dicom.cine import HEADER_TAGS, read_header
from embedder.dicom.claims import claims_of
from embedder.dicom.decoders import available
from embedder.dicom.header import BoundedReader, open_regular, parse_header
from embedder.frames import file_sha256, read_clip, read_frames
from embedder.sampling import ClipRule, frame_indices, window_indices
from tests.support.dicom import LOSSLESS, LOSSY, moving_frames, write_cine
from tests.support.fluoroscopy import fluoroscopy

FRAGMENTED = (uid.JPEGLosslessSV1, uid.JPEG2000Lossless, uid.JPEGLSLossless)
END = struct.pack("<LL", 0xE0DDFFFE, 0)


def refusal_of(function, *arguments, **options):
    with pytest.raises(InputRefused) as caught:
        function(*arguments, **options)
    return caught.value


def clip_of(path, profile="display"):
    read_header(path)
    return read_clip(path, rule=ClipRule(profile))


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda each: uid.UID(each).name)
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_lossless_syntaxes_give_the_stored_values(tmp_path, syntax, bits):
    stored = moving_frames(23, bits=bits)
    path = write_cine(tmp_path / "f", stored, transfer_syntax=syntax, bits_stored=bits)
    clip = clip_of(path)
    expected = np.floor(stored / (2**bits - 1) * 255 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(clip.frames, expected[frame_indices(23)])


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda each: uid.UID(each).name)
def test_lossy_syntaxes_give_nearly_the_stored_values(tmp_path, syntax):
    bits = 12 if syntax == uid.JPEGExtended12Bit else 8
    stored = moving_frames(17, bits=bits)
    path = write_cine(tmp_path / "f", stored, transfer_syntax=syntax, bits_stored=bits)
    clip = clip_of(path)
    expected = stored[frame_indices(17)] / (2**bits - 1) * 255
    assert np.abs(clip.frames - expected).mean() < 1.5


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY], ids=lambda each: uid.UID(each).name)
def test_every_syntax_that_is_read_is_listed(syntax):
    assert available()[uid.UID(syntax).name]


@pytest.mark.parametrize(
    ("syntax", "offsets", "fragments"),
    [
        *itertools.product(FRAGMENTED, ["basic", "empty"], [1, 3]),
        *itertools.product(FRAGMENTED, ["extended"], [1]),
        *itertools.product([uid.RLELossless], ["basic", "empty", "extended"], [1]),
    ],
)
def test_every_layout_of_encapsulated_frames(tmp_path, syntax, offsets, fragments):
    stored = moving_frames(21)
    path = write_cine(
        tmp_path / "f", stored, transfer_syntax=syntax, offsets=offsets, fragments=fragments
    )
    np.testing.assert_array_equal(clip_of(path).frames, stored[frame_indices(21)])


class CountingReader(BoundedReader):
    """Counts what is asked for."""

    asked = 0

    def read(self, size=-1, /):
        data = super().read(size)
        self.asked += len(data)
        return data


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEGLosslessSV1])
@pytest.mark.parametrize("offsets", ["basic", "empty"])
def test_only_the_frames_needed_are_read(tmp_path, syntax, offsets):
    stored = moving_frames(200, 64, 64)
    path = write_cine(tmp_path / "f", stored, transfer_syntax=syntax, offsets=offsets)
    size = path.stat().st_size
    with CountingReader(io.FileIO(path), size) as file:
        header = parse_header(file, size, tags=HEADER_TAGS)
        read_frames(header, claims_of(header), frame_indices(200), profile="display")
        # 16 of 200 frames are 8 %; the rest is the header, the table, and 8 bytes a fragment.
        assert file.asked < 0.08 * size + 8 * 2 * 200 + 2000


def test_short_cines_repeat_the_last_frame_and_decode_it_once(tmp_path):
    stored = moving_frames(3)
    clip = clip_of(write_cine(tmp_path / "f", stored))
    np.testing.assert_array_equal(clip.frames[:3], stored)
    assert (clip.frames[3:] == stored[2]).all()


def test_frame_choice_needs_frames():
    with pytest.raises(ValueError, match="cannot choose 16 frames of 0"):
        frame_indices(0)


def test_any_frames_can_be_read(tmp_path):
    stored = moving_frames(9)
    path = write_cine(tmp_path / "f", stored, transfer_syntax=uid.JPEGLSLossless)
    file, status = open_regular(path)
    with file:
        header = parse_header(file, status.st_size, tags=HEADER_TAGS)
        found = read_frames(header, claims_of(header), [8, 0, 8, 4], profile="display")
    np.testing.assert_array_equal(found, stored[[8, 0, 8, 4]])


def test_the_hash_is_that_of_the_file(tmp_path):
    path = write_cine(tmp_path / "f")
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    clip = clip_of(path)
    assert clip.sha256 == file_sha256(path) == expected
    assert (clip.size, clip.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)


# colour -----------------------------------------------------------------------------------------


def luma(rgb):
    return np.floor(rgb @ np.array([0.299, 0.587, 0.114]) + 0.5)


def colour_frames(n=3, rows=32, columns=40):
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (n, rows // 8, columns // 8, 3))
    return np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    "syntax",
    [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless],
)
def test_colour_becomes_luma(tmp_path, syntax):
    stored = colour_frames()
    clip = clip_of(write_cine(tmp_path / "f", stored, transfer_syntax=syntax))
    np.testing.assert_array_equal(clip.frames[:3], luma(stored))


def test_planes_are_read_as_planes(tmp_path):
    stored = colour_frames()
    planes = np.moveaxis(stored, -1, 1).copy().reshape(stored.shape)
    clip = clip_of(write_cine(tmp_path / "f", planes, PlanarConfiguration=1))
    np.testing.assert_array_equal(clip.frames[:3], luma(stored))


def test_of_luma_and_chroma_only_luma_counts(tmp_path):
    stored = colour_frames()
    path = write_cine(tmp_path / "f", stored, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(clip_of(path).frames[:3], stored[..., 0])


def test_subsampled_chroma_of_uncompressed_frames(tmp_path):
    y = moving_frames(3, 10, 12)
    pairs = y.reshape(-1, 2)
    raw = np.concatenate([pairs, np.full_like(pairs, 99)], axis=1).reshape(3, 10, 24)
    path = write_cine(
        tmp_path / "f", raw, Columns=12, SamplesPerPixel=3, PlanarConfiguration=0,
        PhotometricInterpretation="YBR_FULL_422",
    )  # fmt: skip
    np.testing.assert_array_equal(clip_of(path).frames[:3], y)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_jpeg_colour_follows_the_stream_where_the_header_lies(tmp_path, photometric):
    # The encoder writes luma and chroma with a JFIF marker, whatever the header says.
    stored = colour_frames()
    path = write_cine(
        tmp_path / "f", stored, transfer_syntax=uid.JPEGBaseline8Bit,
        PhotometricInterpretation=photometric,
    )  # fmt: skip
    assert np.abs(clip_of(path).frames[:3] - luma(stored)).mean() < 3


def test_jpeg_without_colour_transform(tmp_path):
    # An Adobe marker that says RGB.
    stored = colour_frames()
    streams = [
        imagecodecs.jpeg8_encode(frame, level=98, colorspace="RGB", outcolorspace="RGB")
        for frame in stored
    ]
    path = write_cine(tmp_path / "f", stored, transfer_syntax=uid.JPEGBaseline8Bit)
    replace_frames(path, streams)
    assert np.abs(clip_of(path).frames[:3] - luma(stored)).mean() < 2


def test_progressive_jpeg(tmp_path):
    stored = moving_frames(4)
    streams = []
    for frame in stored:
        target = io.BytesIO()
        Image.fromarray(frame).save(target, "JPEG", quality=95, progressive=True)
        streams.append(target.getvalue())
    path = write_cine(tmp_path / "f", stored, transfer_syntax=uid.JPEGBaseline8Bit)
    replace_frames(path, streams)
    assert np.abs(clip_of(path).frames[:4].astype(float) - stored).mean() < 1.5


def replace_frames(path, streams, *, tail=END):
    """Put other fragments into a file, with an empty offset table."""
    content = path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 12
    items = [b"", *[each + b"\0" * (len(each) % 2) for each in streams]]
    body = b"".join(struct.pack("<LL", 0xE000FFFE, len(item)) + item for item in items)
    path.write_bytes(content[:at] + body + tail)


# what goes wrong --------------------------------------------------------------------------------


def encapsulated(tmp_path, n=4, **options):
    stored = moving_frames(n)
    return stored, write_cine(
        tmp_path / "f", stored, transfer_syntax=uid.JPEGLosslessSV1, **options
    )


def streams_of(stored):
    return [imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1) for frame in stored]


def test_a_stream_of_another_size_is_refused_before_it_is_decoded(tmp_path):
    stored, path = encapsulated(tmp_path)
    streams = streams_of(stored)
    bomb = streams[2].replace(
        struct.pack(">HH", *stored.shape[1:]), struct.pack(">HH", 65500, 65500)
    )
    replace_frames(path, [*streams[:2], bomb, streams[3]])
    refusal = refusal_of(clip_of, path)
    assert refusal.reason is Code.DECODE_FAILED
    assert "65500" in refusal.message


@pytest.mark.parametrize(
    "syntax", [uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless]
)
def test_a_stream_of_nonsense_is_refused(tmp_path, syntax):
    stored = moving_frames(4)
    path = write_cine(tmp_path / "f", stored, transfer_syntax=syntax)
    replace_frames(path, [b"\x55" * 400] * 4)
    assert refusal_of(clip_of, path).reason is Code.DECODE_FAILED


def test_a_stream_cut_short_is_refused(tmp_path):
    stored = moving_frames(4)
    path = write_cine(tmp_path / "f", stored, transfer_syntax=uid.JPEGLSLossless)
    replace_frames(path, [bytes(imagecodecs.jpegls_encode(f))[:300] for f in stored])
    assert refusal_of(clip_of, path).reason is Code.DECODE_FAILED


def test_fewer_fragments_than_frames(tmp_path):
    stored, path = encapsulated(tmp_path)
    replace_frames(path, streams_of(stored)[:3])
    read_header(path)  # the end mark is there, so only decoding finds out
    assert refusal_of(clip_of, path).reason is Code.TRUNCATED


def test_no_end_mark_but_every_frame_is_taken(tmp_path):
    stored, path = encapsulated(tmp_path)
    replace_frames(path, streams_of(stored), tail=b"")
    np.testing.assert_array_equal(clip_of(path).frames[:4], stored)


def test_no_end_mark_and_a_frame_too_few_is_truncated(tmp_path):
    stored, path = encapsulated(tmp_path)
    replace_frames(path, streams_of(stored)[:3], tail=b"")
    assert refusal_of(read_header, path).reason is Code.TRUNCATED


@pytest.mark.parametrize("offsets", ["basic", "empty"])
def test_a_last_fragment_past_the_end_is_truncated(tmp_path, offsets):
    _, path = encapsulated(tmp_path, offsets=offsets)
    path.write_bytes(path.read_bytes()[:-60])
    assert refusal_of(read_header, path).reason is Code.TRUNCATED


@pytest.mark.parametrize("wrong", [[0, 0, 0, 0], [0, 900000, 1, 2], [8, 16, 24, 32]])
def test_a_wrong_offset_table_is_not_believed(tmp_path, wrong):
    stored, path = encapsulated(tmp_path)
    content = path.read_bytes()
    at = content.index(struct.pack("<LL", 0xE000FFFE, 16)) + 8
    path.write_bytes(content[:at] + struct.pack("<4L", *wrong) + content[at + 16 :])
    np.testing.assert_array_equal(clip_of(path).frames[:4], stored)


def test_bytes_between_items_are_refused(tmp_path):
    stored, path = encapsulated(tmp_path)
    replace_frames(path, streams_of(stored))
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<L", 0xE000FFFE), b"\1\2\3\4", 3))
    refusal = refusal_of(read_clip, path, rule=ClipRule("display"))
    assert refusal.reason is Code.DECODE_FAILED


def test_an_extra_fragment_that_starts_no_frame_joins_the_one_before(tmp_path):
    stored, path = encapsulated(tmp_path)
    streams = streams_of(stored)
    half = len(streams[0]) // 4 * 2
    replace_frames(path, [streams[0][:half], streams[0][half:], *streams[1:]])
    np.testing.assert_array_equal(clip_of(path).frames[:4], stored)


def test_a_file_that_changes_meanwhile(tmp_path, monkeypatch):
    path = write_cine(tmp_path / "f")
    real = frames.read_frames

    def change(*arguments, **options):
        os.utime(path, ns=(1, 1))
        return real(*arguments, **options)

    monkeypatch.setattr(frames, "read_frames", change)
    refusal = refusal_of(read_clip, path, rule=ClipRule("display"))
    assert refusal.reason is Code.CHANGED_WHILE_READ


def test_a_file_that_is_replaced_meanwhile(tmp_path, monkeypatch):
    path = write_cine(tmp_path / "f")
    real = frames.read_frames

    def replace(*arguments, **options):
        path.rename(tmp_path / "old")
        return real(*arguments, **options)

    monkeypatch.setattr(frames, "read_frames", replace)
    refusal = refusal_of(read_clip, path, rule=ClipRule("display"))
    assert refusal.reason is Code.CHANGED_WHILE_READ


@pytest.mark.parametrize(
    "read", [lambda path: read_clip(path, rule=ClipRule("display")), file_sha256]
)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    assert refusal_of(read, tmp_path / "pipe").reason is Code.SPECIAL_FILE
    assert refusal_of(read, tmp_path / "empty").reason is Code.EMPTY_FILE
    assert refusal_of(read, tmp_path / "gone").reason is Code.UNREADABLE
    assert refusal_of(read, tmp_path).reason is Code.SPECIAL_FILE


def test_words_of_bytes_in_big_endian(tmp_path):
    stored = moving_frames(4)
    path = write_cine(tmp_path / "f", stored, transfer_syntax=uid.ExplicitVRBigEndian)
    content = path.read_bytes()
    at = content.index(b"\x7f\xe0\x00\x10OB")
    pixels = np.frombuffer(content[at + 12 :], np.uint8).reshape(-1, 2)[:, ::-1].tobytes()
    path.write_bytes(content[:at] + b"\x7f\xe0\x00\x10OW" + content[at + 6 : at + 12] + pixels)
    np.testing.assert_array_equal(clip_of(path).frames[:4], stored)


# a window of time --------------------------------------------------------------------------------


@pytest.mark.parametrize("frame_time", [50.0, 100.0])
def test_the_window_is_read_by_the_frame_time_of_the_header(tmp_path, frame_time):
    stored = moving_frames(16)
    path = write_cine(tmp_path / "a.dcm", stored, FrameTime=frame_time)
    clip = read_clip(path, rule=ClipRule("display", window_ms=1500.0))
    nearest = [min(int(i * 100 / frame_time + 0.5), 15) for i in range(16)]
    np.testing.assert_array_equal(clip.frames, stored[nearest])


def test_without_a_frame_time_the_whole_cine_is_seen(tmp_path):
    path = write_cine(tmp_path / "a.dcm", moving_frames(40), FrameTime=None)
    clip = read_clip(path, rule=ClipRule("display", window_ms=1500.0))
    np.testing.assert_array_equal(clip.frames, clip_of(path).frames)


def test_the_window_of_a_long_cine_begins_before_the_contrast_medium(tmp_path):
    """9 s, in which the vessels fill from 2.25 s on."""
    stored = fluoroscopy(vessels=40, n_frames=90)
    path = write_cine(tmp_path / "a.dcm", stored, FrameTime=100.0)
    clip = read_clip(path, rule=ClipRule("display", window_ms=4000.0))
    first = int(np.argmax((stored == clip.frames[0]).all(axis=(1, 2))))
    assert 1500 < 100 * first < 3000
    chosen = window_indices(90, 100.0, window_ms=4000, start_ms=100.0 * first)
    off = [np.abs(stored - frame.astype(int)).max(axis=(1, 2)) for frame in clip.frames]
    found = [int(np.argmin(each)) for each in off]
    assert np.abs(np.array(found) - chosen).max() <= 1
