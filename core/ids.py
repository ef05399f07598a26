"""Identity: what a store holds in place of patient ids and UIDs, and the private way back.

A store is made in one of two modes.  *Pseudonymised*: patient ids and UIDs are replaced by keyed
hashes (HMAC-SHA256, RFC 2104) of a secret that never enters the store, and dates may be shifted by
one constant per patient.  *Kept*: identifiers stay as they are, by explicit choice.  Nothing here
touches pixels or free text.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import hmac
import os
import secrets
from abc import ABC, abstractmethod
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar, final

from core.errors import IdentityError
from core.schema import Cine

MIN_KEY_BYTES: Final = 16
MAX_SHIFT_DAYS: Final = 365
UNKNOWN_PREFIX: Final = "unknown-"
_KEY_HEADER: Final = "angioatlas-identity-key-1:"

_Date = TypeVar("_Date", dt.date, dt.datetime)


class IdentityMode(StrEnum):
    """How identifiers enter the store."""

    PSEUDONYMISED = "pseudonymised"
    KEPT = "kept"


@dataclasses.dataclass(frozen=True)
class IdentityRecord:
    """What a store remembers of the identity it was made with: never the key.

    Parameters
    ----------
    mode : IdentityMode
        Pseudonymised or kept.
    key_fingerprint : str or None
        Sixteen hex digits that tell keys apart and reveal nothing of them; None when kept.
    shift_dates : bool
        Whether dates are shifted by a constant per patient.
    """

    mode: IdentityMode
    key_fingerprint: str | None = None
    shift_dates: bool = False


class Identity(ABC):
    """Maps original identifiers to those of the store."""

    @property
    @abstractmethod
    def record(self) -> IdentityRecord:
        """What the store keeps of this identity."""

    @property
    def fingerprint(self) -> str | None:
        """The key's fingerprint; None when identifiers are kept."""
        return self.record.key_fingerprint

    @abstractmethod
    def uid(self, original: str) -> str:
        """Return the store's UID for an original UID."""

    @abstractmethod
    def patient(self, original: str) -> str:
        """Return the store's patient id for an original, known PatientID."""

    @abstractmethod
    def unknown_patient(self, study_uid: str) -> str:
        """Return the id of the unknown patient who is this (original) study alone."""

    @abstractmethod
    def label(self, original: str) -> str:
        """Return the store's id for the original id of a label, such as a laboratory number."""

    @abstractmethod
    def shift_days(self, patient_id: str) -> int:
        """Return the whole days by which dates of the *store's* `patient_id` are moved."""

    @final
    def cine(self, original: Cine) -> Cine:
        """Return `original` with every identifier and date as the store holds them.

        The age stays as recorded.  `source_uri` stays too: the ledger needs it to recognise the
        file again, so folder and file names should not name patients.
        """
        patient_id = (
            self.patient(original.patient_id)
            if original.patient_known
            else self.unknown_patient(original.study_uid)
        )
        shift = dt.timedelta(days=self.shift_days(patient_id))
        return dataclasses.replace(
            original,
            sop_uid=self.uid(original.sop_uid),
            study_uid=self.uid(original.study_uid),
            series_uid=self.uid(original.series_uid) if original.series_uid else "",
            patient_id=patient_id,
            study_date=_moved(original.study_date, shift),
            acquisition_datetime=_moved(original.acquisition_datetime, shift),
        )

    @final
    def resolve_uid(self, uid: str) -> tuple[str, ...]:
        """Return the store UIDs that `uid` may mean: itself, then its surrogate."""
        return tuple(dict.fromkeys((uid, self.uid(uid))))

    @final
    def resolve_patient(self, patient_id: str) -> tuple[str, ...]:
        """Return the store patient ids that `patient_id` may mean: itself, then its pseudonym."""
        return tuple(dict.fromkeys((patient_id, self.patient(patient_id))))


@final
class KeptIdentity(Identity):
    """Identifiers as they are in the files; dates never move."""

    @property
    def record(self) -> IdentityRecord:
        """What the store keeps of this identity."""
        return IdentityRecord(IdentityMode.KEPT)

    def uid(self, original: str) -> str:
        """Return `original`."""
        return original

    def patient(self, original: str) -> str:
        """Return `original` without padding."""
        return _unpadded(original)

    def unknown_patient(self, study_uid: str) -> str:
        """Return the study UID behind the prefix ``unknown-``."""
        return UNKNOWN_PREFIX + study_uid

    def label(self, original: str) -> str:
        """Return `original`."""
        return original

    def shift_days(self, patient_id: str) -> int:
        """Return 0."""
        return 0


@final
class PseudonymisedIdentity(Identity):
    """Keyed hashes in place of identifiers.

    Every use of the key is separated by a domain word inside the HMAC, so that a patient id that
    happens to equal a UID has an unrelated hash.

    Parameters
    ----------
    key : bytes
        The secret, at least 16 bytes.
    shift_dates : bool
        Move all dates of a patient by one constant of 1 to 365 whole days, back or forth.

    Raises
    ------
    IdentityError
        When the key is too short.
    """

    def __init__(self, key: bytes, *, shift_dates: bool = False) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise IdentityError(
                f"the identity key has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed",
                "the first `angioatlas embed` into a new store makes one",
            )
        self._key = key
        self._shift_dates = shift_dates

    def __repr__(self) -> str:
        return f"PseudonymisedIdentity(fingerprint={self.fingerprint!r})"

    @property
    def record(self) -> IdentityRecord:
        """What the store keeps of this identity."""
        fingerprint = self._hash("fingerprint", "").hex()[:16]
        return IdentityRecord(IdentityMode.PSEUDONYMISED, fingerprint, self._shift_dates)

    def uid(self, original: str) -> str:
        """Return the surrogate: a UUID of 16 hash bytes under the root 2.25 (DICOM PS3.5 B.2)."""
        raw = bytearray(self._hash("uid", original)[:16])
        raw[6] = (raw[6] & 0x0F) | 0x80  # version 8, "custom" (RFC 9562, section 5.8)
        raw[8] = (raw[8] & 0x3F) | 0x80  # the variant of RFC 9562
        return f"2.25.{int.from_bytes(raw)}"

    def patient(self, original: str) -> str:
        """Return 32 hex digits."""
        return self._hash("patient", _unpadded(original)).hex()[:32]

    def unknown_patient(self, study_uid: str) -> str:
        """Return 32 hex digits of the study behind the prefix ``unknown-``."""
        return UNKNOWN_PREFIX + self._hash("unknown-patient", study_uid).hex()[:32]

    def label(self, original: str) -> str:
        """Return 32 hex digits."""
        return self._hash("label", original).hex()[:32]

    def shift_days(self, patient_id: str) -> int:
        """Return the patient's constant, in ±1..365; 0 when dates are not shifted."""
        if not self._shift_dates:
            return 0
        draw = int.from_bytes(self._hash("date-shift", patient_id)[:8]) % (2 * MAX_SHIFT_DAYS)
        return draw - MAX_SHIFT_DAYS if draw < MAX_SHIFT_DAYS else draw - MAX_SHIFT_DAYS + 1

    def _hash(self, domain: str, text: str) -> bytes:
        message = f"angioatlas/1/{domain}\0{text}".encode()
        return hmac.new(self._key, message, hashlib.sha256).digest()


def open_identity(record: IdentityRecord, key: bytes | None) -> Identity:
    """Return the identity that a store was made with.

    Parameters
    ----------
    record : IdentityRecord
        The store's record.
    key : bytes or None
        The key; None is right only for a store that keeps identifiers.

    Raises
    ------
    IdentityError
        When the key is missing, or its fingerprint is not the store's.
    """
    if record.mode is IdentityMode.KEPT:
        return KeptIdentity()
    if key is None:
        raise IdentityError(
            f"this store is pseudonymised with the key {record.key_fingerprint}, and none is given",
            "name the key file in the settings (the setting `identity_key`)",
        )
    identity = PseudonymisedIdentity(key, shift_dates=record.shift_dates)
    if identity.fingerprint != record.key_fingerprint:
        raise IdentityError(
            f"the identity key has the fingerprint {identity.fingerprint}; this store was made "
            f"with {record.key_fingerprint}",
            "name the key file that this store was made with (the setting `identity_key`)",
        )
    return identity


def create_key_file(path: Path) -> bytes:
    """Write a new random 32-byte key to `path`, readable by its owner alone, and return it.

    Raises
    ------
    IdentityError
        When the file exists already (a key is never overwritten) or cannot be written.
    """
    key = secrets.token_bytes(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{_KEY_HEADER}{key.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise IdentityError(
            f"the key file {path} exists already and is not overwritten", "choose another path"
        ) from error
    except OSError as error:
        raise IdentityError(f"the key file {path} cannot be written: {error.strerror}") from error
    return key


def load_key_file(path: Path) -> bytes:
    """Read the key that `create_key_file` wrote.

    Raises
    ------
    IdentityError
        When the file is missing, unreadable, or not a key file.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise IdentityError(
            f"there is no key file {path}", "restore it from its backup; it cannot be made again"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise IdentityError(f"the key file {path} cannot be read") from error
    try:
        if not text.startswith(_KEY_HEADER):
            raise ValueError("no key header")
        key = bytes.fromhex(text.removeprefix(_KEY_HEADER))
    except ValueError as error:
        raise IdentityError(f"{path} is not an AngioAtlas identity key file") from error
    if len(key) < MIN_KEY_BYTES:
        raise IdentityError(f"{path} holds a key of fewer than {MIN_KEY_BYTES} bytes")
    return key


def _unpadded(text: str) -> str:
    # DICOM pads LO values with spaces, and some writers with NUL (PS3.5 6.2).
    return text.strip(" \0\t\r\n")


def _moved(date: _Date | None, by: dt.timedelta) -> _Date | None:
    if date is None:
        return None
    try:
        return date + by
    except OverflowError:
        # A header may claim the year 9999; beyond the calendar there is no date.
        return None
