"""Sentences against studies and videos: the table of queries, paraphrases, and segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.phantom_retrieval.embed import Embedded
from core.segments import SEGMENTS
from embedder.encoders.spec import TextEmbedder
from phantom.training.retrieval import average_precision
from phantom.training.validate import auroc
from phantom.words.concepts import (
    BY_NAME,
    CONCEPTS,
    EVALUATION_QUERIES,
    Concept,
    held_out_wordings,
    wordings,
)

FEWEST = 5
PARAPHRASES = 12


def column(concept: Concept) -> int:
    return CONCEPTS.index(concept)


def query_rows(seen: Embedded, reader: TextEmbedder, naive: NDArray[Any]) -> list[dict[str, Any]]:
    """Return the figures of each query: of studies, of videos, and the baseline's."""
    texts = reader.encode([*EVALUATION_QUERIES])
    of_studies, of_videos = seen.vectors @ texts.T, seen.videos @ texts.T
    rows = []
    for i, (text, concept) in enumerate(EVALUATION_QUERIES.items()):
        truth = seen.labels[:, column(concept)] > 0
        of_runs = seen.video_labels[:, column(concept)]
        known = of_runs >= 0
        ranked = truth[np.argsort(-of_studies[:, i], kind="stable")]
        runs = of_runs[known] > 0
        rows.append(
            {
                "query": text,
                "n": int(truth.sum()),
                "prevalence": float(truth.mean()),
                "p5": float(ranked[:5].mean()),
                "p10": float(ranked[:10].mean()),
                "auroc": auroc(truth, of_studies[:, i]),
                "ap": average_precision(truth, of_studies[:, i]),
                "video_auroc": auroc(runs, of_videos[known, i]),
                "video_ap": average_precision(runs, of_videos[known, i]),
                "baseline_p10": float(truth[np.argsort(-naive[:, i])][:10].mean()),
                "baseline_auroc": auroc(truth, naive[:, i]),
                "baseline_ap": average_precision(truth, naive[:, i]),
            }
        )
    return rows


def naive_scores(train: Embedded, seen: Embedded) -> NDArray[np.float64]:
    """Return what a linear model of angles and mid frames says of each query, (studies, 28)."""
    scores = []
    for concept in EVALUATION_QUERIES.values():
        truth = train.labels[:, column(concept)] > 0
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        if 0 < truth.sum() < len(truth):
            scores.append(model.fit(train.naive, truth).decision_function(seen.naive))
        else:
            scores.append(np.zeros(len(seen.naive)))
    return np.stack(scores, axis=1)


def mean_of(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of every figure over the queries that have it."""
    names = [name for name in rows[0] if name not in ("query", "n")]
    return {name: float(np.nanmean([row[name] for row in rows])) for name in names}


def mean_ap(seen: Embedded, reader: TextEmbedder, *, fewest: int = FEWEST) -> float:
    """Return the mean average precision of the queries with enough positives."""
    return float(np.nanmean([*aps(seen, reader, fewest=fewest).values()]))


def aps(seen: Embedded, reader: TextEmbedder, *, fewest: int = FEWEST) -> dict[str, float]:
    """Return the average precision of each query with enough positives."""
    scores = seen.vectors @ reader.encode([*EVALUATION_QUERIES]).T
    found = {}
    for i, (text, concept) in enumerate(EVALUATION_QUERIES.items()):
        truth = seen.labels[:, column(concept)] > 0
        if truth.sum() >= fewest:
            found[text] = average_precision(truth, scores[:, i])
    return found


def paraphrases(seen: Embedded, reader: TextEmbedder) -> dict[str, Any]:
    """Return the mean average precision of other wordings, known ones and held-out ones."""
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {"training": [], "held_out": []}
    spread, rows = [], []
    for query, concept in EVALUATION_QUERIES.items():
        truth = seen.labels[:, column(concept)] > 0
        known = wordings(concept)
        picked = rng.permutation(len(known))[:PARAPHRASES]
        each = _precisions(seen, reader, truth, [known[i] for i in picked])
        other = _precisions(seen, reader, truth, held_out_wordings(concept))
        found["training"].append(float(np.mean(each)))
        found["held_out"].append(float(np.mean(other)))
        spread.append(float(np.std(each)))
        rows.append({"query": query, "training": np.mean(each), "held_out": np.mean(other)})
    means: Mapping[str, float] = {name: float(np.mean(v)) for name, v in found.items()}
    return {**means, "training_sd_within_query": float(np.mean(spread)), "queries": rows}


def _precisions(
    seen: Embedded, reader: TextEmbedder, truth: NDArray[np.bool_], texts: Any
) -> list[float]:
    scores = seen.vectors @ reader.encode([*texts]).T
    return [average_precision(truth, scores[:, i]) for i in range(len(texts))]


def segment_rows(seen: Embedded, reader: TextEmbedder) -> list[dict[str, Any]]:
    """Return AUROC of each segment by sentence and by finding head."""
    asked = {"significant": "stenosis_binary", "occlusion": None, "cto": "cto"}
    asked |= {"thrombus": "thrombus", "calcification": "calcif_binary", "stent": None}
    rows = []
    for segment, name in SEGMENTS.items():
        row: dict[str, Any] = {"segment": segment}
        for finding, suffix in asked.items():
            concept = BY_NAME.get(f"{finding}:{segment}")
            if concept is None:
                continue
            truth = seen.labels[:, column(concept)] > 0
            row[f"{finding}_n"] = int(truth.sum())
            if truth.sum() < 3:
                continue
            text = reader.encode([wordings(concept)[0]])[0]
            row[f"{finding}_text"] = auroc(truth, seen.vectors @ text)
            if suffix:
                row[f"{finding}_head"] = auroc(truth, seen.head(f"{segment}_{suffix}"))
        truth = np.array([s.visible.state(segment).stenosis_percent for s in seen.studies])
        said = seen.head(f"{segment}_stenosis")
        row["percent_mae"] = float(np.abs(said - truth).mean())
        row["name"] = name
        rows.append(row)
    return rows
