"""Findings: what the finding heads say of each segment of each study, as a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.errors import NotFoundError, UsageError
from core.provenance import RESEARCH_USE
from core.segments import FINDINGS, HEADS, SEGMENTS, SIGNIFICANT_PERCENT
from store.snapshot import Snapshot
from store.sql import matching

EVEN: Final = 0.5
"""The probability at which two heads are held against each other; not a calibrated threshold."""

SLACK_PERCENT: Final = 5
"""How far a percentage may be outside 0 to 100 before it is said: a regression of 0 spreads."""

REPORTED: Final = tuple(finding.column for finding in FINDINGS)
"""Columns of reported values: a percentage and four probabilities."""
LOGITS: Final = {
    finding.column: f"{finding.column}_logit" for finding in FINDINGS if finding.is_probability
}
"""Column of the logit of each probability, which goes on where the probability is 0 or 1."""

_HIDDEN = {"commit_id", "input_hash"}
_SHOWN = [
    *("study_uid", "patient_id", "study_date", "segment", "segment_name"),
    *(*REPORTED, "note", *LOGITS.values()),
]


@dataclass(frozen=True)
class Findings:
    """What one set of finding heads says of studies.

    Attributes
    ----------
    table : DataFrame
        One row a study and segment, by study_uid and in anatomical order: study_uid, patient_id,
        study_date, segment, segment_name (in words), stenosis_percent (as it is, unbounded),
        stenosis, calcification, cto, thrombus (probabilities, 0 to 1), note (contradictions between
        the heads, None when there is none), and the logits that the probabilities come from.
    study_uid : str or None
        The store's UID of the study that was asked about.
    encoder_id, heads_id : str
        What the findings were computed with.
    store_version : int
    notice : str
    """

    table: pd.DataFrame
    study_uid: str | None
    encoder_id: str
    heads_id: str
    store_version: int
    notice: str = RESEARCH_USE


def findings(
    snapshot: Snapshot,
    *,
    encoder_id: str,
    heads: str | None = None,
    study_uids: Sequence[str] | None = None,
    where: str | None = None,
) -> Findings:
    """Return the findings that are visible in a snapshot.

    Parameters
    ----------
    snapshot : Snapshot
    encoder_id : str
    heads : str, optional
        The heads_id; needed when the space holds findings of several sets of heads.
    study_uids : sequence of str, optional
        What the caller's UID may be in the store, for one study; every study by default.
    where : str, optional
        A predicate of DuckDB's SQL over the columns of `Findings.table` and of `studies`.

    Raises
    ------
    NotFoundError
        When there are no findings, none of these heads, or none of this study.
    UsageError
        When several sets of heads are there and none is named, or DuckDB refuses the predicate.
    """
    heads_id = choose_heads(snapshot, encoder_id, heads)
    wide = snapshot.findings(encoder_id, heads_id)
    study_uid = None
    if study_uids is not None:
        study_uid = _find(wide, study_uids, snapshot, heads_id)
        wide = wide.filter(pc.equal(wide["study_uid"], study_uid))
    rows = with_facts(snapshot, long_table(wide))
    rows = rows.append_column("note", pa.array(contradictions(rows), pa.string()))
    if where is not None:
        rows = matching("findings", rows, where)
    table: pd.DataFrame = rows.select(_SHOWN).to_pandas()
    return Findings(table, study_uid, encoder_id, heads_id, snapshot.version)


def choose_heads(snapshot: Snapshot, encoder_id: str, heads: str | None) -> str:
    """Return the heads_id to read: the one named, else the only one.

    Raises
    ------
    NotFoundError
        When the space holds no findings, or none of these heads.
    UsageError
        When the space holds findings of several sets of heads and none is named.
    """
    known = snapshot.heads(encoder_id)
    if not known:
        raise NotFoundError(
            f"store version {snapshot.version} holds no findings of {encoder_id}",
            "embed with an encoder that has finding heads: angioatlas encoders show NAME",
        )
    if heads is None and len(known) > 1:
        raise UsageError(
            f"the store holds findings of several sets of heads: {', '.join(known)}",
            "name one with --heads",
        )
    if heads is not None and heads not in known:
        raise NotFoundError(
            f"store version {snapshot.version} holds no findings of the heads {heads!r}; it holds "
            f"those of {', '.join(known)}",
            "name one of these with --heads",
        )
    return heads or known[0]


def long_table(wide: pa.Table) -> pa.Table:
    """Return one row a study and segment of what has one row a study.

    Parameters
    ----------
    wide : pa.Table
        study_uid, and raw values in one column for each of `core.segments.HEADS`.

    Returns
    -------
    pa.Table
        study_uid, segment, segment_name, reported values and logits, all float32; null where there
        is no such head.  Segments of which there is no head at all are left out.
    """
    n = wide.num_rows
    raw = np.stack([wide[head].to_numpy() for head in HEADS], axis=1)
    raw = raw.reshape(n * len(SEGMENTS), len(FINDINGS))
    study = np.repeat(np.arange(n), len(SEGMENTS))
    columns = {
        "study_uid": wide["study_uid"].take(pa.array(study)),
        "segment": pa.array([*SEGMENTS] * n, pa.string()),
        "segment_name": pa.array([*SEGMENTS.values()] * n, pa.string()),
    }
    values = {finding.column: raw[:, i] for i, finding in enumerate(FINDINGS)}
    for name in REPORTED:
        reported = probability(values[name]) if name in LOGITS else values[name]
        columns[name] = pa.array(reported, from_pandas=True)
    for name, logit in LOGITS.items():
        columns[logit] = pa.array(values[name], from_pandas=True)
    return pa.table(columns).filter(pa.array(~np.isnan(raw).all(axis=1)))


def probability(logit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logistic function of `logit`, 0 to 1; NaN stays NaN."""
    # Never the exponential of a large number, so that nothing overflows.
    small = np.exp(-np.abs(logit.astype(np.float64)))
    p: NDArray[np.float32] = (np.where(logit >= 0, 1, small) / (1 + small)).astype(np.float32)
    return p


def with_facts(snapshot: Snapshot, rows: pa.Table) -> pa.Table:
    """Return `rows` with the facts of the study of each."""
    studies = snapshot.studies()
    facts = studies.drop_columns([*_HIDDEN, "study_uid"])
    at = pc.index_in(rows["study_uid"], value_set=studies["study_uid"])
    for name in facts.column_names:
        rows = rows.append_column(name, facts[name].take(at))
    return rows


def contradictions(rows: pa.Table) -> list[str | None]:
    """Say in each row of a long table where the heads contradict each other or make no sense."""
    percent, stenosis, cto = (
        rows[name].to_numpy() for name in ("stenosis_percent", "stenosis", "cto")
    )
    # Comparisons with NaN are False: what has no head is never contradicted.
    significant, not_significant = percent > SIGNIFICANT_PERCENT, percent <= SIGNIFICANT_PERCENT
    unlike = (significant & (stenosis < EVEN)) | (not_significant & (stenosis >= EVEN))
    occluded = not_significant & (cto >= EVEN)
    outside = (percent < -SLACK_PERCENT) | (percent > 100 + SLACK_PERCENT)
    notes: list[str | None] = [None] * rows.num_rows
    for i in np.flatnonzero(unlike | occluded | outside):
        said = [f"P(>{SIGNIFICANT_PERCENT} %) = {stenosis[i]:.2f}"] if unlike[i] else []
        said += [f"P(CTO) = {cto[i]:.2f}"] if occluded[i] else []
        parts = [f"{percent[i]:.1f} % but {' and '.join(said)}"] if said else []
        parts += [f"{percent[i]:.1f} % is outside 0 to 100"] if outside[i] else []
        notes[i] = "; ".join(parts)
    return notes


def _find(wide: pa.Table, uids: Sequence[str], snapshot: Snapshot, heads_id: str) -> str:
    for uid in uids:
        if pc.index(wide["study_uid"], uid).as_py() >= 0:
            return uid
    known = set(snapshot.studies()["study_uid"].to_pylist())
    if known.intersection(uids):
        raise NotFoundError(
            f"study {uids[0]} has no findings of {heads_id} in store version {snapshot.version}",
            "embed its files again with the encoder that has these heads",
        )
    raise NotFoundError(
        f"no study {uids[0]} in store version {snapshot.version}",
        "angioatlas store inputs shows what became of its files",
    )
