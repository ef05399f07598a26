"""Write a run of phantom pictures as one valid multi-frame X-ray angiogram.

The object is the X-Ray Angiographic Image IOD (DICOM PS3.3 A.14) with its mandatory modules, and of
the others those of which a phantom has facts: Patient Study, Contrast/Bolus, Cine, Multi-frame.
That nobody was examined is said where programs look (Synthetic Data), and where people do (study
description, image comments, model name).
"""

from __future__ import annotations

import datetime as dt
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from core.provenance import RESEARCH_USE, software_version
from phantom.files.transfer_syntax import TransferSyntax
from phantom.picture.acquisition import Acquisition
from phantom.picture.projection import SOURCE_TO_CENTRE_MM

Grey = NDArray[np.uint8]

SYNTHETIC: Final = "SYNTHETIC: a phantom computed by AngioAtlas, of no patient. " + RESEARCH_USE
SOURCE_TO_DETECTOR_MM: Final = 1100.0
"""From the focal spot; the field of view of a run is that at the heart, which is nearer."""
MAGNIFICATION: Final = SOURCE_TO_DETECTOR_MM / SOURCE_TO_CENTRE_MM
TUBE_KV: Final = 80
"""Nominal: the pictures are of one energy, and no spectrum is computed."""
JPEG_QUALITY: Final = 92
"""Of 100, in the scale of the Independent JPEG Group."""


@dataclass(frozen=True)
class PatientFacts:
    """Who is shown: somebody invented.

    Attributes
    ----------
    patient_id : str
    name : str
        In DICOM's form, family name and given name parted by ``^``; never a person's.
    sex : {"M", "F"}
    birth_date : datetime.date
    """

    patient_id: str
    name: str
    sex: Literal["M", "F"]
    birth_date: dt.date


@dataclass(frozen=True)
class RunIdentity:
    """Which run of which exam a file holds.

    Attributes
    ----------
    study_uid, series_uid, sop_uid : str
    study_number, run_number : int
        From 1: of the patient's exams, of the exam's runs.
    study_started, started : datetime.datetime
        When the exam and the run began.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    study_number: int
    run_number: int
    study_started: dt.datetime
    started: dt.datetime


def write_run(
    path: Path,
    frames: Grey,
    *,
    patient: PatientFacts,
    run: RunIdentity,
    acquisition: Acquisition,
    transfer_syntax: TransferSyntax,
) -> None:
    """Write a run as a DICOM file: whole or, if the process dies, not at all.

    The same arguments make the same bytes.

    Parameters
    ----------
    path : Path
        Its folder is there.
    frames : uint8 array of shape (n, rows, columns)
        Grey, 0 black; ``n`` is that of the acquisition.
    patient : PatientFacts
    run : RunIdentity
    acquisition : Acquisition
        Its angles are written to a tenth of a degree, its frame time to a microsecond.
    transfer_syntax : TransferSyntax

    Raises
    ------
    ValueError
        When the frames are not as described.
    """
    if frames.dtype != np.uint8 or frames.ndim != 3 or len(frames) != acquisition.n_frames:
        raise ValueError(
            f"expected {acquisition.n_frames} grey frames of bytes, "
            f"found {frames.dtype} of shape {frames.shape}"
        )
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.UID(transfer_syntax.uid)
    facts = {
        **_patient(patient, run.study_started.date()),
        **_study_and_series(run, acquisition),
        **_image(run, acquisition),
        **_x_ray(frames, acquisition),
        **_pixel_format(frames),
    }
    for keyword, value in facts.items():
        setattr(data, keyword, value)
    _put_pixels(data, frames, transfer_syntax)
    # Beside the target: a rename within a folder is atomic.
    part = path.with_name(f"{path.name}.part")
    dcmwrite(part, data, enforce_file_format=True)
    part.replace(path)


def _patient(patient: PatientFacts, on: dt.date) -> dict[str, Any]:
    """Fill Patient and Patient Study (PS3.3 C.7.1.1, C.7.2.2)."""
    born = patient.birth_date
    age = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    return {
        "PatientName": patient.name,
        "PatientID": patient.patient_id,
        "PatientBirthDate": _date(born),
        "PatientSex": patient.sex,
        "PatientAge": f"{age:03d}Y",
    }


def _study_and_series(run: RunIdentity, acquisition: Acquisition) -> dict[str, Any]:
    """Fill General Study, Series and Equipment (PS3.3 C.7.2.1, C.7.3.1, C.7.5.1).

    Each run is a series of its own, as on most angiographic equipment, whose description names it.
    """
    return {
        "StudyInstanceUID": run.study_uid,
        "StudyID": str(run.study_number),
        "StudyDate": _date(run.study_started),
        "StudyTime": _time(run.study_started),
        "StudyDescription": "Phantom coronary angiography, synthetic",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Modality": "XA",
        "SeriesInstanceUID": run.series_uid,
        "SeriesNumber": run.run_number,
        "SeriesDate": _date(run.started),
        "SeriesTime": _time(run.started),
        "SeriesDescription": description(acquisition),
        "BodyPartExamined": "HEART",
        "PatientPosition": "HFS",
        "Manufacturer": "AngioAtlas",
        "ManufacturerModelName": "phantom",
        "SoftwareVersions": software_version(),
    }


def _image(run: RunIdentity, acquisition: Acquisition) -> dict[str, Any]:
    """Fill General Image and Acquisition, Contrast/Bolus, SOP Common (PS3.3 C.7.6, C.12.1)."""
    return {
        "SOPClassUID": uid.XRayAngiographicImageStorage,
        "SOPInstanceUID": run.sop_uid,
        "SyntheticData": "YES",
        "ImageType": ["ORIGINAL", "PRIMARY", "SINGLE PLANE"],
        "ImageComments": SYNTHETIC,
        "InstanceNumber": run.run_number,
        "PatientOrientation": "",
        "BurnedInAnnotation": "NO",
        "ContentDate": _date(run.started),
        "ContentTime": _time(run.started),
        "AcquisitionNumber": run.run_number,
        "AcquisitionDateTime": run.started.strftime("%Y%m%d%H%M%S.%f"),
        "AcquisitionDuration": acquisition.n_frames * acquisition.frame_time_ms / 1000,
        "ContrastBolusAgent": "computed iodine",
    }


def _x_ray(frames: Grey, acquisition: Acquisition) -> dict[str, Any]:
    """Fill Cine, Multi-frame, X-Ray Image and Acquisition, XA Positioner (PS3.3 C.7.6, C.8.7)."""
    detector_mm = acquisition.field_of_view_mm * MAGNIFICATION
    rate = round(1000 / acquisition.frame_time_ms)
    return {
        "NumberOfFrames": len(frames),
        "FrameIncrementPointer": 0x00181063,  # FrameTime
        "FrameTime": round(acquisition.frame_time_ms, 3),
        "CineRate": rate,
        "RecommendedDisplayFrameRate": rate,
        # The grey curve of a phantom is that of a picture to be looked at.
        "PixelIntensityRelationship": "DISP",
        "KVP": TUBE_KV,
        # No dose is computed: these are of type 2C, and empty means unknown.
        "ExposureTime": None,
        "XRayTubeCurrent": None,
        "Exposure": None,
        "RadiationSetting": "GR",
        "IntensifierSize": round(detector_mm, 3),
        "ImagerPixelSpacing": [
            round(detector_mm / frames.shape[1], 6),
            round(detector_mm / frames.shape[2], 6),
        ],
        "PositionerMotion": "STATIC",
        "PositionerPrimaryAngle": round(acquisition.primary_deg, 1),
        "PositionerSecondaryAngle": round(acquisition.secondary_deg, 1),
        "DistanceSourceToDetector": SOURCE_TO_DETECTOR_MM,
        "DistanceSourceToPatient": SOURCE_TO_CENTRE_MM,
        "EstimatedRadiographicMagnificationFactor": round(MAGNIFICATION, 6),
    }


def _pixel_format(frames: Grey) -> dict[str, Any]:
    """Fill Image Pixel (PS3.3 C.7.6.3) but for the pixels."""
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": frames.shape[1],
        "Columns": frames.shape[2],
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
    }


def _put_pixels(data: Dataset, frames: Grey, transfer_syntax: TransferSyntax) -> None:
    if transfer_syntax is TransferSyntax.EXPLICIT:
        data.PixelData = frames.tobytes() + b"\0" * (frames.size % 2)
        data["PixelData"].VR = "OB"
    else:
        encoded = [_encoded(frame, transfer_syntax) for frame in frames]
        data.PixelData = encapsulate(encoded)
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        if transfer_syntax.lossy:
            data.LossyImageCompressionRatio = round(frames.size / sum(map(len, encoded)), 2)
            data.LossyImageCompressionMethod = "ISO_10918_1"
    data.LossyImageCompression = "01" if transfer_syntax.lossy else "00"


def _encoded(frame: Grey, transfer_syntax: TransferSyntax) -> bytes:
    encoded: bytes | bytearray
    match transfer_syntax:
        case TransferSyntax.RLE:
            encoded = _run_lengths(frame)
        case TransferSyntax.JPEG:
            encoded = imagecodecs.jpeg8_encode(frame, level=JPEG_QUALITY)
        case _:
            encoded = imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1)
    return bytes(encoded)


def _run_lengths(frame: Grey) -> bytes:
    """Encode a frame of bytes as one RLE segment behind its header (PS3.5 G.3 to G.5)."""
    # Each row by itself: the standard wants no run of equal bytes to cross the end of a row.
    segment = bytes(imagecodecs.packbits_encode(frame, axis=-1))
    return struct.pack("<16L", 1, 64, *[0] * 14) + segment + b"\0" * (len(segment) % 2)


def description(acquisition: Acquisition) -> str:
    """Name a run by the injected artery and the C-arm, as equipment does: `LAO 41 CRA 24`."""
    primary, secondary = round(acquisition.primary_deg), round(acquisition.secondary_deg)
    side = f"LAO {primary}" if primary > 0 else f"RAO {-primary}" if primary < 0 else "AP"
    tilt = f" CRA {secondary}" if secondary > 0 else f" CAU {-secondary}" if secondary < 0 else ""
    return f"{acquisition.artery.capitalize()} coronary {side}{tilt}"


def _date(day: dt.date) -> str:
    return day.strftime("%Y%m%d")


def _time(moment: dt.datetime) -> str:
    return moment.strftime("%H%M%S.%f")
