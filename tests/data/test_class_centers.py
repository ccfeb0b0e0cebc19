import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import Record, Source, count_pixels, find_class_centers, open_source, user_cache
from roadseg.data.class_centers import ClassCenters, _find_in
from roadseg.data.statistics import each_label
from roadseg.errors import DataError, LabelError
from roadseg.labels import LabelMap, LabelSpace
from tests.fakes import fake_camvid, fake_cityscapes, fake_yaml, save, stripes


def centers_by_masks(ids: np.ndarray, classes: int, tile: int, whole: bool) -> list[tuple[int, int, int]]:
    """(channel, x, y) by one mask per tile and class."""
    height, width = ids.shape
    rows, columns = [range(0, side // tile * tile or (not whole), tile) for side in (height, width)]
    found = []
    for top in rows:
        bottom = top + tile if whole or top != rows[-1] else height
        for left in columns:
            right = left + tile if whole or left != columns[-1] else width
            for channel in range(classes):
                y, x = np.nonzero(ids[top:bottom, left:right] == channel)
                if len(x):
                    found.append((channel, int(x.mean()) + left, int(y.mean()) + top))
    return found


def same(one: ClassCenters, other: ClassCenters) -> bool:
    arrays = ("pixels", "starts", "positions", "xy")
    return one.images == other.images and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


@pytest.fixture
def camvid(tmp_path: Path) -> Source:
    return open_source(fake_camvid(tmp_path / "camvid", size=(24, 36)))


@given(
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    tile=st.integers(1, 12),
    whole=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=50, deadline=None)
def test_places_are_the_means_of_masks(size, tile, whole, seed):
    rng = np.random.default_rng(seed)
    ids = np.kron(rng.integers(0, 5, (-(-size[0] // 3), -(-size[1] // 3))), np.ones((3, 3), int))
    ids = ids[: size[0], : size[1]].astype(np.uint8)
    table = np.full(256, 4)
    table[:4] = range(4)
    found = _find_in(table, 4, tile, whole, ids)
    assert [
        (channel, *xy) for channel, xy in zip(found.channels.tolist(), found.xy.tolist(), strict=True)
    ] == (centers_by_masks(ids, 4, tile, whole))
    assert found.pixels.tolist() == [int((ids == channel).sum()) for channel in range(4)]


def test_places_of_a_split_are_sorted_by_class_and_image(camvid):
    found = find_class_centers(camvid, "train+val", tile=12, cache=None)
    assert found.images == 10
    assert found.counts.sum() == len(found.positions) == len(found.xy)
    for channel in range(11):
        positions, xy = found.of(channel)
        assert (np.diff(positions) >= 0).all()
        for position, (x, y) in zip(positions.tolist(), xy.tolist(), strict=True):
            # Stripes as wide as three columns: the center of each lies on it.
            mask = camvid.read_label(camvid.find("train+val")[position])
            assert mask[y, x] == channel
    assert found.pixels.tolist() == count_pixels(camvid, camvid.find("train+val")).tolist()


def test_classes_that_no_image_holds_have_no_places(tmp_path):
    root = fake_camvid(tmp_path)
    for path in (root / "trainannot").iterdir():
        save(path, stripes([0, 3, 11]))
    found = find_class_centers(open_source(root), "train", cache=None)
    assert np.flatnonzero(found.counts).tolist() == [0, 3]
    assert found.of(5)[0].shape == (0,)


def test_a_split_of_ignored_pixels_alone_has_no_places(tmp_path):
    root = fake_camvid(tmp_path)
    for path in (root / "trainannot").iterdir():
        save(path, stripes([11]))
    found = find_class_centers(open_source(root), "train", cache=None)
    assert not found.counts.any()
    assert not found.pixels.any()
    assert not find_class_centers(open_source(root), "train", whole_tiles_only=True, cache=None).counts.any()


def test_ids_above_eight_bits(tmp_path):
    source = open_source(fake_yaml(tmp_path, "16bit"))
    assert find_class_centers(source, "train", cache=None).counts.all()


def test_places_are_those_of_the_space_that_is_trained(tmp_path):
    source = open_source(fake_cityscapes(tmp_path))
    found = find_class_centers(source, "train", cache=None)
    assert len(found.counts) == 19
    positions, xy = found.of(0)
    assert all(
        source.read_label(source.find("train")[position])[y, x] == 0
        for position, (x, y) in zip(positions.tolist(), xy.tolist(), strict=True)
    )


def test_processes_find_the_same(camvid):
    heard: list[tuple[int, int]] = []
    alone = find_class_centers(camvid, "train", tile=12, cache=None)
    shared = find_class_centers(
        camvid, "train", tile=12, workers=2, cache=None, progress=lambda *done: heard.append(done)
    )
    assert same(alone, shared)
    assert heard == [(done, 8) for done in range(1, 9)]
    records = camvid.find("train")
    assert count_pixels(camvid, records, workers=-1).tolist() == count_pixels(camvid, records).tolist()


def test_fresh_interpreters_find_the_same(camvid):
    """What is handed to a process that is not forked must be importable there."""
    records = camvid.find("train")[:1]
    found = each_label(np.sum, camvid, records, workers=2, start="spawn")
    assert list(found) == list(each_label(np.sum, camvid, records))


def test_a_bad_label_is_named_by_whichever_process_reads_it(camvid):
    record = camvid.find("train")[5]
    save(record.label, stripes([0, 99]))
    for workers in (0, 2):
        with pytest.raises(LabelError, match=record.label.name):
            find_class_centers(camvid, "train", workers=workers, cache=None)


def test_a_split_without_labels_is_refused(tmp_path):
    source = open_source(fake_cityscapes(tmp_path))
    with pytest.raises(DataError, match="no label file"):
        find_class_centers(source, "test", cache=tmp_path / "cache")


def test_a_process_that_is_killed_is_told(camvid):
    with pytest.raises(DataError, match="fewer workers"):
        list(each_label(die, camvid, camvid.find("train"), workers=2))


class TestCache:
    @staticmethod
    def find(source: Source, folder: Path, **options: object) -> tuple[ClassCenters, int, list[str]]:
        """The result, how many labels were read for it, and what was noted."""
        read: list[int] = []
        notes: list[str] = []
        options = {"tile": 12, **options}
        found = find_class_centers(
            source,
            "train",
            cache=folder,
            progress=lambda done, _: read.append(done),
            note=notes.append,
            **options,
        )
        return found, len(read), notes

    def test_labels_are_read_once(self, camvid, tmp_path):
        first, read, _ = self.find(camvid, tmp_path / "cache")
        again, reread, notes = self.find(camvid, tmp_path / "cache")
        assert (read, reread, notes) == (8, 0, [])
        assert same(first, again)
        assert same(first, find_class_centers(camvid, "train", tile=12, cache=None))

    def test_what_the_places_depend_on_makes_it_stale(self, camvid, tmp_path):
        cache = tmp_path / "cache"
        self.find(camvid, cache)
        label = camvid.find("train")[0].label
        os.utime(label, ns=(1, 1))
        assert self.find(camvid, cache)[1] == 8
        assert self.find(camvid, cache)[1] == 0
        assert self.find(camvid, cache, tile=6)[1] == 8
        assert self.find(camvid, cache, whole_tiles_only=True)[1] == 8
        assert self.find(replace(camvid, refine=keep), cache)[1] == 8
        camvid.find("train")[1].image.unlink()
        assert self.find(camvid, cache)[1] == 7

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None])
    def test_a_damaged_file_is_replaced_and_told(self, camvid, tmp_path, content):
        found, _, _ = self.find(camvid, tmp_path / "cache")
        (path,) = (tmp_path / "cache").rglob("*.npz")
        path.write_bytes(path.read_bytes()[:-200] if content is None else content)
        again, read, notes = self.find(camvid, tmp_path / "cache")
        assert read == 8
        assert same(found, again)
        assert "damaged" in notes[0]
        assert path.name in notes[0]
        assert self.find(camvid, tmp_path / "cache")[1:] == (0, [])

    def test_a_place_that_cannot_be_written_is_told(self, camvid, tmp_path):
        (tmp_path / "file").touch()
        _, read, notes = self.find(camvid, tmp_path / "file")
        assert read == 8
        assert any("not kept" in note for note in notes)

    def test_it_lies_in_the_users_folder(self, camvid, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        find_class_centers(camvid, "train")
        assert len(list((tmp_path / "xdg" / "roadseg").rglob("*.npz"))) == 1
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert user_cache() == Path.home() / ".cache" / "roadseg"


def test_a_tile_without_extent_is_refused(camvid):
    with pytest.raises(ValueError, match="at least one pixel"):
        find_class_centers(camvid, "train", tile=0)


def test_pixels_of_ids_with_gaps_are_counted(tmp_path):
    label = save(tmp_path / "a.png", stripes([7, 7, 3, 255], (4, 8)))
    gaps = LabelSpace.from_names({3: "road", 7: "car"})
    source = Source(
        name="gaps",
        root=tmp_path,
        label_map=LabelMap.by_name(gaps, gaps),
        splits=("train",),
        list_split=lambda _: [Record(label, label, "a")],
        looks_for="a label",
        license="",
    )
    assert count_pixels(source, source.find("train")).tolist() == [8, 16]
    assert find_class_centers(source, "train", cache=None).xy.tolist() == [[4, 1], [1, 1]]


def keep(_record: object, ids: np.ndarray) -> np.ndarray:
    return ids


def die(_ids: np.ndarray) -> None:
    os._exit(1)
