"""ACDC: conditions one by one and joined, both kinds of ids, references."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.acdc import CONDITIONS, open_root
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes, fakes_driving


@pytest.mark.parametrize("archives", [False, True])
def test_conditions_are_splits_of_their_own_and_join(tmp_path: Path, archives: bool) -> None:
    source = open_source(fakes_driving.fake_acdc(tmp_path, archives=archives))
    assert source.base_splits == ("train", "val", "test", "train_ref", "val_ref", "test_ref")
    assert len(source.splits) == len(source.base_splits) * 5
    assert {split: len(source.find(split)) for split in source.base_splits} == {
        "train": 8,
        "val": 4,
        "test": 4,
        "train_ref": 8,
        "val_ref": 4,
        "test_ref": 4,
    }
    joined = [record for condition in CONDITIONS for record in source.find(f"train-{condition}")]
    assert joined == source.find("train")
    assert [record.key for record in source.find("val-night")] == ["night/GOPR01/GOPR01_frame_000000"]
    assert all(record.label is None for record in source.find("test"))


def test_a_condition_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    fakes_driving.fake_acdc(tmp_path)
    (tmp_path / "rgb_anon/fog").rename(tmp_path / "elsewhere")
    source = open_source(tmp_path)
    assert "val-fog" not in source.splits
    assert len(source.find("val")) == 3


@pytest.mark.parametrize(
    ("kinds", "stored"),
    [
        (("labelTrainIds",), "cityscapes-19"),
        (("labelIds",), "cityscapes"),
        (("labelIds", "labelTrainIds"), "cityscapes-19"),
    ],
)
def test_both_kinds_of_ids_give_the_same_classes(tmp_path: Path, kinds: tuple[str, ...], stored: str) -> None:
    source = open_source(fakes_driving.fake_acdc(tmp_path, kinds))
    assert (source.stored, source.target) == (space(stored), space("cityscapes-19"))
    record = source.find("train-rain")[0]
    ids = {name: source.stored.classes[source.stored.index(name)].id for name in ("road", "car")}
    fakes.save(record.label, fakes.stripes([ids["road"], ids["car"], source.stored.ignore]))
    assert np.unique(source.read_label(record)).tolist() == [0, 13, 255]


@pytest.mark.parametrize("labeled", [False, True])
def test_references_have_labels_or_none(tmp_path: Path, labeled: bool) -> None:
    source = open_source(fakes_driving.fake_acdc(tmp_path, references=labeled))
    record = source.find("val_ref-snow")[0]
    assert record.image.name == "GOPR03_frame_000000_rgb_ref_anon.png"
    assert record.key == "snow/GOPR03/GOPR03_frame_000000"
    assert (record.label is not None) is labeled
    if record.label is not None:
        assert record.label.name == "GOPR03_frame_000000_gt_ref_labelTrainIds.png"


def test_references_join_their_frames_without_doubling_keys(tmp_path: Path) -> None:
    source = open_source(fakes_driving.fake_acdc(tmp_path, references=True))
    keys = [record.key for record in source.find("val+val_ref")]
    assert len(set(keys)) == len(keys) == 8


def test_labels_that_are_not_unpacked_are_missed(tmp_path: Path) -> None:
    fakes_driving.fake_acdc(tmp_path)
    (tmp_path / "gt").rename(tmp_path / "elsewhere")
    with pytest.raises(
        DataError, match=r"4 of 4 images of split 'val' .*gt.fog.val.GOPR00.*_gt_labelTrainIds.png"
    ):
        open_source(tmp_path).find("val")


def test_other_folders_are_not_the_data_set(tmp_path: Path) -> None:
    fakes_driving.fake_dark_zurich(tmp_path)
    assert open_root(tmp_path) is None
