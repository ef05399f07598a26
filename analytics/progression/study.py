"""A study of serial exams: change beyond the noise floor, and whether it goes with disease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analytics.endpoints import Endpoint, Rules, endpoint
from analytics.progression.change import (
    FEWEST,
    NoiseFloor,
    Source,
    change_of,
    mean_views,
    noise_floor,
    split_halves,
)
from analytics.progression.findings import has_progressed, segment_changes
from analytics.progression.pairs import UNCHANGED_DAYS, are_unchanged
from analytics.progression.trajectory import positions, principal_plane, steps
from analytics.progression.treatment import before_and_after
from analytics.progression.years import Years, tell_years
from analytics.resampling import bootstrap, percentile_interval
from analytics.roc import auc
from core.errors import UsageError

FloorChoice = Literal["auto", "unchanged", "halves"]
DISEASE: Final = "disease"
"""Name of the axis that leads toward disease."""
FLOORS: Final[tuple[FloorChoice, ...]] = ("auto", "unchanged", "halves")
FEWEST_EACH: Final = 5
"""Groups with fewer pairs are not compared."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    floor : {"auto", "unchanged", "halves"}
        What change is measured against: pairs that count as unchanged, of study vectors; or halves
        of exams, of the mean of their views; the first where there are enough patients.
    unchanged_days : int
        See `analytics.progression.pairs.are_unchanged`.
    repeats, seed : int
        Bootstrap samples.
    endpoint : Endpoint
        Events that change may foretell.
    rules : Rules
        How follow-up is read.
    """

    floor: FloorChoice = "auto"
    unchanged_days: int = UNCHANGED_DAYS
    repeats: int = 500
    seed: int = 0
    endpoint: Endpoint = field(default_factory=lambda: endpoint("mace"))
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a study is made of, gathered by whoever knows the store.

    Attributes
    ----------
    exams : DataFrame
        study_uid, patient_id, date of every exam with a vector.
    pairs : DataFrame
        See `analytics.progression.pairs.mark_between`.
    vectors : float32 array of shape (exams, dim)
        Of the exams, in order.
    videos : float32 array of shape (videos, dim)
    exam_of : int64 array of shape (videos,)
        Row of the exam of each video.
    along : mapping of str to float64 array of shape (exams,)
        How far along directions with a clinical meaning each exam stands; `DISEASE` among them
        leads toward disease.
    plane : float64 array of shape (exams, 2) or None
        Where exams lie on a map, NaN where they are not on it; None: on no map.
    stenosis : DataFrame of shape (exams, segments) or None
        Percent, NaN where it is not known.
    lvef : float array of shape (exams,)
        Measured, percent; NaN where it is not known.
    events, follow_up : DataFrame
        See `analytics.endpoints.observe`.
    attrition : DataFrame
    notes : tuple of str
    provenance : mapping
    """

    exams: pd.DataFrame
    pairs: pd.DataFrame
    vectors: NDArray[np.float32]
    videos: NDArray[np.float32]
    exam_of: NDArray[np.int64]
    along: Mapping[str, NDArray[np.float64]]
    plane: NDArray[np.float64] | None
    stenosis: pd.DataFrame | None
    lvef: NDArray[np.floating]
    events: pd.DataFrame
    follow_up: pd.DataFrame
    attrition: pd.DataFrame
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]


@final
@dataclass(frozen=True, eq=False)
class ProgressionStudy:
    """What a study found.

    Attributes
    ----------
    plan : Plan
    pairs : DataFrame
        Those of the inputs with change (1 − cosine), score (change over the threshold of the
        floor), p, beyond (score above 1), unchanged (counts as unchanged), toward_disease (in
        standard deviations of unchanged pairs, or of all where there are too few; up is worse), and
        the columns of `analytics.progression.findings.segment_changes` with progressed.
    floor : NoiseFloor
    rates : DataFrame
        group, pairs, patients, median_score, beyond (share of pairs).
    comparisons : DataFrame
        comparison, pairs, other_pairs, auc with limits (of bootstrap samples of patients), p
        (Mann-Whitney, of the first pair of each patient).
    correlations : DataFrame
        what, pairs, spearman, lower, upper.
    treated : DataFrame
        See `analytics.progression.treatment.before_and_after`.
    positions, steps : DataFrame
        See `analytics.progression.trajectory`.
    years : Years
        What the years did, and events after change.
    inputs : Inputs
    """

    plan: Plan
    pairs: pd.DataFrame
    floor: NoiseFloor
    rates: pd.DataFrame
    comparisons: pd.DataFrame
    correlations: pd.DataFrame
    treated: pd.DataFrame
    positions: pd.DataFrame
    steps: pd.DataFrame
    years: Years
    inputs: Inputs


def run_study(plan: Plan, inputs: Inputs) -> ProgressionStudy:
    """Do a study.

    Raises
    ------
    UsageError
        No patient has two exams, or there is too little for a noise floor.
    """
    floor, pairs = score_pairs(plan, inputs)
    plane = principal_plane(inputs.vectors) if inputs.plane is None else inputs.plane
    stands = positions(inputs.exams, pairs, plane, inputs.along)
    return ProgressionStudy(
        plan=plan,
        pairs=pairs,
        floor=floor,
        rates=_rates(pairs),
        comparisons=_comparisons(plan, pairs),
        correlations=_correlations(plan, pairs),
        treated=before_and_after(pairs, repeats=plan.repeats, seed=plan.seed),
        positions=stands,
        steps=steps(stands, tuple(inputs.along), repeats=plan.repeats, seed=plan.seed),
        years=tell_years(
            inputs.exams,
            pairs,
            _numbers(inputs),
            inputs.events,
            inputs.follow_up,
            plan.endpoint,
            plan.rules,
        ),
        inputs=inputs,
    )


def score_pairs(plan: Plan, inputs: Inputs) -> tuple[NoiseFloor, pd.DataFrame]:
    """Measure the change of every pair against the noise floor, and nothing that takes long.

    Returns
    -------
    tuple of NoiseFloor and DataFrame
        The pairs as `ProgressionStudy` has them.

    Raises
    ------
    UsageError
        As for `run_study`.
    """
    if inputs.pairs.empty:
        raise UsageError(
            "no patient of the cohort has two exams with a date",
            "choose a cohort with every exam of its patients: cohort create NAME --index every",
        )
    unchanged = are_unchanged(inputs.pairs, days=plan.unchanged_days)
    floor, change = _floor(plan, inputs, unchanged)
    pairs = inputs.pairs.assign(
        change=change,
        score=floor.scores(change),
        p=floor.p(change),
        beyond=change > floor.threshold,
        unchanged=unchanged,
        toward_disease=_toward_disease(inputs, unchanged),
    )
    if inputs.stenosis is None:
        return floor, pairs
    prior, now = _rows(inputs)
    percent = inputs.stenosis.to_numpy(np.float64)
    changes = segment_changes(pairs, percent[prior], percent[now], list(inputs.stenosis.columns))
    return floor, pairs.join(changes).assign(progressed=has_progressed(changes))


def _numbers(inputs: Inputs) -> dict[str, ArrayLike]:
    """Return what is followed over years."""
    found: dict[str, ArrayLike] = {"lvef_percent": inputs.lvef}
    if DISEASE in inputs.along:
        found["position toward disease"] = inputs.along[DISEASE]
    if inputs.stenosis is not None:
        found["sum of stenoses, points"] = inputs.stenosis.sum(axis=1, min_count=1).to_numpy()
    return found


def _rows(inputs: Inputs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    row = pd.Series(np.arange(len(inputs.exams)), index=inputs.exams["study_uid"])
    prior, now = (row[inputs.pairs[name]].to_numpy() for name in ("prior_uid", "study_uid"))
    return prior, now


def _floor(
    plan: Plan, inputs: Inputs, unchanged: NDArray[np.bool_]
) -> tuple[NoiseFloor, NDArray[np.float64]]:
    """Return the floor, and the change of every pair, measured on the same vectors."""
    patient = inputs.pairs["patient_id"].to_numpy(str)
    enough = len(np.unique(patient[unchanged])) >= FEWEST
    prior, now = _rows(inputs)
    if plan.floor == "unchanged" or (plan.floor == "auto" and enough):
        source: Source = "unchanged pairs"
        change = change_of(inputs.vectors[prior], inputs.vectors[now])
        return noise_floor(change[unchanged], patient[unchanged], source), change
    mean = mean_views(inputs.videos, inputs.exam_of, len(inputs.exams))
    halves, exam = split_halves(inputs.videos, inputs.exam_of, seed=plan.seed)
    who = inputs.exams["patient_id"].to_numpy(str)[exam]
    return noise_floor(halves, who, "split halves"), change_of(mean[prior], mean[now])


def _toward_disease(inputs: Inputs, unchanged: NDArray[np.bool_]) -> NDArray[np.float64]:
    if DISEASE not in inputs.along:
        return np.full(len(inputs.pairs), np.nan)
    prior, now = _rows(inputs)
    moved = inputs.along[DISEASE][now] - inputs.along[DISEASE][prior]
    steady = moved[unchanged] if unchanged.sum() >= FEWEST else moved
    spread = float((steady**2).mean() ** 0.5)
    return np.asarray(moved / spread if spread > 0 else moved)


def _rates(pairs: pd.DataFrame) -> pd.DataFrame:
    groups = {
        "all": np.ones(len(pairs), bool),
        "unchanged, by dates and labels": pairs["unchanged"].to_numpy(bool),
        "natural course": (pairs["treatment"] == "").to_numpy(bool),
        "treated in between": (pairs["treatment"] != "").to_numpy(bool),
    }
    rows = []
    for name, chosen in groups.items():
        part = pairs[chosen]
        if len(part):
            rows.append(
                (
                    name,
                    len(part),
                    part["patient_id"].nunique(),
                    float(part["score"].median()),
                    float(part["beyond"].mean()),
                )
            )
    return pd.DataFrame(rows, columns=["group", "pairs", "patients", "median_score", "beyond"])


def _comparisons(plan: Plan, pairs: pd.DataFrame) -> pd.DataFrame:
    treated = (pairs["treatment"] != "").to_numpy(bool)
    wanted = {
        "treated in between against natural course": (treated, ~treated, "score"),
    }
    if "progressed" in pairs:
        known = pairs["progressed"].notna().to_numpy() & ~treated
        worse = known & pairs["progressed"].where(known, other=False).to_numpy(bool)
        stable = known & ~worse
        wanted |= {
            "progressed against stable, natural course": (worse, stable, "score"),
            "progressed against stable, toward disease": (worse, stable, "toward_disease"),
        }
    rows = [
        (name, int(one.sum()), int(other.sum()), *_compare(plan, pairs, one, other, column))
        for name, (one, other, column) in wanted.items()
        if min(one.sum(), other.sum()) >= FEWEST_EACH and pairs[column].notna().all()
    ]
    columns = ["comparison", "pairs", "other_pairs", "auc", "lower", "upper", "p"]
    return pd.DataFrame(rows, columns=columns)


def _compare(
    plan: Plan,
    pairs: pd.DataFrame,
    one: NDArray[np.bool_],
    other: NDArray[np.bool_],
    column: str,
) -> tuple[float, float, float, float]:
    part = pairs[one | other].reset_index(drop=True)
    truth, score = one[one | other], part[column].to_numpy(np.float64)
    samples = bootstrap(
        lambda rows: np.array([auc(truth[rows], score[rows])]),
        part["patient_id"],
        repeats=plan.repeats,
        seed=plan.seed,
    )
    low, high = percentile_interval(samples)
    first = ~part["patient_id"].duplicated().to_numpy()
    a, b = score[first & truth], score[first & ~truth]
    p = float(stats.mannwhitneyu(a, b).pvalue) if len(a) and len(b) else float("nan")
    return auc(truth, score), float(low[0]), float(high[0]), p


def _correlations(plan: Plan, pairs: pd.DataFrame) -> pd.DataFrame:
    rows = []
    natural = (pairs["treatment"] == "").to_numpy(bool)
    wanted = {
        "score and absolute change of stenoses": ("score", "absolute_change"),
        "toward disease and net change of stenoses": ("toward_disease", "net_change"),
    }
    for name, (one, other) in wanted.items():
        if other not in pairs:
            continue
        part = pairs[natural & pairs[[one, other]].notna().all(axis=1).to_numpy()]
        if len(part) < FEWEST:
            continue
        x, y = part[one].to_numpy(np.float64), part[other].to_numpy(np.float64)
        samples = bootstrap(
            lambda rows, x=x, y=y: np.array([_spearman(x[rows], y[rows])]),  # type: ignore[misc]
            part["patient_id"],
            repeats=plan.repeats,
            seed=plan.seed,
        )
        low, high = percentile_interval(samples)
        rows.append((name, len(part), _spearman(x, y), float(low[0]), float(high[0])))
    return pd.DataFrame(rows, columns=["what", "pairs", "spearman", "lower", "upper"])


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(stats.spearmanr(x, y).statistic)
