"""Who is learned from and who is judged on: never the same patient on both sides."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from core.errors import UsageError

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a table on two sides.

    Attributes
    ----------
    name : str
    train, test : int64 arrays
        Ascending row numbers.
    left_out : int64 array
        Rows on neither side: of patients who would be on both.
    """

    name: str
    train: Rows
    test: Rows
    left_out: Rows


def folds(patient: ArrayLike, event: ArrayLike, *, count: int, seed: int) -> Iterator[Split]:
    """Yield the splits of a cross-validation; all rows of a patient are in one test side.

    Parameters
    ----------
    patient : array of shape (rows,)
    event : array of shape (rows,)
        Whether the row had the event: folds have equal shares of it, as far as patients allow.
    count : int
        Folds, 2 or more.
    seed : int

    Raises
    ------
    UsageError
        There are fewer patients with the event, or without it, than folds.
    """
    who, happened = np.asarray(patient), np.asarray(event, bool)
    for what, chosen in (("with", happened), ("without", ~happened)):
        patients = len(np.unique(who[chosen]))
        if patients < count:
            raise UsageError(
                f"{patients} patients {what} the event cannot be spread over {count} folds",
                "take fewer folds, a longer horizon or a wider endpoint",
            )
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for number, (train, test) in enumerate(splitter.split(happened, happened, who)):
        yield Split(f"fold {number + 1}", np.sort(train), np.sort(test), _nobody())


def even_folds(patient: ArrayLike, *, count: int, seed: int) -> Iterator[Split]:
    """Yield the splits of a cross-validation by patients alone.

    Parameters
    ----------
    patient : array of shape (rows,)
    count : int
        Folds, 2 or more.
    seed : int

    Raises
    ------
    UsageError
        There are fewer patients than folds.
    """
    who = np.asarray(patient)
    patients = len(np.unique(who))
    if patients < count:
        raise UsageError(
            f"{patients} patients cannot be spread over {count} folds",
            "take fewer folds or a larger cohort",
        )
    splitter = GroupKFold(count, shuffle=True, random_state=seed)
    for number, (train, test) in enumerate(splitter.split(who, groups=who)):
        yield Split(f"fold {number + 1}", np.sort(train), np.sort(test), _nobody())


def temporal(index_date: pd.Series, patient: ArrayLike, *, since: dt.date) -> Split:
    """Learn from exams before a day, and judge on those from it on.

    Parameters
    ----------
    index_date : Series of dates
    patient : array of shape (rows,)
        Earlier exams of patients of the test side are left out.
    since : date

    Raises
    ------
    UsageError
        A side is empty.
    """
    later = (pd.to_datetime(index_date) >= pd.Timestamp(since)).to_numpy()
    return _held_out(f"since {since.isoformat()}", later, patient)


def by_site(site: pd.Series, patient: ArrayLike, *, held_out: str) -> Split:
    """Learn from all sites but one, and judge on that.

    Parameters
    ----------
    site : Series
    patient : array of shape (rows,)
        Exams elsewhere of patients of the held-out site are left out.
    held_out : str

    Raises
    ------
    UsageError
        A side is empty.
    """
    return _held_out(f"site {held_out}", (site == held_out).to_numpy(bool), patient)


def _held_out(name: str, test: NDArray[np.bool_], patient: ArrayLike) -> Split:
    who = np.asarray(patient)
    both = ~test & np.isin(who, who[test])
    split = Split(name, *(_rows(each) for each in (~test & ~both, test, both)))
    if not len(split.train) or not len(split.test):
        side = "train" if not len(split.train) else "test"
        raise UsageError(f"{name}: nobody is on the {side} side", "choose another hold-out")
    return split


def _rows(chosen: NDArray[Any]) -> Rows:
    return np.flatnonzero(chosen).astype(np.int64)


def _nobody() -> Rows:
    return np.zeros(0, np.int64)
