"""From inputs to image files and keys."""

import io
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadseg.errors import InputError
from roadseg.media.find import FoundImage, find_images


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def keys(found: list[FoundImage]) -> list[str]:
    return [image.key for image in found]


def refused(inputs: object, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        find_images(inputs)
    assert caught.value.remedy
    for word in words:
        assert word in str(caught.value)


def test_one_file(tmp_path):
    touch(tmp_path, "a/street.one.jpg")
    path = tmp_path / "a/street.one.jpg"
    assert find_images([path]) == [FoundImage(path, "street.one")]
    assert find_images(str(path)) == find_images(path) == find_images([path])


def test_a_file_without_a_suffix_is_left_to_the_reader(tmp_path):
    touch(tmp_path, "frame")
    assert keys(find_images([tmp_path / "frame"])) == ["frame"]


def test_folders_are_searched_in_natural_order(tmp_path):
    touch(tmp_path, "b/10.png", "b/2.PNG", "a/1.jpg", "x.JPeG", "b/1/z.tif", "notes.md", "list.txt")
    found = find_images([tmp_path])
    assert keys(found) == ["a/1", "b/1/z", "b/2", "b/10", "x"]
    assert all(image.path.is_file() for image in found)


def test_hidden_names_are_left_out_below_the_folder_only(tmp_path):
    root = tmp_path / ".cache"
    touch(root, "a.png", "._a.png", ".git/b.png", "__MACOSX/c.png", "d/.e/f.png", ".png")
    assert keys(find_images([root])) == ["a"]


def test_same_names_in_two_subfolders_keep_apart(tmp_path):
    touch(tmp_path, "a/1.jpg", "b/1.jpg")
    assert keys(find_images([tmp_path])) == ["a/1", "b/1"]


@pytest.mark.parametrize("given", ["folder", "files"])
def test_same_stem_with_two_suffixes(tmp_path, given):
    touch(tmp_path, "x.jpg", "x.png", "y.png")
    inputs = [tmp_path] if given == "folder" else [tmp_path / "x.jpg", tmp_path / "x.png", tmp_path / "y.png"]
    assert keys(find_images(inputs)) == ["x_jpg", "x_png", "y"]


def test_a_file_without_a_suffix_keeps_its_name(tmp_path):
    touch(tmp_path, "x", "x.jpg")
    assert keys(find_images([tmp_path / "x", tmp_path / "x.jpg"])) == ["x", "x_jpg"]


def test_same_name_of_single_files_takes_the_folder(tmp_path):
    touch(tmp_path, "day/1.jpg", "night/1.jpg", "day/2.jpg")
    inputs = [tmp_path / "day/1.jpg", tmp_path / "night/1.jpg", tmp_path / "day/2.jpg"]
    assert keys(find_images(inputs)) == ["day/1", "night/1", "2"]


def test_same_tree_in_two_folders(tmp_path):
    touch(tmp_path, "day/left/1.jpg", "night/left/1.jpg")
    assert keys(find_images([tmp_path / "day", tmp_path / "night"])) == ["day/left/1", "night/left/1"]


def test_a_lengthened_key_may_clash_again(tmp_path):
    touch(tmp_path, "x.jpg", "x.png", "x_jpg.png")
    found = keys(find_images([tmp_path]))
    assert len(set(found)) == 3


def test_folder_and_suffix_clash_at_once(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/1.png", "b/1.jpg")
    inputs = [tmp_path / "a/1.jpg", tmp_path / "a/1.png", tmp_path / "b/1.jpg"]
    assert keys(find_images(inputs)) == ["a/1_jpg", "a/1_png", "b/1"]


def test_case_alone_does_not_keep_results_apart(tmp_path):
    touch(tmp_path, "x.jpg", "X.jpg")
    found = keys(find_images([tmp_path]))
    assert len(found) == len(list(tmp_path.iterdir()))
    assert len({key.casefold() for key in found}) == len(found)


def test_a_file_named_twice_is_found_once(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.jpg")
    monkeypatch.chdir(tmp_path)
    assert keys(find_images(["a", "a/1.jpg", tmp_path / "a" / ".." / "a" / "1.jpg"])) == ["1"]


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_linked_folders_are_entered_once(tmp_path):
    touch(tmp_path, "data/1.jpg", "root/own.jpg")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "back").symlink_to(tmp_path / "root")
    assert keys(find_images([tmp_path / "root"])) == ["linked/1", "own"]


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_circles_of_links_are_not_walked_on_and_on(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    visited: list[str] = []
    real = os.scandir

    def count(path: str = ".") -> object:
        visited.append(str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", count)
    assert keys(find_images([tmp_path])) == ["a/1"]
    assert len(visited) <= 3  # the folder, a, and the link back, which ends there


def test_patterns(tmp_path, monkeypatch):
    touch(
        tmp_path,
        "a/left_2.png",
        "a/left_10.png",
        "a/right.png",
        "b/left_1.png",
        "b/left_1.txt",
        "b/deep/left_3.png",
    )
    assert keys(find_images([str(tmp_path / "*" / "left_*")])) == ["a/left_2", "a/left_10", "b/left_1"]
    assert "b/deep/left_3" in keys(find_images([str(tmp_path / "**" / "*.png")]))
    assert keys(find_images([str(tmp_path / "[b]*")])) == [
        "b/deep/left_3",
        "b/left_1",
    ]  # a folder is searched
    monkeypatch.chdir(tmp_path)
    assert keys(find_images(["b/*.png"])) == ["left_1"]


def test_a_real_name_with_brackets_is_no_pattern(tmp_path):
    touch(tmp_path, "take[1].png", "dir[2]/x.png")
    assert keys(find_images([str(tmp_path / "take[1].png")])) == ["take[1]"]
    assert keys(find_images([str(tmp_path / "dir[2]")])) == ["x"]


def test_list_files(tmp_path, monkeypatch):
    touch(tmp_path, "set/val/city/1.png", "set/val/town/1.png", "set/a b.png", "cwd/here.jpg", "out/side.png")
    listing = tmp_path / "set" / "val.txt"
    outside = tmp_path / "out" / "side.png"
    lines = [
        "\ufeff# a comment",
        "",
        "val/city/1.png",
        "  val/town/1.png  ",
        "a b.png",
        "here.jpg",
        str(outside),
    ]
    listing.write_text("\r\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "cwd")
    assert keys(find_images([listing])) == ["val/city/1", "val/town/1", "a b", "here", "side"]


def test_list_files_may_name_folders_and_patterns(tmp_path):
    touch(tmp_path, "a/1.png", "b/2.png", "b/3.jpg")
    (tmp_path / "list.txt").write_text("a\nb/*.jpg\n")
    assert keys(find_images([tmp_path / "list.txt"])) == ["1", "3"]


def test_list_files_that_do_not_work(tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_text("# nothing\n\n")
    refused([listing], "list.txt", "lists no images")
    listing.write_text("# first\ngone.png\n")
    refused([listing], "list.txt, line 2", "gone.png", "does not exist")
    listing.write_bytes(b"\xff\xfe\x00")
    refused([listing], "list.txt", "UTF-8")


def test_nothing_found(tmp_path):
    touch(tmp_path, "notes.md")
    refused([], "no images")
    refused([tmp_path], str(tmp_path), "holds no images", ".jpg", ".png")
    refused([tmp_path / "gone"], "gone", "does not exist")
    refused([str(tmp_path / "*.png")], "*.png", "matches no images", ".jpg")
    refused([tmp_path / "notes.md"], "notes.md", ".md", ".jpg")
    refused(["https://example.org/x.jpg"], "https://example.org/x.jpg", "download")


@pytest.mark.filterwarnings("ignore")
def test_folders_that_cannot_be_searched(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png")
    real = os.scandir

    def deny(path: str = ".") -> object:
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", deny)
    refused([tmp_path], "a: cannot be searched", "permissions")


NAMES = st.sampled_from(["a", "A", "b", "a_jpg", "a_1"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(
        st.tuples(st.lists(NAMES, max_size=2), NAMES, st.sampled_from([".jpg", ".JPG", ".png"])),
        min_size=1,
        max_size=8,
    ),
    singly=st.booleans(),
)
def test_keys_always_differ(tmp_path_factory, files, singly):
    root = tmp_path_factory.mktemp("tree")
    paths = [
        root.joinpath("dir", *(f"{folder}_dir" for folder in folders), stem + suffix)
        for folders, stem, suffix in files
    ]
    for path in paths:
        touch(root, str(path.relative_to(root)))
    found = find_images(paths if singly else [root])
    assert len(found) == len({os.path.normcase(path) for path in paths})
    assert len({key.casefold() for key in keys(found)}) == len(found)
    for key in keys(found):
        assert not key.startswith("/")
        assert ".." not in key.split("/")


def test_accents_in_two_encodings_are_one_name_to_some_file_systems(tmp_path):
    touch(tmp_path, "\u00e9.png", "e\u0301.png", "E\u0301.jpg")
    found = keys(find_images(tmp_path))
    assert len(found) == 3
    assert len({unicodedata.normalize("NFC", key).casefold() for key in found}) == 3


def test_standard_input(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png", "a/2 3.png", "b.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("a/1.png\n\n# no\na/2 3.png\r\n"))
    assert keys(find_images("-")) == ["a/1", "a/2 3"]
    monkeypatch.setattr("sys.stdin", io.StringIO("./b.jpg\0./a/2 3.png\0"))
    assert keys(find_images(["-", "a/1.png"])) == ["b", "a/2 3", "1"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff.png\n"), encoding="utf-8"))
    refused("-", "standard input", "UTF-8")
