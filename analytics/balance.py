"""Characteristics of several groups side by side, and how far apart the groups are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from core.errors import UsageError

IMBALANCE: Final = 0.1
"""The SMD from which on groups are often called unlike."""
CONVENTION: Final = (
    "SMD: the standardised mean difference, which does not grow with the size of the groups; "
    f"{IMBALANCE} or more is often called imbalance. Of more than two groups the largest of all "
    "pairs is told. inf: groups differ, and neither varies."
)
YES: Final = "yes"
"""The level of a truth value that is counted."""
OTHERS: Final = "others"
_MOST_LEVELS: Final = 12
_ROUNDING: Final = 1e-9
_NUMBER: Final = ("mean", "sd", "median", "lower_quartile", "upper_quartile")
_COLUMNS: Final = (
    *("variable", "level", "group", "known", "missing"),
    *_NUMBER,
    *("count", "share"),
)


@final
@dataclass(frozen=True, eq=False)
class Balance:
    """Groups side by side.

    Attributes
    ----------
    groups : tuple of str
    rows : DataFrame
        One row a variable, level and group: variable; level (null for numbers, `YES` for truth
        values); group; known and missing (subjects); mean, sd, median, lower_quartile and
        upper_quartile of numbers; count and share (of those known, 0 to 1) of levels.
    differences : DataFrame
        variable, one, other, smd, for each pair of groups: of numbers and truth values with the
        sign of one minus other, of words 0 or more.  Infinite where groups differ and neither
        varies; null where a group has too little to tell.
    """

    groups: tuple[str, ...]
    rows: pd.DataFrame
    differences: pd.DataFrame

    def largest(self) -> pd.Series:
        """Return the largest absolute difference of all pairs, by variable; null if none is known.

        R's tableone tells the mean over the pairs, in which one group that is unlike many others
        gets lost.
        """
        absolute = self.differences["smd"].abs()
        return absolute.groupby(self.differences["variable"], sort=False).max()

    def table(self) -> pd.DataFrame:
        """Return what is printed: characteristic, words for each group, smd.

        Numbers are told as mean (SD), levels as count (percent of those known).  The first row of a
        variable has its smd and what is missing.
        """
        shown: list[list[Any]] = []
        largest, by = self.largest(), ["variable", "level"]
        told = None
        for (variable, level), rows in self.rows.groupby(by, sort=False, dropna=False):
            first, told = variable != told, variable
            cells = [_cell(row, with_gaps=first) for row in rows.to_dict("records")]
            shown.append(
                [_title(variable, level), *cells, largest[str(variable)] if first else np.nan]
            )
        return pd.DataFrame(shown, columns=["characteristic", *self.groups, "smd"])


def balance(groups: Mapping[str, pd.DataFrame]) -> Balance:
    """Describe groups side by side.

    Parameters
    ----------
    groups : mapping of str to DataFrame
        One row a subject; each with the same columns: numbers, truth values (dtype bool or boolean)
        or words.  Missing values are counted and otherwise left out.

    Raises
    ------
    UsageError
        There are fewer than two groups, or one is of nobody.

    Notes
    -----
    Of words that are more than 12 the most frequent 11 are levels, and all others one.

    References
    ----------
    Austin, Stat Med 2009;28:3083.  Yang and Dalton, SAS Global Forum 2012, paper 335.
    """
    empty = [name for name, table in groups.items() if table.empty]
    if len(groups) < 2 or empty:
        raise UsageError(
            f"{len(groups)} groups to compare, {len(empty)} of them of nobody",
            "compare two groups or more, each with members",
        )
    whole = pd.concat({name: table.reset_index(drop=True) for name, table in groups.items()})
    rows: list[dict[str, Any]] = []
    pairs: list[tuple[Any, ...]] = []
    for name in whole.columns:
        column = _leveled(whole[name])
        parts = {group: column.loc[group] for group in groups}
        rows += [{"variable": name, **row} for row in _described(parts)]
        pairs += [
            (name, one, other, difference(parts[one], parts[other]))
            for one, other in combinations(groups, 2)
        ]
    return Balance(
        tuple(groups),
        pd.DataFrame(rows, columns=list(_COLUMNS)),
        pd.DataFrame(pairs, columns=["variable", "one", "other", "smd"]),
    )


def difference(one: pd.Series, other: pd.Series) -> float:
    """Return the standardised mean difference of one variable between two groups; see `Balance`."""
    one, other = one.dropna(), other.dropna()
    if one.empty or other.empty:
        return float("nan")
    if _is_truth(one):
        shares = [np.array([each.mean(), 1 - each.mean()], float) for each in (one, other)]
        return float(np.sign(shares[0][0] - shares[1][0])) * of_shares(*shares)
    if _is_number(one):
        return of_means(one.mean(), one.std(), other.mean(), other.std())
    levels = sorted({*one, *other})
    counts = [one.value_counts(), other.value_counts()]
    return of_shares(*(each.reindex(levels).fillna(0) / each.sum() for each in counts))


def of_means(mean: float, sd: float, other_mean: float, other_sd: float) -> float:
    """Return the difference of two means over the root of the mean of the two variances."""
    gap, spread = mean - other_mean, float(np.sqrt((sd**2 + other_sd**2) / 2))
    if np.isnan(spread):
        return spread
    if spread > _ROUNDING * max(abs(mean), abs(other_mean)):
        return float(gap / spread)
    return 0.0 if abs(gap) <= _ROUNDING * abs(mean) else float(np.copysign(np.inf, gap))


def of_shares(one: ArrayLike, other: ArrayLike) -> float:
    """Return how far apart two groups are in the shares of levels, 0 or more.

    Parameters
    ----------
    one, other : float arrays of shape (levels,)
        Each sums to 1.

    Notes
    -----
    The Mahalanobis distance of the shares of all levels but one (any), with the mean of the two
    multinomial covariances; of two levels Austin's formula.
    """
    p, q = np.asarray(one, np.float64)[1:], np.asarray(other, np.float64)[1:]
    gap = p - q
    if np.abs(gap).max(initial=0.0) <= _ROUNDING:
        return 0.0
    covariance = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q)) / 2
    solved = np.linalg.lstsq(covariance, gap, rcond=None)[0]
    # Along a direction in which neither group varies they are infinitely far apart.
    if np.abs(covariance @ solved - gap).max() > _ROUNDING:
        return float("inf")
    return float(np.sqrt(gap @ solved))


def _is_truth(column: pd.Series) -> bool:
    return bool(pd.api.types.is_bool_dtype(column))


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def _leveled(column: pd.Series) -> pd.Series:
    """Return a column with no more levels than a table can show."""
    if _is_number(column):  # truth values are numbers, too
        return column
    frequent = column.dropna().astype(str).value_counts()
    words = column.where(column.isna(), column.astype(str))
    if len(frequent) <= _MOST_LEVELS:
        return words
    kept = frequent.index[: _MOST_LEVELS - 1]
    return words.where(words.isna() | words.isin(kept), OTHERS)


def _described(parts: Mapping[str, pd.Series]) -> Iterator[dict[str, Any]]:
    """Yield one row a level and group."""
    every = pd.concat([*parts.values()])
    of_levels = _is_truth(every) or not _is_number(every)
    # Nobody is known: one row says so.
    levels: list[Any] = [YES] if _is_truth(every) else sorted({*every.dropna()}) or [None]
    for level in levels if of_levels else [None]:
        for group, column in parts.items():
            known = column.dropna()
            row = {"level": level, "group": group, "known": len(known)}
            row["missing"] = len(column) - len(known)
            if of_levels and level is not None:
                count = int(
                    known.sum() if level == YES and _is_truth(every) else (known == level).sum()
                )
                yield row | {"count": count, "share": count / len(known) if len(known) else np.nan}
            else:
                yield row | ({} if of_levels else _moments(known))


def _moments(known: pd.Series) -> dict[str, float]:
    values = known.astype(float)
    low, middle, high = values.quantile([0.25, 0.5, 0.75])
    return dict(zip(_NUMBER, (values.mean(), values.std(), middle, low, high), strict=True))


def _title(variable: Any, level: Any) -> str:
    name = str(variable).replace("_", " ")
    return name if pd.isna(level) or level == YES else f"{name}: {level}"


def _cell(row: Mapping[Any, Any], *, with_gaps: bool) -> str:
    gaps = f"; {row['missing']:,} missing" if with_gaps and row["missing"] else ""
    if not row["known"]:
        return f"–{gaps}"
    if pd.isna(row["count"]):
        digits = 1 if abs(row["mean"]) >= 10 else 2
        spread = "–" if pd.isna(row["sd"]) else f"{row['sd']:,.{digits}f}"
        return f"{row['mean']:,.{digits}f} ({spread}){gaps}"
    return f"{row['count']:,.0f} ({row['share']:.0%}){gaps}"
