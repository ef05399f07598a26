"""What only a CUDA device can tell of the video encoders."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from embedder.encoders.deepcoro import DeepCoroEncoder
from embedder.encoders.spec import LEAST_COSINE
from tests.support.golden import golden_model, golden_spec

pytestmark = pytest.mark.gpu


def clips(n):
    return list(np.random.default_rng(0).integers(0, 256, (n, 16, 64, 64), np.uint8))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rows_do_not_depend_on_their_neighbours_by_a_single_bit(precision):
    encoder = DeepCoroEncoder(
        golden_spec(), deepcopy(golden_model()), device="cuda", precision=precision
    )
    several = clips(11)
    together = encoder.encode_videos(several)
    backwards = encoder.encode_videos(several[::-1])
    np.testing.assert_array_equal(together.embedding, backwards.embedding[::-1])
    alone = encoder.encode_videos(several[4:5])
    np.testing.assert_array_equal(alone.embedding[0], together.embedding[4])


def test_bf16_stays_within_its_deviation():
    encoder = DeepCoroEncoder(
        golden_spec(), deepcopy(golden_model()), device="cuda", precision="bf16"
    )
    assert LEAST_COSINE <= encoder.precision.cosine <= 1.0001


def test_blocks_give_way_to_the_memory_of_the_device():
    encoder = DeepCoroEncoder(golden_spec(), deepcopy(golden_model()), device="cuda")
    few = clips(8)
    expected = encoder.encode_videos(few)
    left = torch.cuda.mem_get_info()[0] - 700 * 2**20
    taken = torch.empty(max(left, 0), dtype=torch.uint8, device="cuda")
    try:
        found = encoder.encode_videos(few)
    finally:
        del taken
        torch.cuda.empty_cache()
    assert encoder.batch_size < 8
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-5)
