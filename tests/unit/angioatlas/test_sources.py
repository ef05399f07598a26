"""Whether a file is known to be gone."""

from pathlib import Path

import pytest

from angioatlas.sources import is_gone
from core.uris import uri_of


def test_a_file_is_gone_only_when_it_is_known_to_be(tmp_path, monkeypatch):
    file = tmp_path / "there"
    file.touch()
    assert not is_gone(uri_of(file))
    assert is_gone(uri_of(tmp_path / "never" / "there"))

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)  # root reads everything, whatever the mode
    assert not is_gone(uri_of(file))


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "there/below"])
def test_what_no_file_can_be_called_is_gone(tmp_path, name):
    (tmp_path / "there").touch()
    assert is_gone(f"{uri_of(tmp_path)}/{name}".replace("\0", "%00"))
