"""Does change foretell events?  By a landmark, and as it becomes known."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from lifelines import CoxTimeVaryingFitter
from lifelines.exceptions import ConvergenceError
from scipy import stats

from analytics.endpoints import Endpoint, Rules, observe
from analytics.survival.cox import fit_cox
from core.errors import UsageError

FEWEST_EVENTS: Final = 10
COLUMNS: Final = ("coef", "se", "hr", "hr_lower", "hr_upper", "p", "subjects", "events")


def landmark(
    pairs: pd.DataFrame,
    events: pd.DataFrame,
    follow_up: pd.DataFrame,
    endpoint: Endpoint,
    rules: Rules,
    *,
    covariate: str = "score",
) -> pd.DataFrame:
    """Return the hazard ratio of change until the second exam, of events after it.

    Only who comes again alive and without having been lost has a second exam: the ratio is among
    those.

    Parameters
    ----------
    pairs : DataFrame
        patient_id, number, study_uid, date and the covariate.
    events, follow_up : DataFrame
        See `analytics.endpoints.observe`.
    endpoint : Endpoint
    rules : Rules
    covariate : str

    Returns
    -------
    DataFrame
        One row: `COLUMNS`, of one unit of the covariate; Cox, cause-specific.

    Raises
    ------
    UsageError
        There are fewer than `FEWEST_EVENTS` events.
    """
    second = pairs[(pairs["number"] == 2) & pairs[covariate].notna()]
    index = second.rename(columns={"date": "index_date"})[
        ["study_uid", "patient_id", "index_date", covariate]
    ]
    found = observe(index, events, follow_up, endpoint, rules)
    count = int(found.times.event.sum()) if len(found.table) else 0
    _check(count, "after second exams")
    fitted = fit_cox(found.times, found.table[[covariate]].reset_index(drop=True))
    row = fitted.table.loc[covariate]
    told = [row[name] for name in COLUMNS[:6]]
    return pd.DataFrame([(*told, len(found.table), count)], columns=list(COLUMNS))


def time_varying(
    exams: pd.DataFrame,
    pairs: pd.DataFrame,
    events: pd.DataFrame,
    follow_up: pd.DataFrame,
    endpoint: Endpoint,
    rules: Rules,
    *,
    covariate: str = "score",
) -> pd.DataFrame:
    """Return the hazard ratio of change as it becomes known, of events after the first exam.

    From the first exam to the second the covariate is 0; from each later exam on it is that of the
    pair that the exam ends.  Who never came again counts with 0 all along: without them the time
    before second exams would seem to be without events.

    Parameters
    ----------
    exams : DataFrame
        study_uid, patient_id, date of all exams, of those who came once too.
    pairs, events, follow_up, endpoint, rules, covariate
        As for `landmark`.

    Returns
    -------
    DataFrame
        One row: `COLUMNS`.

    Raises
    ------
    UsageError
        There are fewer than `FEWEST_EVENTS` events, or the fit does not converge.
    """
    known = pairs[pairs[covariate].notna()]
    spells = spells_of(exams, known, events, follow_up, endpoint, rules, covariate=covariate)
    count = int(spells["event"].sum())
    _check(count, "after first exams")
    try:
        fitted = CoxTimeVaryingFitter().fit(
            spells, id_col="patient_id", event_col="event", start_col="start", stop_col="stop"
        )
    except ConvergenceError as error:
        raise UsageError(
            "the hazard of change cannot be estimated: events do not vary with it",
            "take a larger cohort",
        ) from error
    coef, se = float(fitted.params_[covariate]), float(fitted.standard_errors_[covariate])
    half = float(stats.norm.ppf(0.975)) * se
    told = (coef, se, np.exp(coef), np.exp(coef - half), np.exp(coef + half))
    p = float(2 * stats.norm.sf(abs(coef / se)))
    row = (*told, p, int(spells["patient_id"].nunique()), count)
    return pd.DataFrame([row], columns=list(COLUMNS))


def spells_of(
    exams: pd.DataFrame,
    pairs: pd.DataFrame,
    events: pd.DataFrame,
    follow_up: pd.DataFrame,
    endpoint: Endpoint,
    rules: Rules,
    *,
    covariate: str = "score",
) -> pd.DataFrame:
    """Return follow-up in spells between exams.

    Returns
    -------
    DataFrame
        patient_id, start and stop (days since the first exam), the covariate, event.
    """
    dated = exams.dropna(subset=["date"]).assign(date=lambda rows: pd.to_datetime(rows["date"]))
    ordered = dated.sort_values(["patient_id", "date", "study_uid"], kind="stable")
    first = ordered.drop_duplicates("patient_id").rename(columns={"date": "index_date"})
    index = first[["study_uid", "patient_id", "index_date"]]
    found = observe(index, events, follow_up, endpoint, rules).table
    rows = []
    later = dict(iter(pairs.groupby("patient_id")))
    nobody = pairs.iloc[:0]
    for subject in found.to_dict("records"):
        own = later.get(subject["patient_id"], nobody)
        begun = pd.Timestamp(subject["index_date"])
        days = [0.0, *((own["date"] - begun).dt.days.to_numpy(np.float64))]
        values = [0.0, *own[covariate].to_numpy(np.float64)]
        end = float(subject["time_days"])
        for start, stop, value in zip(days, [*days[1:], np.inf], values, strict=True):
            if start >= end or start == stop:
                continue
            last = end <= stop
            event = bool(last and subject["state"] == 1)
            rows.append((subject["patient_id"], start, min(stop, end), value, event))
    return pd.DataFrame(rows, columns=["patient_id", "start", "stop", covariate, "event"])


def _check(count: int, when: str) -> None:
    if count < FEWEST_EVENTS:
        raise UsageError(
            f"{count} events {when} are too few to tell what change means",
            f"at least {FEWEST_EVENTS}: take a larger cohort or a wider endpoint",
        )
