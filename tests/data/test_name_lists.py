"""Lists of names: what is read, and what is refused."""

from pathlib import Path

import pytest

from roadseg.data import name_lists
from roadseg.data.name_lists import list_named, read_lines, read_names
from roadseg.errors import DataError
from tests import fakes
from tests.fakes_general import write_list


def test_lines_without_white_space_and_empty_ones(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbfa  1\r\n\r\n  b.c\n")
    assert read_lines(file) == ["a  1", "b.c"]
    assert read_names(file) == ["a", "b.c"]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "a\\b", ".hidden", "..", "C:x"])
def test_a_path_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"list.txt: names .*, which is no plain name; list names without"):
        read_names(write_list(tmp_path / "list.txt", ["good", name]))


def test_what_is_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"list.txt: cannot be read \(No such file"):
        read_lines(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"list.txt: cannot be read \(it is no text\)"):
        read_lines(tmp_path / "list.txt")
    monkeypatch.setattr(name_lists, "MAX_BYTES", 2**20)
    (tmp_path / "list.txt").write_bytes(b"a\n" * 2**20)
    with pytest.raises(DataError, match=r"list.txt: is larger than 1 MiB"):
        read_lines(tmp_path / "list.txt")


def test_a_missing_image_is_named_with_its_place(tmp_path: Path) -> None:
    file = write_list(tmp_path / "list.txt", ["a", "b"])
    fakes.save(tmp_path / "a.jpg", fakes.picture("a"))
    with pytest.raises(DataError, match=r"names 2 images of which 1 are missing, for example b.jpg; unpack"):
        list_named(file, tmp_path, None)
    fakes.save(tmp_path / "b.jpg", fakes.picture("b"))
    records = list_named(file, tmp_path, tmp_path / "labels")
    assert [(record.key, record.label) for record in records] == [
        ("a", tmp_path / "labels" / "a.png"),
        ("b", tmp_path / "labels" / "b.png"),
    ]
