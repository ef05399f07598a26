"""Identifiers of phantoms: the same cohort, patient, exam and run always have the same ones."""

from __future__ import annotations

import hashlib
from typing import Final

_DOMAIN: Final = "angioatlas/phantom/1"


def patient_id(seed: int, index: int) -> str:
    """Return the PatientID, such as ``PHANTOM-3000-00017``."""
    return f"PHANTOM-{seed}-{index:05d}"


def study_uid(seed: int, patient: int, exam: int) -> str:
    """Return the StudyInstanceUID of an exam.

    Parameters
    ----------
    seed : int
        Of the cohort.
    patient : int
        The patient's index in it.
    exam : int
        The exam's study number, from 1.
    """
    return _uid("study", seed, patient, exam)


def series_uid(seed: int, patient: int, exam: int, run: int) -> str:
    """Return the SeriesInstanceUID of a run (from 1); every run is a series of its own."""
    return _uid("series", seed, patient, exam, run)


def sop_uid(seed: int, patient: int, exam: int, run: int) -> str:
    """Return the SOPInstanceUID of a run (from 1)."""
    return _uid("instance", seed, patient, exam, run)


def run_file(patient: str, exam: int, run: int) -> str:
    """Return where the file of a run (from 1) lies in a cohort's folder, with forward slashes."""
    return f"dicom/{patient}/{exam}/{run}.dcm"


def _uid(kind: str, *numbers: int) -> str:
    # A UUID under the root 2.25 (DICOM PS3.5 B.2), of version 8, "custom" (RFC 9562, section 5.8).
    name = "/".join([_DOMAIN, kind, *map(str, numbers)])
    raw = bytearray(hashlib.sha256(name.encode()).digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return f"2.25.{int.from_bytes(raw)}"
