"""DeepCORO-CLIP's video encoder: backbone, projection, pooling per video, aggregator.

The names of the parameters are those of the original's checkpoints.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.schema import CLIP_FRAMES, EMBEDDING_DIM
from embedder.encoders.aggregator import Aggregator
from embedder.encoders.deepcoro_spec import FRAME_SIZE, TokenPooling
from embedder.encoders.mvit import MVIT_V2_S, MViT
from embedder.encoders.pooling import learned_pool

BACKBONE_DIM = MVIT_V2_S[-1].dim_out


class VideoEncoder(nn.Module):
    """Clips of a study to one vector of the joint space, with each step by itself.

    Parameters
    ----------
    heads, depth : int
        Of the aggregator; depth 0 makes none, and then there is no joint space.
    token_pooling : {"mean", "attention", "cls_token"}
        From the tokens of a clip to its vector.
    """

    def __init__(self, *, heads: int, depth: int, token_pooling: TokenPooling = "mean") -> None:
        super().__init__()
        self.model = MViT(frames=CLIP_FRAMES, size=FRAME_SIZE)
        # The identities stand where the original has dropouts, which keeps the key proj.1.
        self.proj = nn.Sequential(
            nn.Identity(), nn.Linear(BACKBONE_DIM, EMBEDDING_DIM), nn.GELU(), nn.Identity()
        )
        self.attention_pool = learned_pool(token_pooling)
        self.aggregator: nn.Module = (
            Aggregator(heads=heads, depth=depth) if depth else nn.Identity()
        )

    def patch_tokens(
        self, clips: Float[Tensor, "videos 3 16 224 224"]
    ) -> Float[Tensor, "videos 393 512"]:
        """Return the projected tokens of each clip."""
        return self.project(self.model(clips))

    def project(self, tokens: Float[Tensor, "videos 393 768"]) -> Float[Tensor, "videos 393 512"]:
        """Return the backbone's tokens in the width of the joint space."""
        projected: Tensor = self.proj(tokens)
        return projected

    def pool(self, tokens: Float[Tensor, "videos 393 512"]) -> Float[Tensor, "videos 512"]:
        """Return one vector per clip, before the aggregator."""
        if self.attention_pool is None:
            return tokens.mean(dim=1)
        pooled: Tensor = self.attention_pool(tokens)
        return pooled

    def pooled_videos(
        self, clips: Float[Tensor, "videos 3 16 224 224"]
    ) -> Float[Tensor, "videos 512"]:
        """Return one vector per clip, before the aggregator."""
        return self.pool(self.patch_tokens(clips))

    def forward(
        self,
        clips: Float[Tensor, "studies videos 3 16 224 224"],
        ignore: Bool[Tensor, "studies videos"] | None = None,
    ) -> Float[Tensor, "studies 512"]:
        """Encode whole studies into the joint space, not normalised; `ignore` True = padding."""
        pooled = self.pooled_videos(clips.flatten(0, 1))
        pooled = pooled.reshape(*clips.shape[:2], EMBEDDING_DIM)
        joint: Tensor = self.aggregator(pooled, ignore)
        return joint
