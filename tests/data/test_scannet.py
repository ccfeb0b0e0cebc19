"""ScanNet: scenes dealt by lists, 20 of 40 classes."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.scannet import open_root
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes
from tests.fakes_general import fake_scannet, write_list


@pytest.mark.parametrize("lists", ["", "Tasks/Benchmark"])
def test_lists_deal_the_scenes_to_splits(tmp_path: Path, lists: str) -> None:
    source = open_source(fake_scannet(tmp_path, lists=lists))
    assert source.name == "scannet"
    assert source.splits == ("train", "val", "test")
    assert [record.key for record in source.find("train")] == [
        f"{scene}/{frame:06d}" for scene in ("scene0000_01", "scene0191_00") for frame in (0, 100)
    ]
    record = source.find("val")[1]
    scene = tmp_path / "scannet_frames_25k" / "scene0568_00"
    assert record[:3] == (
        scene / "color" / "000100.jpg",
        scene / "label" / "000100.png",
        "scene0568_00/000100",
    )
    assert [record.label for record in source.find("test")] == [None, None]


def test_20_of_the_40_classes_are_trained(tmp_path: Path) -> None:
    source = open_source(fake_scannet(tmp_path))
    target = space("scannet-20")
    assert source.target == target
    record = source.find("train")[0]
    fakes.save(record.label, np.arange(41, dtype=np.uint8)[None].repeat(2, axis=0))
    found = source.read_label(record)[0]
    assert sorted(set(found.tolist())) == [*range(20), target.ignore]
    # The ids that the benchmark evaluates, see Tasks/Benchmark of the official repository.
    evaluated = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39]
    assert np.flatnonzero(found != target.ignore).tolist() == evaluated
    assert [target.names[i] for i in found[[1, 2, 39]]] == ["wall", "floor", "otherfurniture"]


def test_frames_without_lists_say_where_the_lists_are(tmp_path: Path) -> None:
    root = fake_scannet(tmp_path)
    for split in ("train", "val"):
        (root / f"scannetv2_{split}.txt").unlink()
    with pytest.raises(
        DataError, match=r"holds scannet_frames_25k, but no list of scenes; put scannetv2_train"
    ):
        open_root(root)


def test_one_list_alone(tmp_path: Path) -> None:
    root = fake_scannet(tmp_path)
    (root / "scannetv2_train.txt").unlink()
    assert open_source(root).splits == ("val", "test")


def test_a_listed_scene_that_is_missing_is_named(tmp_path: Path) -> None:
    root = fake_scannet(tmp_path)
    write_list(root / "scannetv2_val.txt", ["scene0568_00", "scene0999_00"])
    with pytest.raises(DataError, match=r"scene0999_00.color: cannot be listed"):
        open_source(root).find("val")


def test_a_list_may_not_lead_out_of_the_data_set(tmp_path: Path) -> None:
    root = fake_scannet(tmp_path)
    write_list(root / "scannetv2_val.txt", ["../outside"])
    with pytest.raises(DataError, match=r"scannetv2_val.txt: names '../outside', which is no plain name"):
        open_source(root).find("val")


def test_scans_alone_are_not_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "scans" / "scene0000_00").mkdir(parents=True)
    assert open_root(tmp_path) is None
