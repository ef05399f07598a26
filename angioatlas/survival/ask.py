"""A survival study as it is asked for, in words that every face has."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analytics.endpoints import UNKNOWN_DEATHS, Rules, endpoint
from analytics.survival.models import KINDS, ModelSpec
from analytics.survival.study import Plan, horizons_of
from angioatlas.label_files import LabelFile, Problems, read_file
from angioatlas.question import CohortQuestion, one_of
from core.ids import Identity
from core.labels import LabelKind


@dataclass(frozen=True)
class SurvivalQuestion(CohortQuestion):
    """What is asked, besides what every question says.

    Attributes
    ----------
    endpoint : str
        A name of `analytics.endpoints.ENDPOINTS`, or any with `components`.
    components : tuple of str, optional
        Kinds of events of an endpoint of one's own.
    covariates : Path, optional
        A table of covariates for this study alone, with original identifiers.
    horizons_days : tuple of int
    model : str
        Of `analytics.survival.models.KINDS`.
    blanking_days, until, unknown_death
        See `analytics.endpoints.Rules`.
    """

    endpoint: str = "mace"
    components: tuple[str, ...] | None = None
    covariates: Path | None = None
    horizons_days: tuple[int, ...] = (30, 180, 365, 730)
    model: str = "elastic-net"
    blanking_days: int = 0
    until: dt.date | None = None
    unknown_death: str = "competing"

    def plan(self) -> Plan:
        """Return the plan of the study.

        Raises
        ------
        NotFoundError
            There is no such endpoint.
        UsageError
            A word is none of those that there are.
        """
        return Plan(
            endpoint=endpoint(self.endpoint, self.components),
            rules=Rules(
                self.blanking_days,
                self.until,
                one_of("unknown death", self.unknown_death, UNKNOWN_DEATHS),
            ),
            horizons_days=horizons_of(self.horizons_days),
            spec=ModelSpec(one_of("model", self.model, KINDS), seed=self.seed),
            outer_folds=self.folds,
            seed=self.seed,
        )

    def table(self, identity: Identity) -> pd.DataFrame | None:
        """Return the covariates of the file, with the identifiers and dates of the store.

        Raises
        ------
        UsageError
            A cell cannot be used.
        """
        if self.covariates is None:
            return None
        problems = Problems()
        read = read_file(LabelFile(self.covariates, LabelKind.COVARIATES), problems)
        problems.refuse()
        rows = []
        for each in read:
            patient = identity.patient(each.cells["patient_id"])
            shift = dt.timedelta(days=identity.shift_days(patient))
            date = each.cells["date"]
            moved = None if date is None else date + shift
            rows.append((patient, moved, each.cells["name"], each.cells["value"]))
        return pd.DataFrame(rows, columns=["patient_id", "date", "name", "value"])
