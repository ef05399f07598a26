"""Exams that a saved model is asked about, and what it says of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import pandas as pd

from core.errors import NotFoundError, TooLargeError, UsageError
from core.provenance import RESEARCH_USE
from core.schema import Level
from store import sorted_rows
from store.registry import Registry, SavedModel
from store.snapshot import Snapshot
from store.store import Store

MOST_STUDIES: Final = 30
"""Studies that are asked about one by one: an entry of the trail names all of them."""


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """Exams of one store version that a saved model is asked about.

    Attributes
    ----------
    snapshot : Snapshot
    exams : DataFrame
        study_uid, patient_id, index_date.
    encoder_id : str
        The space of the embeddings; empty where none is read.
    """

    snapshot: Snapshot
    exams: pd.DataFrame
    encoder_id: str

    def predictors(
        self, told: dict[str, Any], *, as_words: Collection[str]
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the exams that a model can be applied to, and its predictors of them.

        Parameters
        ----------
        told : dict
            The model's description.
        as_words : collection of str
            Predictors that it was fitted to as words.

        Raises
        ------
        UsageError
            No exam has a vector, or nobody in the store has a predictor.
        """
        # It takes seconds to import: who searches does without it.
        from angioatlas.studied import join_predictors

        index, x, _ = join_predictors(
            self.snapshot,
            self.exams,
            told["clinical"],
            encoder_id=self.encoder_id,
            sets=(told["predictors"],),
            as_words=as_words,
        )
        columns = ["study_uid", "patient_id", "index_date"]
        return index[columns].reset_index(drop=True), x[told["predictors"]]


@final
@dataclass(frozen=True, eq=False)
class Predictions:
    """What a saved model says of exams.

    Attributes
    ----------
    model_name, model_id : str
    about : dict
        The model's description.
    encoder_id : str or None
        Whose embeddings the model reads; None where it reads none.
    store_version : int
        That the exams were read from.
    table : DataFrame
        study_uid, patient_id, index_date; what the model says, see `survival.saved.predict` and
        `lvef.saved.predict`; in_training (whether the model was fitted to a cohort with this
        patient: then it says too well; None where that cohort was never saved in this store);
        filled_in (clinical predictors that are not known of the exam, separated by spaces).
    notice : str
    """

    model_name: str
    model_id: str
    about: dict[str, Any]
    encoder_id: str | None
    store_version: int
    table: pd.DataFrame
    notice: str = RESEARCH_USE

    def __len__(self) -> int:
        return len(self.table)

    def __str__(self) -> str:
        return f"{self.table.to_string(index=False)}\n{self.notice}"

    @classmethod
    def of(
        cls,
        store: Store,
        saved: SavedModel,
        told: dict[str, Any],
        asked: Asked,
        said: pd.DataFrame,
        x: pd.DataFrame,
    ) -> Predictions:
        """Add to what a model says of exams what one must know to take it for what it is."""
        who = [*said["patient_id"]]
        known = Registry(store.tables).in_cohort(saved.cohort_id, who)
        gaps = x[told["clinical"]].isna()
        within = [None if known is None else each in known for each in who]
        table = said.assign(
            in_training=pd.Series(within, dtype=object),
            filled_in=[" ".join(map(str, gaps.columns[row])) for row in gaps.to_numpy(bool)],
        )
        return cls(
            saved.name,
            saved.model_id,
            told,
            saved.encoder_id or None,
            asked.snapshot.version,
            table,
        )


def exams_of(
    snapshot: Snapshot, studies: Sequence[Sequence[str]], *, encoder_id: str | None
) -> pd.DataFrame:
    """Return single studies as exams to ask about, each once, in their order.

    Parameters
    ----------
    snapshot : Snapshot
    studies : sequence of sequence of str
        What each study's UID may be in the store; the first that is there counts.
    encoder_id : str or None
        A vector of this encoder is needed.

    Returns
    -------
    DataFrame
        study_uid, patient_id, index_date.

    Raises
    ------
    NotFoundError
        A study is not visible, or has no vector.  It is named by its number: what somebody typed
        may be an original UID.
    UsageError
        None is asked about, or more than `MOST_STUDIES`.
    """
    if not 0 < len(studies) <= MOST_STUDIES:
        raise UsageError(
            f"{len(studies)} studies are asked about; 1 to {MOST_STUDIES} can be at a time",
            "choose a cohort of them: angioatlas cohort create NAME --members FILE",
        )
    table = snapshot.studies()
    keys = table if encoder_id is None else snapshot.keys(encoder_id, Level.STUDY)
    uid = "study_uid" if encoder_id is None else "uid"
    rows: dict[str, dict[str, Any]] = {}
    for number, names in enumerate(studies, 1):
        known = [name for name in names if sorted_rows.row_of(keys[uid], name) is not None]
        if not known:
            vector = "" if encoder_id is None else f" with a vector of {encoder_id}"
            one_of = "the study" if len(studies) == 1 else f"study {number} of {len(studies)}"
            raise NotFoundError(
                f"{one_of} is not in store version {snapshot.version}{vector}",
                "angioatlas store inputs shows what became of its files",
            )
        at = sorted_rows.row_of(table["study_uid"], known[0])
        assert at is not None  # what has a key is visible
        rows[known[0]] = table.slice(at, 1).to_pylist()[0]
    found = pd.DataFrame([*rows.values()])[["study_uid", "patient_id", "study_date"]]
    return found.rename(columns={"study_date": "index_date"})


def check_size(exams: pd.DataFrame, most: int | None) -> None:
    """Refuse more exams than are wanted at a time.

    Raises
    ------
    TooLargeError
    """
    if most is not None and len(exams) > most:
        raise TooLargeError(
            f"the cohort has {len(exams):,} exams; at the most {most:,} are told at a time",
            "name a smaller cohort",
        )
