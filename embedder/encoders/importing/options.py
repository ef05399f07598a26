"""What has to be said to import a checkpoint, since the file does not hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from core.errors import UsageError
from embedder.encoders.deepcoro_spec import (
    PADDED_VIDEOS,
    DeepCoroSpec,
    HeadsNorm,
    HeadsPooling,
    HeadsSpec,
    Mode,
    TokenPooling,
)
from embedder.encoders.registry import explain
from embedder.encoders.spec import FileRef, Profile, StudyRule

Spec = TypeVar("Spec", DeepCoroSpec, HeadsSpec)
_NOTHING = FileRef(file="-", sha256="0" * 64)


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What no checkpoint tells; see `DeepCoroSpec` and `HeadsSpec`.

    Attributes
    ----------
    mean, std : float, optional
        Of the joint space's encoder.  Where there is only a probing checkpoint: of that one.
    heads, study_rule, token_pooling
        Of the joint space's encoder.
    profile : {"display", "original"}, optional
        By default "original" in exact mode, else "display".
    mode : {"masked", "exact"}
        "exact" does as the original in everything: padding, rounding, pixels.
    heads_mean, heads_std : float, optional
        Of the probing checkpoint; by default those of the stenosis release.
    heads_pooling : str, optional
        By default told from the weights (which cannot tell "mean" from "max").
    attention_heads, heads_norm
        Of the finding heads.
    """

    mean: float | None = None
    std: float | None = None
    heads: int = 16
    study_rule: StudyRule = "mean"
    token_pooling: TokenPooling = "mean"
    profile: Profile | None = None
    mode: Mode = "masked"
    heads_mean: float | None = None
    heads_std: float | None = None
    heads_pooling: HeadsPooling | None = None
    attention_heads: int = 8
    heads_norm: HeadsNorm = "post_norm"

    def check(self) -> None:
        """Refuse half of a pair.

        Raises
        ------
        UsageError
            A mean comes without its standard deviation, or the reverse.
        """
        for prefix in ("", "heads_"):
            given = [getattr(self, prefix + each) is None for each in ("mean", "std")]
            if given[0] != given[1]:
                option = prefix.replace("_", "-")
                raise UsageError(
                    f"--{option}mean and --{option}std go together",
                    "give both; docs/encoders.md lists those that are known",
                )


def specification(kind: type[Spec], facts: Mapping[str, Any]) -> Spec:
    """Make a specification.

    Raises
    ------
    UsageError
        A fact is not valid: an option, as all else was measured.
    """
    try:
        return kind(**facts)
    except ValidationError as error:
        what = "these finding heads" if kind is HeadsSpec else "this encoder"
        raise UsageError(
            f"{what} cannot be: {explain(error)}", "see angioatlas encoders import --help"
        ) from error


def space_facts(
    options: ImportOptions,
    *,
    name: str,
    statistics: tuple[float | None, float | None],
    depth: int,
) -> dict[str, Any]:
    """Return the fields of an `DeepCoroSpec` that do not come from files."""
    mean, std = statistics
    exact = options.mode == "exact"
    padded = exact and depth > 0 and options.study_rule == "aggregator"
    return {
        "name": name,
        "mean": 0.0 if mean is None else mean,
        "std": 1.0 if std is None else std,
        "profile": options.profile or ("original" if exact else "display"),
        "token_pooling": options.token_pooling,
        "heads": options.heads if depth else 1,
        "depth": depth,
        "study_rule": options.study_rule if depth else "mean",
        "padding": "unmasked" if padded else "masked",
        "padded_videos": PADDED_VIDEOS if padded else None,
        "weights": _NOTHING,
        "source": _NOTHING,
    }
