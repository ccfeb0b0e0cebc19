"""BDD100K: both releases, where they may lie, training ids."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.bdd100k import open_root
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes, fakes_driving


@pytest.mark.parametrize("folder", [".", "bdd100k"])
@pytest.mark.parametrize(
    ("release", "place"),
    [
        ("new", "labels/sem_seg/masks/val/val0-0a1b.png"),
        ("old", "seg/labels/val/val0-0a1b_train_id.png"),
    ],
)
def test_both_releases_hold_the_same(tmp_path: Path, release: str, folder: str, place: str) -> None:
    source = open_source(fakes_driving.fake_bdd100k(tmp_path, release, folder=folder))
    assert source.splits == ("train", "val", "test")
    assert {split: len(source.find(split)) for split in source.splits} == {"train": 5, "val": 2, "test": 1}
    record = source.find("val")[0]
    assert record.key == "val0-0a1b"
    assert record.label == tmp_path / folder / place
    assert source.find("test")[0].label is None


def test_ids_are_those_of_training_and_255_is_ignored(tmp_path: Path) -> None:
    source = open_source(fakes_driving.fake_bdd100k(tmp_path))
    assert source.target == source.stored == space("bdd-19")
    assert "not-for-profit" in source.license
    seen = np.unique([source.read_label(record) for record in source.find("train")])
    assert seen.tolist() == [*range(19), 255]


def test_images_without_labels_are_told_where_the_labels_belong(tmp_path: Path) -> None:
    fakes.save(tmp_path / "images/10k/train/a.jpg", fakes.picture("a"))
    with pytest.raises(DataError, match=r"1 of 1 images .* belongs at .*sem_seg.masks.train.a\.png"):
        open_source(tmp_path).find("train")


def test_images_of_the_other_tasks_are_not_the_data_set(tmp_path: Path) -> None:
    fakes.save(tmp_path / "images/100k/train/a.jpg", fakes.picture("a"))
    assert open_root(tmp_path) is None
