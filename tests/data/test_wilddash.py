"""WildDash 1 and 2: what belongs to a frame, merged classes, the split by names."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data import wilddash, wilddash1
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes, fakes_driving

HELD_OUT = ("at0003_100000", "de0002_100000", "in0003_100000")


@pytest.mark.parametrize("folder", [".", "wd_public_02"])
@pytest.mark.parametrize("ending", [".png", "_labelIds.png"])
def test_public_frames_are_split_by_their_names(tmp_path: Path, folder: str, ending: str) -> None:
    source = open_source(fakes_driving.fake_wilddash(tmp_path, folder=folder, ending=ending))
    assert source.name == "wilddash"
    keys = {split: [record.key for record in source.find(split)] for split in source.splits}
    assert keys["val"] == list(HELD_OUT)  # must never change: scores would not compare
    assert sorted(keys["train"] + keys["val"]) == list(fakes_driving.WILDDASH_FRAMES)
    assert keys["test"] == ["us0001_100000", "za0002_100000"]
    assert source.find("val")[0].label == tmp_path / folder / "labels" / f"{HELD_OUT[0]}{ending}"


def test_about_a_tenth_is_held_out() -> None:
    frames = [f"{land}{video:04d}_100000" for land in ("at", "br", "cn", "us") for video in range(1000)]
    assert 0.09 < np.mean([wilddash._held_out(frame) for frame in frames]) < 0.11


def test_the_additional_classes_are_merged(tmp_path: Path) -> None:
    source = open_source(fakes_driving.fake_wilddash(tmp_path))
    assert (source.stored, source.target) == (space("wilddash"), space("wilddash-19"))
    merged = {"van": "car", "pickup": "truck", "road-marking": "road", "billboard": None}
    record = source.find("val")[0]
    for name, wanted in merged.items():
        fakes.save(record.label, fakes.stripes([source.stored.classes[source.stored.index(name)].id]))
        expected = source.target.ignore if wanted is None else source.target.index(wanted)
        assert np.unique(source.read_label(record)).tolist() == [expected]


def test_classes_of_release_2_0_are_refused(tmp_path: Path) -> None:
    source = open_source(fakes_driving.fake_wilddash(tmp_path))
    record = source.find("val")[0]
    fakes.save(record.label, fakes.stripes([60]))
    with pytest.raises(Exception, match="60") as caught:
        source.read_label(record)
    assert str(record.label) in str(caught.value)


def test_other_names_are_known_by_what_lies_beside(tmp_path: Path) -> None:
    for name in ("images/a.jpg", "labels/a.png"):
        fakes.save(tmp_path / name, fakes.picture("a"))
    assert wilddash.open_root(tmp_path) is None
    (tmp_path / "panoptic.json").write_text("{}")
    assert wilddash.open_root(tmp_path) is not None


@pytest.mark.parametrize("folder", [".", "wd_val_01"])
def test_version_1_takes_images_and_ids_out_of_one_folder(tmp_path: Path, folder: str) -> None:
    source = open_source(fakes_driving.fake_wilddash1(tmp_path, folder=folder))
    assert source.name == "wilddash1"
    assert source.splits == ("val", "test")
    records = source.find("val")
    assert [record.key for record in records] == list(fakes_driving.WILDDASH_FRAMES[:4])
    assert records[0].label == tmp_path / folder / "at0000_100000_labelIds.png"
    assert (source.stored, source.target) == (space("cityscapes"), space("wilddash-19"))
    assert len(source.find("test")) == 2


def test_version_1_without_the_benchmark_and_with_a_label_missing(tmp_path: Path) -> None:
    fakes_driving.fake_wilddash1(tmp_path, folder="wd_val_01")
    source = open_source(tmp_path / "wd_val_01")
    assert source.splits == ("val", "test")  # found beside the folder
    (tmp_path / "wd_bench_01").rename(tmp_path / "elsewhere")
    assert open_source(tmp_path / "wd_val_01").splits == ("val",)
    (tmp_path / "wd_val_01/at0001_100000_labelIds.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 images of split 'val' .*at0001_100000.png"):
        source.find("val")


def test_other_pictures_with_such_endings_are_not_the_data_set(tmp_path: Path) -> None:
    fakes.save(tmp_path / "frankfurt_000000_000019_labelIds.png", fakes.stripes([7]))
    assert wilddash1.open_root(tmp_path) is None
