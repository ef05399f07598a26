"""What is known of studies, to colour the dots of maps by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, final

import numpy as np
import pandas as pd

from analytics.endpoints import ENDPOINTS, Endpoint, observe
from analytics.maps.picture import Colour
from analytics.survival.times import COMPETING, EVENT
from angioatlas.maps.facts import treated_before
from angioatlas.stenoses import MEASUREMENT, measured_stenoses
from angioatlas.study_view import study_view
from core.labels import LabelKind
from core.segments import SEGMENTS, VESSELS
from store.snapshot import Snapshot

YEAR_DAYS: Final = 365
OUTCOMES: Final = ("event", "other death", "no event")
"""How the year after a study ended: by an event, by a death that is none, or by neither."""
_WORDS: Final = {
    "mace": "MACE",
    "mace_wide": "MACE, arrhythmia or shock",
    "death_any": "Death",
    "death_cardiovascular": "Cardiovascular death",
    "death_other": "Death of another cause",
    "mi": "Infarction",
    "hf_hospitalisation": "Hospitalisation for heart failure",
}
"""Endpoints whose names do not say it well."""
OUTCOME: Final = "outcome_"
"""Colours whose names begin so are outcomes by the endpoint after it."""
_HEADS: Final = "stenosis_percent"
_MOST_SITES: Final = 20
_OTHERS: Final = "other sites"
_PERCENT: Final = (0.0, 100.0)
_SEXES: Final = {"F": "female", "M": "male", "O": "other"}

Made = tuple[Colour, Callable[[], pd.Series]]


@final
class Known:
    """What is known of the studies of one snapshot; threads may share it.

    Attributes
    ----------
    colours : tuple of Colour
        What something is known of.
    dates : Series
        By study_uid: study_date.
    """

    def __init__(self, dates: pd.Series, made: Iterable[Made]) -> None:
        self.dates = dates
        offered = [*made]
        self.colours = tuple(colour for colour, _ in offered)
        self._make = {colour.name: make for colour, make in offered}
        self._values: dict[str, pd.Series] = {}

    def values(self, name: str) -> pd.Series:
        """Return the values of a colour by study_uid, float64 or categorical; made once."""
        if name not in self._values:
            self._values[name] = self._make[name]()
        return self._values[name]


def known_of_studies(snapshot: Snapshot, *, encoder_id: str) -> Known:
    """Read what is known of every study of a snapshot.

    Parameters
    ----------
    snapshot : Snapshot
    encoder_id : str
        Whose findings are wanted, where the space has those of one set of heads.
    """
    heads = {segment: f"{segment}_{_HEADS}" for segment in SEGMENTS}
    columns = ["patient_id", "study_date", "patient_age_years", "patient_sex", "site"]
    names = {*columns, "lvef_percent", *heads.values()}
    rows = study_view(snapshot, encoder_id=encoder_id, names=names).to_pandas()
    rows = rows.set_index("study_uid")
    told = rows[[name for name in heads.values() if name in rows]]
    return Known(
        rows["study_date"],
        [
            *_of_the_study(rows),
            *_outcomes(snapshot, rows),
            *_before(snapshot, rows),
            *_stenoses(
                measured_stenoses(snapshot).reindex(rows.index), MEASUREMENT + "{}", "measured"
            ),
            *_stenoses(
                told.rename(columns={name: segment for segment, name in heads.items()}),
                "{}_" + _HEADS,
                "by finding heads",
            ),
        ],
    )


def _of_the_study(rows: pd.DataFrame) -> Iterator[Made]:
    years = pd.to_datetime(rows["study_date"]).dt.year
    for name, title, unit, values in (
        ("lvef_percent", "LVEF", "%", rows["lvef_percent"]),
        ("patient_age_years", "Age", "years", rows["patient_age_years"]),
        ("study_year", "Year of the study", "", years),
    ):
        numbers = values.astype(np.float64)
        if numbers.notna().any():
            yield Colour(name, title, unit, is_number=True), partial(_itself, numbers)
    sites = rows["site"].value_counts().index
    site = rows["site"].where(rows["site"].isin(sites[:_MOST_SITES]) | rows["site"].isna(), _OTHERS)
    levels = [*sites[:_MOST_SITES], *([_OTHERS] if len(sites) > _MOST_SITES else [])]
    sex = rows["patient_sex"].map(_SEXES)
    for name, title, words, told in (
        ("patient_sex", "Sex", sex, [each for each in _SEXES.values() if (sex == each).any()]),
        ("site", "Site", site, levels),
    ):
        if told:
            yield _category(name, title, words, tuple(told))


def _outcomes(snapshot: Snapshot, rows: pd.DataFrame) -> Iterator[Made]:
    events = snapshot.labels(LabelKind.EVENTS).to_pandas()
    follow_ups = snapshot.labels(LabelKind.FOLLOW_UP).to_pandas()
    if follow_ups.empty:
        return
    kinds = {*events["kind"]} | ({"death"} if (follow_ups["status"] == "dead").any() else set())
    index = rows["study_date"].rename("index_date").to_frame().assign(patient_id=rows["patient_id"])
    index = index[index["index_date"].notna()].reset_index()
    for name, target in ENDPOINTS.items():
        if kinds.intersection(target.components):
            title = _WORDS.get(name, name.replace("_", " ").capitalize())
            colour = Colour(OUTCOME + name, f"{title} within a year", levels=OUTCOMES)
            # Each takes a third of a second of 100,000 studies.
            yield colour, partial(_outcome, index, events, follow_ups, target, rows.index)


def _outcome(
    index: pd.DataFrame,
    events: pd.DataFrame,
    follow_ups: pd.DataFrame,
    target: Endpoint,
    studies: pd.Index,
) -> pd.Series:
    """Say how the year after each study ended; null where it was not followed so long."""
    seen = observe(index, events, follow_ups, target).table.set_index("study_uid")
    early, state = seen["time_days"] <= YEAR_DAYS, seen["state"]
    told = np.select(
        [early & (state == EVENT), early & (state == COMPETING), seen["time_days"] >= YEAR_DAYS],
        OUTCOMES,
        default="",
    )
    words = pd.Series(told, seen.index, dtype=object)
    return _levels(words.reindex(studies), OUTCOMES)


def _before(snapshot: Snapshot, rows: pd.DataFrame) -> Iterator[Made]:
    if snapshot.labels(LabelKind.PROCEDURES).num_rows:
        words = treated_before(snapshot, rows).map({True: "yes", False: "no"})
        yield _category("prior_intervention", "Intervention before the exam", words, ("yes", "no"))


def _stenoses(found: pd.DataFrame, name: str, how: str) -> Iterator[Made]:
    """Offer vessels, by their largest stenosis, and segments in which there is any."""
    for vessel, segments in VESSELS.items():
        of_vessel = found.reindex(columns=list(segments)).max(axis=1)
        if (of_vessel > 0).any():
            title = f"Largest stenosis of the {vessel}, {how}"
            yield _percent(name.format(vessel), title, of_vessel)
    for segment, words in SEGMENTS.items():
        if segment in found and (found[segment] > 0).any():
            title = f"Stenosis of the {words}, {how}"
            yield _percent(name.format(segment), title, found[segment])


def _percent(name: str, title: str, values: pd.Series) -> Made:
    colour = Colour(name, title, "%", is_number=True, scale=_PERCENT)
    return colour, partial(_itself, values.astype(np.float64))


def _category(name: str, title: str, words: pd.Series, levels: tuple[str, ...]) -> Made:
    return Colour(name, title, levels=levels), partial(_itself, _levels(words, levels))


def _levels(words: pd.Series, levels: tuple[str, ...]) -> pd.Series:
    return pd.Series(pd.Categorical(words, categories=list(levels)), index=words.index)


def _itself(values: pd.Series) -> pd.Series:
    return values
