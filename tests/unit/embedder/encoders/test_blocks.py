import numpy as np
import pytest
import torch

from core.errors import EncoderError
from embedder.encoders.blocks import Blocks


def clips(n):
    return [np.full((16, 4, 4), i, np.uint8) for i in range(n)]


class Model:
    """Gives each clip's first pixel back, and has memory for so many clips at once."""

    def __init__(self, memory=100):
        self.memory = memory
        self.asked: list[int] = []

    def __call__(self, block):
        self.asked.append(len(block))
        if len(block) > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"pooled": np.array([[clip[0, 0, 0]] for clip in block], np.float32)}


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 11])
def test_every_block_is_full_and_every_clip_has_its_row(n):
    model = Model()
    rows = Blocks(4).rows(clips(n), model)
    assert rows["pooled"][:, 0].tolist() == list(range(n))
    assert model.asked == [4] * -(-n // 4)


def test_blocks_get_smaller_until_the_device_holds_them_and_stay_so():
    blocks, model = Blocks(16), Model(memory=5)
    assert blocks.rows(clips(11), model)["pooled"][:, 0].tolist() == list(range(11))
    assert model.asked == [16, 8, 4, 4, 4]
    blocks.rows(clips(2), model)
    assert (model.asked[-1], blocks.size) == (4, 4)


def test_no_memory_for_one_clip_is_told():
    with pytest.raises(EncoderError, match="not the memory to encode a single clip"):
        Blocks(2).rows(clips(1), Model(memory=0))
