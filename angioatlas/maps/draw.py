"""A map of a store version: drawn, saved, and shown as the store is now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np
import pandas as pd

from analytics.maps.picture import MapPicture
from analytics.maps.projection import MapSpec, Projection, fit_projection
from analytics.maps.quality import MapQuality, map_quality
from analytics.report.document import Document, plain
from analytics.report.maps import MapTold, map_report
from angioatlas.report_files import Reported
from angioatlas.studied import vectors_of
from core.errors import UsageError
from core.schema import Level
from store.registry import Registry, SavedProjection
from store.snapshot import Snapshot
from store.store import Store

SHOWN_Q: Final = 0.05
"""Findings of islands with a higher q are not told."""


@final
@dataclass(frozen=True, eq=False)
class MapResult(Reported):
    """A map as it is shown.

    Attributes
    ----------
    name : str
    dots : DataFrame
        uid, study_uid, patient_id, x, y, cluster (-1: on no island), placed (whether the dot was
        added without drawing the map again) and study_date.
    picture : MapPicture
        The dots as they are drawn, coloured as was asked.
    islands : DataFrame
        See `analytics.maps.clusters.enriched`; only what differs (q up to `SHOWN_Q`).
    quality : MapQuality
    gone : int
        Dots whose study is no longer in the store.
    about : mapping
        How it was drawn, from what.
    """

    name: str
    dots: pd.DataFrame
    picture: MapPicture
    islands: pd.DataFrame
    quality: MapQuality
    gone: int
    about: dict[str, Any]

    def document(self) -> Document:
        """Return the report."""
        return map_report(MapTold(self.picture, self.dots, self.islands, self.quality, self.about))


def draw(
    store: Store,
    snapshot: Snapshot,
    name: str,
    spec: MapSpec,
    *,
    encoder_id: str,
    level: Level,
    members: Sequence[str] | None = None,
) -> SavedProjection:
    """Draw and save a map of what a snapshot has vectors for.

    Parameters
    ----------
    store : Store
    snapshot : Snapshot
    name : str
    spec : MapSpec
    encoder_id : str
    level : Level
    members : sequence of str, optional
        Studies to draw; all by default.

    Raises
    ------
    UsageError
        There are too few, or the name is another map's.
    """
    if members is None:
        keys, vectors = snapshot.vectors(encoder_id, level)
    else:
        keys, vectors = vectors_of(snapshot, encoder_id, level, members)
    drawn = fit_projection(vectors, spec)
    quality = map_quality(vectors, drawn.coordinates, seed=spec.seed)
    uids = keys["uid"].to_pylist()
    of = {
        "store": store.uuid,
        "version": snapshot.version,
        "encoder_id": encoder_id,
        "level": level.value,
        "spec": asdict(spec),
        "uids": sorted(uids),
    }
    digest = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()
    is_landmark = np.zeros(len(uids), bool)
    is_landmark[drawn.landmarks] = True
    return Registry(store.tables).save_projection(
        SavedProjection(
            name,
            digest,
            encoder_id,
            level.value,
            json.dumps(plain({"spec": asdict(spec), "quality": asdict(quality)}), sort_keys=True),
            snapshot.version,
            tuple(uids),
            tuple(keys["patient_id"].to_pylist()),
            tuple(drawn.coordinates[:, 0].tolist()),
            tuple(drawn.coordinates[:, 1].tolist()),
            tuple(is_landmark.tolist()),
            drawn.axes.tobytes() if spec.method == "pca" else b"",
        )
    )


def told(
    snapshot: Snapshot,
    saved: SavedProjection,
    dots: pd.DataFrame,
    picture: MapPicture,
    islands: pd.DataFrame,
) -> MapResult:
    """Tell of a map as the store is now: studies that came later are placed, those gone left out.

    Islands and what is frequent in them are of the dots that are shown; see `shown.ShownMap`.
    """
    description = json.loads(saved.description)
    about = {
        "map": saved.projection_id,
        "encoder_id": saved.encoder_id,
        "level": saved.level,
        "drawn from store version": saved.store_version,
        "shown at store version": snapshot.version,
        **description["spec"],
    }
    return MapResult(
        saved.name,
        dots,
        picture,
        islands[islands["q"] <= SHOWN_Q].reset_index(drop=True),
        MapQuality(**description["quality"]),
        len(saved.uids) - int((~dots["placed"]).sum()),
        about,
    )


def dots_now(snapshot: Snapshot, saved: SavedProjection) -> pd.DataFrame:
    """Return where everything that a snapshot has vectors for lies on a map.

    Returns
    -------
    DataFrame
        uid, study_uid, patient_id, x, y, and placed: it was not there when the map was drawn.

    Raises
    ------
    UsageError
        Nothing that the map shows is in the snapshot.
    """
    spec = MapSpec(**json.loads(saved.description)["spec"])
    level = Level(saved.level)
    keys = snapshot.keys(saved.encoder_id, level)
    now = {uid: i for i, uid in enumerate(keys["uid"].to_pylist())}
    kept = np.array([uid in now for uid in saved.uids], bool)
    if not kept.any():
        raise UsageError(
            f"nothing that the map {saved.name!r} shows is in the store", "draw another map"
        )
    at = np.stack([saved.x, saved.y], axis=1).astype(np.float32)[kept]
    rows = np.array([now[uid] for uid, has in zip(saved.uids, kept, strict=True) if has])
    axes = np.frombuffer(saved.axes, np.float32).reshape(3, -1) if saved.axes else np.zeros((3, 1))
    landmarks = np.flatnonzero(np.array(saved.is_landmark, bool)[kept])
    known = Projection(spec, at, landmarks, axes.astype(np.float32))
    others = np.setdiff1d(np.arange(len(now)), rows)
    coordinates = np.empty((len(now), 2), np.float32)
    coordinates[rows] = at
    if len(others):
        # Most of the time of a large map goes into reading them.
        _, vectors = snapshot.vectors(saved.encoder_id, level, keys=keys)
        coordinates[others] = known.place(vectors[others], vectors[rows[landmarks]])
    dots: pd.DataFrame = keys.select(["uid", "study_uid", "patient_id"]).to_pandas()
    dots["x"], dots["y"] = coordinates[:, 0], coordinates[:, 1]
    dots["placed"] = np.isin(np.arange(len(now)), others)
    return dots
