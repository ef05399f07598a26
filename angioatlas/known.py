"""What the store knows when an embedding run begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from core.schema import Cine, Level, View
from store.inputs import Ledger
from store.snapshot import Snapshot
from store.tables import SCHEMAS

_STUDY_FACTS = ("patient_known", "patient_age_years", "patient_sex", "study_date")


@dataclass(frozen=True)
class CurrentStudy:
    """What a study was last embedded from, and the site noted with it."""

    input_hash: str
    site: str | None


@dataclass(frozen=True)
class Known:
    """The ledger, the current studies, and which of them an encoder has vectors for.

    Attributes
    ----------
    ledger : Ledger
    cines : callable
        Study UIDs to their visible cines, in study order.
    studies : mapping
        The current row of each study, by study UID.
    in_space : collection of str
        Studies that are visible in the encoder's space, with findings if it has finding heads.
    is_deleted : callable
        Whether a patient (by the store's id) was deleted.
    """

    ledger: Ledger
    cines: Callable[[Collection[str]], Mapping[str, tuple[Cine, ...]]]
    studies: Mapping[str, CurrentStudy]
    in_space: Collection[str]
    is_deleted: Callable[[str], bool]

    @classmethod
    def nothing(cls) -> Known:
        """Return the knowledge of a store that does not exist yet."""
        ledger = Ledger(SCHEMAS["inputs"].empty_table())
        return cls(ledger, lambda _: {}, {}, frozenset(), lambda _: False)

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        encoder_id: str,
        heads_id: str | None,
        *,
        is_deleted: Callable[[str], bool],
    ) -> Known:
        """Return what a snapshot knows, as seen by one encoder and its finding heads.

        Cines are read when they are asked for: keep it open until then.
        """
        studies = snapshot.studies()
        return cls(
            snapshot.ledger(),
            lambda study_uids: current_cines(snapshot, study_uids),
            {
                row["study_uid"]: CurrentStudy(row["input_hash"], row["site"])
                for row in studies.select(["study_uid", "input_hash", "site"]).to_pylist()
            },
            _in_space(snapshot, encoder_id, heads_id),
            is_deleted,
        )


def _in_space(snapshot: Snapshot, encoder_id: str, heads_id: str | None) -> frozenset[str]:
    if encoder_id not in snapshot.spaces():
        return frozenset()
    embedded = frozenset(snapshot.keys(encoder_id, Level.STUDY)["uid"].to_pylist())
    if heads_id is None:
        return embedded
    keys = snapshot.finding_keys(encoder_id)
    of_heads = keys.filter(pc.equal(keys["heads_id"], heads_id))
    return embedded & set(of_heads["study_uid"].to_pylist())


def current_cines(snapshot: Snapshot, study_uids: Iterable[str]) -> dict[str, tuple[Cine, ...]]:
    """Return the visible cines of studies, by study UID, each study in its order."""
    wanted = pa.array(study_uids, pa.string())
    studies = _only(snapshot.studies(), wanted).select(["study_uid", *_STUDY_FACTS])
    videos = _only(snapshot.videos(), wanted)
    facts = {row["study_uid"]: row for row in studies.to_pylist()}
    found: dict[str, list[Cine]] = {}
    for row in videos.to_pylist():
        study_uid = row["study_uid"]
        found.setdefault(study_uid, []).append(_cine(row | facts[study_uid]))
    return {
        study_uid: tuple(sorted(cines, key=lambda cine: cine.order))
        for study_uid, cines in found.items()
    }


def _only(rows: pa.Table, study_uids: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows["study_uid"], value_set=study_uids))


def _cine(row: Mapping[str, Any]) -> Cine:
    facts = {field.name: row[field.name] for field in fields(Cine)}
    return Cine(**(facts | {"view": View(row["view"])}))
