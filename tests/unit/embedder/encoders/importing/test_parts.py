"""Encoders of several parts: what each checkpoint brings, and what is refused whole."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import EncoderError, NotFoundError, UsageError
from core.segments import HEADS
from embedder.encoders.importing.checkpoint import add_to_encoder, import_encoder
from embedder.encoders.importing.options import ImportOptions
from embedder.encoders.importing.parts import RELEASE_STATISTICS
from embedder.encoders.importing.reader import read_checkpoint
from embedder.encoders.registry import check_files, read_spec
from embedder.encoders.weights import video_encoder_shapes
from tests.support.checkpoints import hollow_contrastive, hollow_probing, save
from tests.support.golden import golden_heads_shapes, hollow, hollow_state
from tests.support.vocabulary import write_tokenizer_json, write_vocabulary

STATISTICS = {"mean": 110.5, "std": 37.8}


def bring(*sources, out, name="site", vocabulary=None, overwrite=False, **options):
    return import_encoder(
        sources,
        out=out,
        name=name,
        options=ImportOptions(**options),
        vocabulary=vocabulary,
        overwrite=overwrite,
        checked=False,
    )


def add(folder, *sources, vocabulary=None, overwrite=False, **options):
    return add_to_encoder(
        folder,
        sources,
        options=ImportOptions(**options),
        vocabulary=vocabulary,
        overwrite=overwrite,
        checked=False,
    )


def tokenizer(folder):
    folder.mkdir()
    return write_vocabulary(folder).parent


@pytest.fixture
def out(tmp_path):
    return tmp_path / "encoders"


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A contrastive checkpoint, a probing one whose encoder was tuned, and a vocabulary."""
    folder = tmp_path_factory.mktemp("originals")
    hollow_contrastive(folder / "checkpoint.pt")
    tuned = hollow_state() | {"proj.1.bias": torch.full((512,), 0.25)}
    hollow_probing(folder / "best_model_epoch_11.pt", video=tuned)
    tokenizer(folder / "pubmedbert")
    return folder


@pytest.fixture
def contrastive(originals):
    return originals / "checkpoint.pt"


@pytest.fixture
def probing(originals):
    return originals / "best_model_epoch_11.pt"


def test_a_probing_checkpoint_alone(probing, out):
    found = bring(probing, out=out, mean=122.5, std=28.5)
    spec = found.spec
    assert (spec.depth, spec.study_rule, spec.is_joint, spec.text) == (0, "mean", False, None)
    assert (spec.mean, spec.std) == (122.5, 28.5)
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "encoder.json", "heads.safetensors", "weights.safetensors",
    ]  # fmt: skip
    heads = spec.findings
    assert heads is not None
    assert heads.video == spec.weights
    assert (heads.mean, heads.std, heads.mode) == (122.5, 28.5, "masked")
    # Compat with the release: what its configuration says of heads, sharing and norm never ran.
    assert (heads.pooling, heads.hidden, heads.attention_heads) == ("attention+cls_token", 256, 8)
    assert (heads.separate, heads.norm) == (True, "post_norm")
    assert sorted(heads.names) == sorted(HEADS)
    assert heads.names[:2] == ("lvp_stenosis", "prox_rca_stenosis")
    assert found.unused == {probing.name: []}
    assert any("text needs the contrastive checkpoint" in note for note in found.notes)


def test_the_statistics_of_the_release_are_taken_and_told(probing, out):
    found = bring(probing, out=out)
    assert (found.spec.mean, found.spec.std) == RELEASE_STATISTICS
    assert any("(122.09, 28.79)" in note for note in found.notes)


def test_exact_mode_pins_what_the_original_does(probing, out):
    masked = bring(probing, out=out, name="masked").spec
    exact = bring(probing, out=out, name="exact", mode="exact").spec
    assert (exact.profile, exact.clip_rounding) == ("original", "float16")
    assert exact.findings is not None
    assert (exact.findings.mode, exact.findings.padded_videos) == ("exact", 10)
    assert exact.findings.rounds_clips
    assert exact.heads_id != masked.heads_id


def test_contrastive_and_probing_make_one_encoder_of_two_weight_sets(originals, out):
    found = bring(
        originals / "checkpoint.pt",
        originals / "best_model_epoch_11.pt",
        out=out,
        vocabulary=originals / "pubmedbert",
        **STATISTICS,
    )
    spec = found.spec
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "encoder.json", "heads.safetensors", "heads_video.safetensors", "text.safetensors",
        "vocab.txt", "weights.safetensors",
    ]  # fmt: skip
    assert spec.is_joint
    assert spec.can_read_text
    assert spec.findings is not None
    assert spec.findings.video.file == "heads_video.safetensors"
    assert (spec.mean, spec.std) == (110.5, 37.8)
    assert (spec.findings.mean, spec.findings.std) == RELEASE_STATISTICS
    assert len({file.sha256 for file in spec.files}) == 5
    # The vectors are those of the contrastive checkpoint alone.
    alone = bring(originals / "checkpoint.pt", out=out, overwrite=True, **STATISTICS).spec
    assert alone.encoder_id == spec.encoder_id
    written = load_file(found.folder / "weights.safetensors")
    assert float(written["proj.1.bias"][0]) == 0.5


def test_an_encoder_that_was_not_tuned_is_kept_once(contrastive, tmp_path, out):
    frozen = hollow_probing(tmp_path / "frozen.pt")
    spec = bring(contrastive, frozen, out=out, **STATISTICS).spec
    assert spec.findings is not None
    assert spec.findings.video == spec.weights


def test_a_folder_is_searched(originals, out):
    spec = bring(originals, out=out, **STATISTICS).spec
    assert spec.findings is not None
    assert spec.can_read_text


def test_a_folder_with_two_of_a_kind(originals, tmp_path, out):
    (tmp_path / "a").mkdir()
    for epoch in (3, 4):
        hollow_probing(tmp_path / "a" / f"best_model_epoch_{epoch}.pt")
    with pytest.raises(UsageError, match=r"2 probing checkpoints, .*epoch_3\.pt, .*epoch_4\.pt"):
        bring(tmp_path / "a", out=out)
    tokenizer(tmp_path / "b")
    with pytest.raises(UsageError, match="2 vocabularies were found"):
        bring(originals, tmp_path / "b", out=out, **STATISTICS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no checkpoint is among what was named"):
        bring(tmp_path / "empty", out=out)
    assert not out.exists()


def test_parts_are_added_later_and_the_vectors_stay(originals, contrastive, probing, out):
    first = bring(contrastive, out=out, **STATISTICS)
    assert any("encoders add NAME --tokenizer" in note for note in first.notes)
    second = add(first.folder, vocabulary=originals / "pubmedbert").spec
    third = add(first.folder, probing).spec
    assert first.spec.encoder_id == second.encoder_id == third.encoder_id
    assert (first.spec.can_read_text, second.can_read_text, third.can_read_text) == (
        False, True, True,
    )  # fmt: skip
    assert third.findings is not None
    assert third.findings.video.file == "heads_video.safetensors"
    assert read_spec(first.folder) == third
    assert {path.name for path in first.folder.iterdir()} == {
        "encoder.json", *(file.file for file in third.files),
    }  # fmt: skip
    whole = bring(
        contrastive, probing, out=out, vocabulary=originals / "pubmedbert", overwrite=True,
        **STATISTICS,
    ).spec  # fmt: skip
    assert whole == third


def test_parts_are_not_replaced_unless_asked(originals, contrastive, probing, tmp_path, out):
    folder = bring(contrastive, probing, out=out, **STATISTICS).folder
    before = read_spec(folder)
    frozen = hollow_probing(tmp_path / "frozen.pt")
    with pytest.raises(UsageError, match="has finding heads already"):
        add(folder, frozen)
    assert read_spec(folder) == before
    after = add(folder, frozen, overwrite=True).spec
    assert after.findings is not None
    assert after.findings.video == after.weights
    assert not (folder / "heads_video.safetensors").exists()


@pytest.mark.parametrize("what", ["nothing", "space", "no text side"])
def test_what_cannot_be_added(originals, contrastive, probing, out, what):
    folder = bring(probing, out=out).folder
    before = read_spec(folder)
    attempts = {
        "nothing": (lambda: add(folder), "nothing to add"),
        "space": (lambda: add(folder, contrastive), "would be another video encoder"),
        "no text side": (
            lambda: add(folder, vocabulary=originals / "pubmedbert"),
            "has no text encoder, so a vocabulary is of no use",
        ),
    }
    attempt, message = attempts[what]
    with pytest.raises(UsageError, match=message):
        attempt()
    assert read_spec(folder) == before
    assert [path.name for path in out.iterdir()] == ["site"]


def test_an_encoder_only_file_of_any_origin(tmp_path, out):
    """Bare names of a pretraining, with what it left behind."""
    state = {key.removeprefix("model."): value for key, value in hollow_state().items()}
    state |= {
        "decoder.0.weight": torch.ones(2),
        "mask_token": torch.ones(1),
        "mvm.x": torch.ones(1),
    }
    source = save(
        tmp_path / "c.pt", {"model_state_dict": {f"module.{k}": v for k, v in state.items()}}
    )
    found = bring(source, out=out, **STATISTICS)
    assert found.spec.is_joint
    assert found.unused == {"c.pt": ["decoder.0.weight", "mask_token", "mvm.x"]}


def test_an_encoder_without_an_aggregator_is_a_space_of_pooled_vectors(tmp_path, out):
    state = {k: v for k, v in hollow_state().items() if not k.startswith("aggregator.")}
    found = bring(save(tmp_path / "c.pt", {"state_dict": state}), out=out, **STATISTICS)
    assert (found.spec.depth, found.spec.is_joint) == (0, False)
    assert any("has no aggregator" in note for note in found.notes)


def test_statistics_are_never_guessed_for_a_contrastive_checkpoint(contrastive, out):
    with pytest.raises(UsageError, match="needs the pixel statistics of its training"):
        bring(contrastive, out=out)
    assert not list(out.iterdir())


def heads(**changes):
    return hollow(golden_heads_shapes()) | changes


BAD_HEADS = {
    "unknown": (
        lambda: heads(**{
            "heads.MACE_CV_Death_730d.weight": torch.ones(1, 1024),
            "heads.MACE_CV_Death_730d.bias": torch.ones(1),
        }),
        r"bad\.pt holds heads that are not known: MACE_CV_Death_730d$",
    ),
    "several outputs": (
        lambda: heads(**{"heads.pda_cto.weight": torch.ones(3, 1024)}),
        r"heads of several outputs: pda_cto has 3$",
    ),
    "no layer": (
        lambda: heads(**{"heads.pda_cto.weight": torch.tensor(1.0)}),
        r"heads that are no linear layers: pda_cto is \(\)$",
    ),
    "shape": (
        lambda: heads(**{"heads.pda_cto.bias": torch.ones(2)}),
        r"other shapes: heads\.pda_cto\.bias is \(2,\), expected \(1,\)$",
    ),
    "missing": (
        lambda: {k: v for k, v in heads().items() if k != "attention_U.weight"},
        r"198 of the 199 tensors .*attention_U\.weight$",
    ),
    "nan": (
        lambda: heads(**{"attention_w.bias": torch.full((1,), np.nan)}),
        r"not finite: attention_w\.bias$",
    ),
    "views": (
        lambda: heads(**{"view_embedding.weight": torch.ones(13, 512)}),
        "were trained with view labels, which are not supported",
    ),
    "wide gate": (
        lambda: heads(**{"attention_V.weight": torch.tensor(0.5).expand(10**9, 512)}),
        "a gated attention of 1000000000 units, expected 1 to 4096",
    ),
    "no heads": (lambda: {"cls_token": torch.ones(1, 1, 512)}, "holds no finding heads"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_HEADS)
def test_heads_that_are_refused_leave_nothing(contrastive, tmp_path, out, case):
    make, message = BAD_HEADS[case]
    bad = hollow_probing(tmp_path / "bad.pt", heads=make())
    with pytest.raises(EncoderError, match=message):
        bring(contrastive, bad, out=out, **STATISTICS)
    assert not list(out.iterdir())


def test_heads_that_are_refused_leave_the_encoder(contrastive, tmp_path, out):
    folder = bring(contrastive, out=out, **STATISTICS).folder
    before = sorted((p.name, p.stat().st_size) for p in folder.iterdir())
    bad = hollow_probing(tmp_path / "bad.pt", heads=BAD_HEADS["unknown"][0]())
    with pytest.raises(EncoderError, match="not known"):
        add(folder, bad)
    assert sorted((p.name, p.stat().st_size) for p in folder.iterdir()) == before
    assert [path.name for path in out.iterdir()] == ["site"]


@pytest.mark.parametrize("value", [999.0, float("nan")])
def test_statistics_of_heads_that_cannot_be(contrastive, probing, out, value):
    with pytest.raises(UsageError, match="these finding heads cannot be: mean: Input should be"):
        bring(contrastive, probing, out=out, heads_mean=value, heads_std=1.0, **STATISTICS)
    assert not list(out.iterdir())


def test_heads_that_come_later_have_statistics_of_their_own(probing, tmp_path, out):
    """The first encoder's are those of other heads, unless both read the same encoder."""
    folder = bring(probing, out=out, mean=122.5, std=28.5).folder
    other = hollow_probing(tmp_path / "other.pt")
    spec = add(folder, other, overwrite=True, heads_mean=50.5, heads_std=9.5).spec
    assert spec.findings is not None
    assert spec.findings.video != spec.weights
    assert (spec.findings.mean, spec.findings.std) == (50.5, 9.5)
    spec = add(folder, other, overwrite=True).spec
    assert spec.findings is not None
    assert (spec.findings.mean, spec.findings.std) == RELEASE_STATISTICS
    spec = add(folder, probing, overwrite=True).spec
    assert spec.findings is not None
    assert (spec.findings.mean, spec.findings.std) == (122.5, 28.5)
    with pytest.raises(UsageError, match="--heads-mean and --heads-std go together"):
        add(folder, other, overwrite=True, heads_mean=50.5)


def test_exact_heads_on_an_encoder_of_other_pixels_are_told(contrastive, probing, out):
    folder = bring(contrastive, out=out, **STATISTICS).folder
    found = add(folder, probing, mode="exact")
    assert any("exact in all but the pixels" in note for note in found.notes)
    whole = bring(contrastive, probing, out=out, name="whole", mode="exact", **STATISTICS)
    assert not any("pixels:" in note for note in whole.notes)


def test_a_vocabulary_that_is_of_no_use_is_told(originals, probing, out):
    found = bring(probing, out=out, vocabulary=originals / "pubmedbert")
    assert "vocab.txt was left out: there is no text encoder" in found.notes


@pytest.mark.parametrize("name", ["weights.safetensors", "encoder.json", "words"])
def test_a_vocabulary_of_any_name_replaces_no_other_file(contrastive, tmp_path, out, name):
    form = write_tokenizer_json if name.endswith(".json") else write_vocabulary
    source = form(tmp_path).rename(tmp_path / name)
    found = bring(contrastive, out=out, vocabulary=source, **STATISTICS)
    assert found.spec.text is not None
    assert found.spec.text.vocabulary is not None
    assert found.spec.text.vocabulary.file in ("vocab.txt", "tokenizer.json")
    check_files(found.spec, found.folder, found.spec.files)


@pytest.mark.parametrize("option", [{"study_rule": "aggregator"}, {"token_pooling": "attention"}])
def test_options_that_a_probing_checkpoint_cannot_follow(probing, out, option):
    with pytest.raises(UsageError, match=r"is a probing checkpoint: .* can only be averaged"):
        bring(probing, out=out, **option)
    assert not list(out.glob("*"))


def test_an_attention_that_cannot_be(probing, out):
    with pytest.raises(UsageError, match="--attention-heads must divide 512, found 6"):
        bring(probing, out=out, attention_heads=6)


def only(keep):
    """Heads that read 512 numbers, and what else a pooling needs."""
    return {
        key: torch.tensor(0.5).expand(1, 512) if value.shape[-1] == 1024 else value
        for key, value in heads().items()
        if keep(key)
    }


POOLINGS = {
    "attention": lambda: only(lambda key: not key.startswith("cls_")),
    "cls_token": lambda: only(lambda key: not key.startswith("attention_")),
    "mean": lambda: only(lambda key: key.startswith("heads.")),
    "mean+cls_token": lambda: {k: v for k, v in heads().items() if not k.startswith("attention_")},
    "attention+cls_token": heads,
}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_pooling_is_told_from_the_weights(tmp_path, out, pooling):
    spec = bring(hollow_probing(tmp_path / "c.pt", heads=POOLINGS[pooling]()), out=out).spec
    assert spec.findings is not None
    assert spec.findings.pooling == pooling


def test_the_weights_cannot_tell_max_from_mean(tmp_path, out):
    source = hollow_probing(tmp_path / "c.pt", heads=POOLINGS["mean"]())
    spec = bring(source, out=out, heads_pooling="max").spec
    assert spec.findings is not None
    assert spec.findings.pooling == "max"


def test_attention_that_is_shared_is_told_from_the_weights(tmp_path, out):
    shared = {
        key.replace("_within", ""): value for key, value in heads().items() if "_across" not in key
    }
    spec = bring(hollow_probing(tmp_path / "c.pt", heads=shared), out=out).spec
    assert spec.findings is not None
    assert not spec.findings.separate


def test_another_models_vocabulary(contrastive, tmp_path, out):
    (tmp_path / "bert").mkdir()
    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"word{i}" for i in range(30522 - len(words))]
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(words) + "\n")
    with pytest.raises(EncoderError, match="another model"):
        bring(contrastive, out=out, vocabulary=tmp_path / "bert", **STATISTICS)
    with pytest.raises(NotFoundError, match="no vocabulary in"):
        bring(contrastive, out=out, vocabulary=tmp_path, **STATISTICS)
    assert not list(out.iterdir())


def test_safetensors_of_all_parts(tmp_path, out):
    whole = {f"video_encoder.{key}": value.contiguous() for key, value in hollow_state().items()}
    whole |= {f"mil_model.{key}": value.contiguous() for key, value in heads().items()}
    save_file(whole, tmp_path / "c.safetensors")
    read = read_checkpoint(tmp_path / "c.safetensors")
    assert (read.kind, read.video.keys()) == ("probing", hollow_state().keys())
    spec = bring(tmp_path / "c.safetensors", out=out).spec
    assert spec.findings is not None
    expected = video_encoder_shapes(heads=1, depth=0, token_pooling="mean")
    assert load_file(out / "site" / "weights.safetensors").keys() == expected.keys()
