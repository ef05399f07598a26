"""The text side of `phantom-mini` at work: phrases to vectors, and which words it knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from core.schema import EMBEDDING_DIM
from embedder.encoders.compact.lexicon import Lexicon
from embedder.encoders.compact.spec import CompactSpec
from embedder.encoders.compact.text import CompactText
from embedder.encoders.precision import full_precision
from embedder.encoders.spec import Coverage


class CompactReader:
    """A `TextEmbedder` over a loaded text tower.

    Parameters
    ----------
    spec : CompactSpec
    model : CompactText
        Moved to `device` and set to evaluation.
    lexicon : Lexicon
    device : str
    """

    def __init__(
        self, spec: CompactSpec, model: CompactText, lexicon: Lexicon, *, device: str = "cpu"
    ) -> None:
        self.spec = spec
        self._device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._lexicon = lexicon

    @property
    def encoder_id(self) -> str:
        """The id of the vector space that the texts are placed in."""
        return self.spec.encoder_id

    @property
    def text_id(self) -> str | None:
        """The id of the text encoder, which names all that a text's vector depends on."""
        return self.spec.text_id

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts.

        Parameters
        ----------
        texts : sequence of str
            Cut at 96 words.

        Returns
        -------
        float32 array of shape (texts, 512)
            L2-normalised, in the joint space.  One by one, so that a text's vector does not depend
            on what is encoded beside it.
        """
        if not texts:
            return np.empty((0, EMBEDDING_DIM), np.float32)
        with full_precision():
            rows = [self._model(CompactText.featurise([t]).to(self._device)) for t in texts]
            vectors: NDArray[np.float32] = F.normalize(torch.cat(rows), dim=1).cpu().numpy()
        return vectors

    def coverage(self, text: str) -> Coverage | None:
        """Tell which words of a text were met in training."""
        return self._lexicon.coverage(text)
