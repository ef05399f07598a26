"""Make subjects.csv: invented follow-up with ties, three groups and a competing event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

N = 500


def main() -> None:
    rng = np.random.default_rng(20260101)
    age = np.round(rng.normal(65, 10, N))
    female = rng.integers(0, 2, N)
    marker = np.round(rng.gamma(2.0, 1.0, N), 2)
    group = rng.choice(["a", "b", "c"], N, p=[0.5, 0.3, 0.2])
    event = rng.exponential(2500 * np.exp(-0.03 * (age - 65) - 0.4 * marker + 0.3 * female))
    other = rng.exponential(4000 * np.exp(-0.06 * (age - 65)))
    censored = rng.uniform(200, 2200, N)
    # Weeks: many end on the same day.
    time = 7 * np.ceil(np.minimum(np.minimum(event, other), censored) / 7)
    state = np.where(censored <= np.minimum(event, other), 0, np.where(event <= other, 1, 2))
    subjects = {
        "id": range(1, N + 1),
        "time": time.astype(int),
        "state": state,
        "age": age.astype(int),
    }
    subjects |= {"female": female, "marker": marker, "group": group}
    pd.DataFrame(subjects).to_csv(Path(__file__).with_name("subjects.csv"), index=False)


if __name__ == "__main__":
    main()
