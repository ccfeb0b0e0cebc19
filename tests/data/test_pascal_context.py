"""PASCAL-Context: the order of the converted labels, and its folder beside that of VOC."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.pascal_context import open_root
from roadseg.data.sources import open_source
from roadseg.errors import DataError, LabelError
from roadseg.labels import space
from tests import fakes
from tests.fakes_general import fake_pascal_context, fake_voc, write_list


def test_lists_deal_the_photos_to_splits(tmp_path: Path) -> None:
    source = open_source(fake_pascal_context(tmp_path))
    assert source.name == "pascal-context"
    assert source.splits == ("train", "val")
    assert [len(source.find(split)) for split in source.splits] == [5, 2]
    record = source.find("val")[0]
    assert record.key == "2009_000000"
    assert record.label == tmp_path / "SegmentationClassContext" / "2009_000000.png"


def test_background_comes_first_then_the_alphabet(tmp_path: Path) -> None:
    source = open_source(fake_pascal_context(tmp_path))
    assert source.stored == space("pascal-context")
    assert source.stored.names[:4] == ("background", "aeroplane", "bag", "bed")
    assert source.stored.names[-5:] == ("tvmonitor", "wall", "water", "window", "wood")
    assert sorted(source.stored.names) == sorted(source.target.names)
    assert source.target == space("pascal-context-60")
    record = source.find("train")[0]
    fakes.save(record.label, fakes.stripes([0, 1, 55, 255]))
    target = source.target
    assert source.read_label(record)[0, ::4].tolist() == [
        target.index("background"),
        target.index("aeroplane"),
        target.index("tvmonitor"),
        target.ignore,
    ]


def test_every_class_is_trained(tmp_path: Path) -> None:
    source = open_source(fake_pascal_context(tmp_path))
    record = source.find("train")[0]
    fakes.save(record.label, np.arange(60, dtype=np.uint8)[None].repeat(2, axis=0))
    assert sorted(source.read_label(record)[0].tolist()) == list(range(60))


def test_the_459_classes_are_refused(tmp_path: Path) -> None:
    source = open_source(fake_pascal_context(tmp_path))
    record = source.find("train")[0]
    fakes.save(record.label, fakes.stripes([2, 420], dtype=np.uint16))
    with pytest.raises(LabelError, match=r"holds .*420"):
        source.read_label(record)


def test_is_found_beside_the_labels_of_voc(tmp_path: Path) -> None:
    fake_voc(tmp_path / "VOC2010")
    fake_pascal_context(tmp_path / "VOC2010")
    assert open_source(tmp_path / "VOC2010").name == "pascal-context"
    assert open_source(tmp_path).find("val")[0].key == "2009_000000"
    assert open_source(f"voc:{tmp_path / 'VOC2010'}").name == "voc"


def test_a_damaged_list_is_named(tmp_path: Path) -> None:
    root = fake_pascal_context(tmp_path)
    write_list(root / "ImageSets" / "SegmentationContext" / "val.txt", ["2009_000000", "2009_999999"])
    with pytest.raises(DataError, match=r"val.txt: names 2 images of which 1 are missing.*2009_999999.jpg"):
        open_source(root).find("val")


def test_labels_of_matlab_alone_are_not_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "trainval").mkdir()
    assert open_root(tmp_path) is None
