"""Further splits of a data.yaml."""

import numpy as np
import pytest

from roadseg.data import check, open_source
from roadseg.errors import DataError
from tests.fakes import save


@pytest.fixture
def root(tmp_path):
    for name in ("plus1/a", "plus2/a", "plus2/b"):
        save(tmp_path / "images" / f"{name}.png", np.zeros((4, 6, 3), dtype=np.uint8))
        save(tmp_path / "masks" / f"{name}.png", np.zeros((4, 6), dtype=np.uint8))
    return tmp_path


def _open(root, splits):
    text = f"train: [images/plus1, images/plus2]\nnames: [road, car, tree]\nsplits: {splits}\n"
    (root / "data.yaml").write_text(text, encoding="utf-8")
    return open_source(root)


def test_further_splits_are_read_beside_the_usual_ones(root):
    (root / "two.txt").write_text("images/plus2/a.png\tmasks/plus1/a.png\n", encoding="utf-8")
    source = _open(root, "{plus1: images/plus1, plus2: images/plus2, pairs: two.txt}")
    assert source.splits == ("train", "plus1", "plus2", "pairs")
    assert [len(source.find(split)) for split in source.splits] == [3, 1, 2, 1]
    assert source.find("pairs")[0].label == root / "masks" / "plus1" / "a.png"
    assert len(source.find("plus1+plus2")) == 3


def test_further_splits_may_share_images_with_the_others(root):
    report = check(_open(root, "{plus1: images/plus1}"))
    assert not report.duplicates


@pytest.mark.parametrize(
    "splits", ["plus1", "[plus1]", "{val: images/plus1}", "{a+b: images/plus1}", "{1: images}"]
)
def test_names_that_a_split_cannot_have(root, splits):
    with pytest.raises(DataError, match="splits"):
        _open(root, splits)


def test_a_further_split_that_is_not_there(root):
    with pytest.raises(DataError, match=r"plus9 names .*images/plus9, which does not exist"):
        _open(root, "{plus9: images/plus9}")
