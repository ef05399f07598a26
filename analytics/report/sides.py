"""Who was learned from and who judged on, in the words of every report of a prediction model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from analytics.splits import Split

_LEARNED: Final = (
    " Everything that is learned, scaling, components and the filling of gaps included, is learned "
    "from the training side of each split."
)


def kind_of(applied: str, held_out: Sequence[Split]) -> str:
    """Return what kind of study it was.

    Parameters
    ----------
    applied : str
        Name of the model that was applied without refitting; empty when models were fitted.
    held_out : sequence of Split
        The side that was held out; empty for a cross-validation.
    """
    if applied:
        return f"External validation of the model {applied!r}"
    return "Development and hold-out" if held_out else "Development and internal validation"


def sides_in_words(
    applied: str, held_out: Sequence[Split], *, folds: int, spread: str, kept: str
) -> str:
    """Return who was on which side, a paragraph.

    Parameters
    ----------
    applied, held_out
        As for `kind_of`.
    folds : int
        Of a cross-validation.
    spread : str
        What else its folds share alike, after a comma; may be empty.
    kept : str
        What an applied model brings of its own training.
    """
    if applied:
        return (
            f"External validation of the saved model {applied!r}: nothing was refitted, and {kept} "
            "of its own training."
        )
    if not held_out:
        return f"Cross-validation with {folds} folds, patients in one fold each{spread}.{_LEARNED}"
    (split,) = held_out
    return (
        f"Hold-out, {split.name}: {len(split.train)} exams to learn from, {len(split.test)} to be "
        f"judged on, {len(split.left_out)} on neither side, since their patients are on the other."
        f"{_LEARNED}"
    )
