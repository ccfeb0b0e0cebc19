import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from roadseg.data import RoadDataset, open_source
from roadseg.data.cache import Cache, State, build_cache, remove_cache
from roadseg.errors import DataError, ImageError, OutputError
from tests.fakes import fake_camvid, fake_cityscapes, fake_yaml, save


@pytest.fixture
def source(tmp_path):
    return open_source(fake_camvid(tmp_path / "camvid"))


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "entries").iterdir())


def test_cached_samples_equal_decoded_ones(source, tmp_path):
    built = build_cache(source, "train+val", tmp_path / "cache", workers=0)
    assert (built.made, built.kept, built.remade) == (10, 0, ())
    decoded, cached = RoadDataset(source, "val"), RoadDataset(source, "val", cache=tmp_path / "cache")
    for index in range(len(decoded)):
        one, other = decoded[index], cached[index]
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.mask, other.mask)
        assert one.key == other.key
        assert other.image.stride() == one.image.stride()  # as [H, W, 3] in memory


def test_images_of_several_sizes_and_wide_ids(tmp_path):
    yaml = fake_yaml(tmp_path / "data", "16bit")
    save(tmp_path / "data/images/train/train_0.png", np.zeros((5, 7, 3), np.uint8))
    save(tmp_path / "data/masks/train/train_0.png", np.full((5, 7), 2000, np.uint16))
    source = open_source(yaml)
    build_cache(source, "train", tmp_path / "cache", workers=0)
    cached, decoded = RoadDataset(source, "train", cache=tmp_path / "cache"), RoadDataset(source, "train")
    assert cached[0].image.shape == (3, 5, 7)
    for index in range(len(cached)):
        assert torch.equal(cached[index].mask, decoded[index].mask)


def test_what_is_written_to_a_sample_never_reaches_the_file(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    dataset = RoadDataset(source, "val", cache=tmp_path / "cache")
    before = dataset[0].image.clone()
    dataset[0].image.zero_()
    assert torch.equal(dataset[0].image, before)


def test_processes_build_the_same_files(source, tmp_path):
    seen = []
    build_cache(
        source, "val", tmp_path / "a", workers=2, progress=lambda done, total: seen.append((done, total))
    )
    build_cache(source, "val", tmp_path / "b", workers=0)
    assert seen == [(1, 2), (2, 2)]
    assert [p.name for p in entries(tmp_path / "a")] == [p.name for p in entries(tmp_path / "b")]
    for one, other in zip(entries(tmp_path / "a"), entries(tmp_path / "b"), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_build_goes_on_where_it_was_stopped(source, tmp_path):
    def stop(done, _total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(source, "train", tmp_path / "cache", workers=0, progress=stop)
    with pytest.raises(DataError, match=r"lacks 5 of 8 images of split 'train'.*is missing.*data cache"):
        RoadDataset(source, "train", cache=tmp_path / "cache")
    built = build_cache(source, "train", tmp_path / "cache", workers=0)
    assert (built.made, built.kept) == (5, 3)
    assert len(RoadDataset(source, "train", cache=tmp_path / "cache")) == 8


def test_a_changed_image_makes_its_entry_stale(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    image = source.find("val")[0].image
    os.utime(image, (1, 1))
    with pytest.raises(DataError, match=f"lacks 1 of 2 .*{image.name}, is older than"):
        RoadDataset(source, "val", cache=tmp_path / "cache")
    built = build_cache(source, "val", tmp_path / "cache", workers=0)
    assert (built.made, built.kept, len(built.remade)) == (1, 1, 1)
    RoadDataset(source, "val", cache=tmp_path / "cache")


@pytest.mark.parametrize("damage", ["truncated", "empty", "header", "other"])
def test_damaged_entries_are_named_and_made_again(source, tmp_path, damage):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    dataset = RoadDataset(source, "val", cache=tmp_path / "cache")
    path = Cache(tmp_path / "cache", source).path(dataset.records[0])
    content = path.read_bytes()
    harm = {
        "truncated": content[:-1],
        "empty": b"",
        "header": b"\xff" + content[1:],
        "other": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
    }
    path.write_bytes(harm[damage])
    with pytest.raises(DataError, match=r"is damaged.*roadseg data cache"):
        dataset[0]
    with pytest.raises(DataError, match=f"{path.name}.* is damaged"):
        RoadDataset(source, "val", cache=tmp_path / "cache")
    assert build_cache(source, "val", tmp_path / "cache", workers=0).remade == (path,)
    assert path.read_bytes() == content


def test_changed_pixels_are_found_by_their_checksum(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    path = entries(tmp_path / "cache")[1]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert build_cache(source, "val", tmp_path / "cache", workers=0).made == 0
    built = build_cache(source, "val", tmp_path / "cache", workers=0, verify=True)
    assert (built.made, built.kept, built.remade) == (1, 1, (path,))
    assert path.read_bytes() == content


def test_entries_are_plain_safetensors(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    with safe_open(entries(tmp_path / "cache")[0], framework="numpy") as entry:
        assert sorted(entry.keys()) == ["mask", "pixels"]
        assert json.loads(entry.metadata()["roadseg"])["key"] == source.find("val")[0].key


class Erase:
    """A refinement that depends on nothing."""

    def __call__(self, _record, ids):
        return np.zeros_like(ids)


def test_labels_are_refined_after_the_cache(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    refined = dataclasses.replace(source, refine=Erase())
    assert not RoadDataset(refined, "val", cache=tmp_path / "cache")[0].mask.any()
    assert not RoadDataset(refined, "val")[0].mask.any()
    assert RoadDataset(source, "val", cache=tmp_path / "cache")[0].mask.any()


def test_a_data_set_may_move(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(source.root, tmp_path / "elsewhere/camvid")
    moved = open_source(tmp_path / "elsewhere/camvid")
    assert build_cache(moved, "val", tmp_path / "cache", workers=0).made == 0


def test_data_sets_of_one_label_space_share_a_cache(source, tmp_path):
    other = open_source(fake_camvid(tmp_path / "twin"))
    build_cache(source, "val", tmp_path / "cache", workers=0)
    assert build_cache(other, "val", tmp_path / "cache", workers=0).made == 2
    assert build_cache(source, "val", tmp_path / "cache", workers=0).made == 0
    assert len(entries(tmp_path / "cache")) == 4


def test_a_cache_of_another_label_space_is_refused(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    other = open_source(fake_cityscapes(tmp_path / "cityscapes"))
    with pytest.raises(DataError, match=r"holds labels in camvid-11, but those of .* are in cityscapes-19"):
        RoadDataset(other, "val", cache=tmp_path / "cache")
    with pytest.raises(DataError, match="another folder"):
        build_cache(other, "val", tmp_path / "cache", workers=0)


def test_folders_that_are_no_cache(source, tmp_path):
    with pytest.raises(DataError, match="is not a cache"):
        RoadDataset(source, "val", cache=tmp_path / "nowhere")
    with pytest.raises(DataError, match="is not a cache and stays as it is"):
        remove_cache(source.root)
    with pytest.raises(OutputError, match="holds other files"):
        build_cache(source, "val", source.root, workers=0)
    build_cache(source, "val", tmp_path / "cache", workers=0)
    (tmp_path / "cache/cache.json").write_text("{")
    with pytest.raises(DataError, match=r"cache\.json: is damaged; remove the folder"):
        RoadDataset(source, "val", cache=tmp_path / "cache")
    (tmp_path / "cache/cache.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(DataError, match="is of version 99, not 1"):
        RoadDataset(source, "val", cache=tmp_path / "cache")


def test_a_removed_cache_leaves_other_files(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    (tmp_path / "cache/entries/.left-over.safetensors").write_bytes(b"half")
    size = sum(path.stat().st_size for path in entries(tmp_path / "cache"))
    assert remove_cache(tmp_path / "cache") == (3, size)
    assert not (tmp_path / "cache").exists()
    build_cache(source, "val", tmp_path / "cache", workers=0)
    (tmp_path / "cache/diary.txt").write_text("dear")
    remove_cache(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["diary.txt"]


def test_a_disk_that_is_too_small_is_found_before(source, tmp_path, monkeypatch):
    monkeypatch.setattr("roadseg.data.cache.free_disk", lambda _path: 1000)
    with pytest.raises(OutputError, match=r"the cache needs 0\.00 GB, but 0\.00 GB are free"):
        build_cache(source, "val", tmp_path / "cache", workers=0)
    assert not (tmp_path / "cache/entries").exists()


def test_an_image_that_cannot_be_read_keeps_the_others(source, tmp_path):
    last = source.find("train")[-1].image
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=last.name):
        build_cache(source, "train", tmp_path / "cache", workers=0)
    last.write_bytes(content)
    assert build_cache(source, "train", tmp_path / "cache", workers=0).kept == 7


def test_splits_without_labels_are_refused(tmp_path):
    yaml = fake_yaml(tmp_path / "data")
    source = open_source(yaml)
    records = [record._replace(label=None) for record in source.find("val")]
    object.__setattr__(source, "list_split", lambda _split: records)
    with pytest.raises(DataError, match="has no label file"):
        build_cache(source, "val", tmp_path / "cache", workers=0)


def test_an_entry_that_vanishes_while_training_is_named(source, tmp_path):
    build_cache(source, "val", tmp_path / "cache", workers=0)
    cache, record = Cache(tmp_path / "cache", source), source.find("val")[0]
    cache.path(record).unlink()
    assert cache.state(record) is State.MISSING
    assert not cache.is_intact(record)
    with pytest.raises(DataError, match="is missing from the cache"):
        cache.read(record)
