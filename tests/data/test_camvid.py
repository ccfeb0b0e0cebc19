"""CamVid in both layouts, and the splits of the original frames."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.camvid import open_root, split_of
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes

REAL_COUNTS = {"train": 367, "val": 101, "test": 233}


def test_ids_are_read_as_stored_and_void_is_ignored(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid(tmp_path))
    assert source.splits == ("train", "val", "test")
    assert source.target == space("camvid-11")
    assert source.label_map.is_identity
    assert np.array_equal(source.read_label(source.find("train")[0]), fakes.stripes(np.arange(12)))


def test_absent_splits_are_left_out(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid(tmp_path, splits={"train": 1}))
    assert source.splits == ("train",)
    with pytest.raises(
        DataError, match=r"has no split 'val'; it has train; camvid looks for .* val/ \+ valannot/"
    ):
        source.find("val")


def test_a_split_without_label_folder(tmp_path: Path) -> None:
    fakes.fake_camvid(tmp_path)
    (tmp_path / "valannot").rename(tmp_path / "vallabels")
    with pytest.raises(
        DataError, match=r"2 of 2 images of split 'val' have no label file.* belongs at .*valannot"
    ):
        open_source(tmp_path).find("val")


def test_original_release_is_decoded_by_color_and_split_by_frame(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid_rgb(tmp_path))
    assert source.stored == space("camvid-32")
    assert source.target == space("camvid-11")
    assert [item.key for item in source.find("train")] == ["0001TP_006690", "0006R0_f00930", "0016E5_00390"]
    assert [item.key for item in source.find("val")] == ["0016E5_07959"]
    assert [item.key for item in source.find("test")] == ["0001TP_008550", "Seq05VD_f00000"]
    stored = source.stored.ids[: fakes.SIZE[1]]
    expected = source.label_map.relabel(fakes.stripes(stored))
    assert np.array_equal(source.read_label(source.find("train")[0]), expected)


def test_another_folder_is_not_camvid(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "701_StillsRaw_full").mkdir()
    assert open_root(tmp_path) is None


@pytest.mark.parametrize("stem", ["photo", "0001TP_006690_L", "0002TP_006690", "0016E5_", "x0016E5_07959"])
def test_foreign_names_have_no_split(stem: str) -> None:
    assert split_of(stem) is None


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("0001TP_008520", "train"),
        ("0001TP_008550", "test"),
        ("0016E5_07920", "train"),
        ("0016E5_07959", "val"),
        ("0016E5_08159", "val"),
        ("0016E5_08190", "train"),
        ("0006R0_f03930", "train"),
        ("Seq05VD_f05100", "test"),
    ],
)
def test_split_at_the_borders(stem: str, split: str) -> None:
    assert split_of(stem) == split


def test_real_release(shared: Path) -> None:
    source = open_source(shared / "data" / "camvid")
    assert {split: len(source.find(split)) for split in source.splits} == REAL_COUNTS
    # The rule for the original frames gives every real frame the split it has in this release.
    for split in source.splits:
        assert {split_of(item.key) for item in source.find(split)} == {split}
    assert len({item.key for item in source.find("train+val+test")}) == sum(REAL_COUNTS.values())


def test_real_label(shared: Path) -> None:
    source = open_source(f"camvid:{shared / 'data' / 'camvid'}")
    mask = source.read_label(source.find("val")[0])
    assert mask.shape == (360, 480)
    assert mask.dtype == np.uint8
    assert mask.max() <= source.target.ignore
