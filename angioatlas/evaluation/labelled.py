"""Labelled evaluation: rank all rows for every query, and measure where the relevant ones stand.

Two sorts of queries, with intervals of two sorts, each by drawing patients with replacement.
Texts are fixed, as the questions of a test are; the patients whose studies they rank are drawn, and
a row counts as often as its patient was drawn.  Studies (or videos) that ask for similar ones are
drawn with their patients, and the rows that they rank stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from angioatlas.clinical import Read
from angioatlas.evaluation import intervals
from angioatlas.evaluation.queries import Queries, Query, Rows
from angioatlas.evaluation.scan import blocks, ranking, scan
from core.errors import EncoderError
from core.schema import Level
from index.quality import Found, measure, measures

TEXT: Final = "text"
ReadText = Callable[[str], Read]
_MEANS: Final = {"AP": "mAP", "RR": "MRR"}
"""What the mean over queries of a measure is called, where that is not its own name."""


@dataclass(frozen=True)
class Evaluated:
    """How well a space answers queries whose answers are known.

    Attributes
    ----------
    level : Level
    encoder_id : str
    store_version : int
    k : int
    table : DataFrame
        queries (``text → study``, ``study → study``, …), measure, value (the mean over queries,
        higher is better), lower and upper limit of its 95 % interval (NaN for the MRR of texts),
        n (how many queries).
    per_query : DataFrame
        query, asked_with (text, study, video), rows (ranked), relevant (of them), judged (share of
        the first `k` ranks whose relevance somebody told), and each measure, NaN where no row is
        relevant.
    notes : tuple of str
        What was left out, and what to beware of.
    """

    level: Level
    encoder_id: str
    store_version: int
    k: int
    table: pd.DataFrame
    per_query: pd.DataFrame
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the rows of each query."""
        return {
            "level": self.level.value,
            "encoder_id": self.encoder_id,
            "store_version": self.store_version,
            "k": self.k,
            "measures": self.table.replace({np.nan: None}).to_dict("records"),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Answer:
    """One query, answered; of a text also what a sample of patients needs of its ranking.

    That is where the relevant rows stand, and the patient at every rank.  Those of studies are not
    kept, since there may be thousands of them; and a text that the encoder cannot read has none.
    """

    name: str
    row: int | None
    rows: int
    relevant: int
    judged: float
    values: NDArray[np.float64]
    found: Found | None = field(repr=False)
    whose: NDArray[np.int32] | None = field(repr=False)


def evaluate(
    queries: Queries,
    rows: Rows,
    vectors: NDArray[np.float32],
    *,
    read: ReadText | None,
    level: Level,
    encoder_id: str,
    store_version: int,
    k: int,
    seed: int,
) -> Evaluated:
    """Rank every row for each query, and measure.

    Parameters
    ----------
    queries : Queries
    rows : Rows
    vectors : float32 array (rows, 512)
    read : callable or None
        From a text to how a search takes it; needed for queries that are texts.
    level : Level
    encoder_id : str
    store_version : int
    k : int
        Depth of the measures that have one.
    seed : int
        Of the bootstrap.

    Raises
    ------
    EncoderError
        There are texts, and nobody to read them.
    """
    answers = [
        answer
        for block in blocks(queries.each())
        for answer in _answered(block, rows, vectors, read=read, k=k)
    ]
    kinds = {
        TEXT: [each for each in answers if each.row is None],
        level.value: [each for each in answers if each.row is not None],
    }
    notes = list(queries.notes)
    unread = sum(each.found is None for each in kinds[TEXT])
    if unread:
        notes.append(
            f"{unread} of {len(kinds[TEXT])} texts have no word that the encoder knows: they find "
            "nothing, and count as 0"
        )
    parts = []
    for kind, own in kinds.items():
        asked = [each for each in own if each.relevant]
        if len(asked) < len(own):
            notes.append(
                f"{len(own) - len(asked):,} of {len(own):,} queries ({kind} → {level.value}) left "
                "out of the means: none of the rows that are ranked is relevant"
            )
        if asked:
            low, high = (_of_texts if kind == TEXT else _of_rows)(asked, rows, k=k, seed=seed)
            parts.append(_summary(f"{kind} → {level.value}", asked, k, low, high))
    columns = ["queries", "measure", "value", "lower", "upper", "n"]
    return Evaluated(
        level,
        encoder_id,
        store_version,
        k,
        table=pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns),
        per_query=_each(answers, level, k),
        notes=tuple(notes),
    )


def _answered(
    block: Sequence[Query],
    rows: Rows,
    vectors: NDArray[np.float32],
    *,
    read: ReadText | None,
    k: int,
) -> Iterable[_Answer]:
    asked = np.empty((len(block), vectors.shape[1]), np.float32)
    said = {}
    for at, each in enumerate(block):
        if each.row is not None:
            asked[at] = vectors[each.row]
            continue
        if read is None:
            raise EncoderError(
                "the encoder reads no text, or its folder is not here",
                "evaluate with studies that ask for similar ones (columns uid, label)",
            )
        said[at] = read(each.name)
        asked[at] = said[at].vector
    for at, (query, scores) in enumerate(zip(block, scan(vectors, asked), strict=True)):
        if at in said and not said[at].means_something:
            yield _nothing(query, k)
            continue
        if at in said:  # what a search would not show comes after everything that it shows
            scores[~said[at].chosen] = -np.inf
        yield _ranked(query, scores, rows, k)


def _ranked(query: Query, scores: NDArray[np.float64], rows: Rows, k: int) -> _Answer:
    order = ranking(scores, query.ranked)
    found = Found.of(query.grades[order])
    is_text = query.row is None
    return _Answer(
        query.name,
        query.row,
        rows=len(order),
        relevant=len(found),
        judged=float(query.known[order[:k]].mean()) if len(order) else float("nan"),
        values=measure(found, k),
        found=found if is_text else None,
        whose=rows.patient[order].astype(np.int32) if is_text else None,
    )


def _nothing(query: Query, k: int) -> _Answer:
    """Answer a text without a word that the encoder knows, as a search does: with no hit."""
    relevant = int(np.count_nonzero(query.grades[query.ranked]))
    values = np.full(len(measures(k)), 0.0 if relevant else np.nan)
    return _Answer(query.name, None, 0, relevant, float("nan"), values, None, None)


def _of_texts(
    answers: Sequence[_Answer], rows: Rows, *, k: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    patients = int(rows.patient.max()) + 1
    samples = []
    for _ in range(intervals.REPEATS):
        drawn = np.bincount(rng.integers(0, patients, patients), minlength=patients)
        values = [
            each.values
            if each.found is None or each.whose is None
            else measure(each.found.drawn(drawn[each.whose]), k)
            for each in answers
        ]
        samples.append(_mean(np.array(values)))
    low, high = intervals.limits(np.array(samples), rows.patient)
    # It hangs on the best row alone, which a third of the samples lack and none surpasses: where
    # texts rank weakly, such intervals cover 84 % in simulations.
    alone = [*measures(k)].index("RR")
    low[alone] = high[alone] = np.nan
    return low, high


def _of_rows(
    answers: Sequence[_Answer], rows: Rows, *, k: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.array([each.values for each in answers])
    patient = rows.patient[[each.row for each in answers if each.row is not None]]
    return intervals.mean_interval(values, patient, seed=seed)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # In a sample a query may have no relevant row; then it has no value there.
    told = ~np.isnan(values[:, 0])
    width = values.shape[1]
    return values[told].mean(axis=0) if told.any() else np.full(width, np.nan)


def _summary(
    name: str,
    answers: Sequence[_Answer],
    k: int,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> pd.DataFrame:
    values = np.mean([each.values for each in answers], axis=0)
    return pd.DataFrame(
        {
            "queries": name,
            "measure": [_MEANS.get(each, each) for each in measures(k)],
            "value": values,
            "lower": low,
            "upper": high,
            "n": len(answers),
        }
    )


def _each(answers: Sequence[_Answer], level: Level, k: int) -> pd.DataFrame:
    rows = [
        {
            "query": each.name,
            "asked_with": TEXT if each.row is None else level.value,
            "rows": each.rows,
            "relevant": each.relevant,
            "judged": each.judged,
            **dict(zip(measures(k), each.values.tolist(), strict=True)),
        }
        for each in answers
    ]
    return pd.DataFrame(rows)
