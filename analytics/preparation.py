"""Predictors made into numbers without gaps, the same for every kind of model.

Everything that is learned, the filling of gaps and the scaling included, is learned from the rows
that a model is fitted to.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from core.errors import UsageError

EMBEDDING: Final = "embedding_"
"""Columns whose names begin so are coordinates of an embedding."""
FILLING: Final = (
    "numbers: the median of the training side, and an indicator of the gap; "
    "words: a category of their own"
)
"""The rule for missing covariates."""


def preparation(x: pd.DataFrame, *, components: int | None) -> ColumnTransformer:
    """Return what turns predictors into numbers without gaps.

    Parameters
    ----------
    x : DataFrame
        Columns named `EMBEDDING` are coordinates; others are clinical, numbers or words.
    components : int or None
        Principal components of the embedding to keep; None keeps its coordinates.
    """
    embedding = [name for name in x.columns if str(name).startswith(EMBEDDING)]
    clinical = x.columns.difference(embedding, sort=False)
    numbers = [name for name in clinical if pd.api.types.is_numeric_dtype(x[name])]
    words = [name for name in clinical if name not in numbers]
    steps = []
    if embedding:
        few = [PCA(min(components, len(embedding)), random_state=0)] if components else []
        steps.append(
            ("embedding", make_pipeline(StandardScaler(), *few, StandardScaler()), embedding)
        )
    if numbers:
        filled = SimpleImputer(strategy="median", add_indicator=True)
        steps.append(("numbers", make_pipeline(filled, StandardScaler()), numbers))
    if words:
        gap = SimpleImputer(strategy="constant", fill_value="missing")
        coded = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        steps.append(("words", make_pipeline(gap, coded), words))
    return ColumnTransformer(steps, sparse_threshold=0)


def taken_as_words(prepare: ColumnTransformer) -> frozenset[str]:
    """Return which predictors a fitted preparation takes as words."""
    return frozenset(
        str(column)
        for name, _, columns in prepare.transformers_
        if name == "words"
        for column in columns
    )


def prepared(
    prepare: ColumnTransformer, x: pd.DataFrame, columns: Sequence[str]
) -> NDArray[np.float64]:
    """Return predictors as a fitted preparation makes them.

    Raises
    ------
    UsageError
        Predictors that it was fitted to are missing.
    """
    missing = [name for name in columns if name not in x.columns]
    if missing:
        raise UsageError(
            f"predictors {', '.join(missing[:5])} are missing",
            f"the model was fitted with {len(columns)} predictors",
        )
    return np.asarray(prepare.transform(x[list(columns)]), np.float64)


def possible_components(counts: tuple[int, ...], limit: int) -> tuple[int, ...]:
    """Return the numbers of components that are below a limit; one that is when none of them is."""
    return tuple(count for count in counts if count < limit) or (max(1, int(limit) - 1),)


def library_versions() -> dict[str, str]:
    """Return the versions of what models are fitted with."""
    names = ("numpy", "scikit-learn", "scikit-survival", "lifelines")
    return {name: version(name) for name in names}
