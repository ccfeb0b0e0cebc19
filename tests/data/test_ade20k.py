"""ADE20K: splits, ids of the challenge, what else is called so."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.data.ade20k import EXPECTED, open_root
from roadseg.data.sources import open_source
from roadseg.errors import DataError, LabelError
from roadseg.labels import space
from tests import fakes
from tests.fakes_general import fake_ade20k


def test_splits_keys_and_pairs(tmp_path: Path) -> None:
    source = open_source(fake_ade20k(tmp_path))
    assert source.name == "ade20k"
    assert source.splits == tuple(EXPECTED) == ("train", "val")
    assert [len(source.find(split)) for split in source.splits] == [5, 2]
    record = source.find("val")[1]
    assert record.key == "ADE_val_00000002"
    assert record.image == tmp_path / "images" / "validation" / "ADE_val_00000002.jpg"
    assert record.label == tmp_path / "annotations" / "validation" / "ADE_val_00000002.png"


def test_ids_start_with_the_wall_and_0_is_ignored(tmp_path: Path) -> None:
    source = open_source(fake_ade20k(tmp_path))
    record = source.find("train")[0]
    fakes.save(record.label, fakes.stripes([0, 1, 150, 2], size=fakes.SIZE))
    target = space("ade20k-150")
    assert source.target == target
    assert source.read_label(record)[0, ::4].tolist() == [
        target.ignore,
        target.index("wall"),
        target.index("flag"),
        target.index("building"),
    ]


def test_every_class_of_the_challenge_is_trained(tmp_path: Path) -> None:
    source = open_source(fake_ade20k(tmp_path))
    record = source.find("train")[0]
    every = np.arange(151, dtype=np.uint8)[None].repeat(2, axis=0)
    fakes.save(record.label, every)
    found = source.read_label(record)[0]
    assert found[0] == source.target.ignore
    assert sorted(found[1:].tolist()) == list(range(150))


def test_an_id_above_150_is_refused(tmp_path: Path) -> None:
    source = open_source(fake_ade20k(tmp_path))
    record = source.find("train")[0]
    fakes.save(record.label, fakes.stripes([1, 151]))
    with pytest.raises(LabelError, match=r"holds .*151.*, which ade20k does not have"):
        source.read_label(record)


def test_one_split_alone(tmp_path: Path) -> None:
    root = fake_ade20k(tmp_path)
    (root / "images" / "training").rename(root / "elsewhere")
    assert open_source(root).splits == ("val",)


def test_missing_annotations_are_named_with_their_place(tmp_path: Path) -> None:
    root = fake_ade20k(tmp_path)
    (root / "annotations" / "validation").rename(root / "elsewhere")
    with pytest.raises(DataError, match=r"2 of 2 images of split 'val' .*annotations.validation.ADE_val_0"):
        open_source(root).find("val")


def test_the_full_release_is_another_layout(tmp_path: Path) -> None:
    (tmp_path / "images" / "ADE" / "training").mkdir(parents=True)
    assert open_root(tmp_path) is None
