import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import open_source
from roadseg.data.records import Record
from roadseg.data.subset import divide, sequence_of, write_subset
from roadseg.errors import DataError, OutputError, RecipeError
from tests.fakes import fake_camvid, fake_cityscapes, save


def records(count, sequences=3):
    return [
        Record(Path(f"{i}.png"), None, f"{'abc'[i % sequences]}/{'abc'[i % sequences]}_{i:06d}")
        for i in range(count)
    ]


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 5), st.booleans())
@settings(max_examples=50, deadline=None)
def test_both_parts_together_are_all_pictures_in_order(count, share, seed, by_sequence):
    every = records(count)
    taken, rest = divide(every, share, seed, by_sequence=by_sequence)
    assert sorted(taken + rest) == sorted(every)
    assert taken == sorted(taken, key=every.index)
    assert len(taken) == min(max(1, round(share * count)), count - 1)
    assert divide(every, share, seed, by_sequence=by_sequence) == (taken, rest)


def test_every_sequence_gives_its_share():
    taken, _ = divide(records(40, 2), 0.25, by_sequence=True)
    assert Counter(sequence_of(record.key) for record in taken) == {"a/a": 5, "b/b": 5}


def test_other_seeds_take_others_and_larger_shares_take_more():
    every = records(30)
    assert divide(every, 0.5, 0)[0] != divide(every, 0.5, 1)[0]
    assert set(divide(every, 0.2)[0]) < set(divide(every, 0.4)[0])


@pytest.mark.parametrize(
    ("key", "sequence"),
    [
        ("0001TP_006690", "0001TP"),
        ("Seq05VD_f00000", "Seq05VD"),
        ("aachen/aachen_000003_000019", "aachen/aachen_000003"),
        ("drive/000123", "drive"),
    ],
)
def test_sequences_are_told_by_names(key, sequence):
    assert sequence_of(key).strip("/") == sequence


def test_a_subset_is_a_data_set_whose_other_splits_stay(tmp_path):
    camvid = open_source(fake_camvid(tmp_path / "camvid"))
    file = tmp_path / "lists" / "quarter.yaml"
    counts = write_subset(file, str(tmp_path / "camvid"), camvid, "train", 0.25)
    assert counts == {"train": 2, "train-rest": 6}
    found = open_source(file)
    assert (found.target, found.splits) == (camvid.target, ("train", "val", "test", "train-rest"))
    assert found.find("val") == camvid.find("val")
    assert sorted(found.find("train+train-rest")) == sorted(camvid.find("train"))
    label = found.read_label(found.find("train-rest")[0])
    assert label.max() <= 11


def test_labels_are_read_as_those_of_the_data_set(tmp_path):
    root = fake_cityscapes(tmp_path / "cityscapes")
    source = open_source(root)
    write_subset(tmp_path / "few.yaml", f"cityscapes:{root}", source, "train+val", 0.5, seed=3)
    found = open_source(tmp_path / "few.yaml")
    assert set(found.splits) > {"train", "train-rest", "val", "val-rest", "train_extra"}
    record = found.find("val-rest")[0]
    assert set(found.read_label(record).ravel()) <= {*found.target.ids, found.target.ignore}


def test_what_cannot_be_taken_is_refused(tmp_path):
    camvid = open_source(fake_camvid(tmp_path / "camvid"))
    spec = str(tmp_path / "camvid")
    with pytest.raises(RecipeError, match=r"a share of 1\.0 of 8 pictures"):
        write_subset(tmp_path / "a.yaml", spec, camvid, "train", 1.0)
    with pytest.raises(DataError, match=r"ends in \.yaml"):
        write_subset(tmp_path / "a.txt", spec, camvid, "train", 0.5)
    with pytest.raises(DataError, match="has no split 'extra'"):
        write_subset(tmp_path / "a.yaml", spec, camvid, "extra", 0.5)


def test_names_that_yaml_cannot_hold_are_refused(tmp_path):
    folder = fake_camvid(tmp_path / "camvid")
    strange = tmp_path / os.fsdecode(b"stra\xdfe")
    try:
        (tmp_path / "camvid").rename(strange)
    except OSError:
        pytest.skip("this file system has no such names")
    message = r"stra\\udcdfe.* is not UTF-8, so that a YAML file cannot hold it; rename the picture"
    with pytest.raises(DataError, match=message):
        write_subset(tmp_path / "a.yaml", str(strange), open_source(strange), "train", 0.5)
    strange.rename(folder)
    for place in (folder / "train", folder / "trainannot"):
        first = min(place.iterdir())
        first.rename(first.with_name(strange.name + first.suffix))
    with pytest.raises(DataError, match=message):
        write_subset(tmp_path / "a.yaml", str(folder), open_source(folder), "train", 0.5)
    assert not (tmp_path / "a.yaml").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": {"train": ["nothing"]}}, "names 1 pictures that .* does not have, for example nothing"),
        ({"parts": {"train-rest": "extra"}}, "takes pictures of the split 'extra'"),
        ({"splits": {"train": []}}, "names no pictures in splits"),
        ({"of": 3}, "is no selection of a data set"),
        ({"of": "a.yaml"}, "is a selection of itself"),
    ],
)
def test_damaged_files(tmp_path, change, message):
    camvid = open_source(fake_camvid(tmp_path / "camvid"))
    file = tmp_path / "a.yaml"
    write_subset(file, str(tmp_path / "camvid"), camvid, "train", 0.5)
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | change))
    with pytest.raises(DataError, match=message):
        open_source(file).find("train")


def test_the_data_set_itself_is_not_overwritten(tmp_path):
    camvid = open_source(fake_camvid(tmp_path / "camvid"))
    file = tmp_path / "half.yaml"
    write_subset(file, str(tmp_path / "camvid"), camvid, "train", 0.5)
    before = file.read_bytes()
    with pytest.raises(OutputError, match="is the data set itself"):
        write_subset(file, str(file), open_source(file), "train", 0.5)
    assert file.read_bytes() == before


def test_names_that_yaml_reads_otherwise_stay_names(tmp_path):
    root = tmp_path / "odd: data"
    for name in ("no", "0001"):
        for number in range(2):
            save(root / "images" / name / f"{number}.png", np.zeros((4, 4, 3), np.uint8))
            save(root / "masks" / name / f"{number}.png", np.zeros((4, 4), np.uint8))
    (root / "data.yaml").write_text(
        'names: [road]\ntrain: images\nsplits: {"no": images/no, "0001": images/0001}\n', encoding="utf-8"
    )
    source = open_source(root)
    write_subset(tmp_path / "half.yaml", str(root), source, "no+0001", 0.5)
    half = open_source(tmp_path / "half.yaml")
    assert half.splits == ("train", "no", "0001", "no-rest", "0001-rest")
    assert [len(half.find(split)) for split in half.splits] == [4, 1, 1, 1, 1]
    assert half.base_splits == source.base_splits == ("train",)
    write_subset(tmp_path / "part.yaml", str(root), source, "train", 0.5)
    assert open_source(tmp_path / "part.yaml").base_splits == ("train", "train-rest")
