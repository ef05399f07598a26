"""A study of LVEF as it is asked for, in words that every face has."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.lvef.models import KINDS, RegressionSpec
from analytics.lvef.study import Plan
from analytics.lvef.target import Target
from angioatlas.question import CohortQuestion, one_of
from core.errors import UsageError


@dataclass(frozen=True)
class LvefQuestion(CohortQuestion):
    """What is asked, besides what every question says.

    Attributes
    ----------
    method : str, optional
        Only measurements by this one, such as ``echo``.
    window_days : int
        How far from the exam a measurement may be, before or after it.
    thresholds : tuple of float
        Percent, below which people are told apart.
    model : str
        Of `analytics.lvef.models.KINDS`.
    """

    method: str | None = None
    window_days: int = 30
    thresholds: tuple[float, ...] = (40.0, 50.0)
    model: str = "ridge"

    def plan(self) -> Plan:
        """Return the plan of the study.

        Raises
        ------
        UsageError
            A word is none of those that there are, or a number cannot be.
        """
        if self.window_days < 0:
            raise UsageError(f"a window of {self.window_days} days", "give 0 or more")
        target = Target(
            method=self.method,
            window_days=self.window_days,
            thresholds=tuple(sorted(set(self.thresholds))),
        )
        low, high = target.range
        outside = [each for each in target.thresholds if not low < each < high]
        if outside:
            raise UsageError(
                f"thresholds that no LVEF can be on both sides of: {outside}",
                f"give percent between {low:g} and {high:g}, such as 40,50",
            )
        return Plan(
            target=target,
            spec=RegressionSpec(one_of("model", self.model, KINDS), seed=self.seed),
            outer_folds=self.folds,
            seed=self.seed,
        )
