"""A study of findings: probes, text and heads beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

from analytics.leakage import known_to_the_encoder, refuse
from analytics.probes.attention import probe_views
from analytics.probes.compare import compare, differences
from analytics.probes.errors import COLUMNS as ERRORS
from analytics.probes.errors import FEWEST_EXAMS, percent_errors
from analytics.probes.linear import probe
from analytics.report.document import Document, plain
from analytics.report.probes import ProbeFacts, probe_report
from angioatlas.cohorts import CohortMembers
from angioatlas.probes.targets import by_heads, by_text, percents, truths
from angioatlas.report_files import Reported
from angioatlas.stenoses import stenosis_methods
from angioatlas.studied import provenance, vectors_of
from core.errors import UsageError
from core.schema import Level
from core.segments import SEGMENTS
from embedder.encoders.spec import TextEmbedder
from store.store import Store

ANY = "any"
"""Truth by whatever method stenoses were measured."""
PROBE, VIEWS, HEADS, TEXT = "probe", "views", "heads", "text"


@final
@dataclass(frozen=True, eq=False)
class ProbeResult(Reported):
    """What a study found.

    Attributes
    ----------
    table : DataFrame
        See `analytics.probes.compare.compare`.
    errors : DataFrame
        truth (any, or how stenoses were measured, such as qca), and the columns of
        `analytics.probes.errors.percent_errors`.
    differences : DataFrame
        one, other, and the columns of `analytics.probes.compare.differences`.
    exams, patients : int
    about : mapping
    encoder_id : str
    """

    table: pd.DataFrame
    errors: pd.DataFrame
    differences: pd.DataFrame
    exams: int
    patients: int
    about: dict[str, Any]
    encoder_id: str

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        told: dict[str, Any] = plain(vars(self))
        return told

    def document(self) -> Document:
        """Return the report."""
        told = ProbeFacts(
            self.table, self.errors, self.differences, self.exams, self.patients, self.about
        )
        return probe_report(told)


def probe_findings(
    store: Store,
    cohort: CohortMembers,
    *,
    encoder_id: str,
    reader: TextEmbedder | None,
    trained_on: frozenset[str],
    folds: int = 5,
    seed: int = 0,
    repeats: int = 300,
) -> ProbeResult:
    """Hold what embeddings, text and heads say of findings against what was measured.

    Parameters
    ----------
    store : Store
    cohort : CohortMembers
    encoder_id : str
    reader : TextEmbedder or None
        Without one text is left out.
    trained_on : frozenset of str
        Patients that the encoder was trained on.
    folds, seed, repeats : int

    Raises
    ------
    LeakageError
        The encoder knows patients of the cohort.
    UsageError
        Too few exams have measured stenoses.
    """
    with store.snapshot(cohort.store_version) as snapshot:
        wanted = cohort.members["study_uid"]
        keys, vectors = vectors_of(snapshot, encoder_id, Level.STUDY, wanted)
        uids = keys["uid"].to_pylist()
        row = {uid: i for i, uid in enumerate(uids)}
        views, videos = vectors_of(snapshot, encoder_id, Level.VIDEO, uids)
        study_of = np.array([row[uid] for uid in views["study_uid"].to_pylist()], np.int64)
        truth = truths(snapshot, uids)
        methods = stenosis_methods(snapshot)
        measured = {
            name or ANY: percents(snapshot, uids, method=name)
            for name in (None, *(methods if len(methods) > 1 else ()))
        }
        told_by_heads = by_heads(snapshot, uids, list(truth.columns), encoder_id=encoder_id)
    patient = np.array(keys["patient_id"].to_pylist(), str)
    refuse(known_to_the_encoder(patient, trained_on))
    known = truth.notna().any(axis=1).to_numpy()
    if known.sum() < FEWEST_EXAMS:
        raise UsageError(
            f"{known.sum()} exams of the cohort have measured findings, at least {FEWEST_EXAMS} "
            "are needed",
            "import measurements such as stenosis_percent@prox_lad: angioatlas labels import PATH",
        )
    percent = measured[ANY]
    names, y = list(truth.columns), truth.to_numpy(np.float64)
    fitted = probe(vectors, y, patient, outer_folds=folds, seed=seed)
    attended = probe_views(videos, study_of, y, patient, outer_folds=folds, seed=seed)
    scores = {PROBE: fitted.scores, VIEWS: attended.scores}
    numbers = {
        PROBE: np.clip(
            probe(vectors, percent, patient, outer_folds=folds, seed=seed).scores, 0, 100
        )
    }
    if told_by_heads is not None:
        scores[HEADS] = told_by_heads[0].to_numpy(np.float64)
        numbers[HEADS] = np.clip(told_by_heads[1][percent.columns].to_numpy(np.float64), 0, 100)
    if reader is not None:
        scores[TEXT] = by_text(vectors, reader, names).to_numpy(np.float64)
    return ProbeResult(
        table=compare(
            y,
            scores,
            names,
            patient,
            called={PROBE: fitted.called, VIEWS: attended.called},
            repeats=repeats,
            seed=seed,
        ),
        errors=pd.concat(
            [
                percent_errors(
                    each, numbers, patient, pooled=tuple(SEGMENTS), repeats=repeats, seed=seed
                ).assign(truth=name)
                for name, each in measured.items()
            ],
            ignore_index=True,
        )[["truth", *ERRORS]],
        differences=_differences(y, scores, names, patient, repeats=repeats, seed=seed),
        exams=int(known.sum()),
        patients=len(np.unique(patient[known])),
        about={**provenance(store, cohort, encoder_id), "folds": folds, "seed": seed},
        encoder_id=encoder_id,
    )


def _differences(
    truth: np.ndarray,
    scores: dict[str, np.ndarray],
    names: list[str],
    patient: np.ndarray,
    *,
    repeats: int,
    seed: int,
) -> pd.DataFrame:
    parts = [
        differences(
            truth, scores[PROBE], scores[other], names, patient, repeats=repeats, seed=seed
        ).assign(one=PROBE, other=other)
        for other in scores
        if other != PROBE
    ]
    columns = ["one", "other", "finding", "exams", "difference", "lower", "upper", "p_delong"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]
