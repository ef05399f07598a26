"""Which decoder reads which transfer syntax, and the one call that decodes a frame.

One library, imagecodecs, reads every compressed syntax here; docs/dicom.md has the measurement
behind that choice.  A decoded frame is either two-dimensional codes (grey values, palette indices,
or the luma of a luma-chroma image) or three-dimensional RGB.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from core.outcomes import Code, InputRefused
from embedder.dicom.claims import Claims
from embedder.dicom.codestream import Stream, jpeg2000_stream, jpeg_stream

Codes = NDArray[np.uint8] | NDArray[np.uint16]
"""Frame of shape (rows, columns) or (rows, columns, 3): unsigned codes, sign bits included."""


@dataclass(frozen=True)
class Decoder:
    """How one transfer syntax is read.

    Attributes
    ----------
    name : str
        Library and codec, for people.
    encapsulated : bool
    decode : callable
        Takes the bytes of one frame and the claims.
    big_endian : bool
    """

    name: str
    encapsulated: bool
    decode: Callable[[bytes, Claims], NDArray[np.generic]]
    big_endian: bool = False


def decoder_for(transfer_syntax: str) -> Decoder:
    """Find the decoder of a transfer syntax.

    Parameters
    ----------
    transfer_syntax : str
        A UID.

    Raises
    ------
    InputRefused
        `UNSUPPORTED_TRANSFER_SYNTAX`.
    """
    decoder = _DECODERS.get(transfer_syntax)
    if decoder is None:
        raise InputRefused(
            Code.UNSUPPORTED_TRANSFER_SYNTAX, f"no decoder for {_named(transfer_syntax)}"
        )
    return decoder


def available() -> dict[str, str | None]:
    """List the transfer syntaxes of images by name, each with its decoder or None."""
    return {
        uid.UID(known).name: _DECODERS[known].name if known in _DECODERS else None
        for known in sorted({*_DECODERS, *_WITHOUT_DECODER})
    }


def decode_frame(data: bytes, claims: Claims, decoder: Decoder) -> Codes:
    """Decode one frame.

    Parameters
    ----------
    data : bytes
        The frame's bytes, fragments joined.
    claims : Claims
        What the DICOM header says; what is decoded must agree with it.
    decoder : Decoder
        From `decoder_for`.

    Returns
    -------
    uint8 or uint16 array of shape (rows, columns) or (rows, columns, 3)
        See `Codes`.

    Raises
    ------
    InputRefused
        `DECODE_FAILED`.
    """
    try:
        decoded = decoder.decode(data, claims)
    except (InputRefused, MemoryError):
        raise
    except Exception as error:  # every codec has errors of its own
        raise InputRefused(
            Code.DECODE_FAILED, f"{decoder.name} failed with {type(error).__name__}"
        ) from error
    expected = {(claims.rows, claims.columns), (claims.rows, claims.columns, 3)}
    if decoded.shape not in expected or decoded.dtype.itemsize > 2:
        raise InputRefused(
            Code.DECODE_FAILED, f"decoded to {decoded.shape} {decoded.dtype}, not as claimed"
        )
    return _as_codes(decoded, claims, exact=not decoder.encapsulated)


def _as_codes(decoded: NDArray[np.generic], claims: Claims, *, exact: bool) -> Codes:
    """Reduce decoded values to codes of `bits_stored` bits."""
    signed = decoded.dtype.kind == "i"
    narrow = decoded.dtype.itemsize == 1
    codes: Codes = decoded.view(np.uint8) if narrow else decoded.view(np.uint16)
    bits = min(claims.bits_stored, 8) if narrow else claims.bits_stored
    top = codes.dtype.type((1 << bits) - 1)
    if exact:
        # Other bits may hold overlays (retired) or padding.
        shift = codes.dtype.type(claims.high_bit - claims.bits_stored + 1)
        return np.bitwise_and(np.right_shift(codes, shift), top)
    if signed or claims.signed:
        # Also where stream and header disagree about the sign: two's complement either way.
        return np.bitwise_and(codes, top)
    # A lossy codec may overshoot the range; wrapping around would turn white to black.
    return np.minimum(codes, top)


def _native(order: str) -> Callable[[bytes, Claims], NDArray[np.generic]]:
    def decode(data: bytes, claims: Claims) -> NDArray[np.generic]:
        values = np.frombuffer(data, f"{order}u{claims.bits_allocated // 8}")
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        return _arranged(values, claims)

    return decode


def _arranged(values: NDArray[np.generic], claims: Claims) -> NDArray[np.generic]:
    """Shape the samples of an uncompressed frame; of luma and chroma only luma is kept."""
    rows, columns = claims.rows, claims.columns
    if claims.samples == 1:
        return values.reshape(rows, columns)
    if claims.photometric == "YBR_FULL_422":
        # Two pixels are four values, Y1 Y2 Cb Cr (PS3.3 C.7.6.3.1.2).
        return values.reshape(-1, 4)[:, :2].reshape(rows, columns)
    if claims.planar:
        pixels = np.moveaxis(values.reshape(3, rows, columns), 0, -1)
    else:
        pixels = values.reshape(rows, columns, 3)
    return pixels[..., 0] if claims.photometric.startswith("YBR") else pixels


def _jpeg(data: bytes, claims: Claims) -> NDArray[np.generic]:
    stream = _agreeing(jpeg_stream(data), claims)
    if stream.samples == 1:
        decoded = imagecodecs.jpeg8_decode(data)
    else:
        # The stream's own colour markers know better than the header; without any, the header.
        ycc = stream.ycc if stream.ycc is not None else claims.photometric.startswith("YBR")
        decoded = (
            imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="GRAYSCALE")
            if ycc
            else imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")
        )
    return np.asarray(decoded)


def _jpegls(data: bytes, claims: Claims) -> NDArray[np.generic]:
    _agreeing(jpeg_stream(data), claims)
    if b"\xff\xd9" not in data[-16:]:
        # CharLS would look for the end of a cut stream through 2^31 zero bits: seconds.
        raise InputRefused(Code.DECODE_FAILED, "a JPEG-LS stream without its end marker")
    return _luma_or_rgb(np.asarray(imagecodecs.jpegls_decode(data)), claims)


def _jpeg2000(data: bytes, claims: Claims) -> NDArray[np.generic]:
    _agreeing(jpeg2000_stream(data), claims)
    decoded = np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=1))
    return _luma_or_rgb(decoded, claims)


def _rle(data: bytes, claims: Claims) -> NDArray[np.generic]:
    kind = np.dtype(f"<u{claims.bits_allocated // 8}")
    shape = (claims.samples, claims.rows, claims.columns)
    decoded = imagecodecs.dicomrle_decode(data, kind, out=math.prod(shape) * kind.itemsize)
    planes = np.frombuffer(decoded, kind).reshape(shape)
    return planes[0] if claims.samples == 1 else _luma_or_rgb(np.moveaxis(planes, 0, -1), claims)


def _luma_or_rgb(decoded: NDArray[np.generic], claims: Claims) -> NDArray[np.generic]:
    # YBR_RCT and YBR_ICT are undone by the codec: what comes out is RGB.
    is_luma_chroma = claims.photometric in ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422")
    return decoded[..., 0] if decoded.ndim == 3 and is_luma_chroma else decoded


def _agreeing(stream: Stream, claims: Claims) -> Stream:
    """Compare the stream's header with the DICOM header, before anything is allocated by it."""
    found = (stream.rows, stream.columns, stream.samples)
    claimed = (claims.rows, claims.columns, claims.samples)
    if found != claimed or stream.precision > claims.bits_allocated:
        raise InputRefused(
            Code.DECODE_FAILED,
            f"the compressed frame says {found} at {stream.precision} bits, the header {claimed}",
        )
    return stream


def _named(transfer_syntax: str) -> str:
    name = uid.UID(transfer_syntax).name
    return name if name == transfer_syntax else f"{name} ({transfer_syntax})"


_UNCOMPRESSED = Decoder("numpy", encapsulated=False, decode=_native("<"))
_JPEG = Decoder("imagecodecs jpeg8 (libjpeg-turbo)", encapsulated=True, decode=_jpeg)
_JPEG_LS = Decoder("imagecodecs jpegls (CharLS)", encapsulated=True, decode=_jpegls)
_JPEG_2000 = Decoder("imagecodecs jpeg2k (OpenJPEG)", encapsulated=True, decode=_jpeg2000)

_DECODERS: dict[str, Decoder] = {
    uid.ImplicitVRLittleEndian: _UNCOMPRESSED,
    uid.ExplicitVRLittleEndian: _UNCOMPRESSED,
    uid.DeflatedExplicitVRLittleEndian: _UNCOMPRESSED,
    uid.ExplicitVRBigEndian: Decoder(
        "numpy", encapsulated=False, decode=_native(">"), big_endian=True
    ),
    uid.JPEGBaseline8Bit: _JPEG,
    uid.JPEGExtended12Bit: _JPEG,
    "1.2.840.10008.1.2.4.53": _JPEG,  # spectral selection (retired)
    "1.2.840.10008.1.2.4.55": _JPEG,  # full progression (retired)
    uid.JPEGLossless: _JPEG,
    uid.JPEGLosslessSV1: _JPEG,
    uid.JPEGLSLossless: _JPEG_LS,
    uid.JPEGLSNearLossless: _JPEG_LS,
    uid.JPEG2000Lossless: _JPEG_2000,
    uid.JPEG2000: _JPEG_2000,
    uid.HTJ2KLossless: _JPEG_2000,
    uid.HTJ2KLosslessRPCL: _JPEG_2000,
    uid.HTJ2K: _JPEG_2000,
    uid.RLELossless: Decoder("imagecodecs dicomrle", encapsulated=True, decode=_rle),
}
_WITHOUT_DECODER = (
    uid.JPEG2000MCLossless,
    uid.JPEG2000MC,
    uid.MPEG2MPML,
    uid.MPEG2MPHL,
    uid.MPEG4HP41,
    uid.MPEG4HP41BD,
    uid.HEVCMP51,
)
