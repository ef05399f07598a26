"""What changed in the segments: new disease, worse disease, and what was treated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NEW_PERCENT: Final = 50.0
"""New disease: a segment that crosses this percent diameter stenosis."""
WORSE_POINTS: Final = 20.0
"""Worsened: a segment whose stenosis grew by more than so many points."""


def segment_changes(
    pairs: pd.DataFrame,
    prior: NDArray[np.floating],
    now: NDArray[np.floating],
    segments: Sequence[str],
) -> pd.DataFrame:
    """Count what changed in the segments between the exams of each pair.

    Parameters
    ----------
    pairs : DataFrame
        With `treated_segments`, see `analytics.progression.pairs.mark_between`.
    prior, now : float arrays of shape (pairs, segments)
        Percent diameter stenosis, NaN where it is not known.
    segments : sequence of str
        Names of the columns.

    Returns
    -------
    DataFrame
        One row a pair: of segments that were not treated in between, known_segments (at both
        exams), new_disease, worsened, max_increase (points), net_change (their sum, points; up is
        worse) and absolute_change; of treated ones, treated_change (their sum, points).  NaN where
        no segment is known at both exams.
    """
    treated = np.array(
        [[name in each for name in segments] for each in pairs["treated_segments"]], bool
    ).reshape(len(pairs), len(segments))
    change = np.asarray(now, np.float64) - np.asarray(prior, np.float64)
    known = np.isfinite(change)
    own = known & ~treated
    natural = np.where(own, change, 0.0)
    crossed = own & (np.asarray(prior) < NEW_PERCENT) & (np.asarray(now) >= NEW_PERCENT)
    found = pd.DataFrame(
        {
            "known_segments": own.sum(axis=1),
            "new_disease": crossed.sum(axis=1),
            "worsened": (own & (change > WORSE_POINTS)).sum(axis=1),
            "max_increase": np.where(own, change, -np.inf).max(axis=1, initial=-np.inf),
            "net_change": natural.sum(axis=1),
            "absolute_change": np.abs(natural).sum(axis=1),
            "treated_change": np.where(known & treated, change, 0.0).sum(axis=1),
        },
        index=pairs.index,
    ).astype(float)
    found.loc[~own.any(axis=1), found.columns.drop("treated_change")] = np.nan
    found.loc[~(known & treated).any(axis=1), "treated_change"] = np.nan
    return found


def has_progressed(changes: pd.DataFrame) -> pd.Series:
    """Tell which pairs show new or worse disease that was not treated in between; null: unknown."""
    known = changes["known_segments"].notna()
    progressed = (changes["new_disease"] > 0) | (changes["worsened"] > 0)
    return progressed.where(known).astype(object)
