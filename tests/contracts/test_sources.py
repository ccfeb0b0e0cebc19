"""What every source of data promises, whatever its layout."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from roadseg.data.check import check
from roadseg.data.sources import LAYOUTS, Source, open_source
from roadseg.errors import DataError, LabelError
from roadseg.media import read_image
from tests import fakes, fakes_driving, fakes_general

TREES: dict[str, Callable[[Path], Path]] = {
    "camvid": fakes.fake_camvid,
    "camvid-jpg": lambda root: fakes.fake_camvid(root, suffix=".jpg"),
    "camvid-rgb": fakes.fake_camvid_rgb,
    "cityscapes-flat": fakes.fake_cityscapes,
    "cityscapes-archives": lambda root: fakes.fake_cityscapes(root, "trainvaltest"),
    "cityscapes-jpg": lambda root: fakes.fake_cityscapes(root, suffix=".jpg"),
    "mapillary-1.2": fakes.fake_mapillary,
    "mapillary-2.0": lambda root: fakes.fake_mapillary(root, "2.0"),
    "kitti": fakes.fake_kitti,
    "bdd100k": fakes_driving.fake_bdd100k,
    "bdd100k-2018": lambda root: fakes_driving.fake_bdd100k(root, "old", folder="bdd100k"),
    "idd": fakes_driving.fake_idd,
    "idd-level3": lambda root: fakes_driving.fake_idd(root, ("level3",), suffix=".jpg"),
    "wilddash": lambda root: fakes_driving.fake_wilddash(root, folder="wd_public_02"),
    "wilddash1": lambda root: fakes_driving.fake_wilddash1(root, folder="wd_val_01"),
    "acdc": fakes_driving.fake_acdc,
    "acdc-ids": lambda root: fakes_driving.fake_acdc(root, ("labelIds",), archives=True, references=True),
    "dark-zurich": fakes_driving.fake_dark_zurich,
    "dark-zurich-archives": lambda root: fakes_driving.fake_dark_zurich(root, archives=True),
    "ade20k": fakes_general.fake_ade20k,
    "coco-panoptic": fakes_general.fake_coco_panoptic,
    "coco-panoptic-beside": lambda root: fakes_general.fake_coco_panoptic(root, beside=True),
    "sunrgbd": fakes_general.fake_sunrgbd,
    "sunrgbd-rearranged": lambda root: fakes_general.fake_sunrgbd(root, "rearranged"),
    "scannet": fakes_general.fake_scannet,
    "scannet-repository": lambda root: fakes_general.fake_scannet(root, lists="Tasks/Benchmark"),
    "voc": fakes_general.fake_voc,
    "voc-augmented": lambda root: fakes_general.fake_voc(root, augmented=True),
    "pascal-context": fakes_general.fake_pascal_context,
    "yaml-ids": fakes.fake_yaml,
    "yaml-palette": lambda root: fakes.fake_yaml(root, "palette"),
    "yaml-rgb": lambda root: fakes.fake_yaml(root, "rgb"),
    "yaml-binary": lambda root: fakes.fake_yaml(root, "binary"),
    "yaml-16bit": lambda root: fakes.fake_yaml(root, "16bit"),
}


@pytest.fixture(scope="module", params=TREES)
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp(request.param)
    return request.param, TREES[request.param](root)


@pytest.fixture(scope="module")
def source(tree: tuple[str, Path]) -> Source:
    return open_source(tree[1])


def test_names_the_layout_and_opens_by_it(tree: tuple[str, Path], source: Source) -> None:
    name, root = tree
    assert name == source.name or name.startswith(f"{source.name}-")
    assert source.name in {layout.NAME for layout in LAYOUTS}
    again = open_source(f"{source.name}:{root}")
    assert again.find(labeled(source)) == source.find(labeled(source))
    assert source.license
    assert source.looks_for


def labeled(source: Source) -> str:
    """The split to train with; of data sets that are for testing alone, the one that can be evaluated."""
    return next(split for split in ("train", "val") if split in source.splits and source.find(split)[0].label)


def test_has_a_labeled_split(source: Source) -> None:
    assert labeled(source) in source.splits
    assert set(source.base_splits) <= set(source.splits)
    assert len(set(source.splits)) == len(source.splits)


def test_every_split_lists_existing_files_in_a_fixed_order(source: Source) -> None:
    for split in source.splits:
        records = source.find(split)
        assert records
        assert records == source.find(split)
        assert all(record.image.is_file() for record in records)
        assert all(record.label is None or record.label.is_file() for record in records)


def test_keys_are_unique_and_fit_for_file_names(source: Source) -> None:
    for split in source.splits:
        keys = [record.key for record in source.find(split)]
        assert len(set(keys)) == len(keys)
        for key in keys:
            assert key
            assert not Path(key).is_absolute()
            assert "\\" not in key
            assert ".." not in Path(key).parts
            assert Path(key).suffix == ""


def test_training_space_can_be_predicted(source: Source) -> None:
    assert source.target.is_contiguous
    assert source.stored == source.label_map.source
    assert source.target == source.label_map.target


def test_labels_are_of_the_training_space_and_of_the_image_size(source: Source) -> None:
    known = {*source.target.ids, source.target.ignore}
    for split in source.splits:
        for record in source.find(split):
            if record.label is None:
                continue
            mask = source.read_label(record)
            assert mask.dtype in (np.uint8, np.uint16)
            assert mask.shape == read_image(record.image).shape[:2]
            assert set(np.unique(mask).tolist()) <= known


def test_labels_show_more_than_one_class(source: Source) -> None:
    records = source.find(labeled(source))
    seen = {int(number) for record in records for number in np.unique(source.read_label(record))}
    assert len(seen & set(source.target.ids)) > 1


def test_splits_join_with_unique_keys(source: Source) -> None:
    splits = (source.base_splits or source.splits)[:2]
    records = source.find("+".join(splits))
    assert [item.image for item in records] == [item.image for split in splits for item in source.find(split)]
    assert len({item.key for item in records}) == len(records)


def test_the_same_split_twice_is_refused(source: Source) -> None:
    with pytest.raises(DataError, match=r"split 'val\+val' holds the same image twice"):
        source.find("val+val")


def test_an_unknown_split_names_those_there_are(source: Source) -> None:
    with pytest.raises(DataError, match=r"has no split 'trian'; it has ") as caught:
        source.find("val+trian")
    assert ", ".join(source.splits) in str(caught.value)
    assert str(source.root) in str(caught.value)
    assert source.looks_for in str(caught.value)


def test_goes_to_another_process(source: Source) -> None:
    copy = pickle.loads(pickle.dumps(source))
    split = labeled(source)
    assert copy.find(split) == source.find(split)
    record = source.find(split)[0]
    assert np.array_equal(copy.read_label(record), source.read_label(record))


def test_a_missing_label_is_named_with_its_place(tree: tuple[str, Path], tmp_path: Path) -> None:
    source = open_source(TREES[tree[0]](tmp_path))
    split = labeled(source)
    record = source.find(split)[0]
    assert record.label is not None
    record.label.unlink()
    with pytest.raises(DataError, match=rf"1 of \d+ images of split '{split}' have no label file") as caught:
        source.find(split)
    assert record.image.name in str(caught.value)
    assert str(record.label) in str(caught.value)


def test_an_unknown_id_names_file_id_and_pixels(tree: tuple[str, Path], tmp_path: Path) -> None:
    source = open_source(TREES[tree[0]](tmp_path))
    record = source.find(labeled(source))[0]
    assert record.label is not None
    mask = np.zeros(fakes.SIZE, dtype=np.uint8)
    unknown = 250 if 99 in source.stored.ids else 99
    mask[0, :5] = unknown
    fakes.save(record.label, mask)
    with pytest.raises(LabelError, match=rf"{unknown}.*5 pixels") as caught:
        source.read_label(record)
    assert str(record.label) in str(caught.value)


def test_the_check_finds_nothing_wrong(source: Source) -> None:
    report = check(source, workers=2)
    assert report.problems == []
    assert report.usable
