"""What a store version has of the exams of a cohort that follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.progression.pairs import mark_between, serial_pairs
from analytics.progression.study import DISEASE, Inputs
from analytics.progression.trajectory import toward_burden
from angioatlas.cohorts import CohortMembers
from angioatlas.maps.draw import dots_now
from angioatlas.progression.axes import along_text
from angioatlas.stenoses import measured_stenoses
from angioatlas.studied import provenance, vectors_of
from angioatlas.study_view import study_view
from core.errors import UsageError
from core.labels import LabelKind
from core.schema import Level
from core.segments import SEGMENTS
from embedder.encoders.spec import TextEmbedder
from store.registry import SavedProjection
from store.snapshot import Snapshot
from store.store import Store

SOURCES: Final = ("auto", "heads", "measurements", "none")
"""Where the stenoses of segments are from."""
DIRECTIONS: Final = ("auto", "text", "fitted")
"""What leads toward disease: sentences, or the sum of stenoses, fitted to other patients."""
FEWEST_FITTED: Final = 50
"""With stenoses of fewer patients no direction is fitted."""


def gather(
    store: Store,
    snapshot: Snapshot,
    cohort: CohortMembers,
    *,
    encoder_id: str,
    reader: TextEmbedder | None,
    source: str = "auto",
    direction: str = "auto",
    on_map: SavedProjection | None = None,
) -> Inputs:
    """Join exams with their vectors, findings and what lies between them.

    Parameters
    ----------
    store : Store
    snapshot : Snapshot
    cohort : CohortMembers
    encoder_id : str
    reader : TextEmbedder or None
        Reads the sentences of `angioatlas.progression.axes`; without one there are no axes.
    source : str
        Of `SOURCES`; auto takes heads where there is one set of them.
    direction : str
        Of `DIRECTIONS`: what leads toward disease; auto takes sentences where there is a reader.
    on_map : SavedProjection, optional
        The map that exams are followed on.

    Raises
    ------
    UsageError
        No exam has a vector, the source is not there, or the map is not of the studies of this
        encoder.
    """
    wanted = cohort.members["study_uid"]
    keys, vectors = vectors_of(snapshot, encoder_id, Level.STUDY, wanted)
    if not keys.num_rows:
        raise UsageError(
            f"no exam of the cohort has a vector of {encoder_id}",
            "embed the studies with that encoder",
        )
    uids = keys["uid"].to_pylist()
    members = cohort.members.set_index("study_uid").loc[uids]
    exams = pd.DataFrame(
        {
            "study_uid": uids,
            "patient_id": members["patient_id"].to_numpy(),
            "date": members["index_date"].to_numpy(),
        }
    )
    row = {uid: i for i, uid in enumerate(uids)}
    views, videos = vectors_of(snapshot, encoder_id, Level.VIDEO, uids)
    events = snapshot.labels(LabelKind.EVENTS).to_pandas()
    procedures = snapshot.labels(LabelKind.PROCEDURES).to_pandas()
    pairs = mark_between(serial_pairs(exams), procedures, events)
    facts = study_view(snapshot).to_pandas().set_index("study_uid")
    steps = [tuple(each) for each in cohort.attrition.itertuples(index=False)]
    steps.append((f"with a vector of {encoder_id}", len(exams), exams["patient_id"].nunique()))
    steps.append(("that follow another exam", len(pairs), pairs["patient_id"].nunique()))
    stenosis, told = _stenosis(snapshot, uids, encoder_id=encoder_id, source=source)
    along, leads = _along(reader, vectors, exams, stenosis, direction)
    notes = [f"stenoses of segments are from {told}"] if stenosis is not None else []
    notes += [f"toward disease leads {leads}"] if leads else []
    return Inputs(
        exams=exams,
        pairs=pairs,
        vectors=vectors,
        videos=videos,
        exam_of=np.array([row[uid] for uid in views["study_uid"].to_pylist()], np.int64),
        along=along,
        plane=None if on_map is None else _plane(snapshot, on_map, uids, encoder_id=encoder_id),
        stenosis=stenosis,
        lvef=facts["lvef_percent"].reindex(uids).to_numpy(np.float64),
        events=events,
        follow_up=snapshot.labels(LabelKind.FOLLOW_UP).to_pandas(),
        attrition=pd.DataFrame(steps, columns=["step", "studies", "patients"]),
        notes=tuple(notes),
        provenance=provenance(store, cohort, encoder_id),
    )


def _along(
    reader: TextEmbedder | None,
    vectors: NDArray[np.float32],
    exams: pd.DataFrame,
    stenosis: pd.DataFrame | None,
    direction: str,
) -> tuple[dict[str, NDArray[np.float64]], str]:
    if direction not in DIRECTIONS:
        raise UsageError(
            f"direction {direction!r}: expected one of {', '.join(DIRECTIONS)}", "see --help"
        )
    if direction == "text" and reader is None:
        raise UsageError("no text encoder of this space is here", "take --direction fitted")
    found = {} if reader is None else along_text(reader, vectors)
    if found and direction != "fitted":
        return found, "the way from sentences of normal arteries to sentences of disease"
    burden = None if stenosis is None else stenosis.sum(axis=1, min_count=1).to_numpy(np.float64)
    if burden is None or exams["patient_id"][np.isfinite(burden)].nunique() < FEWEST_FITTED:
        if direction == "fitted":
            raise UsageError(
                f"the stenoses of fewer than {FEWEST_FITTED} patients are known, too few to fit "
                "a direction toward disease",
                "take --direction text, or import measurements such as stenosis_percent@prox_lad",
            )
        return found, ""
    fitted = toward_burden(vectors, burden, exams["patient_id"].to_numpy(str))
    return {DISEASE: fitted, **{k: v for k, v in found.items() if k != DISEASE}}, (
        "the sum of stenoses, by ridge regression fitted to other patients"
    )


def _plane(
    snapshot: Snapshot, on_map: SavedProjection, uids: Sequence[str], *, encoder_id: str
) -> NDArray[np.float64]:
    if (on_map.level, on_map.encoder_id) != (Level.STUDY.value, encoder_id):
        raise UsageError(
            f"the map {on_map.name!r} shows {on_map.level} embeddings of {on_map.encoder_id}, "
            f"expected studies of {encoder_id}",
            "name a map of studies: angioatlas map list",
        )
    dots = dots_now(snapshot, on_map).set_index("uid")
    return dots[["x", "y"]].reindex(list(uids)).to_numpy(np.float64)


def _stenosis(
    snapshot: Snapshot, uids: Sequence[str], *, encoder_id: str, source: str
) -> tuple[pd.DataFrame | None, str]:
    if source not in SOURCES:
        raise UsageError(f"findings {source!r}: expected one of {', '.join(SOURCES)}", "see --help")
    if source == "none":
        return None, ""
    heads = snapshot.heads(encoder_id)
    if source == "heads" and len(heads) != 1:
        raise UsageError(
            f"the store has findings of {len(heads)} sets of heads of {encoder_id}",
            "take --findings measurements, or none",
        )
    if source == "measurements" or len(heads) != 1:
        measured = measured_stenoses(snapshot).reindex(list(uids)).reset_index(drop=True)
        return (measured, "measurements") if measured.notna().any(axis=None) else (None, "")
    rows = snapshot.findings(encoder_id, heads[0]).to_pandas().set_index("study_uid")
    names = {f"{segment}_stenosis": segment for segment in SEGMENTS}
    found = rows[list(names)].rename(columns=names).reindex(list(uids))
    return found.clip(0, 100).reset_index(drop=True), f"the heads {heads[0]}"
