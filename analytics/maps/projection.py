"""Embeddings on a plane, by UMAP or by principal components; new ones are placed without refit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from core.errors import UsageError

Floats = NDArray[np.float32]
Method = Literal["umap", "pca"]
METHODS: Final[tuple[Method, ...]] = ("umap", "pca")
FEWEST: Final = 10
_ROWS: Final = 4096


@dataclass(frozen=True)
class MapSpec:
    """How a map is drawn.

    Attributes
    ----------
    method : {"umap", "pca"}
        UMAP keeps neighbourhoods, distances between islands mean little; principal components keep
        large distances, and most neighbourhoods are lost.
    neighbours : int
        UMAP: how many count as a neighbourhood.
    min_dist : float
        UMAP: how close dots may lie, 0 to 1.
    landmarks : int
        With more rows than this a random sample is drawn by UMAP, the others are placed among it.
    seed : int
    """

    method: Method = "umap"
    neighbours: int = 15
    min_dist: float = 0.1
    landmarks: int = 50_000
    seed: int = 0


@final
@dataclass(frozen=True, eq=False)
class Projection:
    """A map, and what new rows are placed by.

    Attributes
    ----------
    spec : MapSpec
    coordinates : float32 array of shape (rows, 2)
    landmarks : int64 array
        The rows that UMAP saw; empty for principal components.
    axes : float32 array of shape (3, dim)
        Principal components: their mean and two directions; zeros for UMAP.
    """

    spec: MapSpec
    coordinates: Floats
    landmarks: NDArray[np.int64]
    axes: Floats

    def place(self, new: Floats, known: Floats) -> Floats:
        """Return where new rows lie, float32 (rows, 2).

        Parameters
        ----------
        new : float32 array of shape (rows, dim)
            L2-normalised.
        known : float32 array of shape (landmarks, dim)
            Embeddings of the landmarks, in their order.
        """
        if self.spec.method == "pca":
            return np.asarray((new - self.axes[0]) @ self.axes[1:].T, np.float32)
        return _among(new, known, self.coordinates[self.landmarks], self.spec.neighbours)


def fit_projection(vectors: Floats, spec: MapSpec) -> Projection:
    """Draw a map; the same rows and seed give the same map on the same kind of machine.

    Parameters
    ----------
    vectors : float32 array of shape (rows, dim)
        L2-normalised, so that near on the map is a high cosine.
    spec : MapSpec

    Raises
    ------
    UsageError
        There are fewer than `FEWEST` rows, or fewer than a neighbourhood.

    References
    ----------
    McInnes, Healy and Melville, arXiv:1802.03426 (2018).
    """
    rows = np.asarray(vectors, np.float32)
    fewest = max(FEWEST, spec.neighbours + 1 if spec.method == "umap" else 0)
    if len(rows) < fewest:
        raise UsageError(
            f"{len(rows)} rows are too few for a map",
            f"embed {fewest} or more, or take fewer neighbours",
        )
    if spec.method == "pca":
        model = PCA(2, random_state=spec.seed).fit(rows)
        axes = np.vstack([model.mean_, model.components_]).astype(np.float32)
        at = ((rows - axes[0]) @ axes[1:].T).astype(np.float32)
        return Projection(spec, at, np.zeros(0, np.int64), axes)
    landmarks = np.arange(len(rows))
    if len(rows) > spec.landmarks:
        rng = np.random.default_rng(spec.seed)
        landmarks = np.sort(rng.choice(len(rows), spec.landmarks, replace=False))
    drawn = _umap(rows[landmarks], spec)
    at = np.empty((len(rows), 2), np.float32)
    at[landmarks] = drawn
    others = np.setdiff1d(np.arange(len(rows)), landmarks)
    if len(others):
        at[others] = _among(rows[others], rows[landmarks], drawn, spec.neighbours)
    return Projection(spec, at, landmarks, np.zeros((3, rows.shape[1]), np.float32))


def _umap(rows: Floats, spec: MapSpec) -> Floats:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tensorflow not", category=ImportWarning)
        from umap import UMAP  # compiles for seconds: only who draws a map waits for it

    # UMAP's own search for neighbours counts a row as its own first one.
    distance, index = nearest(rows, rows, spec.neighbours)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="precomputed_knn", category=UserWarning)
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        model = UMAP(
            n_neighbors=spec.neighbours,
            min_dist=spec.min_dist,
            metric="euclidean",
            init="pca",
            random_state=spec.seed,
            precomputed_knn=(index, distance),
        )
        return np.asarray(model.fit_transform(rows), np.float32)


def nearest(rows: Floats, among: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return distances and row numbers of the nearest rows of another table, exactly.

    Parameters
    ----------
    rows, among : float32 arrays of shape (rows, dim)
    count : int

    Returns
    -------
    tuple of arrays of shape (rows, count)
        Nearest first.
    """
    found = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(among)
    distance, index = found.kneighbors(rows)
    return distance.astype(np.float32), index.astype(np.int64)


def _among(new: Floats, known: Floats, at: Floats, neighbours: int) -> Floats:
    """Place rows at the weighted middle of their nearest landmarks, as UMAP begins to place them.

    The nearest weighs 1; weights fall with the distance beyond it, in units of its mean.
    """
    out = np.empty((len(new), 2), np.float32)
    for first in range(0, len(new), _ROWS):
        part = slice(first, first + _ROWS)
        distance, index = nearest(new[part], known, min(neighbours, len(known)))
        beyond = distance - distance[:, :1]
        scale = np.maximum(beyond.mean(axis=1, keepdims=True), 1e-6)
        weight = np.exp(-beyond / scale)
        weight /= weight.sum(axis=1, keepdims=True)
        out[part] = np.einsum("ij,ijk->ik", weight, at[index])
    return out
