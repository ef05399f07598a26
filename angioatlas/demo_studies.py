"""What the demo's vectors tell of LVEF, of serial exams and of who looks alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analytics.maps.projection import MapSpec
from analytics.roc import auc
from angioatlas.lvef.ask import LvefQuestion
from core.errors import UsageError
from core.segments import SEGMENTS
from phantom.files.truth_tables import StudyTruth
from phantom.people.measurements import ECHO_SD_PERCENT

if TYPE_CHECKING:
    from angioatlas.atlas import Atlas

MAP: Final = "demo"
CHANGED_POINTS: Final = 20.0
"""Sum of changes of stenosis, without sign, from which on a pair of exams has truly changed."""
_SAME_POINTS: Final = 1.0
_NEIGHBOURS: Final = 10


@dataclass(frozen=True)
class DemoLvef:
    """How well the ejection fraction is told, percent.

    Attributes
    ----------
    exams : int
    mae, lower, upper : float
        Mean absolute error against the echocardiogram of a ridge regression of the embedding alone,
        cross-validated, and its 95 % limits.
    mae_of_mean : float
        Of who says the mean of everybody.
    mae_of_echo : float
        Of the echocardiogram itself against the truth, by what it is drawn with.
    """

    exams: int
    mae: float
    lower: float
    upper: float
    mae_of_mean: float
    mae_of_echo: float = ECHO_SD_PERCENT * math.sqrt(2 / math.pi)


@dataclass(frozen=True)
class DemoProgression:
    """How well change between serial exams is told.

    Attributes
    ----------
    pairs, patients : int
    floor : str
        What the noise floor was measured on.
    natural_beyond, treated_beyond : float
        Shares of pairs beyond it, without and with a treatment in between.
    auc : float
        Truly changed against truly unchanged pairs, by the score.
    """

    pairs: int
    patients: int
    floor: str
    natural_beyond: float
    treated_beyond: float
    auc: float


@dataclass(frozen=True)
class DemoMap:
    """What the map keeps.

    Attributes
    ----------
    dots, islands : int
    trustworthiness, overlap : float
        See `analytics.maps.quality.MapQuality`.
    """

    dots: int
    islands: int
    trustworthiness: float
    overlap: float


def ask_lvef(atlas: Atlas, *, encoder: str) -> DemoLvef | None:
    """Fit and judge a model of the LVEF of every exam; None when there are too few."""
    cohort = atlas.choose_cohort(index="every")
    try:
        study = atlas.lvef(LvefQuestion(), cohort=cohort, encoder=encoder).study
    except UsageError:
        return None
    mae = study.first.measure("mae")
    return DemoLvef(
        exams=study.first.rows,
        mae=float(mae["estimate"]),
        lower=float(mae["lower"]),
        upper=float(mae["upper"]),
        mae_of_mean=float(study.first.measure("mae_of_mean")["estimate"]),
    )


def ask_progression(
    atlas: Atlas, truth: Mapping[str, StudyTruth], *, encoder: str
) -> DemoProgression | None:
    """Measure change between serial exams; None when too few came again."""
    try:
        study = atlas.progression(encoder=encoder).study
    except UsageError:
        return None
    pairs = study.pairs
    treated = (pairs["treatment"] != "").to_numpy(bool)
    beyond = pairs["beyond"].to_numpy(bool)
    points = np.array(
        [
            _change(truth[prior], truth[now])
            for prior, now in zip(pairs["prior_uid"], pairs["study_uid"], strict=True)
        ]
    )
    told = (points < _SAME_POINTS) | (points > CHANGED_POINTS)
    return DemoProgression(
        pairs=len(pairs),
        patients=pairs["patient_id"].nunique(),
        floor=study.floor.source,
        natural_beyond=float(beyond[~treated].mean()) if (~treated).any() else float("nan"),
        treated_beyond=float(beyond[treated].mean()) if treated.any() else float("nan"),
        auc=auc(points[told] > CHANGED_POINTS, pairs["score"].to_numpy()[told]),
    )


def draw_map(atlas: Atlas, *, encoder: str) -> DemoMap | None:
    """Draw the exams on a map, once; None when there are too few."""
    try:
        if MAP in set(atlas.maps().get("name", ())):
            found = atlas.map(MAP)
        else:
            found = atlas.draw_map(MAP, spec=MapSpec(neighbours=_NEIGHBOURS), encoder=encoder)
    except UsageError:
        return None
    return DemoMap(
        len(found.dots),
        int(found.dots["cluster"].max()) + 1,
        found.quality.trustworthiness,
        found.quality.overlap,
    )


def _change(prior: StudyTruth, now: StudyTruth) -> float:
    return sum(
        abs(now.disease.state(name).stenosis_percent - prior.disease.state(name).stenosis_percent)
        for name in SEGMENTS
    )
