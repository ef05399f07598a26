"""Findings of unseen phantoms by probes, heads and text, against the truth, segment by segment.

python -m benchmarks.phantom_probes --work FOLDER

The studies are those of the retrieval evaluation, whose clips are kept in the same folder.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analytics.agreement import agreement
from analytics.probes.attention import probe_views
from analytics.probes.compare import compare
from analytics.probes.linear import probe
from angioatlas.phantom_mini import SHIPPED
from angioatlas.probes.targets import sentence
from benchmarks.phantom_retrieval.__main__ import SEED, STUDIES
from benchmarks.phantom_retrieval.embed import Embedded, embed
from benchmarks.phantom_retrieval.studies import StudySpec
from benchmarks.record import RESULTS, write
from core.segments import SEGMENTS, SIGNIFICANT_PERCENT, VESSELS
from embedder.encoders.registry import load_encoder, load_text_encoder
from phantom.training.dataset import PhantomStudy
from phantom.words.concepts import CALCIFIED

_SIGNIFICANT = f"> {SIGNIFICANT_PERCENT} %"
_FEWEST_SHOWN = 3


def truths(studies: list[PhantomStudy]) -> pd.DataFrame:
    """Return what can be seen of every study: 1 and 0, a column a finding."""
    rows = []
    for study in studies:
        states = {name: study.visible.state(name) for name in SEGMENTS}
        percent = {name: state.stenosis_percent for name, state in states.items()}
        worst = {v: max(percent[s] for s in own) for v, own in VESSELS.items()}
        row = {f"{n} {_SIGNIFICANT}": p > SIGNIFICANT_PERCENT for n, p in (percent | worst).items()}
        for name, state in states.items():
            row |= {
                f"{name} cto": state.cto,
                f"{name} thrombus": state.thrombus,
                f"{name} calcification": state.calcification >= CALCIFIED,
            }
        rows.append(row)
    return pd.DataFrame(rows).astype(float)


def by_heads(seen: Embedded, names: list[str]) -> np.ndarray:
    """Return what the heads say of each finding; a vessel is as narrow as its worst segment."""
    columns = []
    for name in names:
        place, what = name.removesuffix(f" {_SIGNIFICANT}"), name.rpartition(" ")[2]
        if name.endswith(_SIGNIFICANT):
            own = VESSELS.get(place, (place,))
            columns.append(np.max([seen.head(f"{each}_stenosis") for each in own], axis=0))
        else:
            place = name.partition(" ")[0]
            suffix = {"calcification": "calcif_binary"}.get(what, what)
            columns.append(seen.head(f"{place}_{suffix}"))
    return np.stack(columns, axis=1).astype(np.float64)


def figures(seen: Embedded, encoder: Path) -> dict[str, Any]:
    """Return the table of every finding and method, and errors of percent stenosis."""
    truth = truths(seen.studies)
    names = [name for name in truth.columns if truth[name].sum() >= _FEWEST_SHOWN]
    y = truth[names].to_numpy(np.float64)
    patient = np.arange(len(y)).astype(str)  # each study is of a patient of its own
    fitted, attended = (
        probe(seen.vectors, y, patient),
        probe_views(seen.videos, seen.of_study, y, patient),
    )
    reader = load_text_encoder(encoder, device="cpu")
    scores = {
        "probe": fitted.scores,
        "views": attended.scores,
        "heads": by_heads(seen, names),
        "text": (seen.vectors @ reader.encode([sentence(name) for name in names]).T).astype(float),
    }
    called = {"probe": fitted.called, "views": attended.called}
    table = compare(y, scores, names, patient, called=called, repeats=200)
    percent = np.array(
        [[s.visible.state(name).stenosis_percent for name in SEGMENTS] for s in seen.studies]
    )
    said = np.clip(probe(seen.vectors, percent, patient).scores, 0, 100)
    heads = np.clip(np.stack([seen.head(f"{n}_stenosis") for n in SEGMENTS], axis=1), 0, 100)
    errors = {
        name: {
            method: agreement(percent[:, j], each[:, j]).mae
            for method, each in (("probe", said), ("heads", heads))
        }
        for j, name in enumerate(SEGMENTS)
    }
    return {"table": table.to_dict("records"), "mae_percent_stenosis": errors}


def markdown(found: dict[str, Any]) -> str:
    """Return the AUCs as a table: a row a finding, a column a method."""
    table = pd.DataFrame(found["table"])
    lines = [
        "| finding | cases | probe | views | heads | text | |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in table.groupby("finding", sort=False):
        area = rows.set_index("method")["auc"]
        cells = [f"{area[method]:.3f}" for method in ("probe", "views", "heads", "text")]
        weak = "weak" if rows["weak"].any() else ""
        lines.append(f"| {name} | {rows['cases'].iloc[0]} | {' | '.join(cells)} | {weak} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, default=SHIPPED, help="an encoder folder")
    parser.add_argument("--work", type=Path, required=True, help="where rendered clips are kept")
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    encoder = load_encoder(given.encoder, device="cpu")
    specs = [StudySpec(SEED, i) for i in range(given.studies)]
    seen = embed(encoder, given.work, "evaluation", specs, workers=given.workers)
    found = {
        "encoder_id": encoder.encoder_id,
        "seed": SEED,
        "studies": given.studies,
        **figures(seen, given.encoder),
    }
    (RESULTS / "phantom_probes.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))
    print(write("phantom_probes", found))


if __name__ == "__main__":
    main()
