"""KITTI semantics 2015: frames, folds, ids."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.kitti import FOLDS, open_root
from roadseg.data.sources import open_source
from roadseg.labels import space
from tests import fakes


def numbers(source, split: str) -> list[int]:
    return [int(record.key.removesuffix("_10")) for record in source.find(split)]


def test_labeled_frames_alone_are_listed(tmp_path: Path) -> None:
    source = open_source(fakes.fake_kitti(tmp_path))
    folds = tuple(f"{part}-cv{fold}" for fold in range(3) for part in ("train", "val"))
    assert source.splits == ("train", "val", "test", *folds)
    assert source.base_splits == ("train", "val", "test")
    assert sorted(numbers(source, "train+val")) == list(range(14))
    assert [record.label for record in source.find("test")] == [None, None]


def test_train_and_val_are_those_of_fold_0(tmp_path: Path) -> None:
    source = open_source(fakes.fake_kitti(tmp_path))
    assert numbers(source, "val") == [1, 5, 11]
    assert source.find("val-cv0") == source.find("val")
    assert source.find("train-cv0") == source.find("train")


@pytest.mark.parametrize(("fold", "held_out"), [(1, [0, 12]), (2, [3, 6, 13])])
def test_the_other_folds_hold_out_others(tmp_path: Path, fold: int, held_out: list[int]) -> None:
    source = open_source(fakes.fake_kitti(tmp_path))
    assert numbers(source, f"val-cv{fold}") == held_out
    assert numbers(source, f"train-cv{fold}") == [n for n in range(14) if n not in held_out]


def test_folds_hold_out_21_of_the_200_frames_each() -> None:
    assert [len(fold) for fold in FOLDS] == [21, 21, 21]
    assert all(fold <= set(range(200)) for fold in FOLDS)


def test_ids_of_cityscapes_become_its_training_ids(tmp_path: Path) -> None:
    source = open_source(fakes.fake_kitti(tmp_path))
    assert source.stored == space("kitti")
    assert source.target == space("cityscapes-19")
    road, car = source.stored.index("road"), source.stored.index("car")
    record = source.find("train")[0]
    fakes.save(record.label, fakes.stripes([0, source.stored.ids[road], source.stored.ids[car], 4]))
    assert np.unique(source.read_label(record)).tolist() == [0, 13, 255]


def test_without_test_frames_there_is_no_such_split(tmp_path: Path) -> None:
    (fakes.fake_kitti(tmp_path) / "testing").rename(tmp_path / "elsewhere")
    assert "test" not in open_source(tmp_path).splits


def test_foreign_files_are_left_out(tmp_path: Path) -> None:
    root = fakes.fake_kitti(tmp_path)
    fakes.save(root / "training" / "image_2" / "depth_10.png", fakes.picture("depth"))
    assert len(open_source(root).find("train+val")) == 14


def test_other_archives_of_kitti_are_not_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "training" / "image_2").mkdir(parents=True)
    assert open_root(tmp_path) is None
