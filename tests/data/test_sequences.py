from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data.records import Record
from roadseg.data.sequences import find_sequences, flow_file, frame_number, split_runs
from roadseg.errors import DataError, LabelError
from tests.fakes import save

PICTURE = np.zeros((4, 6, 3), dtype=np.uint8)
IDS = np.zeros((4, 6), dtype=np.uint8)


def _cityscapes(root, numbers, labels, folder="gtFine", split="train"):
    for number in numbers:
        save(root / f"leftImg8bit_sequence/{split}/ulm/ulm_000001_{number:06d}_leftImg8bit.png", PICTURE)
    for number in labels:
        save(root / f"{folder}/{split}/ulm/ulm_000001_{number:06d}_gtFine_labelIds.png", IDS)


@settings(max_examples=50, deadline=None)
@given(numbers=st.sets(st.integers(0, 60), min_size=1, max_size=20))
def test_every_frame_is_in_one_run_of_constant_step(numbers):
    frames = [Path(f"film_{number:04d}.png") for number in numbers]
    runs = split_runs(frames, {})
    assert sorted(number for run in runs for number in run.numbers) == sorted(numbers)
    for run in runs:
        assert len({b - a for a, b in pairwise(run.numbers)}) <= 1
        assert [frame_number(frame) for frame in run.frames] == list(run.numbers)
    for one, other in pairwise(runs):
        assert one.beyond[1] == other.numbers[0]
        assert other.beyond[0] == one.numbers[-1]
    assert runs[0].beyond[0] is None
    assert runs[-1].beyond[1] is None


def test_the_commonest_step_counts():
    frames = [Path(f"0016E5_{number:05d}.jpg") for number in (10, 7959, 7961, 7963, 7969, 7971)]
    runs = split_runs(frames, {frames[2]: Path("label.png")}, "val")
    assert [run.numbers for run in runs] == [(10,), (7959, 7961, 7963), (7969, 7971)]
    assert [run.step for run in runs] == [1, 2, 2]
    assert runs[1].name == "val/0016E5_07959"
    assert runs[1].annotated == (7961,)


def test_films_of_one_folder_are_told_apart():
    frames = [Path(f"{film}_{number}.png") for film in ("a", "b_2") for number in (9, 10, 11)]
    assert [run.name for run in split_runs(reversed(frames), {})] == ["a_9", "b_2_9"]


def test_names_without_a_number_and_numbers_that_repeat():
    with pytest.raises(DataError, match="has no number at the end of its name"):
        split_runs([Path("street.png")], {})
    with pytest.raises(DataError, match="has the same number as"):
        split_runs([Path("a_7.png"), Path("a_07.png")], {})


def test_cityscapes(tmp_path):
    _cityscapes(tmp_path, range(7, 12), [9])
    for root in (tmp_path, tmp_path / "leftImg8bit_sequence"):
        clips = find_sequences(root)
        (film,) = clips.sequences
        assert film.name == "ulm/ulm_000001_000007"
        assert film.numbers == (7, 8, 9, 10, 11)
        assert film.annotated == (9,)
        assert film.labels[9].name == "ulm_000001_000009_gtFine_labelIds.png"
    assert clips.source.stored.name == "cityscapes"
    label = film.labels[9]
    assert set(np.unique(clips.source.read_label(Record(label, label, "x")))) == {255}


def test_cityscapes_labels_elsewhere(tmp_path):
    _cityscapes(tmp_path / "a", range(4), [1], "gtFine_sequence")
    with pytest.raises(DataError, match="put gtFine/train beside leftImg8bit_sequence"):
        find_sequences(tmp_path / "a")
    assert find_sequences(tmp_path / "a", tmp_path / "a" / "gtFine_sequence").sequences[0].annotated == (1,)
    _cityscapes(tmp_path / "b", [], [2], "gtFine_trainvaltest/gtFine")
    assert find_sequences(tmp_path / "a", tmp_path / "b").sequences[0].annotated == (2,)
    with pytest.raises(DataError, match="does not exist"):
        find_sequences(tmp_path / "a", tmp_path / "c")
    with pytest.raises(DataError, match="has no labels of split 'val'"):
        find_sequences(tmp_path / "a", tmp_path / "b", split="val")


def test_camvid(tmp_path):
    for number in (7959, 7961, 7963):
        save(tmp_path / "val" / f"0016E5_{number:05d}.png", PICTURE)
        save(tmp_path / "valannot" / f"0016E5_{number:05d}.png", IDS)
    clips = find_sequences(tmp_path, split="val")
    assert clips.source.target.name == "camvid-11"
    assert [(run.step, run.annotated) for run in clips.sequences] == [(2, (7959, 7961, 7963))]
    (tmp_path / "valannot" / "0016E5_07961.png").unlink()
    assert find_sequences(tmp_path, split="val").sequences[0].annotated == (7959, 7963)
    with pytest.raises(DataError, match="has no split 'train'"):
        find_sequences(tmp_path)


def test_a_folder_of_frames_with_labels_beside(tmp_path):
    for number in range(3):
        save(tmp_path / "frames" / f"{number:04d}.jpg", PICTURE)
    save(tmp_path / "ids" / "0001.png", IDS)
    save(tmp_path / "ids" / "unlike.png", IDS)
    clips = find_sequences(tmp_path / "frames", tmp_path / "ids", space="camvid-11")
    assert clips.sequences[0].labels == {1: tmp_path / "ids" / "0001.png"}
    assert clips.source.target.name == "camvid-11"
    with pytest.raises(DataError, match="unknown label space"):
        find_sequences(tmp_path / "frames", tmp_path / "ids")
    with pytest.raises(DataError, match="comes without labels"):
        find_sequences(tmp_path / "frames", space="camvid-11")
    with pytest.raises(LabelError, match="no-such-space"):
        find_sequences(tmp_path / "frames", tmp_path / "ids", space="no-such-space")


def test_rendered_clips(tmp_path):
    clip = tmp_path / "sequences" / "train" / "synth_500000"
    for number in range(3):
        save(clip / "images" / f"{number:06d}.png", PICTURE)
        save(clip / "labels" / f"{number:06d}.png", IDS)
    clips = find_sequences(tmp_path)
    assert [run.name for run in clips.sequences] == ["synth_500000/000000"]
    assert clips.sequences[0].annotated == (0, 1, 2)
    assert clips.source.target.name == "camvid-11"
    (tmp_path / "data.yaml").write_text("names: []", encoding="utf-8")
    assert find_sequences(tmp_path).source.target.name == "cityscapes-19"
    with pytest.raises(DataError, match="has no numbered frames of split 'val'"):
        find_sequences(tmp_path, split="val")


def test_where_known_flow_is():
    assert flow_file(Path("/a/images/000003.png")) == Path("/a/flow/000003.npz")
    frame = Path("/a/leftImg8bit_sequence/train/ulm/ulm_000001_000009_leftImg8bit.png")
    assert flow_file(frame) == Path("/a/flow/train/ulm/ulm_000001_000009_flow.npz")
    assert flow_file(Path("/a/val/0016E5_07959.png")) is None


def test_sequences_of_one_name_are_refused(tmp_path):
    for drive in ("a", "b"):
        for number in range(2):
            save(tmp_path / drive / "images" / f"{number}.png", PICTURE)
            save(tmp_path / drive / "masks" / f"{number}.png", IDS)
    data = tmp_path / "set" / "data.yaml"
    data.parent.mkdir()
    data.write_text("names: [road]\ntrain: [../a/images, ../b/images]\n", encoding="utf-8")
    with pytest.raises(DataError, match="2 sequences named"):
        find_sequences(data)


def test_label_spaces_with_gaps_are_refused(tmp_path):
    save(tmp_path / "frames" / "1.png", PICTURE)
    save(tmp_path / "masks" / "1.png", IDS)
    with pytest.raises(LabelError, match="without gaps"):
        find_sequences(tmp_path / "frames", tmp_path / "masks", space="coco-panoptic")
