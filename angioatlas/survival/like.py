"""What became of patients like the one of an exam: gathered from a store, told, reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from analytics.endpoints import Endpoint, Outcomes, Rules
from analytics.leakage import DUPLICATE_COSINE, Leak, refuse
from analytics.report.alike import Asked, alike_report, curves
from analytics.report.document import Document
from analytics.survival.alike import MEANING, Alike, outcomes_of_alike
from analytics.survival.study import horizons_of
from angioatlas.cohorts import CohortMembers
from angioatlas.report_files import Reported
from angioatlas.studied import (
    EMBEDDINGS,
    join_predictors,
    of_exams,
    participants,
    provenance,
    quartiles,
    vectors_of,
)
from angioatlas.survival.gather import follow
from core.errors import NotFoundError, UsageError
from core.provenance import RESEARCH_USE
from core.schema import EMBEDDING_DIM, Level
from store.snapshot import Snapshot
from store.store import Store


@dataclass(frozen=True, eq=False)
class Query:
    """The exam that is asked about.

    Attributes
    ----------
    vector : float64 array of shape (512,)
        L2-normalised.
    study_uid, patient_id : str or None
        Of the store; None for an exam that is not in it.
    runs : float32 array of shape (runs, 512)
        Its videos, as far as they are in the store.
    """

    vector: NDArray[np.float64]
    study_uid: str | None = None
    patient_id: str | None = None
    runs: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, EMBEDDING_DIM), np.float32)
    )


@final
@dataclass(frozen=True, eq=False)
class OutcomesLike(Reported):
    """What became of patients like one: a description of them, no prediction for that one.

    Attributes
    ----------
    query_uid : str or None
        The store's UID of the exam that was asked about; None for a vector.
    endpoint : Endpoint
    outcomes : Alike
        Curves, choices and what was not told.
    neighbours : DataFrame
        study_uid, similarity (cosine, higher is more similar), weight (they sum to 1), time_days,
        state (0 censored, 1 event, 2 competing event); the most similar first.
    participants, attrition : DataFrame
    notes : tuple of str
        What was contradictory in the labels, and how it was read.
    encoder_id : str
    provenance : dict
    meaning, notice : str
        What the figures are, and what they are not for.
    """

    query_uid: str | None
    endpoint: Endpoint
    outcomes: Alike
    neighbours: pd.DataFrame
    participants: pd.DataFrame
    attrition: pd.DataFrame
    notes: tuple[str, ...]
    encoder_id: str
    provenance: dict[str, Any]
    meaning: str = MEANING
    notice: str = RESEARCH_USE

    @property
    def horizons(self) -> pd.DataFrame:
        """Neighbours and cohort at the horizons; see `analytics.survival.alike.Alike`."""
        return self.outcomes.horizons

    @property
    def curve(self) -> pd.DataFrame:
        """time_days, incidence, lower, upper (95 %), at_risk, effective_at_risk, events."""
        return self.outcomes.steps()

    @property
    def cohort_curve(self) -> pd.DataFrame:
        """The same of the whole cohort without weights, and without effective_at_risk."""
        return self.outcomes.cohort_steps()

    @property
    def effective_size(self) -> float:
        """How many equally similar patients would tell as much (Kish)."""
        return self.outcomes.neighbours.effective

    @property
    def bandwidth(self) -> float:
        """Cosine distance, 1 − similarity, from which on a patient does not count."""
        return 1 - self.outcomes.neighbours.edge

    def facts(self) -> dict[str, Any]:
        """Return what is told before the table of horizons."""
        own, tuned = self.outcomes.neighbours, self.outcomes.tuned
        return {
            "exam": self.query_uid or "a vector",
            "endpoint": self.endpoint.name,
            "patients of the cohort": int(self.outcomes.everybody.at_risk[0]),
            "neighbours": len(own),
            "effective size": round(own.effective, 1),
            "similarity": f"{own.similarity[-1]:.3f} to {own.similarity[0]:.3f}",
            "least similarity of the last": round(tuned.limit, 3),
        }

    def __str__(self) -> str:
        lines = [f"{name}: {value}" for name, value in self.facts().items()]
        return "\n".join([*lines, self.horizons.to_string(index=False), self.meaning, self.notice])

    def figure(self) -> go.Figure:
        """Draw the cumulative incidence of the neighbours and of the cohort."""
        return curves(self.outcomes)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        found: dict[str, Any] = json.loads(self.document().json())
        return found

    def document(self) -> Document:
        """Return the report."""
        return alike_report(
            self.outcomes,
            Asked(
                self.query_uid or "that is not in the store",
                self.endpoint,
                self.neighbours,
                self.participants,
                self.attrition,
                self.notes,
                self.provenance,
            ),
        )


def query_of_study(snapshot: Snapshot, uids: Sequence[str], *, encoder_id: str) -> Query:
    """Return an exam of the store to ask about.

    Parameters
    ----------
    snapshot : Snapshot
    uids : sequence of str
        What the caller's UID may be in the store; the first that is there counts.
    encoder_id : str

    Raises
    ------
    NotFoundError
        None of them is visible with vectors of this encoder.
    """
    keys = snapshot.keys(encoder_id, Level.STUDY)
    for uid in uids:
        row = pc.index(keys["uid"], uid).as_py()
        if row >= 0:
            _, vector = snapshot.vectors(encoder_id, Level.STUDY, keys=keys.slice(row, 1))
            _, runs = vectors_of(snapshot, encoder_id, Level.VIDEO, [uid])
            patient = keys["patient_id"][row].as_py()
            return Query(vector[0].astype(np.float64), uid, patient, runs)
    raise NotFoundError(
        f"no study {uids[0]} with a vector of {encoder_id} in store version {snapshot.version}",
        "angioatlas store inputs shows what became of its files",
    )


def query_of_vector(vector: ArrayLike) -> Query:
    """Return an exam that is not in the store to ask about.

    Parameters
    ----------
    vector : array of shape (512,)
        The study's embedding, of any length but 0.

    Raises
    ------
    UsageError
        It is none.
    """
    given = np.asarray(vector, np.float64)
    length = float(np.linalg.norm(given)) if given.shape == (EMBEDDING_DIM,) else 0.0
    if not np.isfinite(length) or length == 0:
        raise UsageError(
            f"a vector of shape {given.shape} and length {length:g}: expected {EMBEDDING_DIM} "
            "finite numbers that are not all 0",
            "give the embedding of one study, by the encoder of the store",
        )
    return Query(given / length)


def outcomes_like(
    store: Store,
    cohort: CohortMembers,
    query: Query,
    *,
    endpoint: Endpoint,
    horizons: Sequence[int],
    k: int | None,
    encoder_id: str,
) -> OutcomesLike:
    """Tell what became of the patients of a cohort who are most similar to one.

    Parameters
    ----------
    store : Store
    cohort : CohortMembers
        With one exam of each patient.
    query : Query
        Its patient is left out of the cohort.
    endpoint : Endpoint
    horizons : sequence of int
        In days.
    k : int, optional
        Neighbours; chosen on the cohort by default.
    encoder_id : str
        The space of the embeddings.

    Raises
    ------
    FarFromAllError
        Nobody of the cohort is like the exam.
    LeakageError
        A neighbour has a run of the exam that is asked about: it may be the same patient.
    UsageError
        There is too little to tell from, or the cohort has several exams of one patient.
    """
    days = horizons_of(tuple(horizons))
    if cohort.members["patient_id"].duplicated().any():
        raise UsageError(
            "the cohort has several exams of one patient, who would count several times",
            "choose it with the first or the last exam of every patient",
        )
    with store.snapshot(cohort.store_version) as snapshot:
        index, x, _ = join_predictors(
            snapshot, cohort.members, (), encoder_id=encoder_id, sets=(EMBEDDINGS,)
        )
        steps: list[tuple[object, ...]] = [*cohort.attrition.itertuples(index=False, name=None)]
        steps.append((f"with a vector of {encoder_id}", len(index), len(index)))
        others = index[index["patient_id"] != query.patient_id].reset_index(drop=True)
        steps.append(("of other patients", len(others), len(others)))
        found, steps = follow(snapshot, others, endpoint, Rules(), steps)
        vectors = of_exams(x, index, found.table)[EMBEDDINGS].to_numpy()
        told = outcomes_of_alike(query.vector, vectors, found.times, horizons=days, k=k)
        near = found.table.iloc[told.neighbours.rows]
        _refuse_shared_runs(snapshot, query, near["study_uid"], encoder_id=encoder_id)
    return OutcomesLike(
        query.study_uid,
        endpoint,
        told,
        _neighbours(near, told),
        _participants(found, near),
        pd.DataFrame(steps, columns=["step", "studies", "patients"]),
        found.notes,
        encoder_id,
        provenance(store, cohort, encoder_id),
    )


def _refuse_shared_runs(
    snapshot: Snapshot, query: Query, study_uids: pd.Series, *, encoder_id: str
) -> None:
    """Refuse to tell the future of the very patient who is asked about, under another name."""
    if not len(query.runs):
        return
    keys, runs = vectors_of(snapshot, encoder_id, Level.VIDEO, study_uids)
    shared = (runs @ query.runs.T >= DUPLICATE_COSINE).any(axis=1)
    uids = tuple(keys["uid"].filter(shared).to_pylist())
    refuse([Leak("runs of other patients that the exam has as well", uids)] if uids else [])


def _neighbours(near: pd.DataFrame, told: Alike) -> pd.DataFrame:
    own = told.neighbours
    return pd.DataFrame(
        {
            "study_uid": near["study_uid"].to_numpy(),
            "similarity": own.similarity,
            "weight": own.weight,
            "time_days": near["time_days"].to_numpy(),
            "state": near["state"].to_numpy(),
        }
    )


def _participants(found: Outcomes, near: pd.DataFrame) -> pd.DataFrame:
    """Describe neighbours and cohort side by side."""
    sides = [
        participants(
            table,
            pd.DataFrame(),
            {"median follow-up in days, quartiles": quartiles(table["time_days"])},
        )
        for table in (near, found.table)
    ]
    return pd.DataFrame(
        {"what": sides[0]["what"], "neighbours": sides[0]["value"], "cohort": sides[1]["value"]}
    )
