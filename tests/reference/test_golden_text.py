"""Parity with the original, array by array: the text encoder, on texts of 40, 23 and 5 tokens.

Source as in `test_golden.py`.  Worst found on a CPU: 6.7e-7 relative L2.
"""

from __future__ import annotations

import pytest
import torch

from tests.support.golden import golden_arrays, golden_text_model, golden_text_shapes, relative_l2
from tests.support.golden_cases import EMBEDDINGS, TEXT_GROUPS, Case, arrays_of, check

INPUT = "text/input_ids"


def ids() -> torch.Tensor:
    return torch.from_numpy(golden_arrays()[INPUT])


def mask() -> torch.Tensor:
    """Padding is token 0."""
    return (ids() != 0).long()


def last_hidden_cls() -> torch.Tensor:
    with torch.inference_mode():
        return golden_text_model().hidden(ids(), mask())[:, 0]


def features():
    with torch.inference_mode():
        return golden_text_model()(ids(), mask())


CASES = {
    "text/attention_mask": Case(mask),
    "text/last_hidden_cls": Case(last_hidden_cls, relative=EMBEDDINGS),
    "text/features": Case(features, relative=EMBEDDINGS),
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    check(name, CASES[name])


def test_every_golden_array_of_the_text_side_has_a_case():
    assert arrays_of(TEXT_GROUPS) == {*CASES, INPUT}


def test_the_tensors_are_those_that_upstream_lists():
    state = golden_text_model().state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == golden_text_shapes()


@pytest.mark.parametrize("row", [1, 2])
def test_padding_does_not_change_the_features(row):
    length = int(mask()[row].sum())
    with torch.inference_mode():
        alone = golden_text_model()(ids()[row : row + 1, :length], mask()[row : row + 1, :length])
    assert relative_l2(alone[0], features()[row]) <= 1e-6


def test_the_order_of_a_batch_does_not_matter():
    with torch.inference_mode():
        found = golden_text_model()(ids().flip(0), mask().flip(0)).flip(0)
    torch.testing.assert_close(found, features(), rtol=1e-5, atol=1e-5)


def test_what_padding_holds_does_not_matter():
    other = torch.where(mask().bool(), ids(), 17)
    with torch.inference_mode():
        found = golden_text_model()(other, mask())
    torch.testing.assert_close(found, features(), rtol=0, atol=0)
