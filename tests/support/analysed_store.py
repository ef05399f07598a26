"""A served store of followed patients with saved models, and one of patients who came again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from analytics.endpoints import Rules, endpoint
from analytics.lvef import study as lvef_plan
from analytics.lvef.models import RegressionSpec
from analytics.preparation import EMBEDDING
from analytics.survival import study as survival_plan
from analytics.survival.models import ModelSpec
from angioatlas.access.access import Access
from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from angioatlas.lvef import study as lvef
from angioatlas.studied import StudyOptions
from angioatlas.survival import study as survival
from api.app import create_app
from api.state import State
from core.ids import PseudonymisedIdentity, create_key_file
from core.schema import EMBEDDING_DIM
from core.settings import ServeSettings, Settings
from store.registry import Registry, SavedModel
from tests.support.api_server import served
from tests.support.cohorts import World, world
from tests.support.serial_store import serial_store
from tests.support.survival_store import ENCODER, survival_store

PATIENTS: Final = 240
HORIZONS: Final = (365, 730)
STRANGER: Final = f"1.1.{PATIENTS - 1}"
"""An exam whose vector lies apart from all others."""
SEXLESS: Final = "1.1.17"
"""An exam of a patient whose sex is not known."""
TWINS: Final = ("1.1.9", "1.1.11")
"""Exams of two patients with one vector."""
SCOPES: Final = {"reader": [Scope.SEARCH, Scope.READ], "searcher": [Scope.SEARCH]}


@dataclass(frozen=True)
class Analysed:
    """A served store with saved models.

    Attributes
    ----------
    address : str
    atlas : Atlas
        The one that is served; it acts as whoever works at this machine.
    state : State
        Of the app.
    identity : PseudonymisedIdentity
    tokens : dict of str to str
    mace, lvef : SavedModel
        Fitted to the cohort ``site-a``: embeddings, sex and diabetes; and embeddings alone.
    """

    address: str
    atlas: Atlas
    state: State
    identity: PseudonymisedIdentity
    tokens: dict[str, str]
    mace: SavedModel
    lvef: SavedModel


@contextmanager
def analysed_store(home: Path) -> Iterator[Analysed]:
    """Serve a pseudonymised store with models of half of its patients until the block ends."""
    key = _key(home / "identity.key")
    survival_store(home / "store", PATIENTS, seed=1, key=key, world=_drawn())
    settings = Settings(
        identity_key=home / "identity.key",
        state_dir=home / "state",
        serve=ServeSettings(requests_per_second=0),
    )
    atlas = Atlas.open(home / "store", settings=settings)
    atlas.import_labels([home / "store-labels"])
    atlas.choose_cohort(where="site = 'A'", name="site-a")
    mace, ef = _fitted(atlas)
    _strange(atlas, mace)
    with _served(atlas, settings) as (address, state, tokens):
        yield Analysed(address, atlas, state, PseudonymisedIdentity(key), tokens, mace, ef)


@contextmanager
def served_serial_store(home: Path) -> Iterator[tuple[str, Atlas, str]]:
    """Serve a store of patients with two exams each; yields address, Atlas and a reader's key."""
    serial_store(home / "store", 40, seed=5)
    settings = Settings(state_dir=home / "state", serve=ServeSettings(requests_per_second=0))
    atlas = Atlas.open(home / "store", settings=settings)
    atlas.import_labels([home / "store-labels"])
    with _served(atlas, settings) as (address, _, tokens):
        yield address, atlas, tokens["reader"]


@contextmanager
def _served(atlas: Atlas, settings: Settings) -> Iterator[tuple[str, State, dict[str, str]]]:
    access = Access(settings)
    tokens = {name: access.create_key(name, given, None)[1] for name, given in SCOPES.items()}
    app = create_app(atlas, settings)
    with served(app) as address:
        yield address, app.state.angioatlas, tokens


def _key(file: Path) -> bytes:
    """Write the same key every time: folds are of patients, in the order of their pseudonyms."""
    random, key = create_key_file(file), bytes(range(32))
    file.write_text(file.read_text().replace(random.hex(), key.hex()))
    return key


def _drawn() -> World:
    drawn = world(PATIENTS, seed=1, dim=EMBEDDING_DIM)
    columns = [name for name in drawn.x.columns if name.startswith(EMBEDDING)]
    apart = np.random.default_rng(0).normal(size=len(columns))
    drawn.x.loc[PATIENTS - 1, columns] = apart / np.linalg.norm(apart)
    one, other = (int(uid.rpartition(".")[2]) for uid in TWINS)
    drawn.x.loc[other, columns] = drawn.x.loc[one, columns].to_numpy()
    return drawn


def _fitted(atlas: Atlas) -> tuple[SavedModel, SavedModel]:
    """Fit the cheapest models that there are, and judge them by a few samples."""
    cohort = atlas.cohort("site-a")
    mace = survival.survival(
        atlas.store,
        cohort,
        survival_plan.Plan(
            endpoint=endpoint("mace"),
            rules=Rules(),
            horizons_days=HORIZONS,
            spec=ModelSpec("components", components=(8,), inner_folds=2),
            outer_folds=2,
            repeats=3,
        ),
        StudyOptions(clinical=("sex", "diabetes"), sets=("both",)),
        encoder_id=ENCODER,
    )
    ef = lvef.lvef(
        atlas.store,
        cohort,
        lvef_plan.Plan(spec=RegressionSpec(inner_folds=2), outer_folds=2, repeats=3),
        StudyOptions(),
        encoder_id=ENCODER,
    )
    return (
        survival.save_model(atlas.store, mace, "mace-a", "both"),
        lvef.save_model(atlas.store, ef, "lvef-a", "embeddings"),
    )


def _strange(atlas: Atlas, like: SavedModel) -> None:
    """Save models that cannot be applied: of an encoder that is not here, and of no model."""
    registry = Registry(atlas.store.tables)
    elsewhere = replace(like, name="elsewhere", model_id="e" * 64, encoder_id="enc-z")
    registry.save_model(elsewhere)
    registry.save_model(replace(like, name="damaged", model_id="d" * 64))
