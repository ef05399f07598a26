"""An untrained `phantom-mini`: random weights, real files, a real lexicon."""

from pathlib import Path

import torch

from embedder.encoders.compact.folder import CompactModels, write_compact
from embedder.encoders.compact.spec import CompactSpec
from embedder.encoders.compact.study import CompactAggregator, CompactHeads
from embedder.encoders.compact.text import CompactText
from embedder.encoders.compact.video import CompactVideo

LEXICON = """
proximal mid distal left right main anterior descending circumflex coronary artery LAD RCA LCX
occlusion occluded total totally stenosis lesion severe calcified thrombus stent diagonal
"""


def untrained_models(seed: int = 0) -> CompactModels:
    """Models whose normalisations have statistics of some clips, and no weight at zero."""
    torch.manual_seed(seed)
    models = CompactModels(CompactVideo(), CompactAggregator(), CompactHeads(), CompactText())
    for layer in (models.aggregator.score, models.aggregator.correct):
        torch.nn.init.normal_(layer.weight, std=0.05)
    with torch.no_grad():
        models.video(torch.randn(4, 16, 128, 128))
    return models


def write_untrained(folder: Path, *, name: str = "phantom-mini", seed: int = 0) -> CompactSpec:
    """Write an encoder folder that works and knows nothing."""
    return write_compact(
        folder,
        untrained_models(seed),
        lexicon=LEXICON.split(),
        training={"studies": 0},
        card="# untrained\n",
        name=name,
    )
