"""data.yaml folders: paths, pairing, and what is said about damaged files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from roadseg.data.records import Record
from roadseg.data.source import Source
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from tests import fakes

NAMES = list(fakes.NAMES)


def change(file: Path, **changes: Any) -> Path:
    """Change keys of a data.yaml; None removes one."""
    content = yaml.safe_load(file.read_text(encoding="utf-8")) | changes
    return fakes.write_yaml(file, {key: value for key, value in content.items() if value is not None})


def pair(image: Path, mask: Path) -> None:
    fakes.save(image, fakes.picture(str(image)))
    fakes.save(mask, fakes.stripes([0, 1, 2]))


def labels(records: list[Record], root: Path) -> list[str]:
    return [record.label.relative_to(root).as_posix() for record in records if record.label]


def opened(root: Path, **content: Any) -> Source:
    return open_source(fakes.write_yaml(root / "data.yaml", {"names": NAMES, **content}))


def test_file_and_folder_open_alike(tmp_path: Path) -> None:
    file = fakes.fake_yaml(tmp_path)
    assert open_source(file).find("train") == open_source(tmp_path).find("train")
    source = open_source(f"yaml:{file}")
    assert source.splits == ("train", "val")
    assert source.target.names == fakes.NAMES
    assert [item.key for item in source.find("val")] == ["val/val_0", "val/val_1"]


@pytest.mark.parametrize("name", ["data.yml", "dataset.yaml", "streets.yaml"])
def test_other_names_of_the_file(name: str, tmp_path: Path) -> None:
    fakes.fake_yaml(tmp_path).rename(tmp_path / name)
    (tmp_path / "ci.yml").write_text("jobs: []", encoding="utf-8")
    (tmp_path / "broken.yml").write_text("a: [", encoding="utf-8")
    assert open_source(tmp_path).root.name == name


def test_several_files_are_ambiguous(tmp_path: Path) -> None:
    file = fakes.fake_yaml(tmp_path)
    (tmp_path / "night.yaml").write_bytes(file.read_bytes())
    file.rename(tmp_path / "day.yaml")
    with pytest.raises(
        DataError, match=r"holds several data set files: day.yaml, night.yaml; give the path of one"
    ):
        open_source(tmp_path)


def test_path_is_relative_to_the_file(tmp_path: Path) -> None:
    file = change(fakes.fake_yaml(tmp_path / "data"), path="../data")
    (tmp_path / "configs").mkdir()
    moved = file.rename(tmp_path / "configs" / "streets.yaml")
    source = open_source(moved)
    assert len(source.find("train")) == 3
    assert source.target.name == "streets"


def test_absolute_path(tmp_path: Path) -> None:
    file = change(fakes.fake_yaml(tmp_path / "data"), path=str(tmp_path / "data"))
    moved = file.rename(tmp_path / "streets.yaml")
    assert len(open_source(moved).find("val")) == 2


def test_images_are_found_deeply_and_masks_mirror_them(tmp_path: Path) -> None:
    pair(tmp_path / "images/train/ulm/1.jpg", tmp_path / "masks/train/ulm/1.png")
    pair(tmp_path / "images/train/2.png", tmp_path / "masks/train/2.tif")
    records = opened(tmp_path, train="images/train").find("train")
    assert [item.key for item in records] == ["train/2", "train/ulm/1"]
    assert labels(records, tmp_path) == ["masks/train/2.tif", "masks/train/ulm/1.png"]


def test_png_mask_comes_first(tmp_path: Path) -> None:
    pair(tmp_path / "images/1.jpg", tmp_path / "masks/1.png")
    fakes.save(tmp_path / "masks/1.bmp", fakes.stripes([0]))
    assert labels(opened(tmp_path, train="images").find("train"), tmp_path) == ["masks/1.png"]


def test_split_folder_above_images(tmp_path: Path) -> None:
    pair(tmp_path / "train/images/1.png", tmp_path / "train/masks/1.png")
    records = opened(tmp_path, train="train/images").find("train")
    assert labels(records, tmp_path) == ["train/masks/1.png"]
    assert records[0].key == "train/1"


def test_the_last_folder_called_images_counts(tmp_path: Path) -> None:
    root = tmp_path / "images"
    pair(root / "images/images/1.png", root / "images/masks/1.png")
    assert labels(opened(root, train="images/images").find("train"), root) == ["images/masks/1.png"]


def test_images_above_the_root(tmp_path: Path) -> None:
    pair(tmp_path / "images/train/1.png", tmp_path / "masks/train/1.png")
    file = fakes.write_yaml(tmp_path / "images/data.yaml", {"names": NAMES, "train": "train"})
    records = open_source(file).find("train")
    assert labels(records, tmp_path) == ["masks/train/1.png"]
    assert records[0].key == "train/1"


def test_without_a_folder_called_images_masks_mirror_the_tree(tmp_path: Path) -> None:
    pair(tmp_path / "photos/1.png", tmp_path / "truth/photos/1.png")
    records = opened(tmp_path, train="photos", masks_dir="truth").find("train")
    assert labels(records, tmp_path) == ["truth/photos/1.png"]


def test_masks_dir(tmp_path: Path) -> None:
    pair(tmp_path / "images/train/1.png", tmp_path / "labels/ids/train/1.png")
    records = opened(tmp_path, train="images/train", masks_dir="labels/ids").find("train")
    assert labels(records, tmp_path) == ["labels/ids/train/1.png"]


def test_images_outside_of_the_root(tmp_path: Path) -> None:
    pair(tmp_path / "disk/images/a/1.png", tmp_path / "disk/masks/a/1.png")
    pair(tmp_path / "plain/b/2.png", tmp_path / "plain/masks/b/2.png")
    (tmp_path / "set").mkdir()
    source = opened(tmp_path / "set", train=[str(tmp_path / "disk/images"), str(tmp_path / "plain/b")])
    assert [item.key for item in source.find("train")] == ["a/1", "b/2"]
    assert labels(source.find("train"), tmp_path) == ["disk/masks/a/1.png", "plain/masks/b/2.png"]


def test_list_of_folders(tmp_path: Path) -> None:
    fakes.fake_yaml(tmp_path)
    source = opened(tmp_path, train=["images/val", "images/train"])
    assert [item.key for item in source.find("train")][:3] == ["val/val_0", "val/val_1", "train/train_0"]


def test_text_list_keeps_its_order(tmp_path: Path) -> None:
    fakes.fake_yaml(tmp_path)
    lists = tmp_path / "lists"
    lists.mkdir()
    first, second = "./../images/val/val_1.png", "images/train/train_2.png"
    third = str(tmp_path / "images/val/val_0.png")
    (lists / "train.txt").write_text(f"{first}\n\n{second}\n{third}\n", encoding="utf-8")
    records = opened(tmp_path, train="lists/train.txt").find("train")
    assert [item.key for item in records] == ["val/val_1", "train/train_2", "val/val_0"]
    assert all(item.label and item.label.is_file() for item in records)


def test_text_list_with_a_missing_image(tmp_path: Path) -> None:
    fakes.fake_yaml(tmp_path)
    (tmp_path / "train.txt").write_text("images/train/train_0.png\nimages/gone.png\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train.txt: line 2 names images/gone.png, which does not exist"):
        opened(tmp_path, train="train.txt")


def test_text_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(DataError, match=r"train.txt: cannot be read as a list of images"):
        opened(tmp_path, train="train.txt")


def test_test_split_may_have_no_masks(tmp_path: Path) -> None:
    fakes.fake_yaml(tmp_path)
    fakes.save(tmp_path / "images/test/1.png", fakes.picture("1"))
    fakes.save(tmp_path / "images/test/2.png", fakes.picture("2"))
    source = opened(tmp_path, train="images/train", test="images/test")
    assert [item.label for item in source.find("test")] == [None, None]
    fakes.save(tmp_path / "masks/test/1.png", fakes.stripes([0]))
    with pytest.raises(
        DataError, match=r"1 of 2 images of split 'test' have no label file, for example 2.png"
    ):
        source.find("test")


def test_license_is_passed_on(tmp_path: Path) -> None:
    file = fakes.fake_yaml(tmp_path)
    assert open_source(file).license == "as its owner says"
    assert open_source(change(file, license="CC BY 4.0")).license == "CC BY 4.0"


def test_foreign_keys_are_left_alone(tmp_path: Path) -> None:
    file = change(fakes.fake_yaml(tmp_path), nc=3, download="https://example.org/a.zip", channels=3, test="")
    assert open_source(file).splits == ("train", "val")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it needs names, train and val"),
        ("- a\n- b\n", "holds a list, not keys and values"),
        ("names: [a]\ntrain: {x: [1, 2\n", r"is not valid YAML in line 3"),
        ("names: [a]\n\ttrain: x\n", r"is not valid YAML in line 2"),
        ("day: 2024-13-45\n", "is not valid YAML: ValueError"),
        ("names: !!python/object:os.system x\n", "is not valid YAML in line 1"),
    ],
)
def test_damaged_file(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"data.yaml: {message}"):
        open_source(file)


def test_file_of_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_bytes(b"names: [\xff]")
    with pytest.raises(DataError, match=r"data.yaml: is not a text in UTF-8; save it as UTF-8"):
        open_source(tmp_path)


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    file = fakes.fake_yaml(tmp_path)
    file.write_text(file.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert open_source(file).splits == ("train", "val")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"path": "elsewhere"},
            r"path: elsewhere leads to .*elsewhere, which does not exist; path is relative to",
        ),
        ({"path": 3}, r"path is 3; give a folder"),
        ({"train": "images/trian"}, r"train names .*trian, which does not exist; correct train or path"),
        ({"train": "data.yaml"}, r"train names .*, which is neither a folder nor a .txt file"),
        ({"train": {"a": 1}}, r"train is \{'a': 1\}; give a folder, a list of folders, or a .txt file"),
        ({"train": None, "val": None}, r"names no split; add train: images/train"),
        ({"masks_dir": 5}, r"masks_dir is 5; give the name of a folder"),
        ({"mask_dir": "truth"}, r"has an unknown key 'mask_dir'; did you mean masks_dir\?"),
        ({"label_map": {1: 2}}, r"has an unknown key 'label_map'; did you mean label_mapping\?"),
    ],
)
def test_values_that_do_not_fit(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = change(fakes.fake_yaml(tmp_path), **changes)
    with pytest.raises(DataError, match=rf"data.yaml: {message}"):
        open_source(file)
