"""How often unchanged arteries seem to have changed: serial exams, simulated many times.

python -m benchmarks.progression_coverage --repeats 400
"""

from __future__ import annotations

import argparse
import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analytics.progression.pairs import mark_between, serial_pairs
from analytics.progression.study import DISEASE, FLOORS, FloorChoice, Inputs, Plan, score_pairs
from benchmarks.record import write

PATIENTS = 150
DIM = 48
VIEWS = 6
FIRST = dt.date(2015, 1, 1)
SEED = 20261128


@dataclass(frozen=True, eq=False)
class Serial:
    """Patients with two exams each, and what truly changed in between.

    Attributes
    ----------
    inputs : Inputs
    moved : float array of shape (pairs,)
        How far each heart moved toward disease; 0 is unchanged.
    treated : bool array of shape (pairs,)
        Whether that was undone, and more, by an intervention.
    """

    inputs: Inputs
    moved: np.ndarray
    treated: np.ndarray


def draw(rng: np.random.Generator, patients: int = PATIENTS) -> Serial:
    """Draw patients: two in five come again unchanged and soon, one in five was treated."""
    views = np.random.default_rng(7).normal(size=(VIEWS, DIM)) / DIM**0.5
    axis = np.random.default_rng(8).normal(size=DIM)
    axis /= np.linalg.norm(axis)
    kind = rng.choice(["same", "grown", "treated"], patients, p=[0.4, 0.4, 0.2])
    hearts = rng.normal(size=(patients, DIM)) / DIM**0.5
    moved = np.where(kind == "grown", rng.gamma(2, 0.25, patients), 0.0)
    along = np.where(kind == "treated", -rng.gamma(4, 0.2, patients), moved)
    days = np.where(
        kind == "same", rng.integers(15, 90, patients), rng.integers(200, 1500, patients)
    )
    exams, videos, exam_of = [], [], []
    for i in range(patients):
        for number in (0, 1):
            at = FIRST + dt.timedelta(days=int(days[i]) * number)
            exams.append((f"1.9.{i}.{number}", f"p{i}", at))
            chosen = rng.choice(VIEWS, int(rng.integers(4, 7)), replace=False)
            seen = hearts[i] + number * along[i] * axis + 0.8 * views[chosen]
            seen = seen + 0.35 * rng.normal(size=seen.shape) / DIM**0.5
            videos.append(seen / np.linalg.norm(seen, axis=1, keepdims=True))
            exam_of += [len(exams) - 1] * len(chosen)
    means = np.stack([each.mean(axis=0) for each in videos])
    done = pd.DataFrame(
        [
            (f"p{i}", FIRST + dt.timedelta(days=3), "pci", ["mid_lad"])
            for i in np.flatnonzero(kind == "treated")
        ],
        columns=["patient_id", "date", "kind", "segments"],
    )
    table = pd.DataFrame(exams, columns=["study_uid", "patient_id", "date"])
    pairs = mark_between(serial_pairs(table), done, pd.DataFrame(columns=["patient_id", "date"]))
    order = pairs["patient_id"].str.removeprefix("p").astype(int).to_numpy()
    inputs = Inputs(
        exams=table,
        pairs=pairs,
        vectors=(means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32),
        videos=np.concatenate(videos).astype(np.float32),
        exam_of=np.array(exam_of, np.int64),
        along={DISEASE: means / np.linalg.norm(means, axis=1, keepdims=True) @ axis},
        plane=None,
        stenosis=None,
        lvef=np.full(len(table), np.nan),
        events=pd.DataFrame(columns=["patient_id", "date", "kind"]),
        follow_up=pd.DataFrame(columns=["patient_id", "last_known_date", "status"]),
        attrition=pd.DataFrame(),
        notes=(),
        provenance={},
    )
    return Serial(inputs, moved[order], kind[order] == "treated")


def false_progression(repeats: int, floor: FloorChoice, *, seed: int = SEED) -> dict[str, float]:
    """Return how often unchanged pairs, that the floor was not made of, are beyond it.

    The other pairs of the same simulation make the floor: a second draw of patients is judged.
    """
    rng = np.random.default_rng(seed)
    wrong, found = [], []
    for _ in range(repeats):
        floor_found, _ = score_pairs(Plan(floor), draw(rng).inputs)
        fresh = draw(rng)
        # Judged by the same floor, on the vectors that it was measured on.
        _, other = score_pairs(Plan(floor), fresh.inputs)
        beyond = other["change"].to_numpy() > floor_found.threshold
        same = (fresh.moved == 0) & ~fresh.treated
        wrong.append(beyond[same].mean())
        found.append(beyond[fresh.moved > 0.5].mean())
    return {
        "false": float(np.mean(wrong)),
        "se": float(np.std(wrong, ddof=1) / repeats**0.5),
        "power": float(np.mean(found)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    given = parser.parse_args()
    figures = {name: false_progression(given.repeats, name) for name in FLOORS[1:]}
    for name, each in figures.items():
        print(
            f"floor of {name:<10} unchanged beyond it {each['false']:.3f} ± {each['se']:.3f}, "
            f"changed {each['power']:.3f}"
        )
    write("progression_coverage", {"repeats": given.repeats, "patients": PATIENTS, **figures})


if __name__ == "__main__":
    main()
