"""Hybrid search: studies ranked by their pictures and by the words of their reports, fused.

Both rankings are whole, so the fused one is exact at any depth.  A study without a report has a
place in one of them, and is found by its pictures.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from angioatlas.filters import rows_where
from angioatlas.hits import Found, ReportsRead, facts
from angioatlas.retrieve import Caches, Wanted
from angioatlas.retrieve import search as search_vectors
from angioatlas.rows import find
from core.errors import UsageError
from core.labels import LabelKind
from core.schema import Level
from embedder.encoders.spec import TextEmbedder
from index.fusion import Fused, reciprocal_rank_fusion
from store.report_text import ReportText
from store.snapshot import Snapshot

_NO_VECTORS: Final = {"score": float("nan"), "chance": float("nan"), "chance_is_bound": False}
"""What is said of a hit that no vector ranked."""


def search(
    snapshot: Snapshot,
    caches: Caches,
    reports: ReportText,
    text: str,
    *,
    reader: TextEmbedder | None,
    encoder_id: str,
    wanted: Wanted,
    plain: bool = False,
    without: Collection[str] = (),
) -> Found:
    """Rank studies by a text and their vectors, by its words and their reports, and fuse the two.

    Parameters
    ----------
    snapshot : Snapshot
    caches : Caches
    reports : ReportText
    text : str
    reader : TextEmbedder or None
        Of the space `encoder_id`; without one the reports alone rank, and the note says so.
    encoder_id : str
        The space whose studies are searched.
    wanted : Wanted
        Of studies: a report is of a study.  A filter holds for both rankings; fewer than `k` hits
        come back only when fewer studies (or patients) are in either.
    plain, without
        See `angioatlas.retrieve.search`; reports are always asked with the text as it is.

    Returns
    -------
    Found
        Its hits have `rrf` (see `index.fusion.reciprocal_rank_fusion`), by which they are ranked;
        `vector_rank` and `report_rank`, None where a study is not in that ranking; then `score`
        (cosine similarity, as in every search) and facts.

    Raises
    ------
    UsageError
        Videos or explanations are asked for, the text is empty, or the predicate is none.
    NotFoundError
        No reports were imported.
    """
    if wanted.level is not Level.STUDY:
        raise UsageError("reports are of studies: they do not rank videos", "leave --level out")
    if wanted.load_encoder is not None:
        raise UsageError(
            "views do not explain a rank that reports have a part in",
            "leave --why or --reports out",
        )
    if not text.strip():
        raise UsageError("the text is empty", 'name a finding, such as "proximal LAD occlusion"')
    keys = snapshot.keys(encoder_id, wanted.level)
    if reader is None:
        note = f"no text encoder of {encoder_id} can be read here: ranked by the reports alone"
        found = Found(
            text=text,
            note=note,
            level=wanted.level,
            encoder_id=encoder_id,
            store_version=snapshot.version,
            score=wanted.score,
            table=pa.table({}),
        )
    else:
        whole = replace(wanted, k=max(keys.num_rows, 1), one_per_patient=False)
        found = search_vectors(
            snapshot, caches, text, reader=reader, wanted=whole, plain=plain, without=without
        )
    by_vector = found.table["study_uid"].to_pylist() if found.table.num_rows else []
    # A whole ranking by vectors has every study that may be found.  It is empty for want of words,
    # or because no study satisfies what was read of the text.
    chosen = by_vector or (found.question is not None and found.question.where)
    allowed = set(by_vector) if chosen else _allowed(snapshot, encoder_id, wanted.where)
    by_report = [uid for uid, _ in reports.search(snapshot, text, among=allowed)]
    best = reciprocal_rank_fusion(by_vector, by_report)
    if wanted.one_per_patient:
        best = _first_of_each(best, keys)
    best = best[: wanted.k]
    uids = [item.uid for item in best]
    if by_vector:
        rest = found.hits.drop(columns="rank").set_index("study_uid", drop=False)
        rest = rest.loc[uids].reset_index(drop=True)
    else:
        rows = np.array([find(snapshot, encoder_id, wanted.level, uid) for uid in uids], np.int64)
        rest = facts(snapshot, wanted.level, encoder_id, rows).to_pandas()
        for at, (name, value) in enumerate(_NO_VECTORS.items()):
            rest.insert(at, name, value)
    reported = allowed & set(snapshot.labels(LabelKind.REPORTS)["study_uid"].to_pylist())
    read = ReportsRead(len(allowed), len(reported), len(by_report))
    hits = pd.concat([_ranks(best), rest], axis=1)
    return replace(found, table=pa.Table.from_pandas(hits, preserve_index=False), reports=read)


def _first_of_each(best: Sequence[Fused], keys: pa.Table) -> list[Fused]:
    """Return the best study of each patient."""
    patient = dict(zip(keys["uid"].to_pylist(), keys["patient_id"].to_pylist(), strict=True))
    first: dict[str, Fused] = {}
    for item in best:
        first.setdefault(patient[item.uid], item)
    return list(first.values())


def _ranks(best: Sequence[Fused]) -> pd.DataFrame:
    hits = pd.DataFrame({"rank": range(1, len(best) + 1), "rrf": [item.score for item in best]})
    for at, name in enumerate(("vector_rank", "report_rank")):
        hits[name] = pd.Series([item.ranks[at] for item in best], dtype=object)
    return hits


def _allowed(snapshot: Snapshot, encoder_id: str, where: str | None) -> set[str]:
    keys = snapshot.keys(encoder_id, Level.STUDY)
    if where is not None:
        mask = rows_where(snapshot, keys, where, level=Level.STUDY, encoder_id=encoder_id)
        keys = keys.filter(pa.array(mask))
    return set(keys["uid"].to_pylist())
