"""What a cohort of phantoms is made from, and what is said of it when it is there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import UsageError
from phantom.files.transfer_syntax import DEFAULT_SYNTAX, TransferSyntax

INVENTED: Final = "Invented throughout: no picture, number or patient is anybody's."
MAX_PATIENTS: Final = 100_000
"""Patient ids have five digits."""
SIDES: Final = range(64, 2049)
RATES: Final = (1.0, 60.0)
LEAST_RUNS: Final = 2
"""One of each artery."""


@dataclass(frozen=True)
class CohortSettings:
    """What a cohort is made from: the same settings are the same files.

    Attributes
    ----------
    patients : int
        How many, 1 to 100,000.
    seed : int
        The cohort's, 0 or more; `phantom.seeds` says which seeds are for what.
    size : int
        Rows and columns of a picture, 64 to 2048.
    fps : float or None
        Frames per second of every run, 1 to 60; None leaves each as its protocol has it.
    transfer_syntax : TransferSyntax
    runs : int or None
        Runs of an exam at the most, 2 or more; None keeps all.
    """

    patients: int
    seed: int
    size: int = 512
    fps: float | None = None
    transfer_syntax: TransferSyntax = DEFAULT_SYNTAX
    runs: int | None = None

    def check(self) -> None:
        """Refuse what is out of range.

        Raises
        ------
        UsageError
            Which setting, what it is and what it may be.
        """
        ranges: list[tuple[str, float | None, float, float]] = [
            ("patients", self.patients, 1, MAX_PATIENTS),
            ("seed", self.seed, 0, 2**31 - 1),
            ("size", self.size, SIDES[0], SIDES[-1]),
            ("fps", self.fps, *RATES),
            ("runs", self.runs, LEAST_RUNS, 100),
        ]
        for name, value, low, high in ranges:
            if value is not None and not low <= value <= high:
                raise UsageError(
                    f"a phantom cohort cannot have {name} {value:g}, expected {low:g} to {high:g}",
                    f"correct {name}",
                )


@dataclass(frozen=True)
class CohortReport:
    """What is there when a cohort has been written.

    Attributes
    ----------
    folder : Path
    patients, studies, runs : int
        In the cohort.
    runs_written : int
        Of the runs, those that were not there before.
    bytes : int
        Of all DICOM files.
    seconds : float
        That this writing took.
    """

    folder: Path
    patients: int
    studies: int
    runs: int
    runs_written: int
    bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return asdict(self) | {"folder": str(self.folder)}
