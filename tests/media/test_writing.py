"""Atomic writing."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from roadseg.errors import OutputError
from roadseg.media.images import write_image, write_mask
from roadseg.media.writing import atomic_path, write_bytes, write_json, write_text

ALL_WRITERS = [
    pytest.param(lambda path: write_text(path, "new"), id="text"),
    pytest.param(lambda path: write_json(path, {"a": 1}), id="json"),
    pytest.param(lambda path: write_image(path, np.zeros((2, 2, 3), np.uint8)), id="image"),
    pytest.param(lambda path: write_mask(path, np.zeros((2, 2), np.uint8)), id="mask"),
]


@pytest.fixture
def old(tmp_path) -> Path:
    """A file that is there already."""
    path = tmp_path / "result.png"
    path.write_text("old")
    return path


def failing(number: int):
    def fail(self: Path, *_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    return fail


def write_half(path: Path, end: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise end


@pytest.mark.parametrize("write", ALL_WRITERS)
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, ["the disk is full", "free some space"]),
        (errno.EDQUOT, ["quota"]),
        (errno.EROFS, ["read-only", "another disk"]),
        (errno.EACCES, ["permission denied"]),
        (errno.EPERM, ["permission denied"]),
        (errno.EIO, ["Input/output error", "try again"]),
    ],
)
def test_failures_leave_the_old_file_and_nothing_else(old, monkeypatch, write, number, words):
    monkeypatch.setattr(Path, "write_bytes", failing(number))
    with pytest.raises(OutputError) as caught:
        write(old)
    sentence = str(caught.value)
    assert str(old) in sentence
    assert caught.value.remedy
    for word in words:
        assert word in sentence
    assert [path.name for path in old.parent.iterdir()] == [old.name]
    assert old.read_text() == "old"


def test_a_failing_rename_removes_the_temporary_file(old, monkeypatch):
    monkeypatch.setattr(Path, "replace", failing(errno.ENOSPC))
    with pytest.raises(OutputError, match="disk is full"):
        write_text(old, "new")
    assert list(old.parent.iterdir()) == [old]
    assert old.read_text() == "old"


def test_a_full_disk_in_the_middle_of_a_file(old):
    with pytest.raises(OutputError, match="disk is full"):
        write_half(old, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert list(old.parent.iterdir()) == [old]
    assert old.read_text() == "old"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, ValueError])
def test_interruptions_pass_through_and_clean_up(old, interruption):
    with pytest.raises(interruption):
        write_half(old, interruption())
    assert list(old.parent.iterdir()) == [old]
    assert old.read_text() == "old"


def test_errors_about_other_files_are_not_ours(old, tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(old):
        (tmp_path / "elsewhere" / "input.png").read_bytes()
    assert old.read_text() == "old"


def test_a_writer_that_writes_nothing(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), atomic_path(tmp_path / "x.txt"):
        pass


def test_readers_see_the_old_file_until_the_end(old):
    with atomic_path(old) as temporary:
        assert temporary.parent == old.parent
        assert temporary.suffix == old.suffix
        assert temporary.name.startswith(".")
        temporary.write_text("new")
        assert old.read_text() == "old"
    assert old.read_text() == "new"
    assert list(old.parent.iterdir()) == [old]


def test_parent_folders_are_created(tmp_path):
    path = tmp_path / "a" / "b" / "x.txt"
    write_text(path, "text")
    assert path.read_text() == "text"


@pytest.mark.skipif(os.name != "posix", reason="needs Unix permissions")
def test_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "x.txt", "text")
    assert (tmp_path / "x.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "x.txt").mkdir()
    with pytest.raises(OutputError, match=r"x\.txt.*folder of that name"):
        write_text(tmp_path / "x.txt", "text")


@pytest.mark.parametrize("inside", ["x.txt", "deeper/x.txt"])
def test_a_file_where_a_folder_should_be(tmp_path, inside):
    (tmp_path / "results").touch()
    with pytest.raises(OutputError, match=r"a part of its path is a file"):
        write_text(tmp_path / "results" / inside, "text")


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs devices")
def test_devices_are_not_replaced():
    with pytest.raises(OutputError, match="not a regular file"):
        write_text("/dev/null", "text")
    assert not Path("/dev/null").is_file()


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(OutputError, match="too long"):
        write_bytes(tmp_path / ("x" * 300), b"")


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "x.txt", "Straße\n道路\n")
    assert (tmp_path / "x.txt").read_bytes() == "Straße\n道路\n".encode()


def test_json_takes_what_results_hold(tmp_path):
    path = tmp_path / "x.json"
    data = {
        "name": "Straße",
        "iou": np.float32(0.5),
        "absent": float("nan"),
        "array": np.array([1.0, np.inf]),
        np.int64(3): (np.int64(1), np.bool_(True), None),
        "path": Path("a/b"),
    }
    write_json(path, data)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "name": "Straße",
        "iou": 0.5,
        "absent": None,
        "array": [1.0, None],
        "3": [1, True, None],
        "path": str(Path("a/b")),
    }
    assert "Straße" in path.read_text(encoding="utf-8")
    assert path.read_text().endswith("}\n")


def test_json_takes_names_of_files_that_are_no_utf8(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"Straße": "stra\udcdfe.jpg"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"Straße": "stra\udcdfe.jpg"}


def test_json_refuses_what_it_cannot_express(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []
