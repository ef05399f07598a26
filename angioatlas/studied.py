"""What every study of a cohort needs of a store version: exams with predictors, checks, words."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analytics.leakage import (
    DUPLICATE_COSINE,
    Leak,
    from_the_future,
    known_to_the_encoder,
    near_duplicates,
    refuse,
)
from analytics.predictors import AGE, SEX, as_of, check_names
from analytics.preparation import EMBEDDING, library_versions
from analytics.splits import Split, by_site, temporal
from angioatlas.cohorts import CohortMembers
from core.errors import UsageError
from core.ids import Identity
from core.labels import LabelKind
from core.provenance import software_version
from core.schema import Level
from embedder.encoders.trained_on import among, read_trained_on
from store.snapshot import Snapshot
from store.store import Store

EMBEDDINGS: Final = "embeddings"
CLINICAL: Final = "clinical"
BOTH: Final = "both"
SETS: Final = (EMBEDDINGS, CLINICAL, BOTH)
_AGE_BANDS: Final = ((0, 50), (50, 60), (60, 70), (70, 80), (80, 200))
_MOST_SITES: Final = 12
_NAMED: Final = (LabelKind.COVARIATES, LabelKind.MEASUREMENTS)


@dataclass(frozen=True)
class StudyOptions:
    """What a study of a cohort is asked for, besides its plan.

    Attributes
    ----------
    clinical : tuple of str
        Clinical predictors; age and sex of the exam are ``age_years`` and ``sex``.
    sets : tuple of str
        Of `SETS`; by default all that the clinical predictors allow.
    since : date, optional
        Hold out the exams from this day on.
    site : str, optional
        Hold out this site.
    table : DataFrame, optional
        More covariates, for this study alone: patient_id (of the store), date, name, value (text).
        None may be from after an index date.
    trained_on : frozenset of str
        Patients of the store that the encoder was trained on, see `patients_of_the_encoder`.
    same_run_cosine : float
        Runs of two patients whose vectors are as near as this are one run.
    """

    clinical: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    since: dt.date | None = None
    site: str | None = None
    table: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    trained_on: frozenset[str] = field(default=frozenset(), repr=False)
    same_run_cosine: float = DUPLICATE_COSINE


def of_exams(
    sets: Mapping[str, pd.DataFrame], index: pd.DataFrame, table: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return the predictors of the exams of `table`, which are some of those of `index`."""
    rows = index.reset_index().set_index("study_uid")["index"][table["study_uid"]].to_numpy()
    return {name: x.iloc[rows].reset_index(drop=True) for name, x in sets.items()}


def reads_embeddings(sets: Iterable[str]) -> bool:
    """Tell whether any of some sets of predictors has an embedding."""
    return bool({EMBEDDINGS, BOTH} & set(sets))


def wanted_sets(options: StudyOptions) -> tuple[str, ...]:
    """Return which sets of predictors are studied.

    Raises
    ------
    UsageError
        There is no such set, or clinical predictors are asked for and none is named.
    """
    sets = options.sets or ((EMBEDDINGS, CLINICAL, BOTH) if options.clinical else (EMBEDDINGS,))
    unknown = [each for each in sets if each not in SETS]
    if unknown:
        raise UsageError(
            f"no such predictors: {', '.join(unknown)}", f"there are {', '.join(SETS)}"
        )
    if {CLINICAL, BOTH} & set(sets) and not options.clinical:
        raise UsageError(
            "clinical predictors are asked for and none is named",
            f"name some, such as --clinical {AGE},{SEX},diabetes",
        )
    return tuple(sets)


def check_dates(store: Store, options: StudyOptions) -> None:
    """Refuse a hold-out by date in a store whose dates cannot be compared.

    Raises
    ------
    UsageError
        The store shifted the dates of each patient.
    """
    if options.since is not None and store.identity.shift_dates:
        raise UsageError(
            "the store shifted the dates of each patient by a constant of its own: dates of two "
            "patients cannot be compared",
            "hold out a site, or leave --since out for a cross-validation",
        )


def held_out(table: pd.DataFrame, options: StudyOptions) -> tuple[Split, ...]:
    """Return the hold-out that is asked for, of exams with index_date, patient_id and site.

    Raises
    ------
    UsageError
        Two are asked for, or a side is empty.
    """
    if options.since is not None and options.site is not None:
        raise UsageError("two hold-outs at once", "give --since or --site")
    if options.since is not None:
        return (temporal(table["index_date"], table["patient_id"], since=options.since),)
    if options.site is not None:
        return (by_site(table["site"], table["patient_id"], held_out=options.site),)
    return ()


def join_predictors(
    snapshot: Snapshot,
    exams: pd.DataFrame,
    clinical: Sequence[str],
    *,
    encoder_id: str,
    sets: Sequence[str],
    more: pd.DataFrame | None = None,
    as_words: Collection[str] | None = None,
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], dict[str, tuple[str, ...]]]:
    """Return index exams with facts, every set of predictors of them, and what is in each set.

    Parameters
    ----------
    snapshot : Snapshot
    exams : DataFrame
        study_uid, patient_id, index_date.
    clinical : sequence of str
    encoder_id : str
    sets : sequence of str
        Of `SETS`; exams without a vector are left out where a set reads it.
    more : DataFrame, optional
        Covariates besides those of the store.
    as_words : collection of str, optional
        See `analytics.predictors.as_of`.
    """
    studies = snapshot.studies()
    of_exams = pa.array(exams["study_uid"], pa.string())
    studies = studies.filter(pc.is_in(studies["study_uid"], value_set=of_exams)).to_pandas()
    index = exams.merge(
        studies[["study_uid", "patient_age_years", "patient_sex", "site"]], on="study_uid"
    )
    width, embedding = 0, pd.DataFrame(index=index.index)
    if reads_embeddings(sets):
        found, vectors = vectors_of(snapshot, encoder_id, Level.STUDY, index["study_uid"])
        keys = {uid: i for i, uid in enumerate(found["uid"].to_pylist())}
        index = index[index["study_uid"].isin(keys)].reset_index(drop=True)
        if index.empty:
            raise UsageError(
                f"no exam of the cohort has a vector of {encoder_id}",
                "embed the studies with that encoder",
            )
        width = vectors.shape[1]
        names = [f"{EMBEDDING}{i:03d}" for i in range(width)]
        at = [keys[uid] for uid in index["study_uid"]]
        # In float32 a risk would depend, in its seventh digit, on who else is asked about.
        embedding = pd.DataFrame(vectors[at].astype(np.float64), columns=names)
    told = as_of(
        index[["study_uid", "patient_id", "index_date"]],
        studies[["study_uid", "patient_age_years", "patient_sex"]],
        *_labels(snapshot, [*index["patient_id"].unique()], clinical, more),
        clinical,
        as_words=as_words,
    )
    every = {EMBEDDINGS: embedding, CLINICAL: told, BOTH: pd.concat([embedding, told], axis=1)}
    picture = (f"the {width} coordinates of the study's embedding by {encoder_id}",)
    words = {EMBEDDINGS: picture, CLINICAL: tuple(clinical), BOTH: (*picture, *clinical)}
    return index, every, {name: words[name] for name in sets}


def _labels(
    snapshot: Snapshot, patients: Sequence[str], clinical: Sequence[str], more: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return covariates and measurements of some patients; of names, what anybody has is known."""
    known = label_names(snapshot)
    check_names(clinical, {*known, *([] if more is None else more["name"])})
    covariates, measurements = (
        snapshot.labels(kind, patients=patients).to_pandas() for kind in _NAMED
    )
    if more is not None:
        covariates = pd.concat([covariates, more], ignore_index=True)
    return covariates, measurements


def label_names(snapshot: Snapshot) -> list[str]:
    """Return what covariates and measurements are called that anybody in a store has."""
    known = (snapshot.label_rows(kind)["name"].unique().to_pylist() for kind in _NAMED)
    return [name for names in known for name in sorted(names)]


def check(
    snapshot: Snapshot,
    table: pd.DataFrame,
    sets: Mapping[str, pd.DataFrame],
    options: StudyOptions,
    *,
    encoder_id: str,
    tells: Callable[[pd.DataFrame], Iterable[Leak]],
) -> tuple[str, ...]:
    """Refuse what leaks, and say what was looked for.

    Parameters
    ----------
    snapshot : Snapshot
    table : DataFrame
        study_uid, patient_id, index_date of the exams that are analysed.
    sets : mapping of str to DataFrame
        Predictors of these exams.
    options : StudyOptions
    encoder_id : str
    tells : callable
        From clinical predictors to those of them that are made of what is to be predicted.

    Raises
    ------
    LeakageError
        With everything that would make the figures too good.
    """
    checks = ["patients on both sides of a split (in each split)"]
    leaks = list(known_to_the_encoder(table["patient_id"], options.trained_on))
    checks.append("patients that the encoder was trained on, as far as its folder lists them")
    if options.clinical:
        columns = [*options.clinical]
        leaks += tells(next(x for name, x in sets.items() if name != EMBEDDINGS)[columns])
        checks.append("predictors made of the outcome")
        if options.table is not None:
            leaks += from_the_future(options.table, table)
        checks.append("predictors from after the index date (of the store's own none is read)")
    if reads_embeddings(sets):
        keys, vectors = vectors_of(snapshot, encoder_id, Level.VIDEO, table["study_uid"])
        leaks += near_duplicates(
            vectors, keys["patient_id"], keys["uid"], cosine=options.same_run_cosine
        )
        checks.append(
            f"runs that two patients share (cosine of {options.same_run_cosine:g} or more, "
            f"{keys.num_rows:,} runs)"
        )
    refuse(leaks)
    return tuple(checks)


def provenance(store: Store, cohort: CohortMembers, encoder_id: str) -> dict[str, Any]:
    """Return what a study rests on: enough to do it again."""
    about = cohort.about()
    return {
        "cohort": cohort.name or cohort.cohort_id[:12],
        "cohort_id": cohort.cohort_id,
        "cohort_definition": json.dumps(about["definition"], sort_keys=True),
        "store": store.uuid,
        "store_version": cohort.store_version,
        "encoder_id": encoder_id,
        "software": f"angioatlas {software_version()}",
        **library_versions(),
    }


def patients_of_the_encoder(
    folder: Path, identity: Identity | None, patients: Sequence[str]
) -> frozenset[str]:
    """Return which patients of a store an encoder was trained on, by the list in its folder.

    Parameters
    ----------
    folder : Path
        The encoder's.
    identity : Identity or None
        Of the store: the list holds original ids.  Without its key, pseudonyms are not recognised.
    patients : sequence of str
        Of the store.
    """
    listed = read_trained_on(folder)
    stand_for = [identity.patient(each) for each in listed] if identity else []
    return frozenset(among(patients, (*listed, *stand_for)))


def subgroups(table: pd.DataFrame) -> pd.DataFrame:
    """Return sex, age band and, where there are several, site of each row."""
    age = table["patient_age_years"]
    bands = pd.Series(None, index=table.index, dtype=object)
    for low, high in _AGE_BANDS:
        name = (
            f"{low} to {high - 1}"
            if low and high < 200
            else f"below {high}"
            if not low
            else f"{low} and more"
        )
        bands[(age >= low) & (age < high)] = name
    found = pd.DataFrame({"sex": table["patient_sex"], "age": bands})
    if 1 < table["site"].nunique() <= _MOST_SITES:
        found["site"] = table["site"]
    return found


def participants(
    table: pd.DataFrame, clinical: pd.DataFrame, own: Mapping[str, str]
) -> pd.DataFrame:
    """Describe who is analysed: what, value.

    Parameters
    ----------
    table : DataFrame
        patient_id, index_date, patient_age_years, patient_sex.
    clinical : DataFrame
        Clinical predictors of the same exams.
    own : mapping of str to str
        What only this kind of study tells.
    """
    dates = pd.to_datetime(table["index_date"])
    rows = [
        ("exams", f"{len(table):,}"),
        ("patients", f"{table['patient_id'].nunique():,}"),
        ("index dates", f"{dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"),
        *own.items(),
        ("age in years, median and quartiles", quartiles(table["patient_age_years"])),
        ("sex", shares(table["patient_sex"])),
    ]
    for name in clinical.columns.difference([AGE, SEX], sort=False):
        column = clinical[name]
        told = quartiles(column) if pd.api.types.is_numeric_dtype(column) else shares(column)
        rows.append((str(name), told))
    return pd.DataFrame(rows, columns=["what", "value"])


def quartiles(values: pd.Series) -> str:
    """Tell the median and quartiles of numbers, or the share of truth values."""
    low, middle, high = values.quantile([0.25, 0.5, 0.75])
    gaps = f"; {values.isna().sum():,} missing" if values.isna().any() else ""
    if set(values.dropna().unique()) <= {0.0, 1.0}:
        return f"{values.mean():.1%}{gaps}"
    return f"{middle:.4g} ({low:.4g} to {high:.4g}){gaps}"


def shares(values: pd.Series) -> str:
    """Tell the shares of the most frequent words."""
    shares = values.fillna("missing").value_counts(normalize=True)
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.head(6).items())


def vectors_of(
    snapshot: Snapshot, encoder_id: str, level: Level, study_uids: Iterable[str]
) -> tuple[pa.Table, np.ndarray]:
    """Return the keys and vectors of some studies, or of their videos; see `Snapshot.vectors`."""
    keys, wanted = snapshot.keys(encoder_id, level), pa.array([*study_uids], pa.string())
    keys = keys.filter(pc.is_in(keys["study_uid"], value_set=wanted))
    return snapshot.vectors(encoder_id, level, keys=keys)
