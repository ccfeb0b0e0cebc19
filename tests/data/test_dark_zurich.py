"""Dark Zurich: unlabeled days and nights, labeled nights, archives side by side or unpacked into one folder."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.dark_zurich import open_root
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes, fakes_driving


@pytest.mark.parametrize("archives", [False, True])
def test_times_of_day_are_splits(tmp_path: Path, archives: bool) -> None:
    source = open_source(fakes_driving.fake_dark_zurich(tmp_path, archives=archives))
    assert source.base_splits == ("train", "val", "test", "val_ref", "test_ref")
    counts = {split: len(source.find(split)) for split in source.splits}
    assert counts == dict(zip(source.base_splits, (3, 3, 1, 3, 1), strict=True)) | {
        "train-day": 1,
        "train-twilight": 1,
        "train-night": 1,
    }
    assert source.find("val")[0].key == "night/GOPR0356/GOPR0356_frame_000000"
    assert source.find("val_ref")[0].key == "day/GOPR0356_ref/GOPR0356_frame_000000_ref"
    labeled = [split for split in source.splits if any(record.label for record in source.find(split))]
    assert labeled == ["val"]


def test_ids_are_those_of_training(tmp_path: Path) -> None:
    source = open_source(fakes_driving.fake_dark_zurich(tmp_path))
    assert source.stored == source.target == space("cityscapes-19")
    assert "Dark Zurich" in source.license
    seen = np.unique([source.read_label(record) for record in source.find("val")])
    assert seen.tolist() == [*range(19), 255]


def test_val_alone_is_enough(tmp_path: Path) -> None:
    fakes_driving.fake_dark_zurich(tmp_path, archives=True)
    source = open_source(tmp_path / "Dark_Zurich_val_anon")
    assert source.splits == ("val", "val_ref")
    assert len(source.find("val")) == 3


def test_labels_that_are_not_unpacked_are_missed(tmp_path: Path) -> None:
    fakes_driving.fake_dark_zurich(tmp_path)
    (tmp_path / "gt").rename(tmp_path / "elsewhere")
    with pytest.raises(
        DataError, match=r"3 of 3 images of split 'val' .*gt.val.night.*_gt_labelTrainIds.png"
    ):
        open_source(tmp_path).find("val")


def test_other_folders_are_not_the_data_set(tmp_path: Path) -> None:
    fakes.save(tmp_path / "rgb_anon/val/a_rgb_anon.png", fakes.picture("a"))
    assert open_root(tmp_path) is None
