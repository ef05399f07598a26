"""Subjects with embeddings whose hazard is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analytics.preparation import EMBEDDING
from analytics.survival.times import Times, follow_up


@dataclass(frozen=True)
class World:
    """Predictors, follow-up in days, patients, and the true log hazard ratios."""

    x: pd.DataFrame
    times: Times
    patient: np.ndarray
    truth: np.ndarray


def world(n: int, *, seed: int, dim: int = 32, yearly: float = 0.15) -> World:
    """Draw subjects: two directions of the embedding and age drive the hazard, age the other one.

    Directions are the same for every seed, so that one world's model can be tried on another.
    """
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(4, dim))
    traits = rng.normal(size=(n, 4))
    embedding = traits @ directions + rng.normal(size=(n, dim))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    age = rng.normal(65, 10, n)
    truth = 0.7 * traits[:, 0] - 0.5 * traits[:, 1] + 0.03 * (age - 65)
    event = rng.exponential(365 / yearly * np.exp(-truth))
    other = rng.exponential(365 / 0.04 * np.exp(-0.06 * (age - 65)))
    censored = rng.uniform(100, 2000, n)
    time = np.ceil(np.minimum(np.minimum(event, other), censored))
    state = np.where(censored <= np.minimum(event, other), 0, np.where(event <= other, 1, 2))
    x = pd.DataFrame(embedding, columns=[f"{EMBEDDING}{i:03d}" for i in range(dim)])
    x["age"] = np.where(rng.random(n) < 0.1, np.nan, age)
    sex = rng.choice(["F", "M", ""], n, p=[0.45, 0.45, 0.1]).astype(object)
    x["sex"] = pd.Series(sex).replace({"": None})
    patient = np.array([f"p{i:05d}" for i in range(n)])
    return World(x, follow_up(time, state), patient, truth)
