"""Labels: what is known of patients and studies from elsewhere, table by table.

A label is a dated event, a follow-up, a measurement, a procedure, a covariate or a report.  The
tables are declared here once: the reader of files, the store, the export and the documents all
follow this declaration.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from core.segments import SEGMENTS

ColumnType = Literal["patient", "study", "id", "date", "number", "word", "text", "segments"]


class LabelKind(StrEnum):
    """The label tables, by name."""

    EVENTS = "events"
    FOLLOW_UP = "follow_up"
    MEASUREMENTS = "measurements"
    PROCEDURES = "procedures"
    COVARIATES = "covariates"
    REPORTS = "reports"


EVENT_KINDS: Final = (
    *("death_cardiovascular", "death_other", "death", "mi", "stroke"),
    *("urgent_revascularisation", "revascularisation", "hf_hospitalisation"),
    *("arrhythmia", "cardiogenic_shock", "mace"),
)
"""What may happen to a patient; ``death`` is one whose cause is not known, ``mace`` a major adverse
cardiac event of which nothing else is known."""
DEATHS: Final = ("death_cardiovascular", "death_other", "death")
"""Kinds of events after which nothing follows; ``death`` is of unknown cause."""
TRUE_WORDS: Final = frozenset({"1", "true", "yes", "y", "t"})
FALSE_WORDS: Final = frozenset({"0", "false", "no", "n", "f"})
"""What stands for a truth value in a table, in lower case."""
STATUSES: Final = ("alive", "dead", "lost")
"""How a patient was when last heard of."""
PROCEDURE_KINDS: Final = ("pci", "cabg")


@dataclass(frozen=True)
class LabelColumn:
    """One column of a label table.

    Attributes
    ----------
    name : str
    type : ColumnType
        `patient`, `study` and `id` are identifiers; `word` is a lower-case name, `text` is free;
        `segments` is a list of short names of coronary segments.
    meaning : str
        Goes into exports as a comment.
    required : bool
        Whether every row has a value.
    allowed : tuple of str
        The values that there are; empty: any.
    """

    name: str
    type: ColumnType
    meaning: str
    required: bool = True
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelTable:
    """One label table.

    Attributes
    ----------
    kind : LabelKind
    columns : tuple of LabelColumn
    key : tuple of str
        The columns that tell rows apart: a later row with an equal key takes the place of the
        earlier one.  Where the key is an `id` that a row does not have, its whole content is.
    """

    kind: LabelKind
    columns: tuple[LabelColumn, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


_PATIENT = LabelColumn("patient_id", "patient", "As in studies")
_OF_STUDY = LabelColumn("study_uid", "study", "As in studies; empty: of no one study", False)
_ID = LabelColumn(
    "id", "id", "Tells rows apart; made of the row's content when none is given", False
)
_DATE = "ISO date; shifted like the study dates of the patient if the store shifts dates"

# fmt: off
LABELS: Final = {
    table.kind: table
    for table in (
        LabelTable(
            LabelKind.EVENTS,
            (
                _PATIENT,
                LabelColumn("date", "date", f"When it happened: {_DATE}"),
                LabelColumn("kind", "word", "What happened", allowed=EVENT_KINDS),
                LabelColumn("source", "text", "Where this is known from", False),
            ),
            ("patient_id", "date", "kind"),
        ),
        LabelTable(
            LabelKind.FOLLOW_UP,
            (
                _PATIENT,
                LabelColumn("last_known_date", "date", f"When last heard of: {_DATE}"),
                LabelColumn("status", "word", "How the patient was then", allowed=STATUSES),
            ),
            ("patient_id",),
        ),
        LabelTable(
            LabelKind.MEASUREMENTS,
            (
                _ID,
                _PATIENT,
                _OF_STUDY,
                LabelColumn("date", "date", f"When it was measured: {_DATE}"),
                LabelColumn("name", "word", "What was measured; name@segment of a segment"),
                LabelColumn("value", "number", "The value"),
                LabelColumn("unit", "text", "Unit of the value", False),
                LabelColumn("method", "text", "How it was measured", False),
            ),
            ("id",),
        ),
        LabelTable(
            LabelKind.PROCEDURES,
            (
                _ID,
                _PATIENT,
                LabelColumn("date", "date", f"When it was done: {_DATE}"),
                LabelColumn("kind", "word", "What was done", allowed=PROCEDURE_KINDS),
                LabelColumn("segments", "segments", "Short names of the segments treated", False),
            ),
            ("id",),
        ),
        LabelTable(
            LabelKind.COVARIATES,
            (
                _ID,
                _PATIENT,
                LabelColumn("date", "date", f"When it was so; empty: always. {_DATE}", False),
                LabelColumn("name", "word", "What is said of the patient"),
                LabelColumn("value", "text", "The value, as text"),
            ),
            ("id",),
        ),
        LabelTable(
            LabelKind.REPORTS,
            (
                LabelColumn("study_uid", "study", "As in studies"),
                LabelColumn("patient_id", "patient", "As in studies", False),
                LabelColumn("text", "text", "The report as written; may name persons"),
                LabelColumn("language", "word", "ISO 639-1 code, such as en", False),
            ),
            ("study_uid",),
        ),
    )
}
# fmt: on
"""The label tables by kind, in the order in which they are written."""

PERCENT_RANGES: Final = {"lvef_percent": (1.0, 100.0), "stenosis_percent": (0.0, 100.0)}
"""What a measurement of this name may be.  An ejection fraction below 1 is one that was not given
in percent."""
OF_SEGMENT: Final = "stenosis_percent"
"""The measurement that is always of a segment: ``stenosis_percent@prox_lad``."""


def measurement_name(name: str) -> tuple[str, str | None]:
    """Return what a measurement's name says: the quantity, and the segment or None.

    Raises
    ------
    ValueError
        When the segment is not one of `core.segments.SEGMENTS`, or there is none and there should
        be one.
    """
    quantity, at, segment = name.partition("@")
    if (at or quantity == OF_SEGMENT) and segment not in SEGMENTS:
        raise ValueError(name)
    return quantity, segment or None
