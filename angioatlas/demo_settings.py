"""What the demo is made of, what it asks, and where things are in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEMO_FILE: Final = "demo.json"
QUERIES: Final = ("proximal LAD occlusion", "mid RCA occlusion", "calcified LAD")
"""What is asked; each is a query of the retrieval evaluation."""
SIMILAR_TO: Final = "proximal LAD occlusion"
"""The similar-case query is the first study that this is true of."""
HITS: Final = 5


@dataclass(frozen=True)
class DemoSettings:
    """What a demo is made of; a folder holds one.

    Attributes
    ----------
    patients : int
    seed : int
        Of `phantom.seeds.DEMO_SEEDS`, which the encoder was not trained on.  The default was chosen
        by the truth alone: each of `QUERIES` is true of at least seven of its 80 patients.
    size : int
        Rows and columns of a picture.
    """

    patients: int = 80
    seed: int = 3091
    size: int = 256


@dataclass(frozen=True)
class DemoPlaces:
    """Where things are in the demo's folder."""

    folder: Path

    @property
    def cohort(self) -> Path:
        """The DICOM files, the labels, the truth."""
        return self.folder / "cohort"

    @property
    def exam(self) -> Path:
        """DICOM files of an exam that is not in the store."""
        return self.folder / "exam"

    @property
    def store(self) -> Path:
        """The store."""
        return self.folder / "store"

    @property
    def picture(self) -> Path:
        """The contact sheet of the best hits."""
        return self.folder / "top-hits.png"
