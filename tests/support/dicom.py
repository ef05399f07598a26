"""Small synthetic X-ray cines in any transfer syntax that the embedder reads."""

import struct
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import config, dcmwrite, uid
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.tag import Tag

XA_CLASS = "1.2.840.10008.5.1.4.1.1.12.1"
Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Offsets = Literal["basic", "extended", "empty"]

LOSSLESS = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.RLELossless,
)
LOSSY = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
    uid.HTJ2K,
)


def moving_frames(
    n_frames: int = 20, rows: int = 48, columns: int = 64, *, bits: int = 8, seed: int = 0
) -> Pixels:
    """Make a bright bar that moves over a smooth background, a different picture each frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    phase = rng.uniform(0, 6, size=2)
    frames = np.empty((n_frames, rows, columns))
    for i in range(n_frames):
        background = 0.4 + 0.2 * np.sin(x / 9 + phase[0]) * np.cos(y / 7 + phase[1] + i / 9)
        bar = np.exp(-(((x - columns * (i + 0.5) / n_frames) / 3) ** 2))
        frames[i] = np.clip(background + 0.35 * bar, 0, 1)
    top = (1 << bits) - 1
    stored = frames * top
    return stored.astype(np.uint8) if bits <= 8 else stored.astype(np.uint16)


def write_cine(
    path: Path,
    frames: Pixels | None = None,
    *,
    transfer_syntax: str = uid.ExplicitVRLittleEndian,
    bits_stored: int | None = None,
    offsets: Offsets = "basic",
    fragments: int = 1,
    **attributes: Any,
) -> Path:
    """Write a multi-frame X-ray angiogram.

    Parameters
    ----------
    path : Path
        Written; its folder is made.
    frames : uint8 or uint16 array of shape (n, rows, columns) or (n, rows, columns, 3), optional
        Stored values; `moving_frames()` when absent.
    transfer_syntax : str
        One of `LOSSLESS` or `LOSSY`.
    bits_stored : int, optional
        All bits of the array's type when absent.
    offsets : str
        Which offset table encapsulated pixel data gets.
    fragments : int
        Fragments per frame of encapsulated pixel data.
    **attributes
        DICOM keywords and values; None removes the attribute.
    """
    pixels = moving_frames() if frames is None else frames
    syntax = uid.UID(transfer_syntax)
    stored = bits_stored or pixels.dtype.itemsize * 8
    sop_uid = attributes.get("SOPInstanceUID") or uid.generate_uid()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.UID(attributes.get("SOPClassUID") or XA_CLASS)
    meta.MediaStorageSOPInstanceUID = uid.UID(sop_uid)
    meta.TransferSyntaxUID = syntax
    data = Dataset()
    data.file_meta = meta
    for keyword, value in {**_defaults(pixels, stored, sop_uid), **attributes}.items():
        if value is not None:
            setattr(data, keyword, value)
    if syntax.is_encapsulated:
        encoded = [_encode(frame, syntax, stored) for frame in pixels]
        _encapsulate(data, encoded, offsets, fragments)
    else:
        big = syntax == uid.ExplicitVRBigEndian
        raw = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
        data.PixelData = raw + b"\0" * (len(raw) % 2)
        data["PixelData"].VR = "OB" if pixels.dtype == np.uint8 else "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, data, enforce_file_format=True)
    return path


def patch(path: Path, keyword: str, value: bytes) -> Path:
    """Put any bytes in place of a value of an explicit little endian file."""
    tag = Tag(keyword)
    start = struct.pack("<HH2s", tag.group, tag.element, dictionary_VR(tag).encode())
    content = path.read_bytes()
    if content.count(start) != 1:
        raise ValueError(f"{keyword} is there {content.count(start)} times")
    at = content.index(start) + len(start)
    (length,) = struct.unpack_from("<H", content, at)
    value += b" " * (len(value) % 2)
    path.write_bytes(
        content[:at] + struct.pack("<H", len(value)) + value + content[at + 2 + length :]
    )
    return path


def write_dicomdir(path: Path, references: list[str]) -> Path:
    """Write a DICOMDIR whose records reference these File IDs, valid or not."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    records = []
    for reference in references:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        # Not validated: the test writes what pydicom would warn of.
        tag = Tag("ReferencedFileID")
        values = reference.split("\\")
        record.add(DataElement(tag, "CS", values, validation_mode=config.IGNORE))
        records.append(record)
    data.DirectoryRecordSequence = [Dataset(), *records]
    data.save_as(path, enforce_file_format=True)
    return path


def _defaults(pixels: Pixels, stored: int, sop_uid: str) -> dict[str, Any]:
    colour = pixels.ndim == 4
    return {
        "SOPClassUID": XA_CLASS,
        "SOPInstanceUID": sop_uid,
        "StudyInstanceUID": uid.generate_uid(),
        "SeriesInstanceUID": uid.generate_uid(),
        "Modality": "XA",
        "PatientID": "P1",
        "PatientName": "Test^Cine",
        "PatientSex": "F",
        "PatientAge": "063Y",
        "StudyDate": "20240131",
        "SeriesTime": "101500",
        "AcquisitionDate": "20240131",
        "AcquisitionTime": "101530.25",
        "InstanceNumber": 1,
        "FrameTime": 66.67,
        "PositionerPrimaryAngle": 30.0,
        "PositionerSecondaryAngle": -20.0,
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "PlanarConfiguration": 0 if colour else None,
        "NumberOfFrames": pixels.shape[0],
        "Rows": pixels.shape[1],
        "Columns": pixels.shape[2],
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": 0,
    }


def _encode(frame: Pixels, syntax: uid.UID, stored: int) -> bytes:
    """Encode one frame."""
    if syntax == uid.RLELossless:
        return RLELosslessEncoder.encode(
            frame.tobytes(),
            rows=frame.shape[0],
            columns=frame.shape[1],
            samples_per_pixel=3 if frame.ndim == 3 else 1,
            bits_allocated=frame.dtype.itemsize * 8,
            bits_stored=stored,
            pixel_representation=0,
            photometric_interpretation="RGB" if frame.ndim == 3 else "MONOCHROME2",
            number_of_frames=1,
            planar_configuration=0,
        )
    encoders = {
        uid.JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(frame, level=95),
        uid.JPEGExtended12Bit: lambda: imagecodecs.jpeg8_encode(
            frame, level=95, bitspersample=8 if frame.dtype == np.uint8 else 12
        ),
        uid.JPEGLossless: lambda: imagecodecs.jpeg8_encode(frame, lossless=True, predictor=4),
        uid.JPEGLosslessSV1: lambda: imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1),
        uid.JPEGLSLossless: lambda: imagecodecs.jpegls_encode(frame, level=0),
        uid.JPEGLSNearLossless: lambda: imagecodecs.jpegls_encode(frame, level=2),
        uid.JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(
            frame, codecformat="j2k", reversible=True, mct=False
        ),
        uid.JPEG2000: lambda: imagecodecs.jpeg2k_encode(
            frame, level=45, codecformat="j2k", reversible=False, mct=False
        ),
        uid.HTJ2KLossless: lambda: imagecodecs.htj2k_encode(frame, reversible=True),
        uid.HTJ2K: lambda: imagecodecs.htj2k_encode(frame, level=0.001, reversible=False),
    }
    return bytes(encoders[syntax]())


def _encapsulate(data: Dataset, encoded: list[bytes], offsets: Offsets, fragments: int) -> None:
    if offsets == "extended":
        # Each frame must be of even length for the lengths of the table to be right.
        even = [frame + b"\0" * (len(frame) % 2) for frame in encoded]
        pixel_data, table, lengths = encapsulate_extended(even)
        data.PixelData = pixel_data
        data.ExtendedOffsetTable = table
        data.ExtendedOffsetTableLengths = lengths
    elif fragments == 1:
        data.PixelData = encapsulate(encoded, has_bot=offsets == "basic")
    else:
        data.PixelData = _in_fragments(encoded, fragments, with_table=offsets == "basic")
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True


def _in_fragments(encoded: list[bytes], fragments: int, *, with_table: bool) -> bytes:
    starts, items, position = [], [], 0
    for frame in encoded:
        starts.append(position)
        step = -(-len(frame) // fragments)
        step += step % 2
        for at in range(0, len(frame), step):
            part = frame[at : at + step]
            part += b"\0" * (len(part) % 2)
            items.append(_item(part))
            position += len(items[-1])
    table = struct.pack(f"<{len(starts)}L", *starts) if with_table else b""
    return _item(table) + b"".join(items) + struct.pack("<LL", 0xE0DDFFFE, 0)


def _item(value: bytes) -> bytes:
    return struct.pack("<LL", 0xE000FFFE, len(value)) + value
