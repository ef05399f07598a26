"""The grey rule: every step against the formula of the standard, worked out by hand or apart."""

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from core.outcomes import Code, InputRefused
from embedder.dicom.cine import read_header
from embedder.frames import read_clip
from embedder.grey import window
from embedder.sampling import ClipRule
from tests.support.dicom import moving_frames, write_cine

ULTRASOUND = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1", "Modality": "US"}


def ramp(bits=8):
    """Two equal frames that hold every code once."""
    codes = np.arange(1 << bits, dtype=np.uint8 if bits <= 8 else np.uint16)
    return np.stack([codes.reshape(1 << (bits // 2), -1)] * 2)


def grey_of(tmp_path, frames, *, profile="display", **attributes):
    """Write, read, and give the grey of each code in order."""
    path = write_cine(tmp_path / "f", frames, **attributes)
    read_header(path, modalities=frozenset({"XA", "US", "MR"}))
    return read_clip(path, rule=ClipRule(profile)).frames[0].ravel()


def rounded(values):
    return np.floor(np.clip(values, 0, 255) + 0.5)


def lut_item(first, entries, bits=8):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    item.ModalityLUTType = "US"
    return item


def test_eight_bits_stay_as_they_are(tmp_path):
    np.testing.assert_array_equal(grey_of(tmp_path, ramp()), np.arange(256))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_more_bits_are_scaled_by_the_stored_range_and_not_by_content(tmp_path, bits):
    codes = np.arange(1 << bits)
    grey = grey_of(tmp_path, ramp(bits), bits_stored=bits)
    np.testing.assert_array_equal(grey, rounded(codes / codes[-1] * 255))
    dim = moving_frames(2, bits=bits) // 4  # no dim cine is stretched
    grey = grey_of(tmp_path, dim, bits_stored=bits)
    np.testing.assert_array_equal(grey, rounded(dim[0].ravel() / codes[-1] * 255))


def test_monochrome1_is_inverted(tmp_path):
    grey = grey_of(tmp_path, ramp(), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(grey, 255 - np.arange(256))


def test_signed_values_go_from_most_negative_to_most_positive(tmp_path):
    codes = np.arange(1 << 12)
    values = np.where(codes >= 2048, codes - 4096, codes)
    grey = grey_of(tmp_path, ramp(12), bits_stored=12, PixelRepresentation=1)
    np.testing.assert_array_equal(grey, rounded((values + 2048) / 4095 * 255))


def test_bits_beside_the_stored_ones_do_not_count(tmp_path):
    codes = np.arange(1 << 10, dtype=np.uint16)
    shifted = np.stack([((codes << 2) | 0x8001).reshape(32, 32)] * 2)
    grey = grey_of(tmp_path, shifted, bits_stored=10, HighBit=11)
    np.testing.assert_array_equal(grey, rounded(codes / 1023 * 255))


# windows ----------------------------------------------------------------------------------------


def linear(x, centre, width):
    """PS3.3 C.11.2.1.2.1, written as its pseudo-code."""
    out = np.empty(len(x))
    for i, value in enumerate(x):
        if value <= centre - 0.5 - (width - 1) / 2:
            out[i] = 0
        elif value > centre - 0.5 + (width - 1) / 2:
            out[i] = 255
        else:
            out[i] = ((value - (centre - 0.5)) / (width - 1) + 0.5) * 255
    return out


@pytest.mark.parametrize(("centre", "width"), [(512, 400), (100.5, 50), (127, 255), (300, 1)])
def test_linear_window(tmp_path, centre, width):
    grey = grey_of(
        tmp_path, ramp(10), bits_stored=10, WindowCenter=[centre, 1], WindowWidth=[width, 1]
    )
    np.testing.assert_array_equal(grey, rounded(linear(np.arange(1024), centre, width)))


def test_linear_exact_window(tmp_path):
    grey = grey_of(
        tmp_path, ramp(10), bits_stored=10, WindowCenter=512, WindowWidth=256,
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    x = np.arange(1024)
    np.testing.assert_array_equal(grey, rounded(((x - 512) / 256 + 0.5) * 255))


def test_sigmoid_window(tmp_path):
    grey = grey_of(
        tmp_path, ramp(10), bits_stored=10, WindowCenter=512, WindowWidth=256,
        VOILUTFunction="SIGMOID",
    )  # fmt: skip
    x = np.arange(1024)
    np.testing.assert_array_equal(grey, rounded(255 / (1 + np.exp(-4 * (x - 512) / 256))))


@pytest.mark.parametrize(
    ("centre", "width"),
    [("100", "0"), ("100", "-5"), ("nan", "50"), ("x", "y"), ("", ""), (None, "9")],
)
def test_a_window_without_meaning_is_ignored(tmp_path, centre, width):
    path = write_cine(tmp_path / "f", ramp(), WindowCenter="1111", WindowWidth="2222")
    content = path.read_bytes()
    for old, new in (("1111", centre), ("2222", width)):
        if new is None:
            content = content.replace(old.encode(), b"    ")
        else:
            content = content.replace(old.encode(), new.encode().ljust(4))
    path.write_bytes(content)
    np.testing.assert_array_equal(
        read_clip(path, rule=ClipRule("display")).frames[0].ravel(), np.arange(256)
    )


@pytest.mark.parametrize(
    ("width", "function"), [(0.5, "LINEAR"), (0.0, "LINEAR_EXACT"), (-1.0, "SIGMOID")]
)
def test_widths_out_of_the_standard_give_no_window(width, function):
    assert window(np.arange(4.0), 2.0, width, function=function) is None


# lookup tables ----------------------------------------------------------------------------------


def test_a_voi_lut_comes_before_a_window(tmp_path):
    entries = np.arange(256)[::-1] * 16
    grey = grey_of(
        tmp_path, ramp(), VOILUTSequence=[lut_item(0, entries, bits=12)],
        WindowCenter=10, WindowWidth=2,
    )  # fmt: skip
    np.testing.assert_array_equal(grey, rounded(entries / 4095 * 255))


def test_a_lut_holds_its_ends(tmp_path):
    grey = grey_of(tmp_path, ramp(), VOILUTSequence=[lut_item(100, [50, 100, 150])])
    expected = np.array([50] * 101 + [100] + [150] * 154)
    np.testing.assert_array_equal(grey, expected)


def test_a_lut_packed_in_bytes(tmp_path):
    entries = np.arange(256, dtype=np.uint8)[::-1]
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", entries.tobytes())
    np.testing.assert_array_equal(grey_of(tmp_path, ramp(), VOILUTSequence=[item]), entries)


@pytest.mark.parametrize("descriptor", [[300, 0, 8], [256, 0], [256, 0, 0], [256, 0, 40]])
def test_a_lut_that_does_not_fit_its_descriptor_is_ignored(tmp_path, descriptor):
    item = lut_item(0, np.arange(256)[::-1])
    item.add_new("LUTDescriptor", "US", descriptor)
    np.testing.assert_array_equal(grey_of(tmp_path, ramp(), VOILUTSequence=[item]), np.arange(256))


def test_the_modality_lut_of_x_rays_is_no_part_of_the_display(tmp_path):
    log = rounded(255 * np.log1p(np.arange(256)) / np.log(256))
    grey = grey_of(
        tmp_path, ramp(), ModalityLUTSequence=[lut_item(0, log)], RescaleSlope=3,
        RescaleIntercept=-7, PixelIntensityRelationship="LOG",
    )  # fmt: skip
    np.testing.assert_array_equal(grey, np.arange(256))


def test_the_modality_lut_of_others_comes_before_the_window(tmp_path):
    log = rounded(4095 * np.log1p(np.arange(256)) / np.log(256))
    grey = grey_of(
        tmp_path, ramp(), **ULTRASOUND, ModalityLUTSequence=[lut_item(0, log, bits=12)],
        WindowCenter=2048, WindowWidth=1000,
    )  # fmt: skip
    np.testing.assert_array_equal(grey, rounded(linear(log, 2048, 1000)))


@pytest.mark.parametrize("slope", [2.5, -1.0])
def test_rescale_of_others_comes_before_the_window(tmp_path, slope):
    grey = grey_of(
        tmp_path, ramp(12), bits_stored=12, **ULTRASOUND, RescaleSlope=slope,
        RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400,
    )  # fmt: skip
    np.testing.assert_array_equal(grey, rounded(linear(np.arange(4096) * slope - 1024, 40, 400)))


def test_enhanced_objects_keep_their_window_in_the_functional_groups(tmp_path):
    voi, group = Dataset(), Dataset()
    voi.WindowCenter, voi.WindowWidth = 512, 400
    group.FrameVOILUTSequence = [voi]
    grey = grey_of(
        tmp_path, ramp(10), bits_stored=10, SOPClassUID="1.2.840.10008.5.1.4.1.1.12.1.1",
        SharedFunctionalGroupsSequence=[group],
    )  # fmt: skip
    np.testing.assert_array_equal(grey, rounded(linear(np.arange(1024), 512, 400)))


# palettes and colours ---------------------------------------------------------------------------


def palette(bits, first=0):
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 1 << bits, (256, 3))
    attributes: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for i, name in enumerate(("Red", "Green", "Blue")):
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [256, first, bits]
        attributes[f"{name}PaletteColorLookupTableData"] = colours[:, i].astype("<u2").tobytes()
    return colours, attributes


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_become_the_luma_of_their_colours(tmp_path, bits):
    colours, attributes = palette(bits)
    grey = grey_of(tmp_path, ramp(), **attributes)
    top = (1 << bits) - 1
    np.testing.assert_array_equal(grey, rounded(colours @ [0.299, 0.587, 0.114] / top * 255))


def test_a_palette_that_starts_later_holds_its_ends(tmp_path):
    colours, attributes = palette(16, first=100)
    grey = grey_of(tmp_path, ramp(), **attributes)
    expected = rounded(colours @ [0.299, 0.587, 0.114] / 65535 * 255)
    np.testing.assert_array_equal(grey[:101], [expected[0]] * 101)
    np.testing.assert_array_equal(grey[100:], expected[:156])


@pytest.mark.parametrize("profile", ["display", "original"])
def test_a_text_in_place_of_a_photometric_interpretation_is_not_repeated(tmp_path, profile):
    with pytest.raises(InputRefused, match="unknown PhotometricInterpretation") as caught:
        grey_of(tmp_path, ramp(), profile=profile, PhotometricInterpretation="DOE JANE")
    assert "DOE" not in str(caught.value)


def test_a_palette_that_is_missing_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="no plain red palette") as caught:
        grey_of(tmp_path, ramp(), PhotometricInterpretation="PALETTE COLOR")
    assert caught.value.reason is Code.UNSUPPORTED_PIXELS


def test_an_unknown_photometric_interpretation_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="1 samples of CMYK") as caught:
        grey_of(tmp_path, ramp(), PhotometricInterpretation="CMYK")
    assert caught.value.reason is Code.UNSUPPORTED_PIXELS


# profile "original" -----------------------------------------------------------------------------


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_original_takes_values_as_they_are(tmp_path, photometric):
    grey = grey_of(
        tmp_path, ramp(), profile="original", PhotometricInterpretation=photometric,
        WindowCenter=10, WindowWidth=5, VOILUTSequence=[lut_item(0, np.arange(256)[::-1])],
    )  # fmt: skip
    np.testing.assert_array_equal(grey, np.arange(256))


@pytest.mark.parametrize(
    ("frames", "attributes"),
    [
        (moving_frames(2, bits=10), {}),
        (moving_frames(2), {"PixelRepresentation": 1}),
        (np.zeros((2, 8, 8, 3), np.uint8), {}),
        (moving_frames(2), {"PhotometricInterpretation": "PALETTE COLOR"}),
    ],
)
def test_original_refuses_what_the_published_model_could_not_take(tmp_path, frames, attributes):
    with pytest.raises(InputRefused, match="profile 'original' takes unsigned 8-bit") as caught:
        grey_of(tmp_path, frames, profile="original", **attributes)
    assert caught.value.reason is Code.UNSUPPORTED_PIXELS


def test_an_unknown_profile_is_a_mistake_of_the_caller(tmp_path):
    path = write_cine(tmp_path / "f")
    with pytest.raises(ValueError, match="unknown profile 'best'"):
        read_clip(path, rule=ClipRule("best"))


def test_lossy_overshoot_does_not_wrap_around(tmp_path):
    # 10 stored bits in a 12-bit JPEG: values of 1023 decode to a little more.
    stored = np.zeros((2, 32, 32), np.uint16)
    stored[:, ::2, ::2] = 1023
    path = write_cine(tmp_path / "f", stored, bits_stored=10, transfer_syntax=uid.JPEGExtended12Bit)
    grey = read_clip(path, rule=ClipRule("display")).frames[0]
    assert grey[::2, ::2].min() > 200
