"""A served store of a small archive: files to upload, studies to find, cines to watch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from angioatlas.access.access import Access
from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions
from angioatlas.spaces import encoder_handle
from api.app import create_app
from core.settings import ServeSettings, Settings
from embedder.encoders.compact.spec import ARCHITECTURE
from tests.support.api_server import served
from tests.support.dicom import moving_frames, write_cine

REAL_CINE = Path(__file__).parents[1] / "data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
STUDIES = 3
"""Exams of one cine, beside the real one."""


@dataclass(frozen=True)
class Served:
    """A served store.

    Attributes
    ----------
    address : str
    key : str
        Of somebody who may search and read.
    searcher : str
        Key of somebody who may search only.
    writer : str
        Key of somebody who may search, read and write.
    study_uid : str
        The original UID of a study of it.
    atlas : Atlas
    """

    address: str
    key: str
    searcher: str
    writer: str
    study_uid: str
    atlas: Atlas


@contextmanager
def served_archive(home: Path) -> Iterator[Served]:
    """Embed the exams, and the real one, serve them until the block ends."""
    archive = home / "archive"
    for study in range(STUDIES):
        uid = f"1.2.826.0.1.{study + 1}"
        write_cine(
            archive / f"{study}.dcm",
            moving_frames(20, seed=study),
            SOPInstanceUID=f"{uid}.1",
            StudyInstanceUID=uid,
            PatientID=f"DOE-{study}",
        )
    shutil.copy(REAL_CINE, archive / "real.dcm")
    settings = Settings(
        state_dir=home / "state",
        identity_key=home / "keys/identity.key",
        serve=ServeSettings(archive_dir=home / "sent"),
    ).with_embed(all_runs=True, workers=1)
    Atlas.embed_into(
        home / "store",
        [archive],
        encoder=encoder_handle(ARCHITECTURE, settings),
        settings=settings,
        options=EmbedOptions(),
    )
    access = Access(settings)
    key = access.create_key("viewer", [Scope.SEARCH, Scope.READ], None)[1]
    searcher = access.create_key("searcher", [Scope.SEARCH], None)[1]
    writer = access.create_key("writer", [Scope.SEARCH, Scope.READ, Scope.WRITE], None)[1]
    atlas = Atlas.open(home / "store", settings=settings)
    with served(create_app(atlas, settings)) as address:
        yield Served(address, key, searcher, writer, "1.2.826.0.1.1", atlas)
