"""Cityscapes: layouts, coarse labels, folds."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.cityscapes import FOLDS, instance_file, open_root
from roadseg.data.source import Source
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes


@pytest.fixture(scope="module", params=["flat", "trainvaltest"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    return open_source(fakes.fake_cityscapes(tmp_path_factory.mktemp("cityscapes"), request.param))


def cities(source: Source, split: str) -> set[str]:
    return {item.key.split("/")[0] for item in source.find(split)}


def test_splits(source: Source) -> None:
    plain = ("train", "val", "test", "train_extra", "train-coarse", "val-coarse")
    folds = tuple(f"{part}-cv{fold}" for fold in range(4) for part in ("train", "val"))
    assert source.splits == plain + folds
    assert source.base_splits == ("train", "val", "test", "train_extra")
    assert {split: len(source.find(split)) for split in plain} == {
        **{"train": 18, "val": 3, "test": 1},
        **{"train_extra": 1, "train-coarse": 18, "val-coarse": 3},
    }


def test_records_belong_together(source: Source) -> None:
    record = source.find("val")[0]
    assert record.key == "frankfurt/frankfurt_000000_000019"
    assert record.image.name == "frankfurt_000000_000019_leftImg8bit.png"
    assert record.label is not None
    assert record.label.name == "frankfurt_000000_000019_gtFine_labelIds.png"
    assert record.label.parent.name == "frankfurt"
    assert instance_file(record.label).name == "frankfurt_000000_000019_gtFine_instanceIds.png"
    assert instance_file(record.label).parent == record.label.parent


def test_stored_ids_become_train_ids(source: Source) -> None:
    assert source.stored == space("cityscapes")
    assert source.target == space("cityscapes-19")
    stored = [number for number in source.stored.ids if number >= 0][: fakes.SIZE[1]]
    expected = source.label_map.relabel(fakes.stripes(stored))
    assert np.array_equal(source.read_label(source.find("train")[0]), expected)


def test_coarse_labels_are_other_files_of_the_same_images(source: Source) -> None:
    fine, coarse = source.find("train"), source.find("train-coarse")
    assert [item.image for item in fine] == [item.image for item in coarse]
    assert all("gtCoarse" in str(item.label) and "gtFine" not in str(item.label) for item in coarse)


def test_test_labels_are_not_used(source: Source) -> None:
    assert [item.label for item in source.find("test")] == [None]


def test_fold_0_is_the_official_split(source: Source) -> None:
    assert {item.key for item in source.find("train-cv0")} == {item.key for item in source.find("train")}
    assert source.find("val-cv0") == source.find("val")


@pytest.mark.parametrize(
    ("fold", "held_out"),
    [
        (1, {"darmstadt", "dusseldorf", "erfurt"}),
        (2, {"monchengladbach", "strasbourg", "stuttgart"}),
    ],
)
def test_folds_hold_out_three_cities(source: Source, fold: int, held_out: set[str]) -> None:
    assert cities(source, f"val-cv{fold}") == held_out
    everything = cities(source, "train+val")
    assert cities(source, f"train-cv{fold}") == everything - held_out
    assert len(source.find(f"train-cv{fold}+val-cv{fold}")) == 21


def test_folds_follow_from_the_list_of_cities() -> None:
    """Fold k holds out positions 7k to 7k + 2 of the official val cities followed by the sorted train cities."""
    listed = fakes.VAL_CITIES + fakes.TRAIN_CITIES
    assert FOLDS[:3] == tuple(listed[7 * fold : 7 * fold + 3] for fold in range(3))


def test_fold_3_is_everything(source: Source) -> None:
    assert len(source.find("train-cv3")) == len(source.find("val-cv3")) == 21


def test_without_labels_the_expected_place_is_named(tmp_path: Path) -> None:
    fakes.save(tmp_path / "leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png", fakes.picture("ulm"))
    source = open_source(tmp_path)
    assert source.splits == ("train",)
    with pytest.raises(
        DataError, match=r"1 of 1 images .* belongs at .*gtFine.train.ulm.ulm_000000_000019_gtFine_labelIds"
    ):
        source.find("train")


def test_other_files_are_left_out(tmp_path: Path) -> None:
    root = fakes.fake_cityscapes(tmp_path)
    fakes.save(root / "leftImg8bit/val/lindau/depth.png", fakes.picture("depth"))
    (root / "leftImg8bit/val/readme.txt").touch()
    assert len(open_source(root).find("val")) == 3


def test_archives_may_be_mixed_with_the_flat_layout(tmp_path: Path) -> None:
    fakes.fake_cityscapes(tmp_path)
    (tmp_path / "gtFine_trainvaltest").mkdir()
    (tmp_path / "gtFine").rename(tmp_path / "gtFine_trainvaltest" / "gtFine")
    assert len(open_source(tmp_path).find("train")) == 18


def test_empty_folder_is_not_cityscapes(tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit").mkdir()
    assert open_root(tmp_path) is None
