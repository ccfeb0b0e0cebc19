import os
from pathlib import Path

import numpy as np
import pytest

from roadseg.data import open_source
from roadseg.errors import DataError
from tests.fakes import picture, save, stripes


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Pictures elsewhere, two of one name; masks below the file, or anywhere."""
    for drive in ("monday", "tuesday"):
        save(tmp_path / "drives" / drive / "images" / "1.png", picture(drive))
        save(tmp_path / "set" / "masks" / drive / "1.png", stripes([0, 1]))
    save(tmp_path / "other" / "mask.png", stripes([1, 1]))
    (tmp_path / "set" / "data.yaml").write_text("train: train.txt\nnames: [road, car]\nignore: 9\n")
    (tmp_path / "set" / "train.txt").write_text(
        f"{tmp_path}/drives/monday/images/1.png\tmasks/monday/1.png\n"
        "../drives/tuesday/images/1.png\tmasks/tuesday/1.png\n"
    )
    return tmp_path / "set"


def test_masks_stand_behind_their_images(listed, tmp_path):
    records = open_source(listed).find("train")
    assert [record.key for record in records] == ["monday/1", "tuesday/1"]
    assert [record.label for record in records] == [
        listed / "masks" / drive / "1.png" for drive in ("monday", "tuesday")
    ]
    assert records[1].image == tmp_path / "drives" / "tuesday" / "images" / "1.png"


def test_masks_may_lie_anywhere(listed):
    (listed / "train.txt").write_text("../drives/monday/images/1.png\t../other/mask.png\n")
    source = open_source(listed)
    assert np.array_equal(np.unique(source.read_label(source.find("train")[0])), [1])


def test_a_missing_mask_is_named_with_its_line(listed):
    (listed / "train.txt").write_text("../drives/monday/images/1.png\tmasks/1.png\n")
    with pytest.raises(DataError, match=r"line 1 names masks/1\.png, which does not exist"):
        open_source(listed)


def test_names_in_a_list_need_not_be_utf_8(listed, tmp_path):
    strange = tmp_path / "other" / os.fsdecode(b"stra\xdfe.png")
    try:
        save(strange, picture("strange"))
    except OSError:
        pytest.skip("this file system has no such names")
    (listed / "train.txt").write_bytes(b"../other/stra\xdfe.png\tmasks/monday/1.png\n")
    assert open_source(listed).find("train")[0].image == strange


def test_a_list_of_another_encoding_is_told(listed):
    (listed / "train.txt").write_bytes(b"../other/gr\xfcn.png\tmasks/monday/1.png\n")
    with pytest.raises(DataError, match=r"line 1 is not UTF-8; save it as UTF-8 text"):
        open_source(listed)
