"""DeepCORO-CLIP's text encoder: BERT base, then a projection into the joint space.

Reference: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", NAACL 2019; the weights that the original starts from are PubMedBERT's.  The names
of the parameters are those of the original's checkpoints.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from core.schema import EMBEDDING_DIM
from embedder.encoders.tokenizer import MAX_TOKENS, VOCABULARY_SIZE

HIDDEN_DIM = 768
LAYERS = 12
HEADS = 12
MLP_DIM = 3072
EPS = 1e-12
IGNORED_KEYS = frozenset({"bert.embeddings.position_ids"})
"""In checkpoints of older libraries: the numbers 0 to 511, which nothing learned."""


class Embeddings(nn.Module):
    """The sum of what a token is, where it is, and that there is one text only."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY_SIZE, HIDDEN_DIM)
        self.position_embeddings = nn.Embedding(MAX_TOKENS, HIDDEN_DIM)
        self.token_type_embeddings = nn.Embedding(2, HIDDEN_DIM)
        self.LayerNorm = nn.LayerNorm(HIDDEN_DIM, eps=EPS)

    def forward(self, ids: Int[Tensor, "texts tokens"]) -> Float[Tensor, "texts tokens 768"]:
        """Embed token numbers."""
        x = self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]]
        # The second type marks the second text of a pair; a report is a single text.
        out: Tensor = self.LayerNorm(x + self.token_type_embeddings.weight[0])
        return out


class SelfAttention(nn.Module):
    """Multi-head self-attention without its output projection."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)
        self.key = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)
        self.value = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)

    def forward(
        self, x: Float[Tensor, "texts tokens 768"], mask: Int[Tensor, "texts tokens"]
    ) -> Float[Tensor, "texts tokens 768"]:
        """Attend from every position to the tokens that the mask keeps."""
        q, k, v = (
            project(x).unflatten(2, (HEADS, -1)).transpose(1, 2)  # [texts, heads, tokens, 64]
            for project in (self.query, self.key, self.value)
        )
        keep = mask.bool()[:, None, None, :]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
        return attended.transpose(1, 2).flatten(2)


class AddNorm(nn.Module):
    """A linear layer, the skip added, then the norm."""

    def __init__(self, dim_in: int) -> None:
        super().__init__()
        self.dense = nn.Linear(dim_in, HIDDEN_DIM)
        self.LayerNorm = nn.LayerNorm(HIDDEN_DIM, eps=EPS)

    def forward(
        self, x: Float[Tensor, "texts tokens dim_in"], skip: Float[Tensor, "texts tokens 768"]
    ) -> Float[Tensor, "texts tokens 768"]:
        """Project, add, normalise."""
        out: Tensor = self.LayerNorm(self.dense(x) + skip)
        return out


class Layer(nn.Module):
    """Post-norm self-attention and MLP.  The dictionaries give the upstream keys."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(), "output": AddNorm(HIDDEN_DIM)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(HIDDEN_DIM, MLP_DIM)})
        self.output = AddNorm(MLP_DIM)

    def forward(
        self, x: Float[Tensor, "texts tokens 768"], mask: Int[Tensor, "texts tokens"]
    ) -> Float[Tensor, "texts tokens 768"]:
        """Attend, then the MLP, each with a skip."""
        x = self.attention["output"](self.attention["self"](x, mask), x)
        out: Tensor = self.output(F.gelu(self.intermediate["dense"](x)), x)
        return out


class TextEncoder(nn.Module):
    """Reports, as token numbers, to vectors of the joint space."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = nn.ModuleDict(
            {
                "embeddings": Embeddings(),
                "encoder": nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))}),
            }
        )
        # The identities stand where the original has dropouts, which keeps the key proj.1.
        self.proj = nn.Sequential(
            nn.Identity(), nn.Linear(HIDDEN_DIM, EMBEDDING_DIM), nn.GELU(), nn.Identity()
        )

    def hidden(
        self, ids: Int[Tensor, "texts tokens"], mask: Int[Tensor, "texts tokens"]
    ) -> Float[Tensor, "texts tokens 768"]:
        """Return BERT's last hidden state of every token.

        Parameters
        ----------
        ids : Int[Tensor, "texts tokens"]
            From `Tokenizer.encode`; at most 512 tokens.
        mask : Int[Tensor, "texts tokens"]
            1 for a token, 0 for padding; each text has at least one token.
        """
        x: Tensor = self.bert["embeddings"](ids)
        for layer in self.bert["encoder"].get_submodule("layer").children():
            x = layer(x, mask)
        return x

    def forward(
        self, ids: Int[Tensor, "texts tokens"], mask: Int[Tensor, "texts tokens"]
    ) -> Float[Tensor, "texts 512"]:
        """Encode texts into the joint space, not normalised; arguments as for `hidden`."""
        # The first token, [CLS], stands for the whole text.
        joint: Tensor = self.proj(self.hidden(ids, mask)[:, 0])
        return joint
