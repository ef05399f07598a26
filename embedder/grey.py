"""Stored values to 8-bit grey, by rule and never by content.

Every grey image passes through one table with an entry for each possible code (at most 65,536),
so the mapping of a frame depends on the header alone: two frames of a run, or two runs with the
same header, are always mapped alike.

Profile "display" (what a viewer would show):

1. stored value → Modality LUT (sequence, or rescale), *except* for X-ray angiography and
   fluoroscopy.  There the Modality LUT leads back to linear X-ray intensity and is not part of the
   display pipeline (PS3.3 C.8.7.1, PS3.17 FFF.2.3.1.3.4).
2. VOI LUT: the sequence, else the first window (PS3.3 C.11.2); a meaningless one is ignored.
   Without any, the full range of the stored bits is taken linearly; 8-bit values stay as they are.
3. to 0..255, rounded half up; MONOCHROME1 inverted.
4. colour: RGB to luma (Rec. ITU-R BT.601); of luma-chroma images, the luma; palettes through
   their colours.

Profile "original" (the published model's preprocessing): 8-bit grey as stored, nothing applied,
MONOCHROME1 not inverted; everything else is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.outcomes import Code, InputRefused
from embedder.dicom.attributes import Attributes
from embedder.dicom.cine import XRAY_CLASSES
from embedder.dicom.claims import Claims
from embedder.dicom.decoders import Codes
from embedder.dicom.header import Header

PROFILES = ("display", "original")
_LUMA = np.array([0.299, 0.587, 0.114])
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_LUMA_CHROMA = ("YBR_FULL", "YBR_FULL_422")
_RGB = ("RGB", "YBR_RCT", "YBR_ICT")
_OTHER_TERMS = ("PALETTE COLOR", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB", "HSV", "ARGB", "CMYK")
"""The other terms of PhotometricInterpretation, also retired ones (PS3.3 C.7.6.3.1.2)."""

Values = NDArray[np.float64]
ToGrey = Callable[[Codes], NDArray[np.uint8]]


def grey_rule(header: Header, claims: Claims, *, profile: str) -> ToGrey:
    """Build the function from decoded codes to grey for one cine.

    Parameters
    ----------
    header : Header
    claims : Claims
    profile : str
        ``"display"`` or ``"original"``, see above.

    Returns
    -------
    callable
        From codes of shape (rows, columns) or (rows, columns, 3), as `decode_frame` gives them,
        to uint8 of shape (rows, columns); higher is brighter on the display.

    Raises
    ------
    InputRefused
        `UNSUPPORTED_PIXELS`.
    ValueError
        For an unknown profile.
    """
    if profile == "original":
        return _original(claims)
    if profile != "display":
        raise ValueError(f"unknown profile {profile!r}, expected one of {PROFILES}")
    table = _table(header, claims)

    def to_grey(codes: Codes) -> NDArray[np.uint8]:
        if codes.ndim == 3:
            return _eight_bit(codes @ _LUMA, float((1 << claims.bits_stored) - 1))
        return table[codes]

    return to_grey


def _original(claims: Claims) -> ToGrey:
    plain = claims.photometric in _MONOCHROME and claims.samples == 1
    if not plain or claims.bits_allocated != 8 or claims.signed:
        raise InputRefused(
            Code.UNSUPPORTED_PIXELS,
            f"profile 'original' takes unsigned 8-bit grey, not {claims.bits_allocated}-bit "
            f"{_named(claims.photometric)}",
        )

    def as_stored(codes: Codes) -> NDArray[np.uint8]:
        return codes.astype(np.uint8, copy=False)

    return as_stored


def _table(header: Header, claims: Claims) -> NDArray[np.uint8]:
    """Give the grey value of every code."""
    codes = np.arange(1 << claims.bits_stored, dtype=np.float64)
    top = codes[-1]
    kind = claims.photometric
    if kind == "PALETTE COLOR":
        return _palette_table(header.data, codes)
    if kind in _MONOCHROME and claims.samples == 1:
        return _monochrome_table(header, claims, codes)
    if kind == "YBR_PARTIAL_422":
        # Luma from 16 to 235 of 255 (PS3.3 C.7.6.3.1.2).
        scale = (top + 1) / 256
        return _eight_bit(codes - 16 * scale, 219 * scale)
    if kind in _LUMA_CHROMA or kind in _RGB:
        return _eight_bit(codes, top)
    raise InputRefused(Code.UNSUPPORTED_PIXELS, f"{claims.samples} samples of {_named(kind)}")


def _named(photometric: str) -> str:
    """Name a photometric interpretation; what is no term of the standard could be any text."""
    known = (*_MONOCHROME, *_LUMA_CHROMA, *_RGB, *_OTHER_TERMS)
    return photometric if photometric in known else "an unknown PhotometricInterpretation"


def _eight_bit(values: Values, top: float) -> NDArray[np.uint8]:
    """Scale 0..top to 0..255 and round half up."""
    return np.floor(np.clip(values / top, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


def _monochrome_table(header: Header, claims: Claims, codes: Values) -> NDArray[np.uint8]:
    values = codes
    if claims.signed:
        half = 1 << (claims.bits_stored - 1)
        values = np.where(codes >= half, codes - 2 * half, codes)
    if not _is_xray(header.data):
        values = _modality(header.data, values)
    share = _voi(header.data, values)
    if share is None:
        low, high = values.min(), values.max()
        share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    grey = _eight_bit(share, 1.0)
    return np.subtract(255, grey, dtype=np.uint8) if claims.photometric == "MONOCHROME1" else grey


def _is_xray(data: Attributes) -> bool:
    return data.text("SOPClassUID") in XRAY_CLASSES or data.text("Modality") in ("XA", "RF")


def _modality(data: Attributes, values: Values) -> Values:
    """Apply the Modality LUT sequence, or else the rescale (PS3.3 C.11.1)."""
    group = _functional_group(data, "PixelValueTransformationSequence")
    looked_up = _lookup(data.first("ModalityLUTSequence"), values)
    if looked_up is not None:
        return looked_up[0]
    slope, intercept = group.number("RescaleSlope"), group.number("RescaleIntercept")
    if not slope or intercept is None:
        return values
    return values * slope + intercept


def _voi(data: Attributes, values: Values) -> Values | None:
    """Apply the VOI LUT sequence or the first window; give shares of 0..1, None without either."""
    group = _functional_group(data, "FrameVOILUTSequence")
    looked_up = _lookup(group.first("VOILUTSequence"), values)
    if looked_up is not None:
        return looked_up[0] / looked_up[1]
    centre, width = group.number("WindowCenter"), group.number("WindowWidth")
    if centre is None or width is None:
        return None
    function = group.text("VOILUTFunction") or "LINEAR"
    return window(values, centre, width, function=function)


def window(values: Values, centre: float, width: float, *, function: str) -> Values | None:
    """Apply a window (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Parameters
    ----------
    values : float64 array
    centre, width : float
        In the unit of `values`.
    function : str
        ``"LINEAR"``, ``"LINEAR_EXACT"`` or ``"SIGMOID"``; anything else counts as ``"LINEAR"``.

    Returns
    -------
    float64 array or None
        Shares of 0..1; None when the window has no meaning (width below 1, or not above 0 for
        the last two).
    """
    if function == "SIGMOID":
        if width <= 0:
            return None
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4 * (values - centre) / width, -60, 60))))
    if function == "LINEAR_EXACT":
        if width <= 0:
            return None
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    if width < 1:
        return None
    if width == 1:
        return np.where(values > centre - 0.5, 1.0, 0.0)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _functional_group(data: Attributes, macro: str) -> Attributes:
    """Give where a macro's attributes are: shared, of the first frame, or the data set itself."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        found = data.first(groups).first(macro)
        if not found.is_empty:
            return found
    return data


def _lookup(table: Attributes, values: Values) -> tuple[Values, float] | None:
    """Apply one item of a LUT sequence; give the values and their maximum.  PS3.3 C.11.1.1.1."""
    descriptor = table.integers("LUTDescriptor")
    entries = np.array(table.integers("LUTData"), dtype=np.float64)
    if len(descriptor) != 3 or len(entries) == 0:
        return None
    count, first, bits = descriptor
    count = count or 65536
    if len(entries) == count // 2 and bits <= 8:
        # Two 8-bit entries packed in each 16-bit word, the first in the low byte.
        entries = np.stack([entries % 256, entries // 256], axis=1).ravel()
    if len(entries) < count or not 1 <= bits <= 16:
        return None
    if values.min() < 0 and first >= 32768:
        first -= 65536  # the descriptor has the sign of the stored values
    index = np.clip(values - first, 0, count - 1).astype(np.int64)
    return entries[index], float((1 << bits) - 1)


def _palette_table(data: Attributes, codes: Values) -> NDArray[np.uint8]:
    """Give the luma of every palette index (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6)."""
    colours = [_palette(data, name, codes) for name in ("Red", "Green", "Blue")]
    return _eight_bit(np.stack(colours, axis=1) @ _LUMA, 1.0)


def _palette(data: Attributes, name: str, codes: Values) -> Values:
    descriptor = data.integers(f"{name}PaletteColorLookupTableDescriptor")
    raw = data.raw(f"{name}PaletteColorLookupTableData")
    if len(descriptor) != 3 or not raw:
        raise InputRefused(Code.UNSUPPORTED_PIXELS, f"no plain {name.lower()} palette")
    count, first, bits = descriptor[0] or 65536, descriptor[1], descriptor[2]
    words = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2")
    entries = words.astype(np.float64)
    if bits == 8 and len(words) < count:
        entries = np.frombuffer(raw, np.uint8).astype(np.float64)
    if len(entries) < count or bits not in (8, 16):
        raise InputRefused(Code.UNSUPPORTED_PIXELS, f"a {name.lower()} palette that is too short")
    # Some writers say 16 bits and use 8, or the other way round; the values decide.
    top = 255.0 if entries[:count].max() <= 255 else 65535.0
    return np.asarray(entries[np.clip(codes - first, 0, count - 1).astype(np.int64)] / top)
