"""What became of several groups: survival, incidence, numbers at risk, and a test of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import pandas as pd

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.curves import Curve
from analytics.survival.kaplan_meier import Median, kaplan_meier, median
from analytics.survival.log_rank import LogRank, log_rank
from analytics.survival.times import CENSORED, EVENT, Times
from core.errors import UsageError

SHOWN_AT_RISK: Final = 0.1
"""Curves are drawn while this share of all patients is followed: what comes after is of a few
(Pocock, Clayton and Altman, Lancet 2002;359:1686)."""


@final
@dataclass(frozen=True, eq=False)
class Followed:
    """What became of one group.

    Attributes
    ----------
    times : Times
        One row a patient.
    survival : Curve
        Kaplan and Meier's: competing events count as censored.
    incidence : Curve
        Aalen and Johansen's, of the event.
    follow_up : Median
        By reversed Kaplan-Meier: events of any kind count as censored, censoring as the event.
    """

    times: Times
    survival: Curve
    incidence: Curve
    follow_up: Median

    @classmethod
    def of(cls, times: Times) -> Followed:
        """Estimate everything."""
        ended = np.where(times.state == CENSORED, EVENT, CENSORED).astype(np.int8)
        return cls(
            times,
            kaplan_meier(times),
            aalen_johansen(times),
            median(kaplan_meier(Times(times.time, ended))),
        )

    def at(self, horizon: float) -> dict[str, Any]:
        """Return counts and both estimates at a horizon; null those that follow-up does not tell.

        An estimate is known as long as somebody is followed, and for good once nobody is left who
        could change it.
        """
        seen, last = self.times.until(horizon), self.times.time == self.times.time.max()
        left = int(self.survival.left([horizon])[0])
        survival_known = left or self.survival.estimate[-1] == 0
        incidence_known = left or not (self.times.state[last] == CENSORED).any()
        unknown = np.full(4, np.nan)
        survival = self.survival.at([horizon])[0] if survival_known else unknown
        incidence = self.incidence.at([horizon])[0] if incidence_known else unknown
        return {
            "at_risk": left,
            "events": int(seen.event.sum()),
            "competing": int(seen.competing.sum()),
            "survival": survival[0],
            "survival_lower": survival[2],
            "survival_upper": survival[3],
            "incidence": incidence[0],
            "incidence_lower": incidence[2],
            "incidence_upper": incidence[3],
        }


@final
@dataclass(frozen=True, eq=False)
class Fates:
    """What became of several groups.

    Attributes
    ----------
    groups : mapping of str to Followed
    horizons : DataFrame
        group, horizon_days, at_risk (until just before), events and competing (until then),
        survival, survival_lower, survival_upper, incidence, incidence_lower, incidence_upper
        (95 %); estimates are null where nobody is followed for so long.
    test : LogRank or None
        That all groups have one hazard; None where there is none to give.
    notes : tuple of str
        Why there is no test.
    """

    groups: Mapping[str, Followed]
    horizons: pd.DataFrame
    test: LogRank | None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        groups: Mapping[str, Times],
        horizons: Sequence[float],
        test: LogRank | None = None,
        notes: tuple[str, ...] = (),
    ) -> Fates:
        """Tell what became of one group or more, each of somebody; see `compare_groups`."""
        found = {name: Followed.of(times) for name, times in groups.items()}
        rows = [
            {"group": name, "horizon_days": horizon, **each.at(horizon)}
            for name, each in found.items()
            for horizon in horizons
        ]
        return cls(found, pd.DataFrame(rows), test, notes)

    @property
    def until(self) -> float:
        """How far curves are drawn: see `SHOWN_AT_RISK`; no less far than the first horizon."""
        everybody = np.sort(np.concatenate([each.times.time for each in self.groups.values()]))
        longest = everybody[-int(np.ceil(SHOWN_AT_RISK * len(everybody)))]
        return max(float(longest), float(self.horizons["horizon_days"].min()))

    def summary(self) -> pd.DataFrame:
        """Return a row a group: who was followed, how it ended, and what the test expected.

        group, patients, events, competing, expected_events (had all one hazard; null without a
        test), follow_up_days with follow_up_lower and follow_up_upper (median; null where it is
        not reached).
        """
        expected = self.test.expected if self.test else [np.nan] * len(self.groups)
        rows = [
            {
                "group": name,
                "patients": len(each.times),
                "events": int(each.times.event.sum()),
                "competing": int(each.times.competing.sum()),
                "expected_events": due,
                "follow_up_days": each.follow_up.median,
                "follow_up_lower": each.follow_up.lower,
                "follow_up_upper": each.follow_up.upper,
            }
            for (name, each), due in zip(self.groups.items(), expected, strict=True)
        ]
        return pd.DataFrame(rows).replace({np.inf: np.nan})

    def steps(self) -> pd.DataFrame:
        """Return all curves, one end of a follow-up a row.

        group, time_days, at_risk (until just before), events (then), survival with
        survival_lower and survival_upper, incidence with incidence_lower and incidence_upper.
        """
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "group": name,
                        "time_days": each.survival.time,
                        "at_risk": each.survival.at_risk,
                        "events": each.survival.events,
                        **_limits("survival", each.survival),
                        **_limits("incidence", each.incidence),
                    }
                )
                for name, each in self.groups.items()
            ],
            ignore_index=True,
        )


def compare_groups(
    groups: Mapping[str, Times], *, horizons: Sequence[float], shared: int = 0
) -> Fates:
    """Tell what became of several groups, and test whether they share one hazard.

    Parameters
    ----------
    groups : mapping of str to Times
        In days, one row a patient.
    horizons : sequence of float
        In days, ascending.
    shared : int
        Patients who are in more than one group: with any, groups are not independent, and no test
        is given.

    Raises
    ------
    UsageError
        There are fewer than two groups, or nobody of one was followed.
    """
    nobody = [name for name, times in groups.items() if not len(times)]
    if len(groups) < 2 or nobody:
        raise UsageError(
            f"{len(groups)} groups to compare, {len(nobody)} of them without follow-up",
            "compare two groups or more whose patients were followed",
        )
    return Fates.of(groups, horizons, *_tested(groups, shared))


def _tested(groups: Mapping[str, Times], shared: int) -> tuple[LogRank | None, tuple[str, ...]]:
    if shared:
        return None, (
            f"groups that share patients ({shared:,} here) are not independent: no log-rank test "
            "is given",
        )
    sizes = [len(each) for each in groups.values()]
    whole = Times(
        np.concatenate([each.time for each in groups.values()]),
        np.concatenate([each.state for each in groups.values()]),
    )
    test = log_rank(whole, np.repeat(np.arange(len(sizes)), sizes))
    if np.isnan(test.p):
        return None, ("no event tells the groups apart: no log-rank test is given",)
    return test, ()


def _limits(name: str, curve: Curve) -> dict[str, Any]:
    return {name: curve.estimate, f"{name}_lower": curve.lower, f"{name}_upper": curve.upper}
