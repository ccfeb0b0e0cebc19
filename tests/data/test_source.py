"""One source: joining splits and decoding label files of every kind."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.data.records import Record
from roadseg.data.source import label_kind, list_images
from roadseg.data.sources import open_source
from roadseg.errors import DataError, ImageError, LabelError
from tests import fakes


def test_joined_splits_with_equal_names_get_the_split_in_the_key(tmp_path: Path) -> None:
    for split in ("train", "val"):
        fakes.save(tmp_path / split / "a.png", fakes.picture(split))
        fakes.save(tmp_path / f"{split}annot" / "a.png", fakes.stripes([0, 1]))
    source = open_source(tmp_path)
    assert [item.key for item in source.find("train")] == ["a"]
    assert [item.key for item in source.find("train+val")] == ["train/a", "val/a"]


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    fakes.fake_camvid(tmp_path)
    source = open_source(tmp_path)
    key = source.find("val")[0].key
    fakes.save(tmp_path / "val" / f"{key}.jpg", fakes.picture("other"))
    with pytest.raises(DataError, match=rf"split 'val' has two images named {key}; keep one"):
        source.find("val")


def test_empty_split(tmp_path: Path) -> None:
    fakes.fake_camvid(tmp_path)
    for image in (tmp_path / "val").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"split 'val' has no images; camvid looks for train/"):
        open_source(tmp_path).find("val")


def test_a_record_without_label_cannot_be_read(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid(tmp_path))
    record = source.find("train")[0]._replace(label=None)
    with pytest.raises(DataError, match=r"has no label file; use a split that is labeled"):
        source.read_label(record)


def test_gray_ids_in_three_channels_are_ids(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid(tmp_path))
    record = source.find("train")[0]
    assert record.label is not None
    expected = source.read_label(record)
    fakes.save(record.label, np.repeat(expected[..., None], 3, axis=2))
    assert np.array_equal(source.read_label(record), expected)
    assert label_kind(record.label) == "colors"


def test_colors_where_ids_belong_are_refused(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid(tmp_path))
    record = source.find("train")[0]
    assert record.label is not None
    fakes.save(record.label, fakes.picture("colors"))
    with pytest.raises(LabelError, match=r"is a color picture where a picture of ids is expected") as caught:
        source.read_label(record)
    assert str(record.label) in str(caught.value)


def test_palette_files_of_a_colored_set_count_by_color(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid_rgb(tmp_path))
    record = source.find("train")[0]
    assert record.label is not None
    expected = source.read_label(record)
    # As drawing programs do it: the indices are in the order in which the colors were met.
    Image.open(record.label).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(record.label)
    assert label_kind(record.label) == "palette"
    assert np.array_equal(source.read_label(record), expected)
    by_index = replace(source, palette_colored=False)
    assert not np.array_equal(by_index.read_stored(record), source.read_stored(record))


def test_unknown_color_is_named(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid_rgb(tmp_path))
    record = source.find("train")[0]
    assert record.label is not None
    mask = np.zeros((*fakes.SIZE, 3), dtype=np.uint8)
    mask[0, :3] = (1, 2, 3)
    fakes.save(record.label, mask)
    with pytest.raises(LabelError, match=r"color \(1, 2, 3\) \(3 pixels\)") as caught:
        source.read_label(record)
    assert str(record.label) in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "8-bit ids"), ("L", "8-bit ids"), ("I;16", "16-bit ids"), ("P", "palette"), ("RGBA", "colors")],
)
def test_kind_of_label_file(mode: str, kind: str, tmp_path: Path) -> None:
    Image.new(mode, (3, 2)).save(tmp_path / "a.png")
    assert label_kind(tmp_path / "a.png") == kind


def test_kind_of_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(ImageError):
        label_kind(tmp_path / "a.png")


def test_listing_is_sorted_and_skips_what_is_no_image(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "._a.jpg", ".hidden.png", "notes.txt", "sub/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG"]
    assert [path.name for path in list_images(tmp_path, recursive=True)] == ["a.jpg", "b.PNG", "c.png"]


def test_deep_listing_enters_linked_folders_and_no_hidden_ones(tmp_path: Path) -> None:
    for name in ("set/a/1.png", "set/.ipynb_checkpoints/1-checkpoint.png", "elsewhere/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    found = list_images(tmp_path / "set", recursive=True)
    assert found == [tmp_path / "set" / "a" / "1.png", tmp_path / "set" / "linked" / "2.png"]


def test_deep_listing_passes_over_no_unreadable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    scan = os.scandir

    def deny(path: str) -> object:
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(DataError, match=r"locked: cannot be searched: Permission denied"):
        list_images(tmp_path, recursive=True)


def test_listing_a_missing_folder(tmp_path: Path) -> None:
    for recursive in (False, True):
        with pytest.raises(DataError, match=r"gone: cannot be listed \(.+\); check that the folder exists"):
            list_images(tmp_path / "gone", recursive=recursive)


def test_record_order_follows_the_parts(tmp_path: Path) -> None:
    source = open_source(fakes.fake_camvid(tmp_path))
    first: Record = source.find("val+train")[0]
    assert first == source.find("val")[0]
