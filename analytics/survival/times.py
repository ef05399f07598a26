"""Follow-up of subjects: how long, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import UsageError

CENSORED: Final = 0
EVENT: Final = 1
COMPETING: Final = 2
"""How follow-up ended: nothing had happened yet, the event, or what makes the event impossible."""


@final
@dataclass(frozen=True, eq=False)
class Times:
    """Follow-up times; made by `follow_up`.

    Attributes
    ----------
    time : float64 array of shape (subjects,)
        From the index date, in any one unit; positive.
    state : int8 array of shape (subjects,)
        `CENSORED`, `EVENT` or `COMPETING`.
    """

    time: NDArray[np.float64]
    state: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, chosen: NDArray[Any] | slice) -> Times:
        return Times(self.time[chosen], self.state[chosen])

    @property
    def event(self) -> NDArray[np.bool_]:
        """Who had the event."""
        return np.asarray(self.state == EVENT)

    @property
    def competing(self) -> NDArray[np.bool_]:
        """Whose follow-up a competing event ended."""
        return np.asarray(self.state == COMPETING)

    def until(self, horizon: float) -> Times:
        """Return what was known at `horizon`: later ends are not seen yet."""
        seen = self.time <= horizon
        return Times(
            np.minimum(self.time, horizon), np.where(seen, self.state, CENSORED).astype(np.int8)
        )

    def structured(self) -> NDArray[Any]:
        """Return (event, time) pairs as scikit-survival takes them; competing ends are censored."""
        return np.array(
            list(zip(self.event, self.time, strict=True)), [("event", bool), ("time", np.float64)]
        )


def follow_up(time: ArrayLike, state: ArrayLike) -> Times:
    """Return follow-up times after checking them: the one place where they are made.

    Parameters
    ----------
    time : array of shape (subjects,)
        Positive and finite.
    state : array of shape (subjects,)
        0 censored, 1 event, 2 competing event; booleans are 0 and 1.

    Raises
    ------
    UsageError
        A time is not positive, a state is none of the three, or the lengths differ.
    """
    times, states = np.asarray(time, np.float64), np.asarray(state)
    if times.ndim != 1 or times.shape != states.shape:
        raise UsageError(
            f"follow-up of shape {times.shape} with states of shape {states.shape}",
            "one time and one state for each subject",
        )
    if not np.isfinite(times).all() or (times <= 0).any():
        row = int(np.flatnonzero(~(np.isfinite(times) & (times > 0)))[0])
        raise UsageError(
            f"follow-up of subject {row} is {times[row]}: expected a positive time",
            "leave out subjects that were not followed beyond the index date",
        )
    if not np.isin(states, (CENSORED, EVENT, COMPETING)).all():
        found = sorted({str(each) for each in np.unique(states)} - {"0", "1", "2"})
        raise UsageError(
            f"states {', '.join(found)}: expected 0 (censored), 1 (event) or 2 (competing event)",
            "translate them first",
        )
    return Times(times, states.astype(np.int8))
