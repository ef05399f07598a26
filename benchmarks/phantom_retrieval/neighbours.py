"""Studies that are like a study: what they share, the ejection fraction, and change over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.phantom_retrieval.embed import Embedded
from benchmarks.phantom_retrieval.retrieval import column
from benchmarks.phantom_retrieval.studies import StudySpec, patient_of
from core.segments import SEGMENTS
from phantom.training.validate import auroc
from phantom.words.concepts import EVALUATION_QUERIES, REDUCED_LVEF

NEAREST = 10
ALPHAS = np.logspace(-3, 4, 15)


def shared(vectors: NDArray[Any], seen: Embedded) -> dict[str, Any]:
    """Return what `shared_by` does, of the cosines of vectors."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return shared_by(unit @ unit.T, seen)


def shared_by(scores: NDArray[Any], seen: Embedded) -> dict[str, Any]:
    """Return how often the nearest studies share a study's finding, beside chance.

    Every study is another patient's.  Chance is how frequent the finding is among the others.

    Parameters
    ----------
    scores : array of shape (studies, studies)
        Of each study, as a query, with every study; its own does not count.
    seen : Embedded
    """
    near = scores.copy()
    np.fill_diagonal(near, -np.inf)
    top = np.argsort(-near, axis=1)[:, :NEAREST]
    rows = []
    for query, concept in EVALUATION_QUERIES.items():
        truth = seen.labels[:, column(concept)] > 0
        if truth.sum() < 3:
            continue
        chance = (truth.sum() - 1) / (len(truth) - 1)
        rows.append({"query": query, "share": float(truth[top[truth]].mean()), "chance": chance})
    share = float(np.mean([row["share"] for row in rows]))
    chance = float(np.mean([row["chance"] for row in rows]))
    lifts = [row["share"] / row["chance"] for row in rows]
    return {
        "share": share,
        "chance": chance,
        "lift": share / chance,
        "mean_lift": float(np.mean(lifts)),
        "significant_jaccard": _jaccard(seen, top),
        "queries": rows,
    }


def _jaccard(seen: Embedded, top: NDArray[np.int64]) -> dict[str, float]:
    """Compare the sets of segments with a significant stenosis, of studies that have any."""
    percent = np.array(
        [[s.visible.state(name).stenosis_percent for name in SEGMENTS] for s in seen.studies]
    )
    found = percent >= 70
    both = found.astype(float) @ found.T.astype(float)
    either = found.sum(axis=1)[:, None] + found.sum(axis=1)[None] - both
    ratio = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    diseased = np.flatnonzero(found.any(axis=1))
    other = ratio[diseased].sum(axis=1) - 1
    return {
        "nearest": float(np.mean([ratio[i, top[i]].mean() for i in diseased])),
        "chance": float((other / (len(found) - 1)).mean()),
    }


def lvef_probe(
    train: NDArray[Any], train_lvef: NDArray[Any], test: NDArray[Any], lvef: NDArray[Any]
) -> dict[str, float]:
    """Return how well a ridge regression of other studies tells the ejection fraction."""
    model = make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(train, train_lvef)
    said = model.predict(test)
    rest = ((said - lvef) ** 2).sum() / ((lvef - lvef.mean()) ** 2).sum()
    return {
        "mae": float(np.abs(said - lvef).mean()),
        "r2": float(1 - rest),
        "auroc_reduced": auroc(lvef < REDUCED_LVEF, -said),
        "median_mae": float(np.abs(np.median(train_lvef) - lvef).mean()),
    }


def pairs(seed: int, count: int) -> list[tuple[StudySpec, StudySpec]]:
    """Return the first two exams of the first patients that have two."""
    found: list[tuple[StudySpec, StudySpec]] = []
    index = 0
    while len(found) < count:
        if len(patient_of(seed, index).exams) > 1:
            found.append((StudySpec(seed, index, 1), StudySpec(seed, index, 2)))
        index += 1
    return found


def progression(
    before: NDArray[Any],
    after: NDArray[Any],
    specs: Sequence[StudySpec],
    direction: NDArray[Any],
) -> dict[str, float]:
    """Hold the distance of two exams' vectors against the true change of the heart.

    Parameters
    ----------
    before, after : arrays of shape (pairs, 512)
        L2-normalised.
    specs : sequence of StudySpec
        Of the second exams.
    direction : array of shape (512,)
        Of a sentence: movement toward it has a sign, which distance has not.
    """
    exams = [patient_of(s.seed, s.index).exams[s.exam - 1] for s in specs]
    change = np.array([exam.true_change for exam in exams])
    burden = np.array(
        [
            e.burden - patient_of(s.seed, s.index).exams[0].burden
            for s, e in zip(specs, exams, strict=True)
        ]
    )
    same = np.array([exam.unchanged for exam in exams])
    distance = 1 - (before * after).sum(axis=1)
    other = 1 - before @ after.T
    np.fill_diagonal(other, np.nan)
    nearest = np.argmax(before @ after.T, axis=1) == np.arange(len(before))
    moved = change > 0
    return {
        "pairs": len(exams),
        "unchanged": int(same.sum()),
        "spearman": float(spearmanr(distance, change).statistic),
        "spearman_of_changed": float(spearmanr(distance[moved], change[moved]).statistic),
        "auroc_changed": auroc(~same, distance),
        "auroc_stenosis_changed": auroc(moved[same | moved], distance[same | moved]),
        "distance_unchanged": float(distance[same].mean()),
        "distance_changed": float(distance[~same].mean()),
        "distance_other_patients": float(np.nanmean(other)),
        "same_patient_nearest": float(nearest.mean()),
        "spearman_direction_burden": float(
            spearmanr((after - before) @ direction, burden).statistic
        ),
    }
