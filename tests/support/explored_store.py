"""A store as the explorer's users have one: phantoms with cines, labels, serial exams and a map."""

from __future__ import annotations

import fcntl
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analytics.maps.projection import MapSpec
from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions
from core.settings import Settings
from phantom.files.cohort import write_cohort
from phantom.seeds import DEMO_SEEDS

ENCODER: Final = "phantom-mini"
MAP: Final = "exams"


@dataclass(frozen=True)
class Explored:
    """A store and the installation that it is looked at from.

    Attributes
    ----------
    home : Path
        Home of the command line.
    store : Path
    """

    home: Path
    store: Path

    @property
    def state(self) -> Path:
        """Where the installation of that home keeps its state."""
        return self.home / ".local/state/angioatlas"

    @property
    def settings(self) -> Settings:
        """What that installation is set to."""
        return Settings(state_dir=self.state).with_embed(workers=1, min_contrast=0)

    def atlas(self) -> Atlas:
        """Open the store."""
        return Atlas.open(self.store, settings=self.settings)


def explored_store(shared: Path, own: Path) -> Explored:
    """Return a store of one's own, copied from one that whoever comes first makes.

    Parameters
    ----------
    shared : Path
        A folder that all processes of the tests know; the cines stay here.
    own : Path
    """
    made = Explored(shared / "home", shared / "store")
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            _make(made, shared / "cohort")
            (shared / "done").touch()
    copied = Explored(own / "home", own / "store")
    shutil.copytree(made.home, copied.home)
    shutil.copytree(made.store, copied.store)
    return copied


def _make(to: Explored, cohort: Path) -> None:
    # Small phantoms of the demo's seed.  A noise floor needs four runs an exam and some 40 patients;
    # proximal LAD occlusions are among the first.
    write_cohort(cohort, patients=40, seed=DEMO_SEEDS[91], size=64, fps=5.0, runs=4)
    Atlas.embed_into(
        to.store,
        [cohort / "dicom"],
        encoder=ENCODER,
        settings=to.settings,
        options=EmbedOptions(keep_identifiers=True),
    )
    atlas = to.atlas()
    atlas.import_labels([cohort / "labels"])
    # Principal components: loading UMAP takes longer than all the rest of a map.
    atlas.draw_map(MAP, spec=MapSpec(method="pca"))
