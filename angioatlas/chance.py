"""What a score means in one store: calibrations, derived from a store version and kept beside it.

A calibration is a histogram of scores between rows of different patients, so it holds nothing of
anybody.  It serves later versions until more than a few percent of the rows differ.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from angioatlas.by_position import ByPosition
from angioatlas.reference_queries import REFERENCE_QUERIES
from angioatlas.scores import Scorer
from core.schema import StudyScore
from embedder.encoders.spec import TextEmbedder
from index.chance import BINS, NOBODY, ScoreCounts, sample
from store.snapshot import Snapshot

FEWEST_PATIENTS: Final = 30
"""With fewer, a single patient is in more than one of fifteen pairs."""
_QUERIES: Final = 2000
"""Rows that are compared with all others, at the most."""
_COSINES: Final = 200_000_000
"""Comparisons at the most: a few seconds."""
_STALE_SHARE: Final = 0.05
"""Share of rows that may differ from those of a calibration before it is made again."""
_FORMAT: Final = 1
_SEED: Final = 0


@dataclass(frozen=True)
class Calibration:
    """How rows of different patients score in one version of a store.

    Attributes
    ----------
    store_version : int
    rows : mapping of str to int
        Rows of the space by the commit that wrote them; they tell how much has changed since.
    counts : ScoreCounts
    """

    store_version: int
    rows: dict[str, int]
    counts: ScoreCounts

    def changed(self, rows: dict[str, int]) -> int:
        """Return how many rows were written or hidden since.

        A commit never gains a row, so the difference of two numbers is that of the rows.
        """
        commits = self.rows.keys() | rows.keys()
        return sum(abs(self.rows.get(each, 0) - rows.get(each, 0)) for each in commits)


@dataclass(frozen=True)
class Meaning:
    """What is known of the scores of an answer.

    Attributes
    ----------
    chance : array [k], float64
        One a score; NaN where nothing is known.
    is_bound : array [k], bool
    note : str or None
        Why there is nothing, or of which version it is.
    """

    chance: NDArray[np.float64]
    is_bound: NDArray[np.bool_]
    note: str | None


class ChanceCache:
    """Makes, saves and finds the calibrations of one store.

    Parameters
    ----------
    folder : Path
        The store's own folder below the state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready: ByPosition[Calibration | int] = ByPosition()

    def keep_only(self, snapshot: Snapshot) -> None:
        """Forget what is in memory of other positions."""
        self._ready.keep_only(snapshot)

    def meaning(
        self,
        scorer: Scorer,
        scores: NDArray[np.float64],
        *,
        include: NDArray[np.bool_],
        patient_id: str | None = None,
        reader: TextEmbedder | None = None,
    ) -> Meaning:
        """Say how many rows of other patients to expect by chance at each score.

        Parameters
        ----------
        scorer : Scorer
        scores : array [k], float64
        include : array [rows], bool
            Which rows were searched.
        patient_id : str, optional
            Of the query; its own rows are none of other patients.
        reader : TextEmbedder, optional
            Of a text query.
        """
        nothing, no = np.full(len(scores), np.nan), np.zeros(len(scores), bool)
        if not len(scores):
            return Meaning(nothing, no, None)
        calibration = self._of(scorer, reader)
        if isinstance(calibration, int):
            return Meaning(
                nothing,
                no,
                f"what a score means cannot be told of {calibration} patients: it needs "
                f"{FEWEST_PATIENTS}",
            )
        searched = int(np.count_nonzero(include))
        if patient_id is not None:
            searched -= int(np.count_nonzero(include[scorer.patients.rows_of(patient_id)]))
        told = calibration.counts.expected(scores, searched)
        version = calibration.store_version
        note = f"chance is that of store version {version}"
        return Meaning(
            told.number,
            told.is_bound,
            None if version == scorer.snapshot.version else note,
        )

    def _of(self, scorer: Scorer, reader: TextEmbedder | None) -> Calibration | int:
        """Return the calibration, or the number of patients where they are too few for one."""
        name = scorer.name if reader is None else f"{reader.text_id}-{scorer.name}"
        place = self.folder / scorer.encoder_id / f"{name}.json"
        told = self._ready.get(place, scorer.snapshot)
        if told is None:
            told = len(scorer.patients.names)
            if told >= FEWEST_PATIENTS:
                told = self._usable(place, scorer) or self._made(place, scorer, reader)
            self._ready.put(place, scorer.snapshot, told)
        return told

    def _usable(self, place: Path, scorer: Scorer) -> Calibration | None:
        try:
            saved = _from_json(place.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError):  # none yet, or damaged: made again
            return None
        few = _STALE_SHARE * scorer.keys.num_rows
        return saved if saved.changed(_rows_by_commit(scorer)) <= few else None

    def _made(self, place: Path, scorer: Scorer, reader: TextEmbedder | None) -> Calibration:
        counts = _of_pairs(scorer) if reader is None else _of_texts(scorer, reader)
        made = Calibration(scorer.snapshot.version, _rows_by_commit(scorer), counts)
        aside = place.with_name(f"{uuid.uuid4().hex[:12]}.part")
        # Where the state folder cannot be written, it is made again by the next process.
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(_to_json(made), encoding="utf-8")
            aside.replace(place)
        return made


def _of_pairs(scorer: Scorer) -> ScoreCounts:
    """Count scores between a sample of rows and all rows of other patients."""
    keys, counts = scorer.keys, ScoreCounts()
    owners = scorer.patients.owners
    if scorer.score is StudyScore.LATE:
        of = scorer.study_videos()
        per_query = max(1, len(of.videos) * len(of.videos) // max(len(of), 1))
        for row in _sample(len(of), per_query):
            counts.add(of.late_scores(of.of(row)), owners != owners[row])
        return counts
    chosen = _sample(keys.num_rows, keys.num_rows)
    if scorer.score is StudyScore.MEAN:
        means = scorer.study_videos().means.astype(np.float32)
        return counts.add_vectors(means[chosen], owners[chosen], means, owners)
    _, queries = scorer.snapshot.vectors(scorer.encoder_id, scorer.level, keys=keys.take(chosen))
    for rows, vectors in _stream(scorer):
        counts.add_vectors(queries, owners[chosen], vectors, owners[rows])
    return counts


def _of_texts(scorer: Scorer, reader: TextEmbedder) -> ScoreCounts:
    """Count scores between the reference queries and all rows."""
    texts = reader.encode(REFERENCE_QUERIES)
    nobody = np.full(len(texts), NOBODY)
    counts = ScoreCounts()
    if scorer.score is StudyScore.STUDY:
        for rows, vectors in _stream(scorer):
            counts.add_vectors(texts, nobody, vectors, np.zeros(len(rows), np.int64))
        return counts
    of = scorer.study_videos()
    if scorer.score is StudyScore.MEAN:
        means = of.means.astype(np.float32)
        return counts.add_vectors(texts, nobody, means, np.zeros(len(of), np.int64))
    every = np.ones(len(of), bool)
    for text in texts:
        counts.add(of.late_scores(text[None]), every)
    return counts


def _stream(scorer: Scorer) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    for batch in scorer.snapshot.stream_vectors(scorer.encoder_id, scorer.level, keys=scorer.keys):
        yield batch.positions, batch.vectors


def _sample(rows: int, cosines: int) -> NDArray[np.int64]:
    """Choose queries that cost so many cosines each."""
    return sample(rows, max(1, min(_QUERIES, _COSINES // max(cosines, 1))), seed=_SEED)


def _rows_by_commit(scorer: Scorer) -> dict[str, int]:
    counted = scorer.keys["commit_id"].value_counts().to_pylist()
    return {each["values"]: each["counts"] for each in counted}


def _to_json(made: Calibration) -> str:
    told = {
        "format": _FORMAT,
        "store_version": made.store_version,
        "rows": made.rows,
        "counts": made.counts.counts.tolist(),
    }
    return json.dumps(told)


def _from_json(text: str) -> Calibration:
    told: dict[str, Any] = json.loads(text)
    counts = np.array(told["counts"], np.int64)
    if told["format"] != _FORMAT or counts.shape != (BINS,) or not counts.sum():
        raise ValueError("not a calibration of this format")
    return Calibration(int(told["store_version"]), dict(told["rows"]), ScoreCounts(counts))
