"""What a store version knows of exams, for a table of who is compared."""

from __future__ import annotations

from typing import Final

import pandas as pd

from analytics.predictors import AGE, SEX
from angioatlas.stenoses import MEASUREMENT, measured_stenoses
from angioatlas.studied import CLINICAL, join_predictors
from angioatlas.study_view import study_view
from core.labels import PROCEDURE_KINDS, LabelKind
from core.segments import SIGNIFICANT_PERCENT, VESSELS
from store.snapshot import Snapshot

LVEF: Final = "lvef_percent"
_OF_EXAM: Final = (LVEF, "n_videos", "n_views")
_PLACES: Final = {"left_main": ("left_main",), **VESSELS}


def characteristics(snapshot: Snapshot, exams: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of exams as of their dates, by study_uid.

    Parameters
    ----------
    snapshot : Snapshot
    exams : DataFrame
        study_uid, patient_id, index_date; each study once.

    Returns
    -------
    DataFrame
        study_uid, patient_id, index_date; age_years, sex, site, lvef_percent (measured within 90
        days), n_videos, n_views; every covariate and every other measurement, the last on or before
        the index date; ``significant_stenosis_`` and a vessel, where stenoses of the exam were
        measured; ``prior_pci`` and ``prior_cabg`` (before the day of the exam), where the store has
        procedures and no covariate of that name.  Exams that the version does not show are left
        out.
    """
    index, sets, _ = join_predictors(
        snapshot, exams, (AGE, SEX, *_names(snapshot)), encoder_id="", sets=(CLINICAL,)
    )
    told = sets[CLINICAL]
    seen = study_view(snapshot, names=_OF_EXAM).to_pandas().set_index("study_uid")
    seen = seen.reindex(index["study_uid"]).reset_index(drop=True)
    keys = index[["study_uid", "patient_id", "index_date"]]
    parts = [
        keys,
        told[[AGE, SEX]],
        index[["site"]],
        seen[[*_OF_EXAM]].astype(float),
        told.drop(columns=[AGE, SEX]),
        _stenoses(snapshot, index),
        _procedures(snapshot, index),
    ]
    joined: pd.DataFrame = pd.concat([each.reset_index(drop=True) for each in parts], axis=1)
    # A covariate may be called like one of the others: what stands first counts.
    return joined.loc[:, ~joined.columns.duplicated()]


def described(table: pd.DataFrame) -> pd.DataFrame:
    """Return the characteristics that anybody has, truth values as such, without the keys."""
    found: pd.DataFrame = table.drop(columns=["study_uid", "patient_id", "index_date"])
    found = found.dropna(axis=1, how="all")
    for name in found.columns.difference([AGE, *_OF_EXAM]):
        if set(found[name].dropna()) <= {0.0, 1.0}:
            found[name] = found[name].astype("boolean")
    return found


def _names(snapshot: Snapshot) -> list[str]:
    """Return the covariates and measurements that have no column of their own."""
    kinds = (LabelKind.COVARIATES, LabelKind.MEASUREMENTS)
    names = {name for kind in kinds for name in snapshot.label_rows(kind)["name"].to_pylist()}
    own = {AGE, SEX, "site", *_OF_EXAM}
    return sorted(name for name in names - own if not name.startswith(MEASUREMENT))


def _stenoses(snapshot: Snapshot, index: pd.DataFrame) -> pd.DataFrame:
    percent = measured_stenoses(snapshot).reindex(index["study_uid"])
    known = percent.notna().any(axis=1)
    worst = {place: percent[list(segments)].max(axis=1) for place, segments in _PLACES.items()}
    return pd.DataFrame(
        {
            f"significant_stenosis_{place}": (each > SIGNIFICANT_PERCENT).astype(float).where(known)
            for place, each in worst.items()
        }
    )


def _procedures(snapshot: Snapshot, index: pd.DataFrame) -> pd.DataFrame:
    done = snapshot.labels(LabelKind.PROCEDURES).to_pandas()
    if done.empty:
        return pd.DataFrame(index=index.index)
    first = done.groupby(["kind", "patient_id"])["date"].min()
    dates = pd.to_datetime(index["index_date"])
    found = {}
    for kind in PROCEDURE_KINDS:
        of_kind = first[first.index.get_level_values("kind") == kind].droplevel("kind")
        found[f"prior_{kind}"] = pd.to_datetime(index["patient_id"].map(of_kind)) < dates
    return pd.DataFrame(found).astype(float)
