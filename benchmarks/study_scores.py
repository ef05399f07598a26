"""Which score of a study finds cases that are alike: by study vector, mean, or matching views.

Decided on the probe's studies, of a training-range seed; reported on the evaluation's, on which
nothing is decided.  Each again with queries of two views, drawn at random.

python -m benchmarks.study_scores --work FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angioatlas.phantom_mini import SHIPPED
from benchmarks.phantom_retrieval.__main__ import PROBE_SEED, PROBE_STUDIES, SEED, STUDIES
from benchmarks.phantom_retrieval.clips import each_study, render_studies
from benchmarks.phantom_retrieval.embed import Embedded, embed
from benchmarks.phantom_retrieval.neighbours import shared_by
from benchmarks.phantom_retrieval.report import table
from benchmarks.phantom_retrieval.retrieval import FEWEST, column
from benchmarks.phantom_retrieval.studies import StudySpec
from benchmarks.record import RESULTS, circumstances
from core.schema import EMBEDDING_DIM
from core.segments import SEGMENTS, SIGNIFICANT_PERCENT
from embedder.encoders.registry import load_encoder, load_text_encoder
from embedder.encoders.spec import Encoder
from index.chance import ScoreCounts
from index.late import StudyVideos, unit
from phantom.training.retrieval import average_precision
from phantom.words.concepts import EVALUATION_QUERIES

FEW_VIEWS = 2
SCALE = (20_000, 10)
"""Studies, and videos of each, of the timing."""
CHANCE_AT = (0.3, 0.5, 0.7)
SCORES = ("study", "mean", "late", "late, both ways")


def embedded(encoder: Encoder, work: Path, name: str, specs: list[StudySpec]) -> Embedded:
    """Embed studies once; `work` keeps them."""
    kept = work / f"{name}-{encoder.encoder_id}.pkl"
    if not kept.exists():
        found = embed(encoder, work, name, specs, workers=os.cpu_count() or 1)
        kept.write_bytes(pickle.dumps(found))
    seen: Embedded = pickle.loads(kept.read_bytes())
    return seen


def videos_of(seen: Embedded) -> StudyVideos:
    return StudyVideos(seen.videos, np.searchsorted(seen.of_study, np.arange(len(seen.studies))))


def few_views(
    encoder: Encoder, work: Path, name: str, specs: list[StudySpec]
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Embed two views of each study; return their vectors, and the study vectors they make."""
    rng = np.random.default_rng(0)
    files = render_studies(work, name, specs, workers=os.cpu_count() or 1)
    videos, studies = [], []
    for clips in each_study(files, specs):
        drawn = np.sort(rng.choice(len(clips), FEW_VIEWS, replace=False))
        found = encoder.encode_videos([*np.asarray(clips[drawn])])
        videos.append(found.embedding)
        studies.append(encoder.encode_study(found))
    return videos, np.stack(studies)


def all_scores(
    queries: list[NDArray[np.float32]], vectors: NDArray[np.float32], seen: Embedded
) -> dict[str, NDArray[np.float64]]:
    """Return every score of every query with every study, (queries, studies)."""
    of = videos_of(seen)
    late = np.stack([of.late_scores(query) for query in queries])
    means = unit(np.stack([query.astype(np.float64).mean(axis=0) for query in queries]))
    counts = [len(query) for query in queries]
    asked = StudyVideos(np.concatenate(queries), np.cumsum([0, *counts[:-1]]))
    back = np.stack([asked.late_scores(of.of(study)) for study in range(len(of))], axis=1)
    return {
        "study": vectors.astype(np.float64) @ seen.vectors.astype(np.float64).T,
        "mean": means @ of.means.T,
        "late": late,
        "late, both ways": (late + back) / 2,
    }


def figures_of(scores: NDArray[np.float64], seen: Embedded) -> dict[str, float]:
    """Return what the nearest studies share with a study."""
    found = shared_by(scores, seen)
    return {
        "lift": found["lift"],
        "mean_lift": found["mean_lift"],
        **same_main_finding(scores, seen),
    }


def same_main_finding(scores: NDArray[np.float64], seen: Embedded) -> dict[str, float]:
    """Return how often the worst segment of a study is significantly narrowed in its nearest ones.

    Of the studies that have a significant stenosis.
    """
    percent = np.array(
        [[s.visible.state(name).stenosis_percent for name in SEGMENTS] for s in seen.studies]
    )
    worst, tight = percent.argmax(axis=1), percent > SIGNIFICANT_PERCENT
    near = scores.copy()
    np.fill_diagonal(near, -np.inf)
    top = np.argsort(-near, axis=1, kind="stable")
    asked = np.flatnonzero(tight.any(axis=1))
    right = np.array([tight[top[i, :-1], worst[i]] for i in asked])
    return {
        "queries": len(asked),
        "p5": float(right[:, :5].mean()),
        "p10": float(right[:, :10].mean()),
        "chance": float(right.mean()),
    }


def texts(seen: Embedded, asked: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """Return how well each score ranks studies by the sentences of the retrieval evaluation."""
    of = videos_of(seen)
    scores = {
        "study": seen.vectors @ asked.T,
        "mean": of.means @ asked.T.astype(np.float64),
        "late": np.stack([of.late_scores(text[None]) for text in asked], axis=1),
    }
    return {name: _precision(each, seen) for name, each in scores.items()}


def _precision(scores: NDArray[Any], seen: Embedded) -> dict[str, float]:
    rows = []
    for i, concept in enumerate(EVALUATION_QUERIES.values()):
        truth = seen.labels[:, column(concept)] > 0
        if truth.sum() >= FEWEST:
            first = truth[np.argsort(-scores[:, i], kind="stable")]
            rows.append((average_precision(truth, scores[:, i]), first[:10].mean()))
    ap, p10 = np.mean(rows, axis=0)
    return {"queries": len(rows), "ap": float(ap), "p10": float(p10)}


def chances(seen: Embedded) -> list[dict[str, float]]:
    """Calibrate on one half of the studies as queries, and count the hits of the other half."""
    vectors, n = seen.vectors, len(seen.vectors)
    owners, drawn = np.arange(n), np.random.default_rng(0).permutation(n)
    counted, fresh = drawn[: n // 2], drawn[n // 2 :]
    counts = ScoreCounts().add_vectors(vectors[counted], owners[counted], vectors, owners)
    cosines = vectors[fresh] @ vectors.T
    cosines[np.arange(len(fresh)), fresh] = -np.inf
    rows = []
    for score in CHANCE_AT:
        hits = (cosines >= score).sum(axis=1)
        tenth, most = np.percentile(hits, [10, 90])
        rows.append(
            {
                "score": score,
                "told": float(counts.expected(np.array([score]), n - 1).number[0]),
                "mean": float(hits.mean()),
                "tenth": float(tenth),
                "nine_tenths": float(most),
            }
        )
    return rows


def timing() -> dict[str, float]:
    """Return how long one query takes, of random vectors."""
    studies, each = SCALE
    rng = np.random.default_rng(0)
    videos = rng.standard_normal((studies * each, EMBEDDING_DIM), np.float32)
    videos /= np.linalg.norm(videos, axis=1, keepdims=True)
    of = StudyVideos(videos, np.arange(0, len(videos), each))
    every, seconds = np.ones(studies, bool), []
    for study in range(7):
        began = time.perf_counter()
        of.rank_late(of.of(study), k=10, include=every)
        seconds.append(time.perf_counter() - began)
    return {"studies": studies, "videos": len(videos), "late_ms": 1e3 * statistics.median(seconds)}


def markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables."""
    parts = [f"# Scores of studies on phantoms, {figures['encoder_id']}"]
    for name in ("probe", "evaluation"):
        found = figures[name]
        rows = [
            [score, *(_shown(found[views][score]) for views in ("all_views", "few_views"))]
            for score in SCORES
        ]
        heads = ["score", "all views: lift, P@5, P@10", "two views: lift, P@5, P@10"]
        asked = [
            [score, f"{row['ap']:.3f}", f"{row['p10']:.3f}"]
            for score, row in found["texts"].items()
        ]
        chance = found["all_views"]["study"]["chance"]
        parts += [
            f"{name}: {found['studies']} studies; by chance lift 1, P {chance:.3f}",
            table(heads, rows),
            table(["text to study", "mean AP", "mean P@10"], asked),
            table(
                ["score", "told by chance", "mean of other queries", "10 %", "90 %"],
                [[f"{value:.4g}" for value in row.values()] for row in found["chances"]],
            ),
        ]
    timed = figures["timing"]
    parts.append(
        f"Late interaction with {timed['videos']:,} videos of {timed['studies']:,} studies: "
        f"{timed['late_ms']:.0f} ms a query"
    )
    return "\n\n".join(parts) + "\n"


def _shown(row: Mapping[str, float]) -> str:
    return f"{row['lift']:.2f}, {row['p5']:.3f}, {row['p10']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where clips and vectors are kept")
    work = parser.parse_args().work
    encoder, reader = load_encoder(SHIPPED, device="cpu"), load_text_encoder(SHIPPED, device="cpu")
    figures: dict[str, Any] = {"encoder_id": encoder.encoder_id}
    for name, seed, count in (("probe", PROBE_SEED, PROBE_STUDIES), ("evaluation", SEED, STUDIES)):
        specs = [StudySpec(seed, i) for i in range(count)]
        seen = embedded(encoder, work, name, specs)
        of = videos_of(seen)
        whole = [of.of(study) for study in range(len(of))]
        sets = {
            "all_views": all_scores(whole, seen.vectors, seen),
            "few_views": all_scores(*few_views(encoder, work, name, specs), seen),
        }
        figures[name] = {
            "seed": seed,
            "studies": count,
            "chances": chances(seen),
            "texts": texts(seen, reader.encode([*EVALUATION_QUERIES])),
            **{
                views: {score: figures_of(each, seen) for score, each in scores.items()}
                for views, scores in sets.items()
            },
        }
    figures["timing"] = timing()
    file = RESULTS / "study_scores.json"
    file.write_text(json.dumps(circumstances() | {"figures": figures}, indent=1) + "\n")
    file.with_suffix(".md").write_text(markdown(figures))
    print(markdown(figures))


if __name__ == "__main__":
    main()
