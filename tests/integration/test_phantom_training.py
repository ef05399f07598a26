"""Training on a handful of studies: it learns, it resumes, and it ends in an encoder folder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from angioatlas import phantom_mini
from angioatlas.phantom_mini import Recipe, choose_frames, lexicon, make, new_models
from embedder.encoders.compact.spec import CompactSpec
from embedder.encoders.compact.words import split_words
from embedder.encoders.registry import load_encoder, load_text_encoder, read_spec
from embedder.encoders.spec import Coverage
from embedder.sampling import window_indices
from phantom.training.dataset import SetSettings, open_training_set, write_training_set
from phantom.training.dense import train_video
from phantom.training.features import SHORT_STUDIES, Studies, Variant
from phantom.training.loop import Schedule
from phantom.words.concepts import EVALUATION_QUERIES

CPU = torch.device("cpu")
VIDEO = Schedule(steps=4, batch=4, peak=1e-3, warm_up=2, log_every=1, check_every=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("set")
    settings = SetSettings(1000, 4, shard_studies=4, fine_share=0.0)
    write_training_set(made, settings, choose=choose_frames)
    return made


def trained(folder, schedule, checkpoint=None):
    made, models = new_models(7)
    lines: list[str] = []
    data = open_training_set(folder)
    train_video(models, data, schedule, log=lines.append, device=CPU, checkpoint=checkpoint)
    return made.video.state_dict(), lines


def test_a_training_that_was_interrupted_ends_in_the_same_weights(folder, tmp_path, monkeypatch):
    whole, lines = trained(folder, VIDEO)
    assert len(lines) == 4

    class Stop(Exception):
        pass

    def stop_after_two(step, averaged):
        raise Stop

    _, models = new_models(7)
    with pytest.raises(Stop):
        train_video(
            models,
            open_training_set(folder),
            VIDEO,
            log=lambda line: None,
            device=CPU,
            checkpoint=tmp_path / "video.pt",
            on_check=stop_after_two,
        )
    resumed, lines = trained(folder, VIDEO, tmp_path / "video.pt")
    assert len(lines) == 2
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, msg=name)


def test_the_losses_fall(folder):
    schedule = replace(VIDEO, steps=24, warm_up=4, peak=2e-3, log_every=8, check_every=100)
    _, lines = trained(folder, schedule)
    attention = [float(line.split("attention ")[1].split()[0]) for line in lines]
    assert attention[-1] < attention[0] - 0.3


def test_training_clips_begin_where_the_encoder_would_begin_them():
    assert choose_frames(90, 1000 / 15, 1500.0) == window_indices(
        90, 1000 / 15, window_ms=4000.0, start_ms=900.0
    )


def test_the_lexicon_knows_every_query_and_no_pizza():
    words = lexicon()
    for text in EVALUATION_QUERIES:
        assert set(split_words(text)) <= words
    assert "pizza" not in words
    assert {"widowmaker", "stenose", "plad"} <= words


def test_studies_come_plain_augmented_or_short_as_a_whole(folder):
    data = open_training_set(folder)
    variants: dict[Variant, float] = {"plain": 0, "augmented": 1, "short": 2}
    tokens = {
        name: np.full((len(data), 22, 64), value, np.float16) for name, value in variants.items()
    }
    studies, rng = Studies(data, tokens), np.random.default_rng(0)
    drawn = [studies.make(np.arange(4), rng) for _ in range(200)]
    kinds = [
        set(part[has].unique().tolist()) for b in drawn for part, has in zip(*b[:2], strict=True)
    ]
    assert {2.0} in kinds
    assert {0.0, 1.0} in kinds
    assert all(kind == {2.0} or 2.0 not in kind for kind in kinds)
    share = np.mean([kind == {2.0} for kind in kinds])
    assert abs(share - SHORT_STUDIES) < 0.07
    assert studies.make(np.arange(4), "short").tokens.unique().tolist() == [2.0]


def test_a_recipe_ends_in_a_folder_that_opens(tmp_path):
    recipe = Recipe(
        studies=4,
        held_out=2,
        video=replace(VIDEO, steps=2),
        joint=Schedule(steps=2, batch=3, peak=1e-3, warm_up=1, check_every=1),
    )
    lines: list[str] = []
    make(tmp_path / "encoder", tmp_path / "work", recipe, workers=1, log=lines.append)
    spec = read_spec(tmp_path / "encoder")
    assert isinstance(spec, CompactSpec)
    assert spec.training["training_studies"] == 4
    assert spec.training["training_seed"] == phantom_mini.TRAINING_SEED
    size = sum(file.stat().st_size for file in (tmp_path / "encoder").iterdir())
    assert size < 10e6
    encoder = load_encoder(tmp_path / "encoder", device="cpu")
    reader = load_text_encoder(tmp_path / "encoder", device="cpu")
    clip = np.zeros((16, 200, 200), np.uint8)
    vectors = encoder.encode_videos([clip])
    assert vectors.embedding.shape == (1, 512)
    assert np.isfinite(reader.encode(["proximal LAD occlusion"])).all()
    assert reader.coverage("pizza") == Coverage(known=(), unknown=("pizza",))
    # Over the video encoder of the folder the second stage alone ends in the same vectors.
    make(
        tmp_path / "over",
        tmp_path / "work",
        recipe,
        workers=1,
        log=lines.append,
        video_from=tmp_path / "encoder",
    )
    over = load_encoder(tmp_path / "over", device="cpu")
    np.testing.assert_array_equal(over.encode_videos([clip]).embedding, vectors.embedding)
    told = read_spec(tmp_path / "over")
    assert isinstance(told, CompactSpec)
    assert told.training["video_from"] == spec.encoder_id
    assert told.training["video_steps"] == 2, "of the one that it is from"
    again: list[str] = []
    make(tmp_path / "encoder", tmp_path / "work", recipe, workers=1, log=again.append)
    assert read_spec(tmp_path / "encoder").encoder_id == spec.encoder_id
    assert len(again) < len(lines), "nothing is done twice"
