"""Headers of compressed frames: read from real encoders, refused when there is none."""

import imagecodecs
import numpy as np
import pytest

from embedder.dicom.codestream import Stream, jpeg2000_stream, jpeg_stream

GREY = np.zeros((5, 7), np.uint8)
COLOUR = np.zeros((5, 7, 3), np.uint8)


@pytest.mark.parametrize(
    ("data", "stream"),
    [
        (imagecodecs.jpeg8_encode(GREY), Stream(5, 7, 1, 8, True)),
        (imagecodecs.jpeg8_encode(COLOUR), Stream(5, 7, 3, 8, True)),
        (
            imagecodecs.jpeg8_encode(COLOUR, colorspace="RGB", outcolorspace="RGB"),
            Stream(5, 7, 3, 8, False),
        ),
        (imagecodecs.jpegls_encode(GREY.astype(np.uint16) + 4095), Stream(5, 7, 1, 16, None)),
        (imagecodecs.jpegls_encode(COLOUR), Stream(5, 7, 3, 8, None)),
    ],
    ids=["grey", "luma and chroma", "rgb", "jpeg-ls 16 bits", "jpeg-ls colour"],
)
def test_jpeg(data, stream):
    assert jpeg_stream(bytes(data)) == stream


@pytest.mark.parametrize("codec_format", ["j2k", "jp2"])
def test_jpeg_2000(codec_format):
    grey = np.zeros((5, 7), np.uint16)
    data = bytes(imagecodecs.jpeg2k_encode(grey, codecformat=codec_format, bitspersample=12))
    assert jpeg2000_stream(data) == Stream(5, 7, 1, 12)


def test_fill_bytes_and_markers_without_length_are_stepped_over():
    data = bytes(imagecodecs.jpegls_encode(GREY))
    assert jpeg_stream(data[:2] + b"\xff\xff\xff\xd0\xff\x01" + data[2:]).rows == 5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JPEG stream"),
        (b"\x89PNG", "not a JPEG stream"),
        (b"\xff\xd8\x00\x00\x00\x00", "no JPEG marker"),
        (b"\xff\xd8\xff\xe0\x00\x04ab", "no JPEG frame header"),
        (b"\xff\xd8" + b"\xff" * 50, "no JPEG frame header"),
    ],
)
def test_what_is_no_jpeg(data, message):
    with pytest.raises(ValueError, match=message):
        jpeg_stream(data)


@pytest.mark.parametrize("data", [b"", b"\xff\x4f\xff\x51", b"x" * 100])
def test_what_is_no_jpeg_2000(data):
    with pytest.raises(ValueError, match="no JPEG 2000 codestream"):
        jpeg2000_stream(data)
