"""COCO panoptic: colors to segments to categories, and the JSON file that may be large or anything."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import coco_panoptic
from roadseg.data.coco_panoptic import EXPECTED, Segments, _decode, _load_segments, open_root
from roadseg.data.records import Record
from roadseg.data.source import Source
from roadseg.data.sources import open_source
from roadseg.errors import DataError, LabelError
from roadseg.labels import space
from tests import fakes
from tests.fakes_general import as_colors, fake_coco_panoptic, write_panoptic

VAL = "annotations/panoptic_val2017.json"
NAME = "000000000139"  # the first photo of val


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    _load_segments.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return open_source(fake_coco_panoptic(tmp_path))


def described(*segments: tuple[int, int], name: str = NAME) -> dict[str, object]:
    infos = [{"id": number, "category_id": category, "iscrowd": 0} for number, category in segments]
    return {"segments_info": infos, "file_name": f"{name}.png", "image_id": 139}


def describe(root: Path, *annotations: object) -> Path:
    """Replace what the JSON file of val describes; the second photo keeps a line."""
    return write_panoptic(root / VAL, [*annotations, described((1, 1), name="000000000151")])


@pytest.mark.parametrize("beside", [False, True])
def test_splits_keys_and_pairs(tmp_path: Path, beside: bool) -> None:
    source = open_source(fake_coco_panoptic(tmp_path, beside=beside))
    assert source.name == "coco-panoptic"
    assert source.splits == tuple(EXPECTED) == ("train", "val", "test")
    assert [len(source.find(split)) for split in source.splits] == [5, 2, 1]
    record = source.find("val")[0]
    assert record.key == NAME
    labels = tmp_path if beside else tmp_path / "annotations"
    images = tmp_path / "images" if beside else tmp_path
    assert record[:2] == (images / "val2017" / f"{NAME}.jpg", labels / "panoptic_val2017" / f"{NAME}.png")


def test_every_category_is_read_and_unlabeled_pixels_are_ignored(source: Source) -> None:
    stored, target = space("coco-panoptic"), space("coco-panoptic-133")
    assert (source.stored, source.target) == (stored, target)
    some = np.unique([source.read_stored(record) for record in source.find("train+val")])
    assert set(some.tolist()) == set(stored.ids[: len(some)])
    assert source.read_stored(source.find("train")[0]).dtype == stored.dtype


def test_red_green_and_blue_make_the_id_of_a_segment(source: Source) -> None:
    describe(source.root, described((1, 17), (1 << 8, 3), (1 << 16, 200), (0xFFFFFF, 1)))
    record = source.find("val")[0]
    segments = fakes.stripes([1, 1 << 8, 1 << 16, 0xFFFFFF, 0], dtype=np.int64)
    fakes.save(record.label, as_colors(segments))
    stored = source.read_stored(record)
    assert np.array_equal(stored, fakes.stripes([17, 3, 200, 1, source.stored.ignore]))
    names = ("cat", "car", "rug-merged", "person")
    wanted = [*(source.target.index(name) for name in names), source.target.ignore]
    assert np.array_equal(source.read_label(record), fakes.stripes(wanted))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_decoding_is_the_lookup_of_every_pixel(data: st.DataObject, tmp_path_factory) -> None:
    stored = space("coco-panoptic")
    ids = data.draw(st.lists(st.integers(1, (1 << 24) - 1), min_size=1, max_size=9, unique=True))
    categories = data.draw(st.lists(st.sampled_from(stored.ids), min_size=len(ids), max_size=len(ids)))
    lookup = {0: stored.ignore, **dict(zip(ids, categories, strict=True))}
    shape = (data.draw(st.integers(1, 5)), data.draw(st.integers(1, 7)))
    size = shape[0] * shape[1]
    pixels = data.draw(st.lists(st.sampled_from([0, *ids]), min_size=size, max_size=size))
    root = tmp_path_factory.mktemp("coco")
    write_panoptic(root / VAL, [described(*zip(ids, categories, strict=True))])
    record = Record(root / "a.jpg", root / "annotations" / "panoptic_val2017" / f"{NAME}.png", NAME)
    found = _decode(root, record, as_colors(np.array(pixels).reshape(shape)))
    assert found.tolist() == np.array([lookup[pixel] for pixel in pixels]).reshape(shape).tolist()


def test_segments_that_are_not_described_are_counted(source: Source) -> None:
    record = source.find("val")[0]
    fakes.save(record.label, as_colors(fakes.stripes([0, 7, 0, 9], dtype=np.int64)))
    with pytest.raises(
        LabelError,
        match=r"139.png: holds segment 7 \(48 pixels\), 9 \(48 pixels\), which panoptic_val2017.js",
    ):
        source.read_label(record)
    fakes.save(record.label, as_colors(fakes.stripes(range(2, 10), dtype=np.int64)))
    with pytest.raises(LabelError, match=r"segment 2 .*, 3 .*, 4 \(24 pixels\), \.\.\., which"):
        source.read_label(record)


def test_a_picture_that_is_not_described(source: Source) -> None:
    records = source.find("val")
    write_panoptic(source.root / VAL, [described((1, 1), name="000000000151")])
    with pytest.raises(
        DataError,
        match=r"val2017.json: does not describe 1 of 2 images of split 'val', for example 0+139.jpg",
    ):
        source.find("val")
    with pytest.raises(DataError, match=r"139.png: is not described in panoptic_val2017.json"):
        source.read_label(records[0])


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([described((5, 1), (5, 2))], f"describes segment 5 of {NAME} twice"),
        ([described((5, 1)), described((6, 1))], f"describes {NAME} twice"),
        ([described((5, 12))], "uses the category 12, which COCO panoptic does not have"),
        ([described((1 << 24, 1))], "a segment has the id 16777216 and the category 1"),
        ([described((0, 1))], "a segment has the id 0 "),
        ([described((5, -1))], "the category -1"),
        ([described(("5", 1))], "a segment has an id or a category that is no number"),
        ([described((True, 1))], "a segment has an id or a category that is no number"),
        ([described((5, 1), name="a b")], "an annotation of 'a b' is none of a picture"),
        ([{"segments_info": [1], "file_name": "a.png"}], "a segment of 'a' has no id or no category"),
        ([{"segments_info": {}, "file_name": "a.png"}], "an annotation of 'a' is none of a picture"),
        ([{"segments_info": []}], "an annotation of '' is none of a picture"),
        ([{"id": 1, "category_id": 2, "image_id": 3}], "are not those of pictures with segments_info"),
        ([None], "are not those of pictures with segments_info"),
    ],
)
def test_an_implausible_description_is_refused(source: Source, annotations: list, message: str) -> None:
    describe(source.root, *annotations)
    with pytest.raises(DataError, match=message) as caught:
        source.find("val")
    assert str(caught.value).startswith(str(source.root / VAL))
    assert str(caught.value).endswith("panoptic_annotations_trainval2017.zip again")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"annotations": {}}', '{"annotations": []}', "[" * 10**5, '{"a": NaN', "\x00"],
)
def test_a_damaged_file_is_named(source: Source, text: str) -> None:
    (source.root / VAL).write_text(text)
    with pytest.raises(DataError, match=r"val2017.json: holds no panoptic annotations, or is damaged \(.+\)"):
        source.find("val")


def test_paths_in_the_file_are_never_opened(source: Source) -> None:
    outside = described((1, 1), name="../../../etc/passwd")
    describe(source.root, outside, described((1, 1)))
    assert [record.key for record in source.find("val")] == [NAME, "000000000151"]


def test_a_file_above_the_limit_is_not_read(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco_panoptic, "MAX_JSON", 100)
    with pytest.raises(DataError, match=r"val2017.json: has 0.0 GB, above the limit of 0.0 GB"):
        source.find("val")


def test_a_missing_file(source: Source) -> None:
    record = source.find("val")[0]
    (source.root / VAL).unlink()
    assert open_source(source.root).splits == ("train", "test")
    with pytest.raises(DataError, match=r"val2017.json: cannot be read \(No such file"):
        source.read_label(record)


class TestKeeping:
    """What was parsed of a large file is kept for other processes and later runs."""

    @pytest.fixture(autouse=True)
    def _small_files_are_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(coco_panoptic, "KEPT_FROM", 0)
        monkeypatch.setattr(coco_panoptic, "user_cache", lambda: tmp_path / "user")
        self.parsed: list[Path] = []
        parse: Callable[[Path], Segments] = coco_panoptic._parse
        monkeypatch.setattr(coco_panoptic, "_parse", lambda file: self.parsed.append(file) or parse(file))

    def test_listing_parses_once_and_reading_never(self, source: Source) -> None:
        records = source.find("val")
        masks = [source.read_label(record) for record in records]
        assert [file.name for file in self.parsed] == ["panoptic_val2017.json"]
        _load_segments.cache_clear()  # as in a process that has just started
        assert all(
            np.array_equal(source.read_label(record), mask)
            for record, mask in zip(records, masks, strict=True)
        )
        assert source.find("val") == records
        assert len(self.parsed) == 1
        assert len(list((source.root / "user").iterdir())) == 1

    def test_a_change_of_the_file_is_seen(self, source: Source) -> None:
        record = source.find("val")[0]
        file = describe(source.root, described((7, 3)))
        os.utime(file, ns=(1, 1))  # even where size and clock were the same
        fakes.save(record.label, as_colors(fakes.stripes([7], dtype=np.int64)))
        assert np.unique(source.read_stored(record)).tolist() == [3]
        assert len(self.parsed) == 2

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x93NUMPY"])
    def test_a_damaged_copy_is_made_again(self, source: Source, content: bytes) -> None:
        source.find("val")
        (kept,) = (source.root / "user").iterdir()
        kept.write_bytes(content)
        _load_segments.cache_clear()
        assert len(source.find("val")) == 2
        assert len(self.parsed) == 2
        assert kept.stat().st_size > len(content)

    def test_a_folder_that_cannot_be_written_to_is_no_error(self, source: Source) -> None:
        (source.root / "user").write_text("a file")
        assert len(source.find("val")) == 2
        assert source.read_label(source.find("val")[0]).shape == fakes.SIZE
        assert len(self.parsed) == 1


def test_instances_alone_are_not_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps({}))
    assert open_root(tmp_path) is None


def test_label_pictures_that_were_not_unpacked_are_named_with_their_place(tmp_path: Path) -> None:
    root = fake_coco_panoptic(tmp_path)
    (root / "annotations" / "panoptic_val2017").rename(root / "elsewhere")
    with pytest.raises(
        DataError, match=r"2 of 2 images of split 'val' .*annotations.panoptic_val2017.0+139.png"
    ):
        open_source(root).find("val")
