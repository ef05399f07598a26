"""What is known of each exam's segments and vessels, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from angioatlas.stenoses import measured_stenoses
from core.labels import LabelKind
from core.segments import FINDINGS, SEGMENTS, SIGNIFICANT_PERCENT, VESSELS, head_name
from embedder.encoders.spec import TextEmbedder
from store.snapshot import Snapshot

_STENOSIS: Final = FINDINGS[0]
_BINARY: Final = ("cto", "thrombus", "calcification")
_SIGNIFICANT: Final = f"> {SIGNIFICANT_PERCENT} %"


def percents(snapshot: Snapshot, uids: Sequence[str], *, method: str | None = None) -> pd.DataFrame:
    """Return measured percent stenoses of exams: a column a segment, and a vessel (its worst).

    By one method, or by any; see `angioatlas.stenoses.measured_stenoses`.
    """
    measured = measured_stenoses(snapshot, method=method).reindex(list(uids)).reset_index(drop=True)
    for vessel, segments in VESSELS.items():
        measured[vessel] = measured[list(segments)].max(axis=1)
    return measured


def truths(snapshot: Snapshot, uids: Sequence[str]) -> pd.DataFrame:
    """Return what is known of exams: 1, 0, or NaN.

    Returns
    -------
    DataFrame of shape (exams, findings)
        Significant stenosis of each segment and vessel by measurements of the exam; occlusion,
        thrombus and calcification of a segment where measurements of that name are there, such as
        ``cto@prox_lad``.
    """
    percent = percents(snapshot, uids)
    found = {
        f"{name} {_SIGNIFICANT}": (percent[name] > SIGNIFICANT_PERCENT)
        .astype(float)
        .where(percent[name].notna())
        for name in percent.columns
    }
    rows = snapshot.labels(LabelKind.MEASUREMENTS).to_pandas()
    rows = rows[rows["study_uid"].notna()]
    for segment in SEGMENTS:
        for finding in _BINARY:
            own = rows[rows["name"] == f"{finding}@{segment}"]
            if len(own):
                value = own.groupby("study_uid")["value"].max().reindex(list(uids))
                told = (value > 0).astype(float).where(value.notna())
                found[f"{segment} {finding}"] = told.reset_index(drop=True)
    return pd.DataFrame(found)


def by_heads(
    snapshot: Snapshot, uids: Sequence[str], names: Sequence[str], *, encoder_id: str
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return what one set of heads says of findings, and its percents; None without one set."""
    heads = snapshot.heads(encoder_id)
    if len(heads) != 1:
        return None
    rows = snapshot.findings(encoder_id, heads[0]).to_pandas().set_index("study_uid")
    rows = rows.reindex(list(uids)).reset_index(drop=True)
    percent = pd.DataFrame({name: rows[head_name(name, _STENOSIS)] for name in SEGMENTS})
    for vessel, segments in VESSELS.items():
        percent[vessel] = percent[list(segments)].max(axis=1)
    said: dict[str, pd.Series] = {}
    by_name = {finding.column: finding for finding in FINDINGS}
    for name in names:
        place, _, what = name.partition(" ")
        if name.endswith(_SIGNIFICANT):
            said[name] = percent[name.removesuffix(f" {_SIGNIFICANT}")]
        elif what in by_name:
            said[name] = rows[head_name(place, by_name[what])]
    empty = pd.Series(np.nan, index=rows.index)
    return pd.DataFrame({name: said.get(name, empty) for name in names}), percent


def by_text(vectors: np.ndarray, reader: TextEmbedder, names: Sequence[str]) -> pd.DataFrame:
    """Return how near each exam is to a sentence of each finding: cosines."""
    sentences = [sentence(name) for name in names]
    scores = np.asarray(vectors, np.float32) @ reader.encode(sentences).T
    return pd.DataFrame(scores, columns=list(names))


def sentence(name: str) -> str:
    """Return the words by which a finding is looked for."""
    place, _, what = name.partition(" ")
    if name.endswith(_SIGNIFICANT):
        place = name.removesuffix(f" {_SIGNIFICANT}")
        return f"severe stenosis of the {SEGMENTS.get(place, place)}"
    words = {"cto": "chronic total occlusion", "thrombus": "thrombus", "calcification": "calcium"}
    return f"{words[what]} in the {SEGMENTS[place]}"
