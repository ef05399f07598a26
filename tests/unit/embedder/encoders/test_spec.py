import json

import pytest
from pydantic import ValidationError

from core.segments import HEADS
from embedder.encoders.deepcoro_spec import DeepCoroSpec, HeadsSpec, TextSpec
from embedder.encoders.registry import explain
from embedder.encoders.spec import FileRef
from tests.support.golden import golden_spec

OTHER = FileRef(file="other", sha256="1" * 64)
CHANGES = {
    "format_version": 2,
    "name": "other",
    "architecture": "another",
    "dim": 256,
    "frames": 32,
    "size": 112,
    "mean": 110.5,
    "std": 37.8,
    "profile": "original",
    "token_pooling": "attention",
    "heads": 8,
    "depth": 2,
    "study_rule": "mean",
    "padding": "unmasked",
    "padded_videos": 10,
    "weights": OTHER,
    "source": OTHER,
    "clip_rounding": "float16",
}
HEADS_SPEC = HeadsSpec(
    weights=OTHER,
    video=OTHER,
    source=OTHER,
    mean=122.0,
    std=28.0,
    pooling="attention+cls_token",
    hidden=256,
    attention_heads=8,
    separate=True,
    norm="post_norm",
    names=HEADS,
)
HEADS_CHANGES = {
    "weights": FileRef(file="third", sha256="2" * 64),
    "video": FileRef(file="third", sha256="2" * 64),
    "source": FileRef(file="third", sha256="2" * 64),
    "mean": 110.0,
    "std": 37.0,
    "pooling": "mean",
    "hidden": 128,
    "attention_heads": 4,
    "separate": False,
    "norm": "pre_norm",
    "mode": "exact",
    "padded_videos": 10,
    "names": HEADS[:1],
}
TEXT_SPEC = TextSpec(weights=OTHER, source=OTHER)
PARTS = ("findings", "text")


def test_json_round_trip_keeps_the_id():
    spec = golden_spec(padding="unmasked", padded_videos=10)
    again = DeepCoroSpec.model_validate_json(spec.to_json())
    assert again == spec
    assert again.encoder_id == spec.encoder_id


def test_the_id_does_not_depend_on_the_layout_of_the_file():
    spec = golden_spec()
    shuffled = json.dumps(dict(reversed(list(json.loads(spec.to_json()).items()))))
    assert DeepCoroSpec.model_validate_json(shuffled).encoder_id == spec.encoder_id


def test_the_id_is_pinned():
    """A change here would orphan the vectors of every store: it needs a new format version."""
    assert golden_spec().encoder_id == "golden-b46bd82daf5a"


@pytest.mark.parametrize("field", [f for f in DeepCoroSpec.model_fields if f not in PARTS])
def test_every_field_takes_part_in_the_id(field):
    spec = golden_spec()
    changed = spec.model_copy(update={field: CHANGES[field]})
    assert changed.encoder_id != spec.encoder_id


def test_parts_that_come_later_leave_the_id_of_the_vectors():
    spec = golden_spec()
    whole = golden_spec(findings=HEADS_SPEC, text=TEXT_SPEC)
    assert whole.encoder_id == spec.encoder_id
    assert (spec.heads_id, spec.text_id) == (None, None)
    assert whole.heads_id is not None
    assert whole.heads_id.startswith("heads-")
    again = DeepCoroSpec.model_validate_json(whole.to_json())
    assert (again, again.heads_id, again.text_id) == (whole, whole.heads_id, whole.text_id)


@pytest.mark.parametrize("field", sorted(HeadsSpec.model_fields.keys() - {"source"}))
def test_every_field_takes_part_in_the_id_of_the_heads(field):
    changed = HEADS_SPEC.model_copy(update={field: HEADS_CHANGES[field]})
    ids = {golden_spec(findings=HEADS_SPEC).heads_id}
    ids.add(golden_spec().model_copy(update={"findings": changed}).heads_id)
    assert len(ids) == 2


def renamed(part, *files):
    """The same content in files of other names."""
    changes = {each: FileRef(file="renamed", sha256=getattr(part, each).sha256) for each in files}
    return part.model_copy(update=changes | {"source": OTHER})


def test_the_ids_of_parts_do_not_depend_on_the_names_of_files():
    text = TEXT_SPEC.model_copy(update={"vocabulary": OTHER})
    first = golden_spec(findings=HEADS_SPEC, text=text)
    again = golden_spec(
        findings=renamed(HEADS_SPEC, "weights", "video"), text=renamed(text, "weights")
    )
    assert again.findings != first.findings
    assert (again.heads_id, again.text_id) == (first.heads_id, first.text_id)


def test_the_heads_see_what_the_profile_makes():
    ids = {golden_spec(findings=HEADS_SPEC, profile=p).heads_id for p in ("display", "original")}
    assert len(ids) == 2


def test_a_vocabulary_takes_part_in_the_id_of_the_text():
    with_words = TEXT_SPEC.model_copy(update={"vocabulary": OTHER})
    ids = {golden_spec(text=text).text_id for text in (TEXT_SPEC, with_words)}
    assert len(ids) == 2
    assert not golden_spec(text=TEXT_SPEC).can_read_text
    assert golden_spec(text=with_words).can_read_text


def test_a_file_that_two_parts_use_is_named_once():
    third = FileRef(file="third", sha256="2" * 64)
    shared = HEADS_SPEC.model_copy(update={"weights": third})
    spec = golden_spec(weights=OTHER, findings=shared)
    assert spec.files == (OTHER, third)


@pytest.mark.parametrize("part", ["weights", "source"])
@pytest.mark.parametrize("field", FileRef.model_fields)
def test_every_field_of_a_file_takes_part_in_the_id(part, field):
    spec = golden_spec()
    inner = getattr(spec, part).model_copy(update={field: "x"})
    assert spec.model_copy(update={part: inner}).encoder_id != spec.encoder_id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Golden"}, "name: String should match"),
        ({"name": "-golden"}, "name: String should match"),
        ({"name": "a" * 42}, "name: String should match"),
        ({"name": "../golden"}, "name: String should match"),
        ({"name": "golden\n"}, "name: String should match"),
        ({"heads": 6}, "heads must divide 512, found 6"),
        ({"heads": 0}, "heads: Input should be greater"),
        ({"heads": "16"}, "heads: Input should be a valid integer"),
        ({"depth": -1}, "depth: Input should be greater"),
        ({"depth": 0}, "without an aggregator .* there is study_rule 'mean', no text"),
        ({"depth": 0, "study_rule": "mean", "text": TEXT_SPEC}, "study_rule 'mean', no text"),
        ({"mean": float("nan")}, "mean: Input should be"),
        ({"mean": 256.0}, "mean: Input should be less"),
        ({"std": 0.0}, "std: Input should be greater than 0"),
        ({"std": float("inf")}, "std: Input should be less"),
        ({"profile": "raw"}, "profile: Input should be 'display' or 'original'"),
        ({"study_rule": "max"}, "study_rule: Input should be 'aggregator' or 'mean'"),
        ({"token_pooling": "max"}, "token_pooling: Input should be"),
        ({"size": 112}, "size 224; found 512, 16, 112"),
        ({"dim": 256}, "dim 512, .*found 256"),
        ({"format_version": 2}, "format_version: Input should be 1"),
        ({"padding": "unmasked"}, "padded_videos goes with padding 'unmasked'"),
        ({"padded_videos": 10}, "padded_videos goes with padding 'unmasked'"),
        ({"padding": "unmasked", "padded_videos": 4, "study_rule": "mean"}, "needs study_rule"),
        ({"weights": {"file": "../x", "sha256": "0" * 64}}, "weights.file: String should match"),
        ({"weights": {"file": "x", "sha256": "0"}}, "weights.sha256: String should match"),
        ({"colour": "blue"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_specification_that_cannot_be_says_why(changes, message):
    with pytest.raises(ValidationError) as caught:
        golden_spec(**changes)
    with pytest.raises(ValueError, match=message):
        raise ValueError(explain(caught.value))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_heads": 6}, "attention_heads must divide 512, found 6"),
        ({"mode": "exact"}, "padded_videos goes with mode 'exact'"),
        ({"padded_videos": 10}, "padded_videos goes with mode 'exact'"),
        ({"names": ()}, "expected heads that are known"),
        ({"names": ("prox_lad_stenosis",) * 2}, "each once"),
        ({"names": ("prox_lad_colour",)}, "found .*prox_lad_colour"),
        ({"std": 0.0}, "std: Input should be greater than 0"),
    ],
)
def test_heads_that_cannot_be(changes, message):
    facts = {name: getattr(HEADS_SPEC, name) for name in HeadsSpec.model_fields}
    with pytest.raises(ValidationError) as caught:
        HeadsSpec(**{**facts, **changes})
    with pytest.raises(ValueError, match=message):
        raise ValueError(explain(caught.value))


def test_a_specification_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        golden_spec().__setattr__("heads", 8)
