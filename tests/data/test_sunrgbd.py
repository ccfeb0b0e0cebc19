"""SUN RGB-D: two layouts of the same pictures, and the list of val."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.sources import open_source
from roadseg.data.sunrgbd import EXPECTED, open_root
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes
from tests.fakes_general import fake_sunrgbd, write_list


@pytest.mark.parametrize("layout", ["archives", "rearranged"])
def test_both_layouts_hold_the_same(tmp_path: Path, layout: str) -> None:
    source = open_source(fake_sunrgbd(tmp_path, layout))
    assert source.name == "sunrgbd"
    assert set(source.splits) == set(EXPECTED)
    assert source.base_splits == ("train", "test")
    assert [record.key for record in source.find("train")] == [f"train/img-{i:06d}" for i in range(1, 5)]
    assert [record.key for record in source.find("test")] == [f"test/img-{i:06d}" for i in range(1, 4)]
    stored = np.unique([source.read_stored(record) for record in source.find("train+test")])
    assert stored.tolist() == list(range(38))


def test_labels_of_test_come_first_in_the_archive(tmp_path: Path) -> None:
    source = open_source(fake_sunrgbd(tmp_path))
    assert source.find("test")[0].label.name == "img-000001.png"
    assert source.find("train")[0].label.name == "img-005051.png"


def test_val_is_what_the_list_names(tmp_path: Path) -> None:
    source = open_source(fake_sunrgbd(tmp_path, "rearranged"))
    assert [record.key for record in source.find("val")] == ["test/img-000001", "test/img-000003"]
    assert source.notes == ()


def test_without_a_list_val_is_test_and_a_note_says_so(tmp_path: Path) -> None:
    source = open_source(fake_sunrgbd(tmp_path))
    assert source.find("val") == source.find("test")
    assert source.notes == ("val is all of test, because there is no split/val37.txt",)
    write_list(tmp_path / "split" / "val37.txt", ["image/test/img-000002.jpg"])
    again = open_source(tmp_path)
    assert [record.key for record in again.find("val")] == ["test/img-000002"]
    assert again.notes == ()


def test_a_list_of_something_else_is_named(tmp_path: Path) -> None:
    root = fake_sunrgbd(tmp_path, "rearranged")
    write_list(root / "split" / "val37.txt", ["image/test/img-000001.jpg", "../../etc/passwd"])
    with pytest.raises(DataError, match=r"val37.txt: has a line that names no picture img-NNNNNN.jpg; take"):
        open_source(root).find("val")


def test_labels_under_the_name_that_mseg_gives_them(tmp_path: Path) -> None:
    root = fake_sunrgbd(tmp_path, "rearranged")
    (root / "label37").rename(root / "label38")
    assert open_source(root).find("train")[0].label == root / "label38" / "train" / "00000001.png"


def test_0_is_ignored_and_37_is_the_last(tmp_path: Path) -> None:
    source = open_source(fake_sunrgbd(tmp_path))
    target = space("sunrgbd-37")
    assert source.target == target
    record = source.find("train")[0]
    fakes.save(record.label, fakes.stripes([0, 1, 37, 2]))
    names = [target.index(name) for name in ("wall", "bag", "floor")]
    assert source.read_label(record)[0, ::4].tolist() == [target.ignore, *names]


def test_foreign_files_are_left_out(tmp_path: Path) -> None:
    root = fake_sunrgbd(tmp_path)
    fakes.save(root / "SUNRGBD-train_images" / "preview.jpg", fakes.picture("preview"))
    assert len(open_source(root).find("train")) == 4


def test_training_pictures_alone(tmp_path: Path) -> None:
    root = fake_sunrgbd(tmp_path)
    (root / "SUNRGBD-test_images").rename(root / "elsewhere")
    source = open_source(root)
    assert source.splits == ("train",)
    assert source.notes == ()


def test_labels_of_13_classes_are_not_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "SUNRGBD-train_images").mkdir()
    (tmp_path / "train13labels").mkdir()
    assert open_root(tmp_path) is None
    (tmp_path / "label37").mkdir()
    (tmp_path / "SUNRGBD-train_images").rmdir()
    assert open_root(tmp_path) is None
