"""PASCAL VOC 2012: lists, palette pictures, the larger training set."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.source import label_kind
from roadseg.data.sources import open_source
from roadseg.data.voc import EXPECTED, open_root
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes
from tests.fakes_general import VOC_PALETTE, fake_voc, write_list

LISTS = Path("ImageSets", "Segmentation")


def keys(source, split: str) -> list[str]:
    return [record.key for record in source.find(split)]


def test_lists_deal_the_photos_to_splits(tmp_path: Path) -> None:
    source = open_source(fake_voc(tmp_path))
    assert source.name == "voc"
    assert source.splits == source.base_splits == ("train", "val", "test")
    assert keys(source, "train") == ["2007_000032", "2007_000039", "2008_000063", "2008_000068"]
    assert keys(source, "val") == ["2007_000033", "2007_000042"]
    assert [record.label for record in source.find("test")] == [None]


@pytest.mark.parametrize("folder", ["VOC2012", "VOCdevkit/VOC2012"])
def test_opens_from_the_folders_around(tmp_path: Path, folder: str) -> None:
    fake_voc(tmp_path / folder)
    root = (tmp_path / folder).parent
    source = open_source(root)
    assert source.root == root
    assert source.find("train")[0].image == tmp_path / folder / "JPEGImages" / "2007_000032.jpg"


def test_palette_indices_are_ids_and_outlines_are_ignored(tmp_path: Path) -> None:
    source = open_source(fake_voc(tmp_path))
    record = source.find("train")[0]
    fakes.save(record.label, fakes.stripes([0, 15, 255, 20]), VOC_PALETTE + [(0, 0, 0)] * 235)
    assert label_kind(record.label) == "palette"
    assert source.target == space("voc-21")
    assert source.read_label(record)[0, ::4].tolist() == [0, 15, 255, 20]
    assert (source.target.names[15], source.target.ignore) == ("person", 255)


def test_more_photos_to_train_on_leave_val_out(tmp_path: Path) -> None:
    source = open_source(fake_voc(tmp_path, augmented=True))
    assert source.splits == ("train", "val", "test", "trainaug")
    assert source.base_splits == ("train", "val", "test")
    assert set(source.base_splits) == set(EXPECTED)
    more = ["2008_000002", "2008_000003"]
    assert keys(source, "trainaug") == sorted([*keys(source, "train"), *more])
    assert {record.label.parent.name for record in source.find("trainaug")} == {"SegmentationClassAug"}
    assert source.find("train+val")[0].label.parent.name == "SegmentationClass"


def test_without_the_list_of_val_nothing_can_be_held_out(tmp_path: Path) -> None:
    root = fake_voc(tmp_path, augmented=True)
    (root / LISTS / "val.txt").unlink()
    assert open_source(root).splits == ("train", "test")


def test_a_list_that_names_a_missing_photo(tmp_path: Path) -> None:
    root = fake_voc(tmp_path)
    (root / "JPEGImages" / "2007_000033.jpg").unlink()
    with pytest.raises(
        DataError, match=r"val.txt: names 2 images of which 1 are missing, for example 2007_000033.jpg"
    ):
        open_source(root).find("val")


def test_a_list_may_not_lead_out_of_the_data_set(tmp_path: Path) -> None:
    root = fake_voc(tmp_path)
    write_list(root / LISTS / "val.txt", ["../../outside"])
    with pytest.raises(DataError, match=r"val.txt: names '../../outside', which is no plain name"):
        open_source(root).find("val")


def test_an_empty_list_is_an_empty_split(tmp_path: Path) -> None:
    root = fake_voc(tmp_path)
    write_list(root / LISTS / "val.txt", [])
    with pytest.raises(DataError, match=r"split 'val' has no images; voc looks for JPEGImages/"):
        open_source(root).find("val")


def test_boxes_alone_are_not_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "SegmentationClass").mkdir()
    assert open_root(tmp_path) is None
    (tmp_path / LISTS).mkdir(parents=True)
    assert open_root(tmp_path) is None


def test_labels_survive_as_written(tmp_path: Path) -> None:
    source = open_source(fake_voc(tmp_path))
    seen = np.unique([source.read_label(record) for record in source.find("train+val")])
    assert seen.tolist() == [*range(21), 255]
