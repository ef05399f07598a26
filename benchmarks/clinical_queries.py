"""Clinical questions, parsed, against the same words as plain text: phantoms never seen before.

python -m benchmarks.clinical_queries --work FOLDER

Questions of one finding are those of `phantom.words.concepts.EVALUATION_QUERIES`.  Compositional
ones combine findings, absences and the ejection fraction; their predicates run through the code of
a store, over what its table would hold: what the finding heads say, and a measured ejection
fraction, the true one with the error of a measurement.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from angioatlas.clinical import chosen_by, understand
from angioatlas.findings import probability
from angioatlas.phantom_mini import SHIPPED
from benchmarks.phantom_retrieval.__main__ import PROBE_SEED, PROBE_STUDIES, Evaluation
from benchmarks.phantom_retrieval.embed import Embedded
from benchmarks.phantom_retrieval.report import table
from benchmarks.phantom_retrieval.retrieval import column
from benchmarks.phantom_retrieval.studies import StudySpec
from benchmarks.record import write
from core.schema import Level
from core.segments import FINDINGS, SEGMENTS, VESSELS, head_name
from embedder.encoders.spec import TextEmbedder
from phantom.people.measurements import ECHO_SD_PERCENT
from phantom.training.dataset import PhantomStudy
from phantom.training.retrieval import average_precision
from phantom.words.concepts import (
    BY_NAME,
    EVALUATION_QUERIES,
    STENOSIS_PERCENT,
    held_out_wordings,
    is_free,
)

TOP = 10

Truth = NDArray[np.bool_]
Rule = Callable[[Embedded], Truth]


def has(concept: str) -> Rule:
    return lambda seen: seen.labels[:, column(BY_NAME[concept])] > 0


def lacks(concept: str) -> Rule:
    return lambda seen: seen.labels[:, column(BY_NAME[concept])] == 0


def lvef(low: float, high: float) -> Rule:
    """Return the rule that the true ejection fraction is from `low` to below `high`."""
    return lambda seen: (seen.lvef >= low) & (seen.lvef < high)


def free(vessel: str) -> Rule:
    """Return the rule that nothing is found in a vessel with its branches."""
    return _all_of(vessel, lambda study, s: is_free(study.visible.state(s)))


def open_(vessel: str) -> Rule:
    """Return the rule that no segment of a vessel with its branches has a stenosis."""
    return _all_of(
        vessel, lambda study, s: study.visible.state(s).stenosis_percent < STENOSIS_PERCENT
    )


def _all_of(vessel: str, holds: Callable[[PhantomStudy, str], bool]) -> Rule:
    segments = VESSELS.get(vessel, (vessel,))
    return lambda seen: np.array([all(holds(x, s) for s in segments) for x in seen.studies])


QUERIES: Mapping[str, tuple[Rule, ...]] = {
    "proximal LAD occlusion, no RCA disease, EF < 40": (
        has("occlusion:prox_lad"), free("RCA"), lvef(0, 40),
    ),
    "LAD stenosis, no RCA stenosis, EF > 50": (
        has("stenosis:lad"), open_("RCA"), lvef(50, 101),
    ),
    "left main stenosis, EF < 40": (has("stenosis:left_main"), lvef(0, 40)),
    "three-vessel disease with LVEF below 35%": (has("three_vessel"), lvef(0, 35)),
    "calcified LAD, no calcification of the RCA": (
        has("calcification:lad"), lacks("calcification:right"),
    ),
    "CTO of the RCA, no LAD disease": (has("cto:rca"), free("LAD")),
    "stent in the LAD, no LCx disease": (has("stent:lad"), free("LCX")),
    "circumflex occlusion without RCA stenosis": (has("occlusion:lcx"), open_("RCA")),
    "severe mid LAD stenosis, left main free of disease, EF >= 50": (
        has("severe:mid_lad"), free("left_main"), lvef(50, 101),
    ),
    "sténose serrée de l'IVA moyenne, pas de lésion de la coronaire droite": (
        has("severe:mid_lad"), free("RCA"),
    ),
    "occlusion de la CD, FEVG < 40 %": (has("occlusion:rca"), lvef(0, 40)),
    "thrombus in the RCA, no LAD stenosis": (has("thrombus:rca"), open_("LAD")),
    "mid RCA occlusion, normal LCx, EF between 40 and 55": (
        has("occlusion:mid_rca"), free("LCX"), lvef(40, 55.0001),
    ),
    "significant LAD stenosis, not left dominant, EF < 40": (
        has("significant:lad"), lacks("left_dominant"), lvef(0, 40),
    ),
    "calcified RCA without stent": (has("calcification:rca"), lacks("stent:rca")),
    "LAD stenosis without calcification": (has("stenosis:lad"), lacks("calcification:lad")),
    "left dominant, LAD stenosis": (has("left_dominant"), has("stenosis:lad")),
    "RCA occlusion and calcified LAD": (has("occlusion:rca"), has("calcification:lad")),
    "stent in the RCA, no in-stent restenosis, preserved EF": (
        has("stent:rca"), lacks("restenosis:rca"), lvef(50, 101),
    ),
    "normal coronaries, EF < 40": (has("normal"), lvef(0, 40)),
}  # fmt: skip
"""Compositional questions, and what must be true of a study that answers each."""


def store_table(seen: Embedded) -> pa.Table:
    """Return what predicates may speak of, one row a study, as a store's table holds it."""
    noise = np.random.default_rng(0).normal(0, ECHO_SD_PERCENT, len(seen.lvef))
    columns: dict[str, Any] = {
        "study_uid": [f"{i:05d}" for i in range(len(seen.studies))],
        "lvef_percent": seen.lvef + noise,
    }
    for segment in SEGMENTS:
        for finding in FINDINGS:
            raw = seen.head(head_name(segment, finding))
            said = probability(raw) if finding.is_probability else raw
            columns[f"{segment}_{finding.column}"] = said.astype(np.float64)
    return pa.table(columns)


class Asked:
    """Studies, and how they answer a question as it is parsed and as plain text."""

    def __init__(self, seen: Embedded, reader: TextEmbedder) -> None:
        self.seen, self._reader = seen, reader
        self._rows = store_table(seen)

    def plain(self, text: str) -> NDArray[np.float64]:
        """Return the scores of a text as it is."""
        scores: NDArray[np.float64] = self.seen.vectors @ self._reader.encode([text])[0]
        return scores

    def parsed(self, text: str, *, predicates: bool = True) -> tuple[NDArray[np.float64], str]:
        """Return scores, those of what a predicate leaves out below all others, and the reading.

        Without predicates the store has no columns that these could name.
        """
        rows = self._rows if predicates else self._rows.select(["study_uid"])
        question = understand(text, self._reader, Level.STUDY, lambda names: rows)
        chosen, question = chosen_by(question, rows, rows["study_uid"], Level.STUDY)
        scores = self.seen.vectors @ question.vector(self._reader)
        read = "; ".join(f"{part.read or part.words} [{part.use}]" for part in question.parts)
        return np.where(chosen, scores, scores - 10), read


def single_rows(asked: Asked) -> list[dict[str, Any]]:
    """Return average precision of the questions of one finding."""
    rows = []
    for text, concept in EVALUATION_QUERIES.items():
        truth = has(concept.name)(asked.seen)
        scores, read = asked.parsed(text, predicates=False)
        plain, parsed = (average_precision(truth, s) for s in (asked.plain(text), scores))
        rows.append(
            {"query": text, "n": int(truth.sum()), "plain_ap": plain, "parsed_ap": parsed,
             "difference": parsed - plain, "read": read}
        )  # fmt: skip
    return rows


def held_out(asked: Asked) -> dict[str, float]:
    """Return mean average precision of wordings that the encoder's training never shows."""
    rows = []
    for concept in EVALUATION_QUERIES.values():
        truth = has(concept.name)(asked.seen)
        for text in held_out_wordings(concept):
            scores, _ = asked.parsed(text, predicates=False)
            plain, parsed = (average_precision(truth, s) for s in (asked.plain(text), scores))
            rows.append({"plain_ap": plain, "parsed_ap": parsed, "difference": parsed - plain})
    return {"wordings": len(rows), **mean_of(rows, ("plain_ap", "parsed_ap", "difference"))}


def compositional_rows(asked: Asked) -> list[dict[str, Any]]:
    """Return precision among the best of each compositional question."""
    rows = []
    for text, rules in QUERIES.items():
        truth = np.logical_and.reduce([rule(asked.seen) for rule in rules])
        scores, read = asked.parsed(text)
        plain, parsed = (_precision(truth, s) for s in (asked.plain(text), scores))
        rows.append(
            {"query": text, "n": int(truth.sum()), "best_of": min(TOP, int(truth.sum())),
             "plain_p": plain, "parsed_p": parsed, "difference": parsed - plain, "read": read}
        )  # fmt: skip
    return rows


def _precision(truth: Truth, scores: NDArray[np.float64]) -> float:
    """Return the precision among the best ten; among as many as there are where those are fewer."""
    best = np.argsort(-scores, kind="stable")[: min(TOP, int(truth.sum()))]
    return float(truth[best].mean()) if len(best) else float("nan")


def mean_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
    return {name: float(np.nanmean([row[name] for row in rows])) for name in names}


def figures_of(seen: Embedded, reader: TextEmbedder) -> dict[str, Any]:
    """Return all figures of some studies."""
    asked = Asked(seen, reader)
    single, compositional = single_rows(asked), compositional_rows(asked)
    return {
        "studies": len(seen.studies),
        "single": single,
        "single_mean": mean_of(single, ("plain_ap", "parsed_ap", "difference")),
        "held_out": held_out(asked),
        "compositional": compositional,
        "compositional_mean": mean_of(compositional, ("plain_p", "parsed_p", "difference")),
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """Return the figures as tables."""
    parts = [f"# Clinical questions on {figures['studies']} unseen phantom studies"]
    for name, title, measure in (
        ("single", "One finding: average precision", "ap"),
        ("compositional", f"Compositional: precision at {TOP}", "p"),
    ):
        names = (f"plain_{measure}", f"parsed_{measure}", "difference")
        rows = [
            [row["query"], str(row["n"]), *(f"{row[each]:.3f}" for each in names), row["read"]]
            for row in figures[name]
        ]
        mean = [f"{figures[f'{name}_mean'][each]:.3f}" for each in names]
        rows.append([f"**mean of {len(rows)}**", "", *mean, ""])
        parts.append(f"## {title}")
        parts.append(table(("question", "n", "plain", "parsed", "difference", "read as"), rows))
    other = figures["held_out"]
    parts.append(
        f"Of {other['wordings']} other wordings of the questions of one finding, which the "
        f"encoder's training never shows, the mean average precision is {other['plain_ap']:.3f} "
        f"plain and {other['parsed_ap']:.3f} parsed."
    )
    parts.append(
        f"With fewer than {TOP} positives (n) it is the precision among the first n. "
        "Difference: parsed less plain."
    )
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where rendered clips are kept")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--probe", action="store_true", help="the studies that decide, print only")
    given = parser.parse_args()
    told = Evaluation(SHIPPED, given.work, workers=given.workers, studies=given.studies)
    if given.probe:
        seen = told.embed("probe", [StudySpec(PROBE_SEED, i) for i in range(PROBE_STUDIES)])
        print(markdown(figures_of(seen, told.reader)))
        return
    figures = figures_of(told.embed("evaluation", told.specs), told.reader)
    file = write("clinical_queries", {"encoder_id": told.encoder.encoder_id, **figures})
    file.with_suffix(".md").write_text(markdown(figures))
    print(markdown(figures))


if __name__ == "__main__":
    main()
