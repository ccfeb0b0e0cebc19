"""IDD: told from Cityscapes, painted labels of two kinds, polygons that were not painted."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.idd import open_root
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes, fakes_driving


def test_frames_are_found_by_drive(tmp_path: Path) -> None:
    source = open_source(fakes_driving.fake_idd(tmp_path))
    assert source.name == "idd"
    assert {split: len(source.find(split)) for split in source.splits} == {"train": 4, "val": 2, "test": 1}
    assert [record.key for record in source.find("train")] == [
        "0/000000",
        "0/000001",
        "201/000000",
        "201/000001",
    ]
    assert [record.label for record in source.find("test")] == [None]


def test_all_classes_are_read_and_unlabeled_is_ignored(tmp_path: Path) -> None:
    source = open_source(fakes_driving.fake_idd(tmp_path, ("level3", "ids")))
    assert (source.stored, source.target) == (space("idd"), space("idd-39"))
    record = source.find("train")[0]
    fakes.save(record.label, fakes.stripes([0, 34, 35, 36, 39]))
    names = [*source.target.names, "ignored"]
    read = source.read_label(record)[0, ::3]
    assert [names[min(number, len(names) - 1)] for number in dict.fromkeys(read.tolist())] == [
        "road",
        "fallback background",
        "ignored",
        "ego vehicle",
        "license plate",
    ]


def test_level_3_is_read_where_there_is_nothing_else(tmp_path: Path) -> None:
    source = open_source(fakes_driving.fake_idd(tmp_path, ("level3",), suffix=".jpg"))
    assert source.stored == source.target == space("idd-26")
    seen = np.unique([source.read_label(record) for record in source.find("train+val")])
    assert seen.tolist() == [*range(26), 255]


def test_polygons_are_to_be_painted_first(tmp_path: Path) -> None:
    fakes_driving.fake_idd(tmp_path, ())
    with pytest.raises(
        DataError, match=r"gtFine: its labels are polygons; paint them .*--id-type id$"
    ) as caught:
        open_source(tmp_path)
    assert f"--datadir {tmp_path}" in str(caught.value)


def test_a_missing_label_is_named(tmp_path: Path) -> None:
    fakes_driving.fake_idd(tmp_path)
    (tmp_path / "gtFine/val/119/000001_gtFine_labelids.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images of split 'val' .*000001_leftImg8bit.png"):
        open_source(tmp_path).find("val")


def test_cityscapes_is_another_data_set(tmp_path: Path) -> None:
    fakes.fake_cityscapes(tmp_path)
    assert open_root(tmp_path) is None
    assert open_source(tmp_path).name == "cityscapes"
