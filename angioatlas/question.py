"""What every question about a cohort says, whatever it asks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from analytics.leakage import DUPLICATE_COSINE
from angioatlas.studied import StudyOptions
from core.errors import UsageError

_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True, kw_only=True)
class CohortQuestion:
    """Predictors, sides and seeds of a study; each kind of study adds what it asks.

    Attributes
    ----------
    clinical : tuple of str
        Clinical predictors: age_years, sex, names of covariates and measurements.
    sets : tuple of str
        Of ``embeddings``, ``clinical``, ``both``; by default all that `clinical` allows.
    since, site
        What is held out; a cross-validation by default.
    folds, seed : int
    same_run_cosine : float
        Runs of two patients whose vectors are as near as this are one run, and refused; 0 to 1.
    """

    clinical: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    since: dt.date | None = None
    site: str | None = None
    folds: int = 5
    seed: int = 0
    same_run_cosine: float = DUPLICATE_COSINE

    def options(
        self, trained_on: frozenset[str], table: pd.DataFrame | None = None
    ) -> StudyOptions:
        """Return what a study needs besides its plan.

        Parameters
        ----------
        trained_on : frozenset of str
            Patients of the store that the encoder was trained on.
        table : DataFrame, optional
            More covariates, see `angioatlas.studied.StudyOptions`.
        """
        return StudyOptions(
            clinical=self.clinical,
            sets=self.sets,
            since=self.since,
            site=self.site,
            table=table,
            trained_on=trained_on,
            same_run_cosine=self.same_run_cosine,
        )


def one_of(what: str, word: str, known: Sequence[_Word]) -> _Word:
    """Return a word that is among those that there are.

    Raises
    ------
    UsageError
        It is not.
    """
    for each in known:
        if each == word:
            return each
    raise UsageError(f"{what} {word!r}: expected one of {', '.join(known)}", "see --help")
