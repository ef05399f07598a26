"""The compact video encoder: each frame by the same filters, then one learned look per segment.

A vessel lies elsewhere in every frame, but a narrowing looks alike wherever it is: so two
convolutions see the frames one by one, and what they find in all sixteen becomes the channels of
one picture.  From there on the network is two-dimensional and fast on a CPU.  Eighteen queries
learn where the segments of `core.segments` lie in the picture, four more are free; each gathers
what is seen there into a token, and the tokens together are the video's vector.
"""

from __future__ import annotations

import copy
from typing import Final, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.schema import CLIP_FRAMES, EMBEDDING_DIM
from core.segments import SEGMENTS

N_SEGMENTS: Final = len(SEGMENTS)
FREE: Final = 4
"""Queries that no segment owns: the whole picture, motion, dominance."""
QUERIES: Final = N_SEGMENTS + FREE
TOKEN_DIM: Final = 64
GRID: Final = 16
"""Rows and columns of the last feature map; a cell is 8 x 8 pixels of the input."""
LESIONS: Final = 6
"""Maps: stenosis of 50 % and more, of 70 % and more, occlusion, thrombus, calcium, stent."""
PATCH: Final = 4
"""Rows and columns of the pixels that the first convolution takes as one."""
FRAME_DIM: Final = 24
"""What is kept of a patch of each frame."""
_OVER_TIME: Final = 3
_WIDTHS: Final = (80, 112)
_DILATIONS: Final = (1, 2, 4)

Module = TypeVar("Module", bound=nn.Module)


class VideoFeatures(NamedTuple):
    """What the video encoder makes of clips.

    Attributes
    ----------
    tokens : Float[Tensor, "n 22 64"]
        One per segment in the order of `core.segments.SEGMENTS`, then the free ones.
    pooled : Float[Tensor, "n 512"]
        Before the aggregator, not normalised.
    attention_logits : Float[Tensor, "n 18 16 16"]
        Where each segment is; their softmax over the grid is the attention.
    lesion_logits : Float[Tensor, "n 6 16 16"]
        Which lesions are where.
    """

    tokens: Float[Tensor, "n 22 64"]
    pooled: Float[Tensor, "n 512"]
    attention_logits: Float[Tensor, "n 18 16 16"]
    lesion_logits: Float[Tensor, "n 6 16 16"]


def over_time(x: Float[Tensor, "n 16 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return the darkest and brightest value of each pixel, and the spread of its values.

    A convolution over the frames can make none of the three.
    """
    darkest, brightest = x.amin(dim=1), x.amax(dim=1)
    # By the squares, which are small numbers here: torch's own std takes many times as long.
    variance = x.square().mean(dim=1) - x.mean(dim=1).square()
    return torch.stack([darkest, brightest, variance.clamp_min(1e-4).sqrt()], dim=1)


class ConvNorm(nn.Module):
    """A convolution and its normalisation, which `fold_norms` makes one."""

    def __init__(self, dim_in: int, dim_out: int, *, size: int, stride: int, dilation: int) -> None:
        super().__init__()
        padding = dilation * (size // 2)
        self.conv = nn.Conv2d(dim_in, dim_out, size, stride, padding, dilation, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(dim_out)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Convolve and normalise."""
        out: Tensor = self.norm(self.conv(x))
        return out


def fold_norms(model: Module) -> Module:
    """Return a copy, for evaluation, whose normalisations are part of their convolutions."""
    folded = copy.deepcopy(model).eval()
    for part in folded.modules():
        if isinstance(part, ConvNorm) and isinstance(part.norm, nn.BatchNorm2d):
            part.conv = fuse_conv_bn_eval(part.conv, part.norm)
            part.norm = nn.Identity()
    return folded


class Residual(nn.Module):
    """Two convolutions and a skip."""

    def __init__(self, dim: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(dim, dim, size=3, stride=1, dilation=dilation)
        self.second = ConvNorm(dim, dim, size=3, stride=1, dilation=dilation)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Add what two convolutions make of the input to it."""
        out: Tensor = (x + self.second(self.first(x).relu_())).relu_()
        return out


class Backbone(nn.Module):
    """Clips to a map of features."""

    def __init__(self) -> None:
        super().__init__()
        cells = PATCH**2
        self.frame = nn.Conv2d(2 * cells, FRAME_DIM, 3, padding=1)
        self.deeper = nn.Conv2d(FRAME_DIM, FRAME_DIM, 3, padding=1)
        self.still = nn.Conv2d(_OVER_TIME * cells, FRAME_DIM, 3, padding=1)
        fine, coarse = _WIDTHS
        mixed = (CLIP_FRAMES + 1) * FRAME_DIM
        self.mix = ConvNorm(mixed, fine, size=1, stride=1, dilation=1)
        self.fine = Residual(fine)
        self.down = ConvNorm(fine, coarse, size=3, stride=2, dilation=1)
        self.position = nn.Parameter(torch.zeros(1, coarse, GRID, GRID))
        self.coarse = nn.Sequential(*(Residual(coarse, dilation=d) for d in _DILATIONS))

    def forward(self, x: Float[Tensor, "n 16 128 128"]) -> Float[Tensor, "n dim 16 16"]:
        """Return the features of each cell of the grid."""
        fine = self.fine(self.mix(self.over_frames(x)).relu_())
        out: Tensor = self.coarse(self.down(fine).relu_() + self.position)
        return out

    def over_frames(self, x: Float[Tensor, "n 16 128 128"]) -> Float[Tensor, "n channels 32 32"]:
        """Return what the same filters find in each frame, and what others find over all of them.

        A frame is seen as it is and as the difference to the brightest value of each pixel, which
        leaves what moves or fills.
        """
        frames = patches(x)  # [n, 16, 32, 32, 16]
        moving = frames - frames.amax(dim=1, keepdim=True)
        seen = torch.cat([frames, moving], dim=4).flatten(0, 1).permute(0, 3, 1, 2)
        each = self.deeper(self.frame(seen).relu_()).relu_()
        still = patches(over_time(x)).permute(0, 1, 4, 2, 3).flatten(1, 2)
        # Frames become channels in the layout that the next convolution wants.
        channels = x.shape[1] * each.shape[1]
        both = [each.reshape(len(x), channels, *each.shape[2:]), self.still(still).relu_()]
        return torch.cat([part.contiguous(memory_format=torch.channels_last) for part in both], 1)


def patches(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c i j d"]:
    """Return squares of 4 x 4 pixels as channels, which come last."""
    n, c, h, w = x.shape
    squares = x.reshape(n, c, h // PATCH, PATCH, w // PATCH, PATCH)
    return squares.permute(0, 1, 2, 4, 3, 5).flatten(4)


class CompactVideo(nn.Module):
    """Clips to tokens and vectors."""

    def __init__(self) -> None:
        super().__init__()
        dim = _WIDTHS[-1]
        self.backbone = Backbone()
        self.locate = nn.Conv2d(dim, QUERIES, 1)
        self.attend = nn.Conv2d(dim, QUERIES, 1)
        self.lesions = nn.Conv2d(dim, LESIONS, 1)
        seen = 3 * dim + LESIONS + 1
        self.token_weight = nn.Parameter(torch.randn(QUERIES, seen, TOKEN_DIM) * seen**-0.5)
        self.token_bias = nn.Parameter(torch.zeros(QUERIES, TOKEN_DIM))
        self.token_norm = nn.LayerNorm(TOKEN_DIM)
        self.project = nn.Linear(QUERIES * TOKEN_DIM, EMBEDDING_DIM)

    def forward(self, x: Float[Tensor, "n 16 128 128"]) -> VideoFeatures:
        """Encode clips.

        Parameters
        ----------
        x : Float[Tensor, "n 16 128 128"]
            From `embedder.encoders.compact.inputs`.
        """
        features = self.backbone(x)
        where = self.locate(features)
        lesions = self.lesions(features)
        tokens = self.tokens(features, where, self.attend(features), lesions)
        pooled = self.project(tokens.flatten(1))
        return VideoFeatures(tokens, pooled, where[:, :N_SEGMENTS], lesions)

    def tokens(
        self,
        features: Float[Tensor, "n dim 16 16"],
        where: Float[Tensor, "n 22 16 16"],
        salient: Float[Tensor, "n 22 16 16"],
        lesions: Float[Tensor, "n 6 16 16"],
    ) -> Float[Tensor, "n 22 64"]:
        """Gather, for each query, what is seen where it looks.

        That is the mean and the spread of the features over its attention, their mean over a second
        attention that may single out one cell of it, the strongest sign of each lesion inside it,
        and how sure it is to be in the picture at all.
        """
        cells = features.flatten(2).transpose(1, 2)  # [n, 256, dim]
        logits = where.flatten(2)  # [n, 22, 256]
        attention = logits.softmax(dim=2)
        mean = attention @ cells
        spread = (attention @ cells.square() - mean.square()).clamp_min(0).add(1e-4).sqrt()
        singled = (logits + salient.flatten(2)).softmax(dim=2) @ cells
        relative = attention / attention.amax(dim=2, keepdim=True)  # 1 where it looks most
        signs = lesions.flatten(2).sigmoid()  # [n, 6, 256]
        strongest = (relative[:, :, None] * signs[:, None]).amax(dim=3)  # [n, 22, 6]
        sure = logits.logsumexp(dim=2, keepdim=True) / GRID
        seen = torch.cat([mean, spread, singled, strongest, sure], dim=2)
        mixed = torch.einsum("nqs,qst->nqt", seen, self.token_weight) + self.token_bias
        out: Tensor = self.token_norm(F.gelu(mixed))
        return out
