"""Clinical predictors as they were known on the index date, never later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from core.errors import UsageError
from core.labels import FALSE_WORDS, TRUE_WORDS

AGE: Final = "age_years"
SEX: Final = "sex"


def check_names(names: Sequence[str], labels: Iterable[str]) -> None:
    """Refuse predictors that nobody has.

    Parameters
    ----------
    names : sequence of str
        What is asked for.
    labels : iterable of str
        Names of covariates and measurements; age and sex of the exam are there anyway.

    Raises
    ------
    UsageError
        A name is not known.
    """
    known = {AGE, SEX, *labels}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"no predictor is called {', '.join(unknown)}", f"there are {', '.join(sorted(known))}"
        )


def as_of(
    index: pd.DataFrame,
    studies: pd.DataFrame,
    covariates: pd.DataFrame,
    measurements: pd.DataFrame,
    names: Sequence[str],
    *,
    as_words: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return predictors of the index exams.

    Parameters
    ----------
    index : DataFrame
        study_uid, patient_id, index_date.
    studies : DataFrame
        study_uid, patient_age_years, patient_sex.
    covariates : DataFrame
        patient_id, date (null: always), name, value (text).
    measurements : DataFrame
        patient_id, date, name, value (number).
    names : sequence of str
        See `check_names`.
    as_words : collection of str, optional
        Which of the names are words, the others being numbers, as a model was fitted to them; by
        default what the values of these exams are.  A single exam does not tell: a "yes" may be
        one of many words.

    Returns
    -------
    DataFrame
        One row an index exam, in order; a column for each name: the last value on or before the
        index date, a number where all values are numbers or truth values, else text; null where
        there is none.
    """
    facts = index.merge(studies, on="study_uid", how="left")
    own = {AGE: facts["patient_age_years"], SEX: facts["patient_sex"]}
    said = pd.concat(
        [
            covariates[["patient_id", "date", "name", "value"]],
            measurements[["patient_id", "date", "name", "value"]],
        ],
        ignore_index=True,
    )
    said["date"] = pd.to_datetime(said["date"])
    columns: Mapping[str, pd.Series] = {
        name: own[name]
        if name in own
        else _typed(
            _latest(index, said[said["name"] == name]),
            None if as_words is None else name in as_words,
        )
        for name in names
    }
    told = {name: column.to_numpy() for name, column in columns.items()}
    return pd.DataFrame(told, index=range(len(index)))


def _latest(index: pd.DataFrame, said: pd.DataFrame) -> pd.Series:
    """Return the last value of each index exam's patient that is not from after it."""
    rows = index[["patient_id", "index_date"]].reset_index()
    joined = rows.merge(said, on="patient_id")
    known = joined["date"].isna() | (joined["date"] <= pd.to_datetime(joined["index_date"]))
    # What is always true counts as the oldest.
    last = joined[known].sort_values(["index", "date"], na_position="first", kind="stable")
    values = last.drop_duplicates("index", keep="last").set_index("index")["value"]
    return values.reindex(range(len(index)))


def _typed(values: pd.Series, are_words: bool | None) -> pd.Series:
    known = values.dropna()
    words = known.astype(str).str.strip().str.lower()
    if are_words:
        return words.reindex(values.index).astype(object)
    if are_words is not None:
        truth = words.map({each: _truth(each) for each in TRUE_WORDS | FALSE_WORDS})
        numbers = pd.to_numeric(words, errors="coerce")
        return numbers.fillna(truth).astype(float).reindex(values.index)
    if words.isin(TRUE_WORDS | FALSE_WORDS).all():
        return values.map(lambda value: _truth(value), na_action="ignore").astype(float)
    numbers = pd.to_numeric(known, errors="coerce")
    if numbers.notna().all():
        return numbers.astype(float).reindex(values.index)
    return words.reindex(values.index).astype(object)


def _truth(value: object) -> float:
    return float(str(value).strip().lower() in TRUE_WORDS)
