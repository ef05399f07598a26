"""Search of phantoms by pictures, by reports, and by both fused, over the evaluation's queries.

Reports of a share of the studies are there, as where some were imported.  A report is written by
another reader than the truth that is asked for: with scatter, in other words, and of clean vessels
too.  Vectors are taken as they are, and with noise, as of an encoder that sees less.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angioatlas.phantom_mini import SHIPPED
from benchmarks.phantom_retrieval.__main__ import SEED, STUDIES
from benchmarks.phantom_retrieval.embed import Embedded, embed
from benchmarks.phantom_retrieval.retrieval import FEWEST, column
from benchmarks.phantom_retrieval.studies import StudySpec
from benchmarks.record import write
from core.ids import KeptIdentity
from core.labels import LabelKind
from embedder.encoders.registry import load_encoder, load_text_encoder
from embedder.encoders.spec import TextEmbedder
from index.fusion import reciprocal_rank_fusion
from phantom.training.retrieval import average_precision
from phantom.words.concepts import EVALUATION_QUERIES
from phantom.words.reports import report
from store.labels import LabelBatch, LabelRow
from store.report_text import ReportText
from store.store import Store

SHARES = (0.25, 0.5, 1.0)
DRAWS = 3
"""Of the studies that have a report, and of their wording."""
NOISE = {"vectors as they are": 0.0, "vectors with noise": 0.08}
"""Standard deviation in each of 512 dimensions, added to a vector of length 1."""


def figures(seen: Embedded, reader: TextEmbedder) -> list[dict[str, Any]]:
    """Return mean average precision and precision at 10 by share of reports and by noise."""
    texts = reader.encode([*EVALUATION_QUERIES])
    scores = {name: _with_noise(seen.vectors, sd) @ texts.T for name, sd in NOISE.items()}
    rows = []
    for share in SHARES:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in NOISE}
        for draw in range(DRAWS):
            by_report = _by_report(seen, share, np.random.default_rng(draw))
            for name, each in scores.items():
                found[name] += _of_queries(seen, each, by_report)
        rows += [{"share": share, "vectors": name, **_means(found[name])} for name in NOISE]
    return rows


@dataclass(frozen=True)
class _Ranked:
    ap: float
    p10: float

    @classmethod
    def of(cls, uids: list[str], truth: NDArray[np.bool_]) -> _Ranked:
        """Judge a ranking; studies that are not in it come after it, in their order."""
        place = {uid: at for at, uid in enumerate(uids)}
        score = -np.array([place.get(_uid(i), len(truth)) for i in range(len(truth))], float)
        first = truth[np.argsort(-score, kind="stable")][:10]
        return cls(average_precision(truth, score), float(first.mean()))


def _of_queries(
    seen: Embedded, scores: NDArray[np.float32], by_report: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    rows = []
    for i, (text, concept) in enumerate(EVALUATION_QUERIES.items()):
        truth = seen.labels[:, column(concept)] > 0
        if truth.sum() < FEWEST:
            continue
        pictures = [_uid(j) for j in np.argsort(-scores[:, i], kind="stable")]
        fused = [item.uid for item in reciprocal_rank_fusion(pictures, by_report[text])]
        ranked = {"pictures": pictures, "reports": by_report[text], "fused": fused}
        judged = {name: _Ranked.of(uids, truth) for name, uids in ranked.items()}
        rows.append({"query": text, "matching": len(by_report[text]), **judged})
    return rows


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    told: dict[str, Any] = {"matching": float(np.mean([row["matching"] for row in rows]))}
    for name in ("pictures", "reports", "fused"):
        told[name] = {
            "ap": float(np.mean([row[name].ap for row in rows])),
            "p10": float(np.mean([row[name].p10 for row in rows])),
        }
    queries: dict[str, list[float]] = {}
    for row in rows:
        queries.setdefault(row["query"], []).append(row["fused"].ap - row["pictures"].ap)
    return {**told, "ap_gained": {text: float(np.mean(gained)) for text, gained in queries.items()}}


def _by_report(seen: Embedded, share: float, rng: np.random.Generator) -> dict[str, list[str]]:
    """Return the studies that each query finds by the reports of a share of them."""
    rows = [
        LabelRow(_uid(i), {"study_uid": _uid(i), "patient_id": f"P{i}", "text": text} | _ENGLISH)
        for i, study in enumerate(seen.studies)
        if rng.random() < share and (text := report(study.anatomy, study.disease, rng=rng))
    ]
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "store", identity=KeptIdentity().record)
        with store.writer("benchmark") as writer:
            writer.commit_labels(LabelBatch({LabelKind.REPORTS: rows}))
        index = ReportText(Path(folder) / "reports")
        with store.snapshot() as snapshot:
            return {
                text: [uid for uid, _ in index.search(snapshot, text)]
                for text in EVALUATION_QUERIES
            }


_ENGLISH = {"language": "en"}


def _uid(row: int) -> str:
    return f"1.{row + 1:06d}"


def _with_noise(vectors: NDArray[np.float32], sd: float) -> NDArray[np.float32]:
    moved = vectors + np.random.default_rng(0).normal(0, sd, vectors.shape)
    unit: NDArray[np.float32] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where rendered clips are kept")
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    encoder = load_encoder(SHIPPED, device="cpu")
    specs = [StudySpec(SEED, i) for i in range(given.studies)]
    seen = embed(encoder, given.work, "evaluation", specs, workers=given.workers)
    rows = figures(seen, load_text_encoder(SHIPPED, device="cpu"))
    about = {"encoder_id": encoder.encoder_id, "seed": SEED, "studies": len(seen.studies)}
    print(write("hybrid_search", about | {"rows": rows}))


if __name__ == "__main__":
    main()
