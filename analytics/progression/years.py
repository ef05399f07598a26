"""What a study says of the years: slopes, time to progression, and events after change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analytics.endpoints import Endpoint, Rules
from analytics.progression.course import YEARS, slope_over_years, time_to_progression
from analytics.progression.outcome import COLUMNS, landmark, time_varying
from analytics.progression.pairs import DAYS_PER_YEAR
from core.errors import UsageError

SLOPE_COLUMNS = ("what", "a_year", "lower", "upper", "p", "exams", "patients")


@final
@dataclass(frozen=True, eq=False)
class Years:
    """What the years did.

    Attributes
    ----------
    slopes : DataFrame
        `SLOPE_COLUMNS`: mean change a year, natural course, of a mixed model.
    progression : DataFrame or None
        See `analytics.progression.course.time_to_progression`.
    hazards : DataFrame
        what, and `analytics.progression.outcome.COLUMNS`.
    untold : tuple of str
        What could not be told, and why.
    """

    slopes: pd.DataFrame
    progression: pd.DataFrame | None
    hazards: pd.DataFrame
    untold: tuple[str, ...]


def tell_years(
    exams: pd.DataFrame,
    pairs: pd.DataFrame,
    numbers: dict[str, ArrayLike],
    events: pd.DataFrame,
    follow_up: pd.DataFrame,
    endpoint: Endpoint,
    rules: Rules,
) -> Years:
    """Fit what can be fitted.

    Parameters
    ----------
    exams : DataFrame
        study_uid, patient_id, date.
    pairs : DataFrame
        Of a study, with scores.
    numbers : dict of str to array of shape (exams,)
        What is followed over years, by name; NaN where it is not known.
    events, follow_up : DataFrame
    endpoint : Endpoint
    rules : Rules
    """
    untold: list[str] = []

    def attempt(what: str, fit: Callable[[], pd.DataFrame]) -> pd.DataFrame | None:
        try:
            return fit()
        except UsageError as error:
            untold.append(f"{what}: {error.message}")
            return None

    begun = exams.assign(**{YEARS: _years(exams)})[_before_treatment(exams, pairs)]
    slopes = [
        attempt(f"{name} a year", lambda values=values, name=name: _slope(begun, name, values))  # type: ignore[misc]
        for name, values in numbers.items()
    ]
    curve = None
    if "progressed" in pairs:
        curve = attempt("time to progression", lambda: time_to_progression(pairs))
    hazards = [
        attempt(
            f"{endpoint.name} {when} by {column}",
            lambda fit=fit, column=column, when=when: fit(column).assign(what=f"{column}, {when}"),  # type: ignore[misc]
        )
        for when, fit in (
            (
                "after the second exam",
                lambda column: landmark(
                    pairs, events, follow_up, endpoint, rules, covariate=column
                ),
            ),
            (
                "as it becomes known",
                lambda column: time_varying(
                    exams, pairs, events, follow_up, endpoint, rules, covariate=column
                ),
            ),
        )
        for column in ("score", "toward_disease")
        if pairs[column].notna().any()
    ]
    return Years(
        slopes=_joined(slopes, SLOPE_COLUMNS),
        progression=curve,
        hazards=_joined(hazards, ("what", *COLUMNS)),
        untold=tuple(untold),
    )


def _years(exams: pd.DataFrame) -> pd.Series:
    dates = pd.to_datetime(exams["date"])
    days = (dates - dates.groupby(exams["patient_id"]).transform("min")).dt.days
    return days / DAYS_PER_YEAR


def _before_treatment(exams: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Tell which exams are dated and not after a treatment of the patient."""
    treated = pairs[pairs["treatment"] != ""].groupby("patient_id")["date"].min()
    until = exams["patient_id"].map(treated)
    dates = pd.to_datetime(exams["date"])
    return (dates.notna() & (until.isna() | (dates < until))).to_numpy(bool)


def _slope(begun: pd.DataFrame, name: str, values: ArrayLike) -> pd.DataFrame:
    known = pd.Series(np.asarray(values, np.float64)).loc[begun.index].notna().to_numpy()
    rows = begun[known]
    y = np.asarray(values, np.float64)[rows.index.to_numpy()]
    found = slope_over_years(y, rows[YEARS], rows["patient_id"])
    told = found.fixed.loc[YEARS]
    row = (name, told["estimate"], told["lower"], told["upper"], told["p"])
    return pd.DataFrame([(*row, found.rows, found.patients)], columns=list(SLOPE_COLUMNS))


def _joined(parts: list[pd.DataFrame | None], columns: tuple[str, ...]) -> pd.DataFrame:
    found = [part for part in parts if part is not None]
    if not found:
        return pd.DataFrame(columns=list(columns))
    return pd.concat(found, ignore_index=True)[list(columns)]
