"""Whether acting on predicted risks would do more good than harm: decision curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analytics.survival.aalen_johansen import incidence
from analytics.survival.times import Times
from core.errors import UsageError

THRESHOLDS: Final = tuple(np.round(np.arange(0.01, 0.505, 0.01), 2).tolist())
EVERYBODY: Final = "everybody"
NOBODY: Final = "nobody"


def decision_curve(
    times: Times,
    risks: Mapping[str, ArrayLike],
    horizon: float,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> pd.DataFrame:
    """Return the net benefit of treating those above a threshold of risk.

    Parameters
    ----------
    times : Times
    risks : mapping of str to array of shape (subjects,)
        By model: predicted probability of the event until the horizon.
    horizon : float
    thresholds : sequence of float
        Risks above which one would treat, between 0 and 1.

    Returns
    -------
    DataFrame
        threshold, model, treated (a share), net_benefit: true positives minus false positives
        weighted by the odds of the threshold, per subject.  ``everybody`` and ``nobody`` are
        treated for comparison.

    Notes
    -----
    Among the treated, incidence is Aalen and Johansen's, so that competing events are no events.

    References
    ----------
    Vickers, Cronin, Elkin and Gonen, BMC Med Inform Decis Mak 2008;8:53.
    """
    if not all(0 < each < 1 for each in thresholds):
        raise UsageError("a threshold is not between 0 and 1", "name risks such as 0.1")
    n = len(times)
    everybody = {EVERYBODY: np.ones(n), NOBODY: np.zeros(n)}
    rows = []
    for name, given in {**risks, **everybody}.items():
        values = np.asarray(given, np.float64)
        for threshold in thresholds:
            treated = values >= threshold
            share = float(treated.mean())
            happens = incidence(times[treated], horizon) if share else 0.0
            odds = threshold / (1 - threshold)
            rows.append((threshold, name, share, share * (happens - (1 - happens) * odds)))
    return pd.DataFrame(rows, columns=["threshold", "model", "treated", "net_benefit"])
