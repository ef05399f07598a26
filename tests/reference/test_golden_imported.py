"""From original checkpoints to the original's numbers: written, imported, loaded, computed.

Source as in `test_golden.py`.  The golden clips are normalised already, so they enter where
preprocessing ends; the video encoder, the heads and the text encoder are those of the folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from embedder.encoders.deepcoro import DeepCoroEncoder
from embedder.encoders.importing.checkpoint import import_encoder
from embedder.encoders.importing.options import ImportOptions
from embedder.encoders.registry import load_encoder, load_text_encoder
from embedder.encoders.spec import Findings, VideoVectors
from embedder.encoders.text_model import TextModel
from embedder.encoders.verify import verify_encoder
from tests.support.checkpoints import golden_contrastive, golden_probing, save
from tests.support.golden import (
    golden_arrays,
    golden_clips,
    golden_state,
    relative_l2,
    unit,
)
from tests.support.golden_cases import EMBEDDINGS, HEADS
from tests.support.vocabulary import write_vocabulary

MHI70: dict[str, Any] = {"mean": 110.4954833984375, "std": 37.805782318115234}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    golden_contrastive(folder / "checkpoint.pt")
    golden_probing(folder / "best_model_epoch_11.pt")
    write_vocabulary(folder)
    return folder


def load(*sources, out, name, **options) -> DeepCoroEncoder:
    found = import_encoder(
        sources, out=out, name=name, options=ImportOptions(**options), checked=False
    )
    encoder = load_encoder(found.folder, device="cpu")
    assert isinstance(encoder, DeepCoroEncoder)
    return encoder


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """The folder of both checkpoints and the vocabulary, as a site would drop it in."""
    out = tmp_path_factory.mktemp("encoders")
    options = ImportOptions(**MHI70, study_rule="aggregator")
    return import_encoder([files], out=out, name="whole", options=options).folder


@pytest.fixture(scope="module")
def encoder(whole):
    loaded = load_encoder(whole, device="cpu")
    assert isinstance(loaded, DeepCoroEncoder)
    return loaded


def findings_of_three_clips(encoder: DeepCoroEncoder) -> Findings:
    model = encoder.findings
    assert model is not None
    with torch.inference_mode():
        each = [model.summarise(model.video.encode(clip[None])) for clip in golden_clips()]
    nothing = np.zeros((3, 512), np.float32)
    summaries = torch.cat(each).numpy()
    found = encoder.encode_findings(VideoVectors(nothing, nothing, summaries))
    assert found is not None
    return found


def raw(found: Findings) -> list[float]:
    return [found.raw[name] for name in golden_arrays()["docker/head_names"]]


def test_a_probing_checkpoint_in_exact_mode_gives_what_was_released(files, tmp_path):
    encoder = load(files / "best_model_epoch_11.pt", out=tmp_path, name="exact", mode="exact")
    found = findings_of_three_clips(encoder)
    np.testing.assert_allclose(raw(found), golden_arrays()["docker/heads_raw"], rtol=0, atol=HEADS)
    # Rounding moves the heads by less than the tolerance, the vector by more.
    vector = golden_arrays()["docker/study_embedding_1024"]
    assert relative_l2(found.pooled, vector) <= EMBEDDINGS
    assert relative_l2(found.pooled, vector) < relative_l2(
        found.pooled, golden_arrays()["docker/study_embedding_1024_fp32_input"]
    )


def test_both_checkpoints_in_masked_mode(encoder):
    found = findings_of_three_clips(encoder)
    expected = golden_arrays()["docker/heads_raw_padding_masked"]
    np.testing.assert_allclose(raw(found), expected, rtol=0, atol=HEADS)


def test_the_joint_space_of_both_checkpoints(encoder):
    with torch.inference_mode():
        pooled = torch.cat(
            [encoder.video.model.pooled_videos(clip[None]) for clip in golden_clips()]
        )
        alone = encoder.video.model.aggregator(pooled[:, None])
    arrays = golden_arrays()
    assert relative_l2(pooled, arrays["video/per_video_pooled"]) <= EMBEDDINGS
    assert relative_l2(alone, arrays["video/joint_N1_heads16_depth1"]) <= EMBEDDINGS
    videos = VideoVectors(pooled.numpy(), unit(alone.numpy()))
    expected = unit(arrays["video/study_N3_heads16_depth1"])
    assert relative_l2(encoder.encode_study(videos), expected) <= EMBEDDINGS


def test_the_text_of_both_checkpoints(whole):
    text = load_text_encoder(whole, device="cpu")
    assert text.coverage("pizza") is None  # pieces of words spell any word
    assert isinstance(text, TextModel)
    arrays = golden_arrays()
    found = text.encode_tokens(arrays["text/input_ids"], arrays["text/attention_mask"])
    assert relative_l2(found, unit(arrays["text/features"])) <= EMBEDDINGS
    # Each text alone, without padding, and again from memory.
    words = ["Severe stenosis of the proximal LAD.", "", "normal"]
    together = text.encode(words)
    for row, each in enumerate(words):
        assert relative_l2(text.encode([each])[0], together[row]) <= EMBEDDINGS
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(text.encode(words[::-1]), together[::-1])
    assert relative_l2(text.encode(["No Report"])[0], together[1]) <= EMBEDDINGS
    assert text.encode([]).shape == (0, 512)


def test_the_self_check_of_a_whole_folder(whole):
    found = verify_encoder(whole, device="cpu")
    assert found.is_good, found.summary
    assert [each.name for each in found.numbers] == [
        "pooled", "embedding", "study", "percentages", "logits", "text",
    ]  # fmt: skip
    assert max(each.distance for each in found.numbers) <= 1e-6
    assert {each.standing for each in found.files} == {"as imported"}


@pytest.mark.gpu
def test_a_gpu_gives_the_numbers_that_a_cpu_gave_at_the_import(whole):
    found = verify_encoder(whole, device="cuda")
    assert found.is_good, found.summary
    assert len(found.numbers) == 6


@pytest.mark.parametrize("form", ["bare", "parallel", "encoder only", "legacy"])
def test_other_forms_hold_the_same_weights(tmp_path, form):
    state = golden_state()
    content = {
        "bare": lambda: state,
        "parallel": lambda: {"video_encoder": {f"module.{k}": v for k, v in state.items()}},
        "encoder only": lambda: {"model_state_dict": {f"module.{k}": v for k, v in state.items()}},
        "legacy": lambda: {"state_dict": {k.removeprefix("model."): v for k, v in state.items()}},
    }[form]()
    encoder = load(save(tmp_path / "c.pt", content), out=tmp_path, name="c", **MHI70)
    written = encoder.video.model.state_dict()
    assert written.keys() == state.keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in state.items())
