"""Discovery: every file once, in a stable order; nothing opened, followed or hung on."""

import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from core.errors import NotFoundError
from core.outcomes import Code
from core.uris import path_of, uri_of
from embedder.dicom import dicomdir
from embedder.discover import discover
from tests.support.dicom import write_cine, write_dicomdir


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(offered, root):
    return [str(each.path.relative_to(root)) for each in offered]


def codes(offered):
    return {each.path.name: each.refusal.reason if each.refusal else None for each in offered}


def test_a_folder_is_walked_deep_and_in_order(tmp_path):
    for name in ("b/2", "b/1", "a/z/deep/er/f", "c", ".hidden/x", ".y", "B"):
        touch(tmp_path / name)
    expected = [".y", "B", "c", ".hidden/x", "a/z/deep/er/f", "b/1", "b/2"]
    assert names(discover([tmp_path]), tmp_path) == expected
    assert names(discover([tmp_path]), tmp_path) == expected


def test_size_and_time_are_those_of_the_file(tmp_path):
    file = touch(tmp_path / "f", b"12345")
    os.utime(file, ns=(1, 1_700_000_000_123_456_789))
    (offered,) = discover([file])
    assert (offered.size, offered.mtime_ns) == (5, 1_700_000_000_123_456_789)
    assert offered.refusal is None


def test_overlapping_paths_offer_a_file_once(tmp_path):
    touch(tmp_path / "a/1")
    touch(tmp_path / "a/2")
    (tmp_path / "same").symlink_to(tmp_path / "a")
    paths = [tmp_path / "a/2", tmp_path / "a", tmp_path, tmp_path / "a/1", tmp_path / "same"]
    assert names(discover(paths), tmp_path) == ["a/2", "a/1"]


def test_links(tmp_path):
    touch(tmp_path / "z/real")
    (tmp_path / "z/loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "z/real")
    (tmp_path / "outside").symlink_to(touch(tmp_path.parent / f"{tmp_path.name}-elsewhere"))
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    offered = list(discover([tmp_path]))
    # The link and its target are one file; the linked folder is not entered.
    assert names(offered, tmp_path) == ["broken", "circle", "link", "outside"]
    assert codes(offered) == {
        "broken": Code.UNREADABLE,
        "circle": Code.UNREADABLE,
        "link": None,
        "outside": None,
    }


def test_special_and_empty_files_are_refused_without_being_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    touch(tmp_path / "empty", b"")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "sock"))
    listening.close()
    offered = list(discover([tmp_path, Path("/dev/null")]))
    assert codes(offered) == {
        "empty": Code.EMPTY_FILE,
        "pipe": Code.SPECIAL_FILE,
        "sock": Code.SPECIAL_FILE,
        "null": Code.SPECIAL_FILE,
    }
    assert codes(discover([tmp_path / "pipe"])) == {"pipe": Code.SPECIAL_FILE}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_one_unreadable_input(tmp_path):
    touch(tmp_path / "shut/f")
    touch(tmp_path / "open")
    (tmp_path / "shut").chmod(0)
    try:
        assert codes(discover([tmp_path])) == {"open": None, "shut": Code.UNREADABLE}
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_a_folder_that_vanishes_is_one_unreadable_input(tmp_path):
    touch(tmp_path / "a")
    gone = touch(tmp_path / "gone/f")
    walk = discover([tmp_path])
    assert next(walk).path.name == "a"
    gone.unlink()
    gone.parent.rmdir()
    assert codes(walk) == {"gone": Code.UNREADABLE}


def test_a_path_that_does_not_exist_stops_before_the_first_input(tmp_path):
    touch(tmp_path / "f")
    with pytest.raises(NotFoundError, match=r"no such file or folder: .*nowhere"):
        discover([tmp_path / "f", tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["a b", "ü%20", "100%", "#?", "new\nline", "z̈", "\udcff\udc80raw"])
def test_any_file_name_survives_the_uri(tmp_path, name):
    file = touch(tmp_path / name)
    (offered,) = discover([tmp_path])
    assert offered.path == file
    assert offered.uri.isascii()
    assert offered.uri == uri_of(file)
    assert path_of(offered.uri) == file
    assert path_of(offered.uri).exists()


@pytest.mark.parametrize("uri", ["http://x/y", "file://host/y", "/plain", ""])
def test_only_uris_of_local_files_are_paths(uri):
    with pytest.raises(ValueError, match="not a URI of a local file"):
        path_of(uri)


def test_relative_paths_are_made_absolute(tmp_path, monkeypatch):
    touch(tmp_path / "sub/f")
    monkeypatch.chdir(tmp_path)
    (offered,) = discover([Path("sub")])
    assert offered.path == tmp_path / "sub/f"


def test_a_walk_is_a_stream(tmp_path):
    for i in range(50):
        touch(tmp_path / f"{i:02}/f")
    walk = discover([tmp_path])
    next(walk)
    touch(tmp_path / "49/later")
    assert "later" in [each.path.name for each in walk]


def test_deep_folders_are_no_limit(tmp_path):
    # Deeper than the recursion limit; made step by step since the path outgrows the system's.
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        assert list(discover([tmp_path])) == []
    finally:
        # Python's own removal recurses, and fails.
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


# DICOMDIR ---------------------------------------------------------------------------------------


def test_a_dicomdir_given_leads_to_its_files(tmp_path):
    write_cine(tmp_path / "DICOM/S1/IM1")
    write_cine(tmp_path / "dicom/s1/im2")
    touch(tmp_path / "DICOM/S1/NOTINIT")
    media = write_dicomdir(
        tmp_path / "DICOMDIR", ["DICOM\\S1\\IM1", "DICOM\\S1\\IM1", "DICOM\\S1\\GONE"]
    )
    offered = list(discover([media]))
    assert names(offered, tmp_path) == ["DICOM/S1/IM1", "DICOM/S1/GONE"]
    assert codes(offered) == {"IM1": None, "GONE": Code.UNREADABLE}


def test_a_dicomdir_is_known_by_its_class_and_matches_any_case(tmp_path):
    write_cine(tmp_path / "dicom/s1/im1")
    media = write_dicomdir(tmp_path / "index.bin", ["DICOM\\S1\\IM1"])
    assert names(discover([media]), tmp_path) == ["dicom/s1/im1"]


def test_a_dicomdir_met_in_a_folder_is_an_input_like_others(tmp_path):
    write_cine(tmp_path / "IM1")
    write_dicomdir(tmp_path / "DICOMDIR", ["IM1"])
    assert names(discover([tmp_path]), tmp_path) == ["DICOMDIR", "IM1"]


@pytest.mark.parametrize(
    "reference",
    ["..\\secret", "A\\..\\..\\secret", "/etc/passwd", "A\\/etc/passwd", "LINK\\secret"],
)
def test_a_dicomdir_never_leads_out_of_its_folder(tmp_path, reference):
    touch(tmp_path / "secret")
    (tmp_path / "media/A").mkdir(parents=True)
    (tmp_path / "media/LINK").symlink_to(tmp_path)
    media = write_dicomdir(tmp_path / "media/DICOMDIR", [reference])
    (offered,) = discover([media])
    assert offered.refusal is not None
    assert offered.refusal.reason is Code.UNREADABLE
    assert offered.path.is_relative_to(tmp_path / "media")


def test_a_broken_dicomdir_is_one_bad_input(tmp_path):
    media = write_dicomdir(tmp_path / "DICOMDIR", ["IM1"])
    content = media.read_bytes()
    media.write_bytes(content.replace(struct.pack("<HH", 0x0004, 0x1220), b"\xff\xff\xff\xff"))
    (offered,) = discover([media])
    assert codes([offered]) == {"DICOMDIR": Code.BAD_HEADER}


def test_a_dicomdir_that_is_impossibly_large(tmp_path, monkeypatch):
    monkeypatch.setattr(dicomdir, "MAX_BYTES", 100)
    media = write_dicomdir(tmp_path / "DICOMDIR", ["IM1"])
    assert codes(discover([media])) == {"DICOMDIR": Code.BAD_CLAIM}


def test_a_file_called_dicomdir_that_is_none_is_just_a_file(tmp_path):
    file = touch(tmp_path / "DICOMDIR", b"no DICOM at all")
    (offered,) = discover([file])
    assert (offered.path, offered.refusal) == (file, None)
