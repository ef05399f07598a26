"""A DICOM file to a `Cine`, or to the reason why it is none.

What is decided, in this order (docs/dicom.md has it in words):

1. not DICOM, an archive, a DICOMDIR;
2. not an image, an image of another modality, a single frame: skipped;
3. what is left is meant to be a cine, and anything wrong with it is quarantined: no pixel data,
   impossible or missing claims, no usable UIDs, no decoder, fewer bytes than claimed.

A bad value in an attribute that only describes (times, angles, age) never refuses a file.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID, MediaStorageDirectoryStorage

from core.outcomes import Code, InputRefused
from core.schema import CINE_MODALITIES, Cine
from core.uris import uri_of
from embedder.dicom.claims import claims_of, n_frames_of
from embedder.dicom.decoders import decoder_for
from embedder.dicom.describe import (
    Position,
    acquisition_datetime,
    c_arm,
    date,
    frame_time_ms,
    patient,
    patient_age_years,
    patient_sex,
    series_time,
)
from embedder.dicom.frame_table import check_extent, pixel_element
from embedder.dicom.header import Header, is_uid, open_regular, parse_header
from embedder.dicom.words import RUN_TEXTS, run_texts, spoken_term
from embedder.runs import RunFacts

XRAY_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
        "1.2.840.10008.5.1.4.1.1.12.1.1",  # Enhanced XA
        "1.2.840.10008.5.1.4.1.1.12.2",  # X-Ray Radiofluoroscopic
        "1.2.840.10008.5.1.4.1.1.12.2.1",  # Enhanced XRF
        "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane (retired)
    }
)
"""SOP classes of X-ray cines."""
_VOLUMES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.13.1.1",  # X-Ray 3D Angiographic
        "1.2.840.10008.5.1.4.1.1.13.1.2",  # X-Ray 3D Craniofacial
    }
)
"""Reconstructed volumes: modality XA, many frames, and no cine."""
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""The class of one frame; those of several (PS3.3 A.8) add a number to it."""

_MODALITIES = frozenset(
    {
        "AR", "ASMT", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CT", "CTPROTOCOL", "DG", "DMS",
        "DOC", "DX", "ECG", "EEG", "EMG", "EOG", "EPS", "ES", "FID", "GM", "HC", "HD", "IO", "IOL",
        "IVOCT", "IVUS", "KER", "KO", "LEN", "LS", "M3D", "MG", "MR", "NM", "OAM", "OCT", "OP",
        "OPM", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "OT", "PA", "PLAN", "POS", "PR", "PT",
        "PX", "REG", "RESP", "RF", "RG", "RTDOSE", "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD",
        "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SC", "SEG", "SM", "SMR", "SR", "SRF", "STAIN",
        "TEXTUREMAP", "TG", "US", "VA", "XA", "XAPROTOCOL", "XC",
    }
)  # fmt: skip
"""Defined terms of Modality (PS3.3 C.7.3.1.1.1)."""

_KEYWORDS = (
    # what it is
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID",
    "SeriesInstanceUID", "Modality", "InstanceNumber",
    # who and when
    "PatientID", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "SeriesTime",
    "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime",
    # how it was taken
    "FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate",
    "PositionerPrimaryAngle", "PositionerSecondaryAngle",
    "PositionerPrimaryAngleIncrement", "PositionerSecondaryAngleIncrement",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    # whether it counts
    "ImageType", "RadiationSetting", *RUN_TEXTS,
    # pixels
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence",
    "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "IconImageSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip
HEADER_TAGS = frozenset(tag for name in _KEYWORDS if (tag := tag_for_keyword(name)) is not None)
"""Every element that this package looks at."""


def read_header(path: Path, *, modalities: frozenset[str] = frozenset(CINE_MODALITIES)) -> Cine:
    """Read the header of a file that may be a cine: `read_run` without the facts."""
    return read_run(path, modalities=modalities)[0]


def read_run(
    path: Path, *, modalities: frozenset[str] = frozenset(CINE_MODALITIES)
) -> tuple[Cine, RunFacts]:
    """Read the header of a file that may be a cine; its pixel data is not read.

    Parameters
    ----------
    path : Path
        Any file.
    modalities : frozenset of str
        Values of Modality that are admitted.  The X-ray angiography and fluoroscopy SOP classes
        always are.

    Returns
    -------
    cine : Cine
    facts : RunFacts
        What tells whether the run counts.

    Raises
    ------
    InputRefused
        With the code of why it is no cine, or none that can be read.
    """
    file, status = open_regular(path)
    try:
        with file:
            header = parse_header(file, status.st_size, tags=HEADER_TAGS)
            _refuse_other_objects(header, modalities)
            _refuse_damaged(header)
            position = c_arm(header.data)
            cine = _cine(header, path, position)
            return cine, _facts(header, cine, position)
    except OSError as error:
        raise InputRefused(Code.UNREADABLE, error.strerror or "") from error


def _refuse_other_objects(header: Header, modalities: frozenset[str]) -> None:
    """Skip what is readable and is no cine."""
    data = header.data
    sop_class = data.text("SOPClassUID") or header.meta.text("MediaStorageSOPClassUID")
    modality = data.text("Modality").upper()
    if not (sop_class or modality) and (header.error or header.cut):
        raise InputRefused(Code.BAD_HEADER, "the data set ends before it says what it is")
    if sop_class == MediaStorageDirectoryStorage:
        raise InputRefused(Code.DICOMDIR)
    if sop_class in _VOLUMES:
        raise InputRefused(Code.OTHER_MODALITY, "a reconstructed volume, not a cine")
    if sop_class not in XRAY_CLASSES:
        if _is_no_image(header, sop_class, modality in modalities):
            raise InputRefused(Code.NOT_AN_IMAGE, _kind(sop_class, modality))
        if modality not in modalities:
            raise InputRefused(Code.OTHER_MODALITY, _kind(sop_class, modality))
    if header.error:
        raise InputRefused(Code.BAD_HEADER, f"reading it ended with {header.error}")
    has_pixels = header.pixels is not None and "Rows" in data and "Columns" in data
    if has_pixels and n_frames_of(header) == 1:
        raise InputRefused(Code.SINGLE_FRAME)


def _is_no_image(header: Header, sop_class: str, admitted: bool) -> bool:
    keyword = UID(sop_class).keyword if is_uid(sop_class) else ""
    if keyword:
        # Parametric maps, segmentations and dose grids have pixels but are not called images;
        # they have a modality of their own and are told by that.
        return "Image" not in keyword and "Rows" not in header.data
    return not admitted and not ("Rows" in header.data and "Columns" in header.data)


def _kind(sop_class: str, modality: str) -> str:
    """Describe an object in words that hold nothing of the patient."""
    known = UID(sop_class).keyword if is_uid(sop_class) else ""
    name = UID(sop_class).name if known else "an object of unknown kind"
    # A broken code string could hold anything, so none but a known one is repeated.
    said = modality if modality in _MODALITIES else "unknown" if modality else "not given"
    return f"{name}, modality {said}"


def _refuse_damaged(header: Header) -> None:
    """Quarantine a would-be cine with anything wrong."""
    pixel_element(header)
    claims = claims_of(header)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID"):
        if not is_uid(header.data.text(keyword)):
            raise InputRefused(Code.MISSING_ATTRIBUTE, f"no valid {keyword}")
    if claims.n_frames == 1:
        raise InputRefused(Code.SINGLE_FRAME)
    decoder = decoder_for(header.transfer_syntax)
    check_extent(header, claims, encapsulated=decoder.encapsulated)


def _facts(header: Header, cine: Cine, position: Position) -> RunFacts:
    data = header.data
    sop_class = data.text("SOPClassUID") or header.meta.text("MediaStorageSOPClassUID")
    # Of an X-ray image, SECONDARY may only mean that it was compressed or edge-enhanced for
    # exchange: it is told from a screen capture by its class.
    is_secondary = [value.upper() for value in data.texts("ImageType")[1:2]] == ["SECONDARY"]
    return RunFacts(
        n_frames=cine.n_frames,
        frame_time_ms=cine.frame_time_ms,
        swept_deg=position.swept_deg,
        is_capture=is_secondary and f"{sop_class}.".startswith(f"{_SECONDARY_CAPTURE}."),
        # Enumerated values SC (fluoroscopic level) and GR (diagnostic level), PS3.3 C.8.7.3.
        is_low_dose=data.text("RadiationSetting").upper() == "SC",
        term=spoken_term(run_texts(data)),
    )


def _cine(header: Header, path: Path, position: Position) -> Cine:
    data = header.data
    claims = claims_of(header)
    study_date: dt.date | None = date(data.text("StudyDate"))
    patient_id, known = patient(data)
    series_uid = data.text("SeriesInstanceUID")
    number = data.integers("InstanceNumber")
    return Cine(
        sop_uid=data.text("SOPInstanceUID"),
        study_uid=data.text("StudyInstanceUID"),
        series_uid=series_uid if is_uid(series_uid) else "",
        patient_id=patient_id,
        patient_known=known,
        patient_sex=patient_sex(data),
        patient_age_years=patient_age_years(data, study_date),
        study_date=study_date,
        series_time=series_time(data),
        acquisition_datetime=acquisition_datetime(data),
        instance_number=number[0] if number and abs(number[0]) < 2**31 else None,
        view=position.view,
        primary_angle_deg=position.primary_deg,
        secondary_angle_deg=position.secondary_deg,
        n_frames=claims.n_frames,
        frame_time_ms=frame_time_ms(data),
        rows=claims.rows,
        columns=claims.columns,
        transfer_syntax_uid=header.transfer_syntax,
        source_uri=uri_of(path),
    )
