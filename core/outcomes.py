"""What can become of an input: every code, its status, and what a person can do about it.

Each input ever offered ends in exactly one `Status`.  An input that is not embedded carries one
`Code`; codes are stable, appear in the ledger, and are listed with their hints in
`docs/outcomes.md` (which a test keeps equal to this table).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import AtlasError


class Status(StrEnum):
    """Where an input ended."""

    EMBEDDED = "embedded"
    """Its video vector is in the store."""
    SKIPPED = "skipped"
    """Readable, and not a coronary cine to embed."""
    QUARANTINED = "quarantined"
    """Meant to be a cine, or unreadable: somebody should look."""
    DUPLICATE = "duplicate"
    """The same SOP instance, byte for byte, is known from another place."""


class Code(StrEnum):
    """Why an input was not embedded."""

    NOT_DICOM = "not_dicom"
    ARCHIVE = "archive"
    DICOMDIR = "dicomdir"
    NOT_AN_IMAGE = "not_an_image"
    OTHER_MODALITY = "other_modality"
    SINGLE_FRAME = "single_frame"
    NO_CONTRAST = "no_contrast"
    SPECIAL_FILE = "special_file"
    MOVIE_WITHOUT_STUDY = "movie_without_study"
    OTHER_STRUCTURE = "other_structure"
    AFTER_INTERVENTION = "after_intervention"
    SECONDARY_IMAGE = "secondary_image"
    FLUOROSCOPY = "fluoroscopy"
    NOT_CORONARY = "not_coronary"
    TOO_FEW_FRAMES = "too_few_frames"
    ROTATIONAL = "rotational"
    OVER_VIDEOS_PER_STUDY = "over_videos_per_study"
    PATIENT_DELETED = "patient_deleted"
    NO_LONGER_THERE = "no_longer_there"

    UNREADABLE = "unreadable"
    EMPTY_FILE = "empty_file"
    BAD_HEADER = "bad_header"
    MISSING_ATTRIBUTE = "missing_attribute"
    BAD_CLAIM = "bad_claim"
    TRUNCATED = "truncated"
    NO_PIXEL_DATA = "no_pixel_data"
    ICON_ONLY = "icon_only"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    UNSUPPORTED_PIXELS = "unsupported_pixels"
    MOVIE_SUPPORT_MISSING = "movie_support_missing"
    DECODE_FAILED = "decode_failed"
    DECODER_CRASHED = "decoder_crashed"
    ENCODER_CRASHED = "encoder_crashed"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    CHANGED_WHILE_READ = "changed_while_read"
    UID_CONFLICT = "uid_conflict"
    PATIENT_CONFLICT = "patient_conflict"
    TOO_MANY_CINES = "too_many_cines"

    SAME_INSTANCE = "same_instance"


@dataclass(frozen=True)
class Outcome:
    """The meaning of a code: the status it leads to, the cause in words, the next step."""

    status: Status
    meaning: str
    hint: str


_S, _Q = Status.SKIPPED, Status.QUARANTINED
_RUN = "if it should count: --all-runs --reselect"
_WORDS = "if it should count: --reselect with --all-runs or a table for --classified"

OUTCOMES: dict[Code, Outcome] = {
    Code.NOT_DICOM: Outcome(_S, "not a DICOM file", "nothing to do"),
    Code.ARCHIVE: Outcome(_S, "a compressed archive", "unpack it and offer the folder"),
    Code.DICOMDIR: Outcome(
        _S, "a DICOMDIR met while walking a folder", "offer the DICOMDIR itself to follow it"
    ),
    Code.NOT_AN_IMAGE: Outcome(
        _S, "a DICOM object without an image (report, presentation state, PDF)", "nothing to do"
    ),
    Code.OTHER_MODALITY: Outcome(
        _S, "an image of another modality", "admit it with --modality if that is meant"
    ),
    Code.SINGLE_FRAME: Outcome(_S, "a single frame, not a cine", "nothing to do"),
    Code.NO_CONTRAST: Outcome(
        _S,
        "no sign of contrast medium in thin vessels at any time",
        "lower embed.min_contrast (0 admits every run) and --reselect",
    ),
    Code.OTHER_STRUCTURE: Outcome(
        _S,
        "the classifier's table names another structure than a coronary artery",
        "nothing to do; if it should count, correct the table and --reselect",
    ),
    Code.AFTER_INTERVENTION: Outcome(
        _S,
        "a run after the intervention: the classifier saw a stent in it or before it",
        "nothing to do; if it should count, correct the table and --reselect",
    ),
    Code.SECONDARY_IMAGE: Outcome(_S, "a screen capture or another secondary image", _RUN),
    Code.FLUOROSCOPY: Outcome(_S, "stored fluoroscopy, not a diagnostic acquisition", _WORDS),
    Code.NOT_CORONARY: Outcome(
        _S, "its description names something else than a coronary angiogram", _WORDS
    ),
    Code.TOO_FEW_FRAMES: Outcome(
        _S, "a run of too few frames", "lower embed.min_frames and --reselect"
    ),
    Code.ROTATIONAL: Outcome(_S, "a rotational run: the C-arm turned during it", _RUN),
    Code.OVER_VIDEOS_PER_STUDY: Outcome(
        _S,
        "beyond the number of videos that each study may have",
        "raise embed.videos_per_study or leave it out, and --reselect",
    ),
    Code.SPECIAL_FILE: Outcome(_S, "not a regular file (pipe, socket, device)", "nothing to do"),
    Code.MOVIE_WITHOUT_STUDY: Outcome(
        _S,
        "an AVI or MP4 file that no table assigns to a study",
        "name its study in a table and give it with --movies",
    ),
    Code.PATIENT_DELETED: Outcome(
        _S, "the patient was deleted from this store", "nothing to do: deletion is permanent"
    ),
    Code.NO_LONGER_THERE: Outcome(
        _S, "was embedded before and is no longer in the folder", "nothing to do"
    ),
    Code.UNREADABLE: Outcome(
        _Q, "the operating system would not read it", "check permissions and the disk"
    ),
    Code.EMPTY_FILE: Outcome(_Q, "zero bytes long", "copy it again from the archive"),
    Code.BAD_HEADER: Outcome(
        _Q, "the DICOM header cannot be parsed", "export it again from the archive"
    ),
    Code.MISSING_ATTRIBUTE: Outcome(
        _Q, "an attribute that every cine must have is missing or invalid", "export it again"
    ),
    Code.BAD_CLAIM: Outcome(
        _Q, "the header claims sizes that are impossible or over the limits", "export it again"
    ),
    Code.TRUNCATED: Outcome(
        _Q, "fewer bytes of pixel data than the header claims", "copy it again from the archive"
    ),
    Code.NO_PIXEL_DATA: Outcome(_Q, "an image object without pixel data", "export it with pixels"),
    Code.ICON_ONLY: Outcome(
        _Q, "pixel data only in the icon image, none of the cine", "export it with pixels"
    ),
    Code.UNSUPPORTED_TRANSFER_SYNTAX: Outcome(
        _Q,
        "no installed decoder reads this transfer syntax",
        "see `angioatlas doctor`; export it in another transfer syntax",
    ),
    Code.UNSUPPORTED_PIXELS: Outcome(
        _Q,
        "a pixel format that the encoder's preprocessing profile does not take",
        "import the encoder with --profile display",
    ),
    Code.MOVIE_SUPPORT_MISSING: Outcome(
        _Q,
        "this installation cannot read AVI and MP4",
        "pip install 'angioatlas[movies]' and --retry",
    ),
    Code.DECODE_FAILED: Outcome(_Q, "the pixel data cannot be decoded", "export it again"),
    Code.DECODER_CRASHED: Outcome(
        _Q, "the decoder process died on it", "export it in another transfer syntax"
    ),
    Code.ENCODER_CRASHED: Outcome(
        _Q,
        "processes of the cluster died each time that they embedded its study",
        "look at their memory and at the log of Ray, then --retry, or use --engine local",
    ),
    Code.TIME_LIMIT: Outcome(
        _Q, "reading took longer than the time limit", "raise limits.decode_seconds and --retry"
    ),
    Code.MEMORY_LIMIT: Outcome(
        _Q,
        "reading needed more than the memory limit",
        "raise limits.worker_memory_gib and --retry",
    ),
    Code.CHANGED_WHILE_READ: Outcome(
        _Q, "the file changed while it was read", "run the same command again"
    ),
    Code.UID_CONFLICT: Outcome(
        _Q,
        "another file holds the same SOPInstanceUID with other bytes",
        "find out which of the two is right and remove the other",
    ),
    Code.PATIENT_CONFLICT: Outcome(
        _Q,
        "the study belongs to another PatientID by its other files",
        "correct the PatientID in the archive",
    ),
    Code.TOO_MANY_CINES: Outcome(
        _Q,
        "its study has more cines than any real study",
        "find out why so many files carry one StudyInstanceUID",
    ),
    Code.SAME_INSTANCE: Outcome(
        Status.DUPLICATE,
        "the same SOP instance, byte for byte, from another place",
        "nothing to do",
    ),
}


class InputRefused(AtlasError):
    """One input will not be embedded; the run goes on.

    Parameters
    ----------
    code : Code
        Why.
    detail : str
        One line of cause: observed versus expected.  Never a patient name or id.
    """

    def __init__(self, code: Code, detail: str = "") -> None:
        outcome = OUTCOMES[code]
        super().__init__(detail or outcome.meaning, outcome.hint)
        self.reason = code

    @property
    def status(self) -> Status:
        """The status this refusal leads to."""
        return OUTCOMES[self.reason].status

    def __reduce__(self) -> tuple[type[InputRefused], tuple[Code, str]]:
        # Exceptions cross process borders; the default pickling would call __init__ wrongly.
        return InputRefused, (self.reason, self.message)
