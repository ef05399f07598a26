import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import AtlasError, EncoderError, NotFoundError, UsageError
from embedder.encoders.deepcoro import DeepCoroEncoder
from embedder.encoders.importing.checkpoint import import_encoder
from embedder.encoders.importing.options import ImportOptions
from embedder.encoders.importing.reader import read_checkpoint
from embedder.encoders.registry import file_sha256, load_encoder, read_spec
from embedder.encoders.weights import fit
from tests.support.golden import golden_state, golden_text_shapes, hollow, hollow_state

STATISTICS = {"mean": 110.5, "std": 37.8}


def save(path: Path, content) -> Path:
    torch.save(content, path)
    return path


def bring(source: Path, out: Path, *, name="golden", overwrite=False, checked=False, **options):
    """Return the specification, and the names that it does not use."""
    found = import_encoder(
        [source],
        out=out,
        name=name,
        options=ImportOptions(**{**STATISTICS, **options}),
        overwrite=overwrite,
        checked=checked,
    )
    return found.spec, found.unused[source.name]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "encoders"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint as the original's training leaves it: parallel wrapper, optimizer, metrics."""
    weight = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = torch.optim.RAdam([weight], lr=1e-4)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=10)
    weight.sum().backward()
    optimizer.step()
    scheduler.step()
    content = {
        "video_encoder": OrderedDict((f"module.{k}", v) for k, v in golden_state().items()),
        "text_encoder": OrderedDict(
            (f"module.{k}", v) for k, v in hollow(golden_text_shapes()).items()
        ),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
        "epoch": 11,
        "train/temperature": np.float64(0.07),
        "best_val_loss": np.float32(1.5),
        "best_epoch": np.int64(9),
        "recall": {"at": np.arange(3), "text": np.str_("k")},
        "highest_alignment_score": torch.tensor(0.3),
    }
    return save(tmp_path_factory.mktemp("trained") / "checkpoint.pt", content)


def test_a_training_checkpoint_becomes_an_encoder_folder(trained, out):
    spec, unknown = bring(trained, out, token_pooling="mean")
    assert unknown == []
    assert sorted(path.name for path in out.iterdir()) == ["golden"]
    assert sorted(path.name for path in (out / "golden").iterdir()) == [
        "encoder.json",
        "text.safetensors",
        "weights.safetensors",
    ]
    assert read_spec(out / "golden") == spec
    assert spec.source.file == "checkpoint.pt"
    assert spec.source.sha256 == file_sha256(trained)
    assert spec.weights.sha256 == file_sha256(out / "golden" / "weights.safetensors")
    written = load_file(out / "golden" / "weights.safetensors")
    assert written.keys() == golden_state().keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in golden_state().items())
    assert load_encoder(out / "golden", device="cpu").encoder_id == spec.encoder_id


@pytest.mark.parametrize("prefix", ["", "video_encoder.", "module.video_encoder.", "_orig_mod."])
@pytest.mark.parametrize("part", [None, "model_state_dict", "state_dict", "video_encoder"])
def test_any_prefix_in_any_part(tmp_path, prefix, part):
    state = {f"{prefix}{key}": tensor for key, tensor in hollow_state().items()}
    source = save(tmp_path / "c.pt", {part: state, "epoch": 3} if part else state)
    assert read_checkpoint(source).video.keys() == hollow_state().keys()


def test_the_old_pickle_format(tmp_path):
    source = tmp_path / "c.pt"
    torch.save({"video_encoder": hollow_state()}, source, _use_new_zipfile_serialization=False)
    assert read_checkpoint(source).video.keys() == hollow_state().keys()


def test_safetensors_of_the_video_encoder(tmp_path, out):
    source = tmp_path / "c.safetensors"
    whole = {f"video_encoder.{key}": tensor for key, tensor in golden_state().items()}
    save_file(whole, source)
    spec, unknown = bring(source, out, mode="exact", study_rule="aggregator")
    assert unknown == []
    assert (spec.source.file, spec.padded_videos) == ("c.safetensors", 10)
    assert (spec.padding, spec.profile) == ("unmasked", "original")


def test_unknown_keys_are_reported_and_left_out(tmp_path, out):
    extra = {
        "pre_agg_norm.weight": torch.ones(512),
        "tree_classifier.0.weight": torch.ones(2, 2),
        "attention_pool.query": torch.ones(1, 1, 512),
        "cls_token": torch.ones(1, 1, 768),
        "steps": torch.tensor(7),
    }
    _, unknown = bring(save(tmp_path / "c.pt", {"video_encoder": hollow_state() | extra}), out)
    assert unknown == sorted(extra)
    assert not load_file(out / "golden" / "weights.safetensors").keys() & extra.keys()


@pytest.mark.parametrize("token_pooling", ["attention", "cls_token"])
def test_learned_poolings(tmp_path, out, token_pooling):
    source = save(tmp_path / "c.pt", {"video_encoder": hollow_state(token_pooling)})
    spec, unknown = bring(source, out, token_pooling=token_pooling)
    assert spec.token_pooling == token_pooling
    assert unknown == (["cls_token"] if token_pooling == "cls_token" else [])


def test_the_depth_is_read_from_the_keys(tmp_path, out):
    source = save(tmp_path / "c.pt", {"video_encoder": hollow_state(depth=3)})
    assert bring(source, out)[0].depth == 3
    encoder = load_encoder(out / "golden", device="cpu")
    assert isinstance(encoder, DeepCoroEncoder)
    assert encoder.spec.depth == 3


def test_half_precision_is_widened(tmp_path):
    state = {"a": torch.ones(3).half(), "b": torch.ones(2).bfloat16()}
    found, _ = fit(state, {"a": (3,), "b": (2,)}, what="c.pt", hint="")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


class Opens:
    """A pickle that would run a command."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def without(key: str):
    state = hollow_state()
    del state[key]
    return state


def spoiled(value: float):
    return hollow_state() | {"proj.1.bias": torch.full((512,), value)}


def encoder(state):
    return {"video_encoder": state}


CONTENTS = {
    "missing": (
        lambda: encoder(without("proj.1.bias")),
        r"bad\.pt holds 412 of the 413 tensors that are needed; missing: proj\.1\.bias$",
    ),
    "other model": (
        lambda: encoder({"stem.weight": torch.ones(3)}),
        r"holds 0 of the 397 tensors .* and 392 more$",
    ),
    "shape": (
        lambda: encoder(hollow_state() | {"proj.1.bias": torch.ones(256)}),
        r"other shapes: proj\.1\.bias is \(256,\), expected \(512,\)$",
    ),
    "nan": (lambda: encoder(spoiled(np.nan)), r"not finite: proj\.1\.bias$"),
    "inf": (lambda: encoder(spoiled(np.inf)), r"not finite: proj\.1\.bias$"),
    "integers": (
        lambda: encoder(hollow_state() | {"proj.1.bias": torch.ones(512, dtype=torch.int32)}),
        r"not finite: proj\.1\.bias$",
    ),
    "too large": (
        lambda: encoder(
            hollow_state() | {"proj.1.bias": torch.full((512,), 1e300, dtype=torch.float64)}
        ),
        r"not finite: proj\.1\.bias$",
    ),
    "eight bits": (
        lambda: encoder(hollow_state() | {"proj.1.bias": torch.ones(512).to(torch.float8_e4m3fn)}),
        r"not finite: proj\.1\.bias$",
    ),
    "no numbers": (
        lambda: encoder(hollow_state() | {"proj.1.bias": torch.ones(512, device="meta")}),
        r"bad\.pt holds video_encoder\.proj\.1\.bias, which is no plain tensor$",
    ),
    "escape in a name": (
        lambda: encoder(hollow_state() | {"\x1b[31m": torch.ones(1)}),
        r"bad\.pt holds a tensor with a name like no model's$",
    ),
    "long name": (
        lambda: encoder(hollow_state() | {"a" * 201: torch.ones(1)}),
        r"bad\.pt holds a tensor with a name like no model's$",
    ),
    "sparse": (
        lambda: encoder(hollow_state() | {"proj.1.bias": torch.ones(512).to_sparse()}),
        r"not finite: proj\.1\.bias$",
    ),
    "twice": (
        lambda: encoder(hollow_state() | {"module.proj.1.bias": torch.ones(512)}),
        r"holds proj\.1\.bias twice, under two prefixes",
    ),
    "probing": (
        lambda: {"linear_probing": {"video_encoder.proj.1.bias": torch.ones(512)}},
        r"is a probing checkpoint without heads: .* begin with mil_model\.$",
    ),
    "no encoder": (lambda: {"epoch": 3}, "holds no model: .*found epoch$"),
    "empty": (dict, "holds no model: .*found nothing$"),
    "backbone": (
        lambda: {"state_dict": {"module.conv_proj.weight": torch.ones(96, 3, 3, 7, 7)}},
        r"holds a backbone alone: without its projection \(proj\.1\.weight\)",
    ),
    "list": (lambda: [1, 2], "is not a checkpoint: expected a dict, found list$"),
    "tensor": (lambda: torch.ones(3), "is not a checkpoint: expected a dict, found Tensor$"),
    "too deep": (
        lambda: encoder({f"aggregator.blocks.{i}.norm1.bias": torch.ones(1) for i in range(65)}),
        "holds 65 aggregator blocks, expected 64 at most",
    ),
    "huge index": (
        lambda: encoder({f"aggregator.blocks.{10**9}.norm1.weight": torch.ones(512)}),
        "holds 0 of the 413 tensors",
    ),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_contents_that_are_refused(tmp_path, out, case):
    content, message = CONTENTS[case]
    source = save(tmp_path / "bad.pt", content())
    with pytest.raises(EncoderError, match=message) as caught:
        bring(source, out)
    assert caught.value.hint
    assert not out.exists() or not list(out.iterdir())


def test_a_pooling_that_the_checkpoint_does_not_have(tmp_path, out):
    source = save(tmp_path / "c.pt", {"video_encoder": hollow_state()})
    with pytest.raises(EncoderError, match=r"413 of the 420 .*attention_pool\.attn") as caught:
        bring(source, out, token_pooling="attention")
    assert "--token-pooling attention" in caught.value.hint


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, out, zipped):
    trace = tmp_path / "trace"
    content = {"video_encoder": hollow_state(), "config": Opens(trace)}
    source = tmp_path / "bad.pt"
    torch.save(content, source, _use_new_zipfile_serialization=zipped)
    with pytest.raises(EncoderError, match=r"\((posix|nt)\.system\), which could run code"):
        bring(source, out)
    assert not trace.exists()


FILES = {
    "empty": (b"", "expected a file of torch.save or .safetensors"),
    "text": (b"mean,std\n1,2\n", "expected a file of torch.save or .safetensors"),
    "cut zip": (b"PK\x03\x04" + bytes(4000), "found a truncated file of 4004 bytes"),
    "plain pickle": (pickle.dumps({"a": 1}), "bad.pt"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_checkpoint(tmp_path, out, case):
    content, message = FILES[case]
    source = tmp_path / "bad.pt"
    source.write_bytes(content)
    with pytest.raises(EncoderError, match=message):
        bring(source, out)
    assert not out.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_truncated_file(tmp_path, out, suffix):
    source = tmp_path / f"bad{suffix}"
    save_file({"a": torch.ones(999)}, source) if suffix != ".pt" else save(source, hollow_state())
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(EncoderError, match=f"bad{re.escape(suffix)} is not a whole"):
        bring(source, out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_that_may_not_be_read(tmp_path, out, suffix):
    source = tmp_path / f"bad{suffix}"
    source.touch(mode=0o200)
    with pytest.raises(EncoderError, match=r"cannot be read \(Permission denied\)$"):
        bring(source, out)


def test_no_such_file(tmp_path, out):
    with pytest.raises(NotFoundError, match="does not exist"):
        bring(tmp_path / "c.pt", out)
    assert not out.exists()


def test_a_damaged_numpy_type_does_not_end_the_process(tmp_path):
    """numpy's own dtype crashed on this state; the reader must not rebuild it."""

    class Type:
        def __reduce__(self):
            return np.dtype, ("f8", False, True), (3, "\udc80", 7, (1,), {}, -1, 2**62, 63)

    source = save(tmp_path / "c.pt", {"video_encoder": {"a": torch.ones(1)}, "loss": Type()})
    assert read_checkpoint(source).video.keys() == {"a"}


def test_damaged_bytes_end_as_a_named_error(tmp_path):
    """Whatever is wrong with a file, reading it says so, or gives tensors: nothing else escapes."""
    rng = np.random.default_rng(0)
    small = {"video_encoder": {"a.b": torch.ones(3)}, "loss": np.float64(1.0), "epoch": 3}
    refused = 0
    for zipped in (True, False):
        source = tmp_path / "small.pt"
        torch.save(small, source, _use_new_zipfile_serialization=zipped)
        whole = source.read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), rng.integers(1, 6)):
                damaged[place] = rng.integers(0, 256)
            source.write_bytes(damaged[: rng.integers(1, len(whole) + 1)])
            try:
                read_checkpoint(source)
            except AtlasError:
                refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Upper"}, "name: String should match"),
        ({"name": "a/b"}, "name: String should match"),
        ({"heads": 6}, "heads must divide 512, found 6"),
        ({"std": 0.0}, "std: Input should be greater than 0"),
        ({"mean": float("nan")}, "mean: Input should be"),
        ({"std": None}, "--mean and --std go together"),
        ({"heads_mean": 1.0}, "--heads-mean and --heads-std go together"),
    ],
)
def test_options_are_checked_before_the_file_is_read(tmp_path, out, changes, message):
    with pytest.raises(UsageError, match=message):
        bring(tmp_path / "absent.pt", out, **changes)


def test_a_name_is_not_taken_twice_unless_asked(tmp_path, out):
    source = save(tmp_path / "c.pt", {"video_encoder": hollow_state()})
    first, _ = bring(source, out)
    with pytest.raises(UsageError, match="an encoder named golden exists"):
        bring(source, out, mean=122.0)
    assert read_spec(out / "golden") == first
    second, _ = bring(source, out, mean=122.0, overwrite=True)
    assert read_spec(out / "golden") == second
    assert second.weights == first.weights
    assert second.encoder_id != first.encoder_id
    assert [path.name for path in out.iterdir()] == ["golden"]


def test_a_refused_import_leaves_the_older_encoder(tmp_path, out):
    first, _ = bring(save(tmp_path / "c.pt", {"video_encoder": hollow_state()}), out)
    with pytest.raises(EncoderError, match="not finite"):
        bring(save(tmp_path / "bad.pt", encoder(spoiled(np.nan))), out, overwrite=True)
    assert read_spec(out / "golden") == first
    assert [path.name for path in out.iterdir()] == ["golden"]


def test_a_folder_that_cannot_be_written(tmp_path):
    source = save(tmp_path / "c.pt", {"video_encoder": hollow_state()})
    (tmp_path / "out").write_text("a file stands where the folder should be")
    with pytest.raises(EncoderError, match="could not be written"):
        bring(source, tmp_path / "out")
