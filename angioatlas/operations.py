"""What those who run an atlas look at: runs, what became of inputs and why, who writes now."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pandas as pd

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited
from angioatlas.cohort_studies import CohortStudies
from core.outcomes import OUTCOMES, Code, Status
from store.commits import CommitRecord
from store.lease import LeaseInfo
from store.snapshot import Snapshot

RUN_COLUMNS: Final = (
    *("run_id", "started_at", "last_commit_at", "kinds", "encoder_id", "versions"),
    *(status.value for status in Status),
)
OUTCOME_COLUMNS: Final = ("status", "code", "inputs", "meaning", "hint")


def runs(snapshot: Snapshot, commits: list[CommitRecord]) -> pd.DataFrame:
    """Return what wrote to a store, one run a row, the newest first.

    Parameters
    ----------
    snapshot : Snapshot
    commits : list of CommitRecord
        That can still be read.

    Returns
    -------
    DataFrame
        run_id; started_at (by its id; null where that tells no time); last_commit_at, kinds and
        encoder_id (null where its versions are retired); versions that can still be read; and how
        many inputs stand where this run put them, by status: a later run may have decided anew.
    """
    inputs = snapshot.inputs().select(["run_id", "status"]).to_pandas()
    standing = inputs.groupby(["run_id", "status"]).size().unstack(fill_value=0)
    standing = standing.reindex(columns=[status.value for status in Status], fill_value=0)
    of_run: dict[str, list[CommitRecord]] = {run_id: [] for run_id in standing.index}
    for record in commits:
        if record.version and record.version <= snapshot.version:
            of_run.setdefault(record.run_id, []).append(record)
    rows = [
        {
            "run_id": run_id,
            "started_at": _started(run_id),
            "last_commit_at": records[-1].created_at if records else None,
            "kinds": ", ".join(sorted({record.kind for record in records})) or None,
            "encoder_id": next((each.encoder_id for each in records if each.encoder_id), None),
            "versions": len(records),
            **(standing.loc[run_id].to_dict() if run_id in standing.index else _NONE),
        }
        for run_id, records in of_run.items()
    ]
    # An id begins with the time of its run.
    rows.sort(key=lambda row: str(row["run_id"]), reverse=True)
    return pd.DataFrame(rows, columns=[*RUN_COLUMNS])


_NONE: Final = {status.value: 0 for status in Status}


def _started(run_id: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%S").replace(
            tzinfo=dt.UTC
        )
    except ValueError:
        return None


class Operations(CohortStudies):
    """What is going on in a store; a part of `Atlas`, made like it."""

    @audited(Action.READ, refusals_only=True)
    def runs(self) -> pd.DataFrame:
        """Return what wrote to the store, one run a row, the newest first; see `runs`."""
        with self.snapshot() as snapshot:
            return runs(snapshot, self.store.versions())

    @audited(Action.READ, refusals_only=True)
    def outcomes(self) -> pd.DataFrame:
        """Return how many inputs ended with each status and code, and what can be done about it.

        Returns
        -------
        DataFrame
            status, code (null for what was embedded), inputs, meaning, hint; the most frequent
            first within a status.
        """
        with self.snapshot() as snapshot:
            counts = snapshot.ledger().counts()
        order = [*Status]
        rows = [
            {
                "status": status.value,
                "code": None if code is None else code.value,
                "inputs": count,
                "meaning": None if code is None else OUTCOMES[code].meaning,
                "hint": None if code is None else OUTCOMES[code].hint,
            }
            for (status, code), count in sorted(
                counts.items(), key=lambda each: (order.index(each[0][0]), -each[1], each[0])
            )
        ]
        return pd.DataFrame(rows, columns=[*OUTCOME_COLUMNS])

    @audited(Action.READ, "limit")
    def quarantine(self, *, limit: int = 1000) -> pd.DataFrame:
        """Return quarantined inputs and why, without their paths, which may name patients.

        `Atlas.inputs` has the paths.

        Parameters
        ----------
        limit : int
            Rows at the most.

        Returns
        -------
        DataFrame
            code, message, hint, study_uid and sop_uid as far as they are known, run_id; by code.
        """
        with self.snapshot() as snapshot:
            rows = snapshot.inputs().to_pandas()
        rows = rows[rows["status"] == Status.QUARANTINED.value].sort_values(["code", "run_id"])
        rows = rows.head(limit).reset_index(drop=True)
        hints = [OUTCOMES[Code(code)].hint for code in rows["code"]]
        columns = ["code", "message", "hint", "study_uid", "sop_uid", "run_id"]
        found: pd.DataFrame = rows.assign(hint=hints)[columns]
        return found

    @audited(Action.READ, refusals_only=True)
    def writing(self) -> LeaseInfo | None:
        """Return who writes to the store, or died while writing; None when nobody does.

        Its `heartbeat_at` is when it last committed.
        """
        return self.store.lease_holder()
