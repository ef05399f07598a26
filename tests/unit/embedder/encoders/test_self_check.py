import numpy as np
import pytest

from core.errors import EncoderError
from core.segments import HEADS
from embedder.encoders.self_check import TOLERANCE, SelfCheck, check_clip, self_check
from embedder.encoders.spec import Findings
from tests.support.tiny import TinyEncoder, TinyFinder


class Text:
    encoder_id = TinyEncoder.encoder_id
    text_id: str | None = "text-000000000000"

    def encode(self, texts):
        return np.eye(512, dtype=np.float32)[: len(texts)]

    def coverage(self, text):
        return None


def test_the_check_clip_never_changes():
    """Folders of years ago hold numbers of it."""
    clip = check_clip()
    assert clip.shape == (16, 96, 96)
    assert clip.dtype == np.uint8
    assert int(clip.sum(dtype=np.int64)) == 25382613


def test_there_are_numbers_of_every_part():
    assert list(self_check(TinyEncoder()).vectors) == ["pooled", "embedding", "study"]
    whole = self_check(TinyFinder(), Text())
    assert list(whole.vectors) == ["pooled", "embedding", "study", "percentages", "logits", "text"]
    assert (len(whole.vectors["percentages"]), len(whole.vectors["logits"])) == (18, 72)


def test_a_file_gives_back_the_numbers(tmp_path):
    found = self_check(TinyFinder())
    (tmp_path / "check.json").write_text(found.to_json())
    again = SelfCheck.read(tmp_path / "check.json")
    assert again == found
    assert {found.distance(again, name) for name in found.vectors} == {0.0}
    for text in ("", "[]", '{"vectors": {"pooled": ["x"]}}', '{"vectors": 3}'):
        (tmp_path / "check.json").write_text(text)
        assert SelfCheck.read(tmp_path / "check.json") is None
    assert SelfCheck.read(tmp_path / "absent.json") is None


def test_a_missing_or_longer_vector_is_infinitely_far():
    one, two = SelfCheck({"pooled": [1.0, 2.0]}), SelfCheck({"pooled": [1.0]})
    assert one.distance(two, "pooled") == one.distance(two, "text") == float("inf")


def test_logits_that_are_off_are_seen_beside_large_percentages():
    class Off(TinyFinder):
        def encode_findings(self, videos):
            found = super().encode_findings(videos)
            assert found is not None
            raw = {head: value + 1e-3 * (not head.endswith("_stenosis")) for head, value in
                   found.raw.items()}  # fmt: skip
            return Findings(raw, found.pooled)

    assert set(HEADS) >= {"pda_stenosis", "pda_cto"}
    good, off = self_check(TinyFinder()), self_check(Off())
    assert good.distance(off, "percentages") == 0
    assert good.distance(off, "logits") > TOLERANCE


def test_numbers_that_are_not_finite_are_refused():
    class Broken(TinyEncoder):
        def encode_study(self, videos):
            return np.full(512, np.nan, np.float32)

    with pytest.raises(EncoderError, match="gives study numbers that are not finite"):
        self_check(Broken())
