"""Whether two encoders find the same neighbours of the same studies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import hypergeom

from angioatlas.evaluation.intervals import mean_interval
from angioatlas.evaluation.scan import blocks, ranking, scan
from core.errors import UsageError
from core.schema import Level
from index.quality import PERSISTENCE, jaccard, rank_biased_overlap, shared

DEPTH: Final = 100
"""Ranks that rank-biased overlap reads; those beyond have 0.0002 % of the weight at p = 0.9."""


@dataclass(frozen=True)
class EncoderOverlap:
    """How alike the neighbours in two spaces are.

    Attributes
    ----------
    encoders : tuple of two str
    level : Level
    store_version : int
    k : int
    rows : int
        That both spaces have; neighbours are sought among these, without the query's own patient.
    queries : int
        Rows that were asked with.
    table : DataFrame
        measure, value (the mean over queries, 0 to 1, higher is more alike), lower and upper limit
        of its 95 % interval (patients of the queries drawn with replacement), by_chance (of
        rankings that have nothing to do with each other).
    """

    encoders: tuple[str, str]
    level: Level
    store_version: int
    k: int
    rows: int
    queries: int
    table: pd.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "encoders": list(self.encoders),
            "level": self.level.value,
            "store_version": self.store_version,
            "k": self.k,
            "rows": self.rows,
            "queries": self.queries,
            "measures": self.table.replace({np.nan: None}).to_dict("records"),
        }


def neighbour_overlap(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    patient: NDArray[np.int64],
    *,
    k: int,
    sample: int,
    seed: int,
) -> tuple[pd.DataFrame, int]:
    """Compare the neighbours of a sample of rows.

    Parameters
    ----------
    one, other : float32 array (rows, 512)
        The same rows in two spaces.
    patient : int64 array (rows,)
    k : int
        Neighbours, for the Jaccard index.
    sample : int
        Rows to ask with, at the most.
    seed : int
        Of the sample and the bootstrap.

    Returns
    -------
    table : DataFrame
        See `EncoderOverlap`.
    queries : int
        Rows asked with that have `k` neighbours of other patients.

    Raises
    ------
    UsageError
        No row has so many.
    """
    rng = np.random.default_rng(seed)
    asking = np.sort(rng.choice(len(patient), min(sample, len(patient)), replace=False))
    found, whose, pool = [], [], []
    for block in blocks(asking.tolist()):
        for row, first, second in zip(
            block, scan(one, one[block]), scan(other, other[block]), strict=True
        ):
            others = patient != patient[row]
            if np.count_nonzero(others) < k:
                continue
            depth = max(k, DEPTH)
            lists = [ranking(scores, others)[:depth] for scores in (first, second)]
            found.append(_compared(shared(*lists), k))
            whose.append(patient[row])
            pool.append(np.count_nonzero(others))
    if not found:
        raise UsageError(
            f"no row that both spaces have has {k} neighbours of other patients",
            "embed the same studies with both encoders, or ask for fewer with -k",
        )
    values = np.array(found)
    low, high = mean_interval(values, np.array(whose), seed=seed)
    return (
        pd.DataFrame(
            {
                "measure": [f"Jaccard@{k}", f"RBO (p = {PERSISTENCE:g})"],
                "value": values.mean(axis=0),
                "lower": low,
                "upper": high,
                "by_chance": _by_chance(round(float(np.mean(pool))), k),
            }
        ),
        len(values),
    )


def _compared(in_both: NDArray[np.int64], k: int) -> tuple[float, float]:
    return jaccard(float(in_both[k - 1]), k), rank_biased_overlap(in_both)


def _by_chance(rows: int, k: int) -> list[float]:
    """Return what both measures are, on average, of two random orders of some rows."""
    depth = np.arange(1, min(max(k, DEPTH), rows) + 1)
    # How many of k rows are among k others is hypergeometric; its mean is k²/rows.
    both = np.arange(k + 1)
    index = hypergeom(rows, k, k).pmf(both) @ (both / (2 * k - both))
    return [float(index), rank_biased_overlap(depth**2 / rows)]
