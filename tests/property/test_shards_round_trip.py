"""Embedded studies survive a shard bit for bit; a shard that was touched is refused."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.errors import StoreError
from core.outcomes import Code, InputRefused
from core.schema import EMBEDDING_DIM, Cine, View
from embedder.cluster.shard_format import decode, encode
from embedder.cluster.shards import Shards
from embedder.encoders.spec import Findings, VideoVectors
from embedder.work import EmbeddedStudy
from store.incoming import store_url

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBER = st.floats(allow_nan=False)
SMALL = st.integers(0, 2**31)
CINES = st.builds(
    Cine,
    **dict.fromkeys(("sop_uid", "study_uid", "series_uid", "patient_id"), TEXT),
    patient_known=st.booleans(),
    patient_sex=st.none() | TEXT,
    patient_age_years=st.none() | NUMBER,
    study_date=st.none() | st.dates(),
    series_time=st.none() | TEXT,
    acquisition_datetime=st.none() | st.datetimes(),
    instance_number=st.none() | st.integers(-(2**62), 2**62),
    view=st.sampled_from(View),
    primary_angle_deg=st.none() | NUMBER,
    secondary_angle_deg=st.none() | NUMBER,
    frame_time_ms=st.none() | NUMBER,
    **dict.fromkeys(("n_frames", "rows", "columns"), SMALL),
    **dict.fromkeys(("transfer_syntax_uid", "source_uri"), TEXT),
)
REFUSED = st.tuples(CINES, st.builds(InputRefused, st.sampled_from(Code), TEXT.filter(bool)))


def floats(*shape):
    # Any bits at all: NaN with a payload, subnormal numbers, both zeros.
    return arrays(np.uint32, shape).map(lambda bits: bits.view(np.float32))


@st.composite
def parts(draw):
    cines = tuple(draw(st.lists(CINES, max_size=3)))
    heads = bool(cines) and draw(st.booleans())
    return {
        "study_uid": draw(TEXT),
        "cines": cines,
        "sha256": tuple(draw(TEXT) for _ in cines),
        "pooled": draw(floats(len(cines), EMBEDDING_DIM)),
        "embeddings": draw(floats(len(cines), EMBEDDING_DIM)),
        "summaries": draw(floats(len(cines), 2, 3)) if heads else None,
        "embedding": draw(floats(EMBEDDING_DIM)) if cines else None,
        "raw": draw(st.dictionaries(TEXT, NUMBER, max_size=3)) if heads else None,
        "heads": draw(floats(5)) if heads else None,
        "refused": tuple(draw(st.lists(REFUSED, max_size=2))),
    }


def studies_of(drawn):
    """Make studies of parts; not in a strategy, since the checks of the classes roll dice."""
    return [
        EmbeddedStudy(
            study_uid=each["study_uid"],
            cines=each["cines"],
            sha256=each["sha256"],
            videos=VideoVectors(each["pooled"], each["embeddings"], each["summaries"]),
            embedding=each["embedding"],
            findings=None if each["raw"] is None else Findings(each["raw"], each["heads"]),
            refused=each["refused"],
        )
        for each in drawn
    ]


def bits(value):
    """Return plain values that are equal only if all bits of `value` are."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, InputRefused):
        return (value.reason, value.message)
    if is_dataclass(value):
        return [bits(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, tuple | list):
        return [bits(each) for each in value]
    return value


@given(st.lists(parts(), max_size=3))
def test_studies_come_back_bit_for_bit(drawn):
    studies = studies_of(drawn)
    data = encode(studies)
    assert bits(decode(data)) == bits(studies)
    assert encode(decode(data)) == data


@given(st.data())
def test_a_shard_that_was_cut_short_or_touched_is_refused(data):
    whole = encode(studies_of(data.draw(st.lists(parts(), max_size=2))))
    at = data.draw(st.integers(0, len(whole) - 1))
    touched = bytearray(whole)
    touched[at] ^= data.draw(st.integers(1, 255))
    for wrong in (whole[:at], bytes(touched), whole + whole[at:]):
        with pytest.raises(ValueError, match="not those of its digest"):
            decode(wrong)


def test_a_damaged_or_lost_shard_says_what_to_do(tmp_path):
    shards = Shards(store_url(tmp_path), "run-1")
    shards.begin()
    shards.write("000001", [])
    file = tmp_path / "incoming" / "run-1" / "000001.arrow"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match="shard 000001 of this run is damaged") as caught:
        shards.read("000001")
    assert "resumes" in caught.value.hint
    shards.write("000001", [])  # a second try, over the first
    assert shards.read("000001") == []
    shards.delete("000001")
    with pytest.raises(StoreError, match=r"shard 000001 .* cannot be read"):
        shards.read("000001")
    shards.end()
    assert list(tmp_path.iterdir()) == []
