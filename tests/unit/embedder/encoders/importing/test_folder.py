"""Encoder folders take the place of older ones: whole, one at a time, and nothing of others."""

import threading

import pytest

from core.errors import UsageError
from embedder.encoders.importing.folder import WEIGHTS_FILE, link_files, new_folder, write_tensors
from embedder.encoders.spec import FileRef

LEFT = ".site." + "0" * 32


def fill(folder, text="new"):
    with new_folder(folder) as partial:
        (partial / "encoder.json").write_text(text)


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    fill(tmp_path / "disk" / "site", "old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "site")
    fill(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "site" / "encoder.json").read_text() == "new"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["site"]


def test_the_folder_that_one_is_in(tmp_path, monkeypatch):
    fill(tmp_path / "site", "old")
    monkeypatch.chdir(tmp_path / "site")
    fill(type(tmp_path)("."))
    assert (tmp_path / "site" / "encoder.json").read_text() == "new"


def test_files_of_others_are_never_replaced(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "best_model_epoch_11.pt").write_text("mine")
    with pytest.raises(UsageError, match=r"would be lost: best_model_epoch_11\.pt$"):
        fill(tmp_path / "site")
    assert (tmp_path / "site" / "best_model_epoch_11.pt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_what_a_killed_import_left_is_cleared(tmp_path):
    (tmp_path / f"{LEFT}.partial").mkdir()
    (tmp_path / f"{LEFT}.replaced").mkdir()
    other = tmp_path / f".site.b{LEFT[5:]}.partial"
    other.mkdir()
    (tmp_path / "site").mkdir()
    fill(tmp_path / "site")
    assert {path.name for path in tmp_path.iterdir()} == {"site", other.name}


def test_an_encoder_that_a_killed_import_had_put_aside_comes_back(tmp_path):
    (tmp_path / f"{LEFT}.replaced").mkdir()
    (tmp_path / f"{LEFT}.replaced" / "encoder.json").write_text("old")
    with pytest.raises(RuntimeError, match="fails"), new_folder(tmp_path / "site"):
        raise RuntimeError("this one fails")
    assert (tmp_path / "site" / "encoder.json").read_text() == "old"


def test_a_second_import_waits_for_the_first(tmp_path):
    second = threading.Thread(target=fill, args=(tmp_path / "site", "second"))
    with new_folder(tmp_path / "site") as partial:
        (partial / "encoder.json").write_text("first")
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert [path.name for path in tmp_path.iterdir()] == [partial.name]
    second.join(10)
    assert (tmp_path / "site" / "encoder.json").read_text() == "second"


def test_a_shared_file_is_not_written_into(tmp_path):
    (tmp_path / "site").mkdir()
    old = tmp_path / "site" / WEIGHTS_FILE
    old.write_text("old")
    with new_folder(tmp_path / "other") as partial:
        link_files([FileRef(file=WEIGHTS_FILE, sha256="0" * 64)], tmp_path / "site", partial)
        write_tensors(partial, WEIGHTS_FILE, {})
    assert old.read_text() == "old"
