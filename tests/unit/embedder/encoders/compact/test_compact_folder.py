"""A `phantom-mini` on disk: what is written is what is loaded, and ids that pin it."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from core.errors import EncoderError, NotFoundError, UsageError
from core.segments import HEADS
from embedder.encoders import registry
from embedder.encoders.compact.encoder import CompactEncoder
from embedder.encoders.compact.folder import write_compact
from embedder.encoders.compact.inputs import to_input
from embedder.encoders.compact.reader import CompactReader
from embedder.encoders.compact.spec import CompactSpec
from embedder.encoders.deepcoro_spec import DeepCoroSpec
from embedder.encoders.importing.checkpoint import add_to_encoder, import_encoder
from embedder.encoders.importing.options import ImportOptions
from embedder.encoders.registry import (
    find_encoder,
    is_bundled,
    list_encoders,
    load_encoder,
    load_text_encoder,
    read_spec,
)
from embedder.encoders.spec import Coverage, Encoder, FileRef, TextEmbedder, VideoVectors
from embedder.encoders.verify import verify_encoder
from embedder.sampling import ClipRule
from tests.support.compact import untrained_models, write_untrained
from tests.support.fluoroscopy import fluoroscopy
from tests.support.golden import golden_spec

OTHER = FileRef(file="other", sha256="1" * 64)
CHANGES = {
    "format_version": 2,
    "name": "other",
    "architecture": "another",
    "dim": 256,
    "frames": 32,
    "size": 112,
    "profile": "original",
    "study_rule": "mean",
    "window_ms": 3000.0,
    "weights": OTHER,
}
PARTS = ("heads", "text", "lexicon", "training")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders") / "phantom-mini"
    write_untrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(folder, device="cpu")


def clips(*sizes):
    return [fluoroscopy(vessels=30, side=side, seed=side) for side in sizes]


def plain_spec(**changes):
    nothing = FileRef(file="none", sha256="0" * 64)
    files = dict.fromkeys(("weights", "heads", "text", "lexicon"), nothing)
    return CompactSpec(**{"name": "phantom-mini", "training": {}, **files, **changes})


def test_the_folder_is_small_and_whole(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "encoder.json", "self_check.json", "weights.safetensors", "heads.safetensors",
        "text.safetensors", "lexicon.txt", "trained_on.txt", "README.md",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in folder.iterdir()) < 9_500_000


def test_json_round_trip_keeps_the_ids(folder):
    spec = read_spec(folder)
    assert isinstance(spec, CompactSpec)
    again = CompactSpec.model_validate_json(spec.to_json())
    assert (again, again.encoder_id) == (spec, spec.encoder_id)
    assert {len(spec.files), len(set(spec.files))} == {4}


def test_the_ids_are_pinned():
    """A change here would orphan the vectors of every store: it needs a new format version."""
    spec = plain_spec()
    assert spec.encoder_id == "phantom-mini-1e2f4df2b924"
    assert (spec.heads_id, spec.text_id) == ("heads-a1f07cfc48f1", "text-8641562926af")


@pytest.mark.parametrize("field", [f for f in CompactSpec.model_fields if f not in PARTS])
def test_every_field_takes_part_in_the_id_of_the_vectors(field):
    spec = plain_spec()
    assert spec.model_copy(update={field: CHANGES[field]}).encoder_id != spec.encoder_id


@pytest.mark.parametrize(
    ("field", "moved"),
    [
        ("weights", {"encoder_id", "heads_id"}),
        ("window_ms", {"encoder_id", "heads_id"}),
        ("heads", {"heads_id"}),
        ("text", {"text_id"}),
        ("lexicon", {"text_id"}),
        ("training", set()),
    ],
)
def test_each_id_depends_on_its_own_part(field, moved):
    value = {"window_ms": 3000.0, "training": {"seed": 2}}.get(field, OTHER)
    one, other = plain_spec(), plain_spec(**{field: value})
    ids = ("encoder_id", "heads_id", "text_id")
    assert {name for name in ids if getattr(one, name) != getattr(other, name)} == moved


@pytest.mark.parametrize(
    "changes",
    [{"dim": 256}, {"size": 224}, {"profile": "original"}, {"window_ms": 0.0}, {"mean": 1.0}],
)
def test_a_specification_that_cannot_be(changes):
    with pytest.raises(ValidationError, match=next(iter(changes))):
        plain_spec(**changes)


def test_it_says_what_it_is(folder):
    spec = read_spec(folder)
    assert spec.clip_rule == ClipRule("display", 4000.0)
    assert (spec.is_joint, spec.can_read_text, spec.head_names) == (True, True, HEADS)
    assert "no clinical meaning" in str(spec.notice)


def test_what_is_loaded_is_what_was_trained(encoder):
    """Up to float16, against the models as training leaves them."""
    (clip,) = clips(256)
    models = untrained_models()
    with torch.inference_mode():
        found = models.video.eval()(to_input(clip)[None])
        joint = models.aggregator.eval()(found.pooled[:, None], torch.ones(1, 1, dtype=torch.bool))
        raw = models.heads.eval()(found.tokens[:, None, :18], torch.ones(1, 1, dtype=torch.bool))
    videos = encoder.encode_videos([clip])
    cosine = float(videos.embedding[0] @ F.normalize(joint, dim=1)[0].numpy())
    assert cosine > 0.9999
    np.testing.assert_allclose(videos.pooled, found.pooled.numpy(), atol=5e-3)
    expected = raw[0].flatten().tolist()
    findings = encoder.encode_findings(videos)
    assert list(findings.raw) == list(HEADS)
    np.testing.assert_allclose(list(findings.raw.values()), expected, rtol=0.02, atol=0.5)


def test_it_is_an_encoder_and_a_reader(folder, encoder):
    reader = load_text_encoder(folder, device="cpu")
    assert isinstance(encoder, CompactEncoder)
    assert isinstance(encoder, Encoder)
    assert isinstance(reader, CompactReader)
    assert isinstance(reader, TextEmbedder)
    assert reader.encoder_id == encoder.encoder_id == read_spec(folder).encoder_id
    vectors = reader.encode(["proximal LAD occlusion", "stent"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[1:], reader.encode(["stent"]))
    assert reader.encode([]).shape == (0, 512)
    assert reader.coverage("pizza with stents") == Coverage(("stents",), ("pizza",))


def test_vectors_of_videos_and_studies(encoder):
    videos = encoder.encode_videos(clips(128, 300, 96, 256))
    assert videos.pooled.shape == videos.embedding.shape == (4, 512)
    assert videos.summaries.shape == (4, 18, 64)
    np.testing.assert_allclose(np.linalg.norm(videos.embedding, axis=1), 1, atol=1e-5)
    study = encoder.encode_study(videos)
    assert np.linalg.norm(study) == pytest.approx(1, abs=1e-5)
    backwards = type(videos)(*(rows[::-1].copy() for rows in (videos.pooled, videos.embedding)))
    np.testing.assert_allclose(encoder.encode_study(backwards), study, atol=1e-5)
    alone = encoder.encode_study(type(videos)(videos.pooled[:1], videos.embedding[:1]))
    np.testing.assert_allclose(alone, videos.embedding[0], atol=1e-5)


def rows_of(videos):
    return videos.pooled, videos.embedding, videos.summaries


def test_rows_do_not_depend_on_their_neighbours_by_a_single_bit(encoder):
    several = clips(128, 256, 300) * 3
    together = encoder.encode_videos(several)
    assert len(several) > 2 * encoder.batch_size
    backwards = encoder.encode_videos(several[::-1])
    for rows, again in zip(rows_of(together), rows_of(backwards), strict=True):
        np.testing.assert_array_equal(rows, again[::-1])
    for i in (0, 5, 8):
        alone = encoder.encode_videos(several[i : i + 1])
        for rows, again in zip(rows_of(together), rows_of(alone), strict=True):
            np.testing.assert_array_equal(rows[i], again[0])


def test_no_clips_are_no_rows(encoder):
    assert encoder.encode_videos([]).summaries.shape == (0, 18, 64)


@pytest.mark.parametrize(
    "clip",
    [
        np.zeros((15, 64, 64), np.uint8),
        np.zeros((16, 64, 64, 3), np.uint8),
        np.zeros((16, 0, 64), np.uint8),
    ],
)
def test_a_clip_of_another_kind_is_refused(encoder, clip):
    with pytest.raises(UsageError, match="expected uint8 of"):
        encoder.encode_videos([clip])


def test_nothing_comes_of_no_videos(encoder):
    nothing = encoder.encode_videos([])
    with pytest.raises(UsageError, match="has no vector"):
        encoder.encode_study(nothing)
    with pytest.raises(UsageError, match="has no findings"):
        encoder.encode_findings(nothing)


def test_a_folder_of_untouched_files_is_good(folder):
    found = verify_encoder(folder, device="cpu")
    assert found.is_good
    assert {each.name for each in found.numbers} == {
        "pooled", "embedding", "study", "percentages", "logits", "text",
    }  # fmt: skip


@pytest.mark.parametrize("file", ["weights.safetensors", "heads.safetensors", "lexicon.txt"])
def test_a_changed_file_is_refused(folder, tmp_path, file):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = bytearray((tmp_path / file).read_bytes())
    content[-2] ^= 1
    (tmp_path / file).write_bytes(content)
    load = load_text_encoder if file == "lexicon.txt" else load_encoder
    with pytest.raises(EncoderError, match=f"{file} of the encoder phantom-mini has changed"):
        load(tmp_path)
    assert not verify_encoder(tmp_path).is_good


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    models = untrained_models()
    with torch.no_grad():
        models.video.project.weight[3, 3] = 1e9
    with pytest.raises(EncoderError, match="not finite as float16"):
        write_compact(tmp_path / "e", models, lexicon=["lad"], training={})
    assert list(tmp_path.iterdir()) == []


def test_writing_again_keeps_the_model_card(tmp_path):
    first = write_untrained(tmp_path / "e")
    second = write_compact(
        tmp_path / "e", untrained_models(seed=5), lexicon=["LAD", "lad"], training={}
    )
    assert second.encoder_id != first.encoder_id
    assert (tmp_path / "e" / "README.md").read_text() == "# untrained\n"
    assert (tmp_path / "e" / "lexicon.txt").read_text() == "lad\n"


def test_another_folder_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        write_untrained(tmp_path)


@pytest.fixture
def bundled(tmp_path, monkeypatch, folder):
    """Have the package bring this encoder."""
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / "phantom-mini").symlink_to(folder)
    monkeypatch.setattr(registry, "BUNDLED", tmp_path / "bundled")
    return folder


def test_what_is_bundled_is_found_after_ones_own(bundled, tmp_path):
    own = tmp_path / "encoders"
    (own / "zebra").mkdir(parents=True)
    (own / "zebra" / "encoder.json").write_text(golden_spec(name="zebra").to_json())
    assert [spec.name for spec in list_encoders(own)] == ["zebra", "phantom-mini"]
    spec = read_spec(bundled)
    for way in ("phantom-mini", spec.encoder_id):
        assert find_encoder(way, own).resolve() == bundled
    assert isinstance(read_spec(find_encoder("zebra", own)), DeepCoroSpec)
    with pytest.raises(NotFoundError, match="no encoder 'c'") as caught:
        find_encoder("c", own)
    assert caught.value.hint == "known: zebra, phantom-mini"


def test_nothing_is_bundled_without_its_specification(tmp_path, monkeypatch):
    (tmp_path / "bundled" / "phantom-mini").mkdir(parents=True)
    monkeypatch.setattr(registry, "BUNDLED", tmp_path / "bundled")
    assert list_encoders(tmp_path / "encoders") == []
    assert is_bundled("phantom-mini")
    with pytest.raises(NotFoundError, match="weights of phantom-mini are not in this") as caught:
        find_encoder("phantom-mini", tmp_path / "encoders")
    assert "make phantom-encoder" in caught.value.hint


def test_the_package_keeps_its_name(tmp_path):
    options = ImportOptions(mean=1.0, std=1.0)
    with pytest.raises(UsageError, match="comes with the package"):
        import_encoder(["x.pt"], out=tmp_path, name="phantom-mini", options=options)


def test_nothing_can_be_added_to_it(folder):
    before = json.loads((folder / "encoder.json").read_text())
    with pytest.raises(UsageError, match="its parts were trained together"):
        add_to_encoder(folder, ["heads.pt"], options=ImportOptions())
    assert json.loads((folder / "encoder.json").read_text()) == before


def test_several_studies_at_once_are_what_each_is_alone(encoder):
    rng = np.random.default_rng(0)
    studies = [
        VideoVectors(pooled, pooled)
        for pooled in (rng.standard_normal((n, 512)).astype(np.float32) for n in (3, 1, 5, 2))
    ]
    found = encoder.encode_studies(studies)
    alone = np.stack([encoder.encode_study(each) for each in studies])
    np.testing.assert_allclose(found, alone, atol=2e-6)
    assert encoder.encode_studies([]).shape == (0, 512)
    nothing = VideoVectors(np.empty((0, 512), np.float32), np.empty((0, 512), np.float32))
    with pytest.raises(UsageError, match="without videos has no vector"):
        encoder.encode_studies([studies[0], nothing])
