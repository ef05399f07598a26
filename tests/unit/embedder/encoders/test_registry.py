import json

import pytest
import torch

from core.errors import EncoderError, NotFoundError, UsageError
from embedder.encoders import registry
from embedder.encoders.importing.checkpoint import import_encoder
from embedder.encoders.importing.options import ImportOptions
from embedder.encoders.precision import has_bf16
from embedder.encoders.registry import (
    file_sha256,
    find_encoder,
    list_encoders,
    load_encoder,
    read_spec,
)
from embedder.encoders.self_check import check_clip
from embedder.encoders.spec import FULL, LEAST_COSINE
from tests.support.golden import golden_spec, hollow_state

SHIPPED = registry.BUNDLED / "phantom-mini"


def put(encoders, name, **changes):
    """A folder with a specification and no weights: enough for all but loading."""
    (encoders / name).mkdir(parents=True)
    spec = golden_spec(name=name, **changes)
    (encoders / name / "encoder.json").write_text(spec.to_json())
    return spec


@pytest.fixture
def encoders(tmp_path, monkeypatch):
    """A folder of encoders; the package brings none."""
    (tmp_path / "bundled").mkdir()
    monkeypatch.setattr(registry, "BUNDLED", tmp_path / "bundled")
    return tmp_path / "encoders"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    torch.save({"video_encoder": hollow_state()}, folder / "c.pt")
    options = ImportOptions(mean=110.5, std=37.8)
    import_encoder([folder / "c.pt"], out=folder, name="golden", options=options, checked=False)
    return folder / "golden"


@pytest.fixture
def imported(original, encoders):
    """A folder of one's own; the weights are a link."""
    folder = encoders / "golden"
    folder.mkdir(parents=True)
    (folder / "encoder.json").write_bytes((original / "encoder.json").read_bytes())
    (folder / "weights.safetensors").symlink_to(original / "weights.safetensors")
    return folder


def edit(folder, **changes):
    path = folder / "encoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_list_is_by_name_and_leaves_out_what_is_no_encoder(encoders):
    assert list_encoders(encoders) == []
    b, a = put(encoders, "b"), put(encoders, "a")
    (encoders / "notes").mkdir()
    (encoders / ".c.partial").mkdir()
    (encoders / ".c.partial" / "encoder.json").write_text("{")
    assert list_encoders(encoders) == [a, b]


def test_find_by_name_id_and_path(encoders, tmp_path, monkeypatch):
    spec = put(encoders, "a")
    put(encoders, "b")
    monkeypatch.chdir(tmp_path)
    for way in ("a", spec.encoder_id, str(encoders / "a"), "encoders/a"):
        assert find_encoder(way, encoders).resolve() == encoders / "a"


def test_a_damaged_encoder_does_not_hide_the_others(encoders):
    found = put(encoders, "whole").encoder_id
    (encoders / "a-damaged-one").mkdir()
    (encoders / "a-damaged-one" / "encoder.json").write_text("{")
    assert read_spec(find_encoder(found, encoders)).encoder_id == found


@pytest.mark.parametrize("name", ["~nobody-here/golden", "n" * 300])
def test_a_name_that_no_path_can_have(encoders, name):
    with pytest.raises(NotFoundError, match="no encoder"):
        find_encoder(name, encoders)


def test_an_unknown_name_lists_the_known_ones(encoders):
    with pytest.raises(NotFoundError, match="no encoder 'c'") as caught:
        find_encoder("c", encoders)
    assert "angioatlas encoders import" in caught.value.hint
    put(encoders, "b")
    put(encoders, "a")
    with pytest.raises(NotFoundError, match=r"no encoder '\.\./c'") as caught:
        find_encoder("../c", encoders)
    assert caught.value.hint == "known: a, b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a valid specification: Invalid JSON"),
        ("[]", "not a valid specification: "),
        ("{}", "name: Field required; .*mean: Field required"),
        ("\udc80", "cannot be read"),
    ],
)
def test_a_specification_that_cannot_be_read(encoders, text, message):
    put(encoders, "a")
    (encoders / "a" / "encoder.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(EncoderError, match=message) as caught:
        read_spec(encoders / "a")
    assert "angioatlas encoders import" in caught.value.hint


def test_no_specification(tmp_path):
    with pytest.raises(NotFoundError, match=r"it has no encoder\.json") as caught:
        load_encoder(tmp_path)
    assert "angioatlas encoders import" in caught.value.hint


def test_changed_weights_are_refused(imported):
    weights = imported / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    with pytest.raises(EncoderError, match=r"weights\.safetensors .* has changed: expected SHA"):
        load_encoder(imported)


def test_missing_weights_are_refused(imported):
    (imported / "weights.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"has no file weights\.safetensors"):
        load_encoder(imported)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 2}, "holds 413 of the 425 tensors"),
        ({"token_pooling": "attention"}, "holds 413 of the 420 tensors"),
    ],
)
def test_weights_of_another_model_are_refused(imported, changes, message):
    edit(imported, **changes)
    with pytest.raises(EncoderError, match=message):
        load_encoder(imported)


def test_extra_weights_are_refused(imported):
    from safetensors.torch import load_file, save_file

    weights = imported / "weights.safetensors"
    state = load_file(weights) | {"more": torch.ones(1)}
    weights.unlink()
    save_file(state, weights)
    file = {"file": weights.name, "sha256": file_sha256(weights)}
    edit(imported, weights=file)
    with pytest.raises(EncoderError, match="tensors of another model: more"):
        load_encoder(imported)


def test_weights_that_are_no_safetensors_are_refused(imported):
    weights = imported / "weights.safetensors"
    weights.unlink()
    weights.write_bytes(b"not tensors")
    edit(imported, weights={"file": weights.name, "sha256": file_sha256(weights)})
    with pytest.raises(EncoderError, match="golden is not a safetensors file"):
        load_encoder(imported)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_device_that_is_not_there(imported):
    with pytest.raises(UsageError, match="no CUDA device"):
        load_encoder(imported, device="cuda")
    assert load_encoder(imported, device="auto").encoder_id == read_spec(imported).encoder_id


needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU only imitates bf16")


def shipped(**how):
    """phantom-mini itself, whose weights mean something."""
    return load_encoder(SHIPPED, device="cpu", **how)


@needs_bf16
def test_the_precision_is_fp32_on_a_cpu_unless_asked():
    clips = [check_clip()]
    exact = shipped().encode_videos(clips)
    assert shipped(precision="auto").precision == FULL
    rounded = shipped(precision="bf16")
    assert rounded.precision.name == "bf16"
    assert LEAST_COSINE <= rounded.precision.cosine < 1
    found = rounded.encode_videos(clips)
    assert found.embedding[0] @ exact.embedding[0] == pytest.approx(
        rounded.precision.cosine, abs=1e-6
    )
    assert rounded.encoder_id == shipped().encoder_id


@needs_bf16
def test_bf16_that_moves_the_vectors_is_refused_and_by_default_not_taken(monkeypatch):
    monkeypatch.setattr(registry, "LEAST_COSINE", 1.0)
    with pytest.raises(EncoderError, match=r"in bf16 .* cosine 0\.9999\d to those in fp32") as told:
        shipped(precision="bf16")
    assert "--precision fp32" in told.value.hint
    monkeypatch.setattr(registry, "_precision", lambda precision, device: "bf16")  # as on a GPU
    assert shipped(precision="auto").precision == FULL


def test_a_cpu_that_only_imitates_bf16_is_told(monkeypatch):
    found = {"avx2": True, "avx512_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    with pytest.raises(UsageError, match="this CPU does not compute in bf16"):
        shipped(precision="bf16")
    assert shipped().precision == FULL
