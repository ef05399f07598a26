"""Where the exams of a patient stand, one after the other: on a plane, and along clinical axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.probes.linear import probe
from analytics.progression.pairs import DAYS_PER_YEAR
from analytics.resampling import bootstrap, percentile_interval

Floats = NDArray[np.float64]
PLANE: Final = ("x", "y")
FEWEST_STEPS: Final = 5
"""Mean steps of fewer patients are not told."""
STEP_COLUMNS: Final = ("axis", "course", "pairs", "patients", "mean_step", "lower", "upper")


def positions(
    exams: pd.DataFrame,
    pairs: pd.DataFrame,
    plane: Floats,
    along: Mapping[str, Floats],
) -> pd.DataFrame:
    """Return where each exam stands.

    Parameters
    ----------
    exams : DataFrame
        study_uid, patient_id, date.
    pairs : DataFrame
        See `analytics.progression.pairs.mark_between`.
    plane : float64 array of shape (exams, 2)
        Coordinates on a map, NaN where an exam is not on it.
    along : mapping of str to float64 array of shape (exams,)
        Positions along axes, in any unit.

    Returns
    -------
    DataFrame
        By patient and date: patient_id, number (of the exam, from 1), study_uid, date, years (since
        the first exam), treatment (since the exam before), x, y, and for each axis how far along it
        the exam stands, in standard deviations of all exams; 0 is their mean.
    """
    found = exams[["patient_id", "study_uid", "date"]].assign(date=pd.to_datetime(exams["date"]))
    found[list(PLANE)] = plane
    for name, each in along.items():
        spread = each.std()
        found[name] = (each - each.mean()) / spread if spread > 0 else 0.0
    found = found.dropna(subset=["date"])
    found = found.sort_values(["patient_id", "date", "study_uid"], ignore_index=True)
    grouped = found.groupby("patient_id")
    days = (found["date"] - grouped["date"].transform("first")).dt.days
    treatment = found["study_uid"].map(pairs.set_index("study_uid")["treatment"]).fillna("")
    found.insert(1, "number", grouped.cumcount() + 1)
    found.insert(4, "years", days / DAYS_PER_YEAR)
    found.insert(5, "treatment", treatment)
    return found


def principal_plane(vectors: NDArray[np.floating]) -> Floats:
    """Return the first two principal components of rows, float64 (rows, 2).

    Of each component the sign is that which makes its largest coefficient positive.
    """
    centred = np.asarray(vectors, np.float64) - np.asarray(vectors, np.float64).mean(axis=0)
    # Of the smaller covariance: thousands of exams have only hundreds of dimensions.
    _, components = np.linalg.eigh(centred.T @ centred)
    first = components[:, :-3:-1]
    largest = np.take_along_axis(first, np.abs(first).argmax(axis=0)[None], axis=0)
    return np.asarray(centred @ (first * np.sign(largest)))


def toward_burden(
    vectors: NDArray[np.float32], burden: Floats, patient: NDArray[np.str_], *, seed: int = 0
) -> Floats:
    """Return how far toward disease exams stand by an axis that is fitted, float64 (exams,).

    Parameters
    ----------
    vectors : float32 array of shape (exams, dim)
    burden : float64 array of shape (exams,)
        Such as the sum of stenoses; NaN where it is not known.
    patient : array of shape (exams,)
    seed : int
        Of the folds.

    Returns
    -------
    float64 array of shape (exams,)
        Burden as ridge regression tells it from the vector, in its unit.  What a patient's exams
        are told by was fitted to other patients alone, and is one axis for all of them.

    Raises
    ------
    UsageError
        There are fewer patients than folds.
    """
    return probe(vectors, burden[:, None], patient, seed=seed).scores[:, 0]


def steps(found: pd.DataFrame, axes: Sequence[str], *, repeats: int, seed: int) -> pd.DataFrame:
    """Return how far exams moved along each axis since the one before, on average.

    Parameters
    ----------
    found : DataFrame
        Of `positions`.
    axes : sequence of str
        Their names.
    repeats, seed : int
        Bootstrap samples of patients.

    Returns
    -------
    DataFrame
        `STEP_COLUMNS`, a row an axis and course (natural, treated); steps are in standard
        deviations of all exams, with 95 % limits.  Without rows where fewer than `FEWEST_STEPS`
        patients took such a step.
    """
    names = list(axes)
    grouped = found.groupby("patient_id")[names]
    moved = (found[names] - grouped.shift())[found["number"] > 1]
    about = found.loc[moved.index]
    rows = []
    for course, chosen in (
        ("natural", about["treatment"] == ""),
        ("treated", about["treatment"] != ""),
    ):
        patient, values = about["patient_id"][chosen], moved[chosen].to_numpy(np.float64)
        if not names or patient.nunique() < FEWEST_STEPS:
            continue
        samples = bootstrap(
            lambda drawn, values=values: values[drawn].mean(axis=0),  # type: ignore[misc]
            patient,
            repeats=repeats,
            seed=seed,
        )
        low, high = percentile_interval(samples)
        mean = values.mean(axis=0)
        rows += [
            (name, course, len(values), patient.nunique(), *map(float, (m, lo, hi)))
            for name, m, lo, hi in zip(names, mean, low, high, strict=True)
        ]
    told = pd.DataFrame(rows, columns=list(STEP_COLUMNS))
    return told.sort_values("axis", key=lambda each: each.map(names.index), kind="stable")
