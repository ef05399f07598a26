"""Texts to vectors of the joint space: tokenizer and text encoder at work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from core.errors import EncoderError
from core.schema import EMBEDDING_DIM
from embedder.encoders.deepcoro_spec import DeepCoroSpec
from embedder.encoders.precision import full_precision
from embedder.encoders.spec import Coverage
from embedder.encoders.text_encoder import TextEncoder
from embedder.encoders.tokenizer import Tokenizer
from embedder.encoders.weights import load_model

_BATCH = 16


def open_text_model(spec: DeepCoroSpec, folder: Path, *, device: str) -> TextModel:
    """Build the text encoder of a specification and load its weights strictly.

    Raises
    ------
    EncoderError
        There is none, it lacks its vocabulary, or a file is not what the model needs.
    """
    if spec.text is None:
        raise EncoderError(
            f"the encoder {spec.name} has no text encoder, so it cannot search by text",
            "import the contrastive checkpoint: angioatlas encoders import CHECKPOINT --name NAME",
        )
    if spec.text.vocabulary is None:
        raise EncoderError(
            f"the text encoder of {spec.name} has no vocabulary, which its checkpoint does not "
            "hold and which cannot be shipped",
            "get the tokenizer of microsoft/BiomedNLP-PubMedBERT-base-uncased-abstract-fulltext "
            f"(vocab.txt), then: angioatlas encoders add {spec.name} --tokenizer FOLDER",
        )
    file = spec.text.weights.file
    model = load_model(
        TextEncoder,
        folder / file,
        what=f"{file} of the encoder {spec.name}",
        hint=f"import it again: angioatlas encoders import CHECKPOINT --name {spec.name} "
        "--overwrite",
    )
    tokenizer = Tokenizer.load(folder / spec.text.vocabulary.file)
    return TextModel(spec, model, tokenizer, device=device)


class TextModel:
    """A loaded text encoder.

    Parameters
    ----------
    spec : DeepCoroSpec
    model : TextEncoder
        Moved to `device` and set to evaluation.
    tokenizer : Tokenizer
    device : str
    """

    def __init__(
        self, spec: DeepCoroSpec, model: TextEncoder, tokenizer: Tokenizer, *, device: str = "cpu"
    ) -> None:
        self.spec = spec
        self._device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._tokenizer = tokenizer

    @property
    def encoder_id(self) -> str:
        """The id of the vector space that the texts are placed in."""
        return self.spec.encoder_id

    @property
    def text_id(self) -> str | None:
        """The id of the text encoder, which names all that a text's vector depends on."""
        return self.spec.text_id

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts; the same ones once.

        Parameters
        ----------
        texts : sequence of str
            Cut at 512 tokens; an empty one is "No Report", as in the training of the original.

        Returns
        -------
        float32 array of shape (texts, 512)
            L2-normalised, in the joint space.
        """
        if not texts:
            return np.empty((0, EMBEDDING_DIM), np.float32)
        found: dict[str, NDArray[np.float32]] = {}
        # Texts of like length share a batch, so that little of it is padding.
        each_once = sorted({*texts}, key=lambda text: (len(text), text))
        for start in range(0, len(each_once), _BATCH):
            batch = each_once[start : start + _BATCH]
            found |= dict(zip(batch, self._compute(batch), strict=True))
        return np.stack([found[text] for text in texts])

    def coverage(self, text: str) -> Coverage | None:
        """Return None: pieces of words spell any word."""
        return None

    def _compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_tokens(*self._tokenizer.encode(texts))

    def encode_tokens(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode token numbers, (texts, tokens), into float32 (texts, 512), L2-normalised."""
        with full_precision():
            features = self._model(
                *(torch.tensor(each, device=self._device) for each in (ids, mask))
            )
            vectors: NDArray[np.float32] = F.normalize(features, dim=1).cpu().numpy()
        return vectors
