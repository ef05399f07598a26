"""A served store of a pseudonymised archive, and keys to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from angioatlas.access.access import Access
from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle
from api.app import create_app
from core.ids import create_key_file, load_key_file
from core.settings import ServeSettings, Settings
from embedder.sampling import ClipRule
from tests.support.api_server import served
from tests.support.retrieval_store import Truth, retrieval_store
from tests.support.tiny import TinyEncoder

_TINY = EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder)
SCOPES = {
    "reader": [Scope.SEARCH, Scope.READ],
    "other": [Scope.SEARCH, Scope.READ],
    "searcher": [Scope.SEARCH],
    "writer": [Scope.WRITE],
    "curator": [Scope.SEARCH, Scope.READ, Scope.WRITE],
}


@dataclass(frozen=True)
class ApiWorld:
    """A served store, and what is true of it."""

    address: str
    description: dict[str, Any]
    home: Path
    atlas: Atlas
    truth: Truth
    settings: Settings
    tokens: dict[str, str]

    def client(self, who: str = "reader") -> httpx2.Client:
        """Make a client with the key of somebody; of nobody without a key."""
        token = self.tokens.get(who)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=60)


@contextmanager
def api_world(home: Path, patients: int = 12, *, archive: Path | None = None) -> Iterator[ApiWorld]:
    """Serve a new store until the block ends; the cines of an archive, too, can be looked at."""
    create_key_file(home / "identity.key")
    (home / "sent").mkdir()
    truth = retrieval_store(home / "store", patients, key=load_key_file(home / "identity.key"))
    settings = Settings(
        identity_key=home / "identity.key",
        state_dir=home / "state",
        encoder=truth.encoder_id,
        serve=ServeSettings(
            upload_mib=8,
            upload_files=5,
            upload_frames=400,
            requests_per_second=0,
            archive_dir=home / "sent",
        ),
    )
    if archive is not None:
        Atlas.embed_into(
            home / "store",
            [archive],
            encoder=_TINY,
            settings=settings.with_embed(all_runs=True, workers=1),
            options=EmbedOptions(),
        )
    access = Access(settings)
    tokens = {name: access.create_key(name, given, None)[1] for name, given in SCOPES.items()}
    atlas = Atlas.open(home / "store", settings=settings)
    app = create_app(atlas, settings)
    with served(app) as address:
        yield ApiWorld(address, app.openapi(), home, atlas, truth, settings, tokens)
