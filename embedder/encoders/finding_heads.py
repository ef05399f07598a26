"""The finding heads: from the videos of a study to the raw outputs of each finding.

The original's `MultiInstanceLinearProbing`.  The names of the parameters are those of its
checkpoints.  Masks: True = valid.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from core.errors import EncoderError
from embedder.encoders.deepcoro_spec import HeadsNorm, HeadsPooling
from embedder.encoders.mil_pooling import MultiInstancePooling


class FindingHeads(MultiInstancePooling):
    """Pooled videos of a study, and a linear layer a head.

    The outputs are `classify(across(summaries, valid))`, where the summaries come from `within`,
    for as many videos at a time as is convenient.

    Parameters
    ----------
    heads : mapping of str to int
        Name and number of outputs of each head, in the order of the outputs; at least one.
    pooling : {"mean", "max", "attention", "cls_token", "mean+cls_token", "attention+cls_token"}
        With "+", two vectors one after the other.
    hidden : int
        Width of the gated attention; without meaning for the other poolings.
    attention_heads : int
        Of the class token's attention; must divide 512.  The weights tell nothing about it.
    separate : bool
        The class token has one attention within a video and another across videos.
    norm : {"post_norm", "pre_norm"}
        Whether the norm comes after the class token's attention or before it.
    view_classes : int
        Views that are told apart, padding not counted; 0 without views.

    Raises
    ------
    EncoderError
        A head has a name that no head can have.
    """

    def __init__(
        self,
        *,
        heads: Mapping[str, int],
        pooling: HeadsPooling,
        hidden: int,
        attention_heads: int,
        separate: bool,
        norm: HeadsNorm,
        view_classes: int = 0,
    ) -> None:
        super().__init__(
            pooling=pooling,
            hidden=hidden,
            attention_heads=attention_heads,
            separate=separate,
            norm=norm,
            view_classes=view_classes,
        )
        self.heads = nn.ModuleDict()
        for name, classes in heads.items():
            try:
                self.heads[name] = nn.Linear(self.pooled_dim, classes)
            except KeyError as error:  # it is empty, has a dot, or is an attribute of a ModuleDict
                raise EncoderError(
                    f"no finding head can be named {name[:80]!r}",
                    "is this a probing checkpoint of DeepCORO-CLIP?",
                ) from error

    def classify(
        self, pooled: Float[Tensor, "studies pooled_dim"]
    ) -> Float[Tensor, "studies classes"]:
        """Return the raw outputs of all heads, in their order, for vectors from `across`."""
        return torch.cat([head(pooled) for head in self.heads.values()], dim=1)

    def forward(
        self,
        x: Float[Tensor, "studies videos 512"] | Float[Tensor, "studies videos tokens 512"],
        valid: Bool[Tensor, "studies videos"] | None = None,
        view_ids: Int[Tensor, "studies videos"] | None = None,
    ) -> Float[Tensor, "studies classes"]:
        """Return the raw outputs for whole studies, as the original does.

        Parameters
        ----------
        x : Float[Tensor, "studies videos 512"] or Float[Tensor, "studies videos tokens 512"]
            A vector a video, which stands for all its summaries, or its tokens.
        valid : Bool[Tensor, "studies videos"], optional
            False where a position is padding.  All are valid when left out; if none is, in any
            study, the outputs are zeros.
        view_ids : Int[Tensor, "studies videos"], optional
            The view of each video, from 0; `view_classes` stands for padding.
        """
        studies, videos = x.shape[:2]
        if valid is None:
            valid = torch.ones(studies, videos, dtype=torch.bool, device=x.device)
        views = None if view_ids is None else view_ids.flatten()
        if x.ndim == 4:
            summaries = self.within(x.flatten(0, 1), views)
        else:
            vectors = self.with_views(x.flatten(0, 1)[:, None], views)
            summaries = vectors.expand(-1, self.parts, -1)
        pooled = self.across(summaries.reshape(studies, videos, self.parts, -1), valid)
        outputs = self.classify(pooled)
        return outputs if valid.any() else torch.zeros_like(outputs)
