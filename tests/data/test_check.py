"""The check of a whole data set: nothing wrong, and every fault it knows."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.data.check import SHOWN, Report, check
from roadseg.data.records import Record
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from tests import fakes

SPLITS = {"train": 4, "val": 2, "test": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fakes.fake_camvid(tmp_path, splits=SPLITS)


def first_pair(root: Path, split: str = "train", index: int = 0) -> tuple[Path, Path]:
    record: Record = open_source(root).list_split(split)[index]
    assert record.label is not None
    return record.image, record.label


def run(root: Path) -> Report:
    report = check(open_source(root), workers=2)
    json.dumps(report.to_json())
    return report


def test_good_set(root: Path) -> None:
    report = run(root)
    assert report.usable
    assert report.problems == report.notes == []
    assert (report.name, report.root, report.space) == ("camvid", str(root), "camvid-11")
    assert list(report.splits) == ["train", "val", "test"]
    train = report.splits["train"]
    assert (train.images, train.labeled) == (4, 4)
    assert train.sizes == {"16x12": 4}
    assert train.label_kinds == {"8-bit ids": 4}
    assert train.unseen == ()
    masks = [fakes.stripes(np.roll(np.arange(12), 5 * i)) for i in range(4)]
    counts = np.bincount(np.stack(masks).ravel(), minlength=12)
    assert list(train.pixels.values()) == counts[:11].tolist()
    assert train.ignored == counts[11]
    assert train.ignore_share == pytest.approx(counts[11] / counts.sum())
    assert train.frequencies["sky"] == pytest.approx(counts[0] / counts[:11].sum())
    assert sum(train.frequencies.values()) == pytest.approx(1)


def test_json_holds_everything(root: Path) -> None:
    first_pair(root)[1].unlink()
    content = json.loads(json.dumps(run(root).to_json()))
    assert content["usable"] is False
    assert content["splits"]["val"]["images"] == 2
    assert content["splits"]["val"]["sizes"] == {"16x12": 2}
    assert [item["kind"] for item in content["findings"]] == ["missing label"]
    assert len(content["problems"]) == 1


def test_progress_counts_every_image(root: Path) -> None:
    calls: list[tuple[int, int]] = []
    check(open_source(root), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 8) for i in range(1, 9)]


def test_an_error_in_progress_ends_the_check(root: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(open_source(root), progress=stop)


def test_chosen_splits(root: Path) -> None:
    source = open_source(root)
    assert list(check(source, ["val"]).splits) == ["val"]
    assert list(check(source, ["test+val"]).splits) == ["test", "val"]
    with pytest.raises(DataError, match=r"has no split 'vall'; it has train, val, test"):
        check(source, ["vall"])


def unknown_id(root: Path) -> None:
    mask = fakes.stripes(np.arange(12))
    mask[0, :7], mask[1, :2] = 42, 13
    fakes.save(first_pair(root)[1], mask)


def wrong_size(root: Path) -> None:
    fakes.save(first_pair(root)[1], fakes.stripes([0, 1], (12, 15)))


def turned_image(root: Path) -> None:
    image, _ = first_pair(root)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(image).save(image, exif=exif)


def truncated_label(root: Path) -> None:
    label = first_pair(root)[1]
    label.write_bytes(label.read_bytes()[:44])


def truncated_image(root: Path) -> None:
    image = first_pair(root)[0]
    image.write_bytes(image.read_bytes()[:60])


def empty_label(root: Path) -> None:
    first_pair(root)[1].write_bytes(b"")


def missing_label(root: Path) -> None:
    first_pair(root)[1].unlink()


def colored_label(root: Path) -> None:
    fakes.save(first_pair(root)[1], fakes.picture("x"))


def repeated_name(root: Path) -> None:
    image = first_pair(root)[0]
    fakes.save(image.with_suffix(".jpg"), fakes.picture("another"))


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (unknown_id, "unknown ids", ["id 42 (7 pixels)", "id 13 (2 pixels)"]),
        (wrong_size, "size mismatch", ["is 15x12 but its image", "is 16x12", "nearest-neighbor"]),
        (turned_image, "size mismatch", ["is 16x12 but its image", "is 12x16"]),
        (truncated_label, "unreadable label", ["trainannot"]),
        (truncated_image, "unreadable image", ["train"]),
        (empty_label, "unreadable label", ["empty"]),
        (missing_label, "missing label", ["has no label file; it belongs at", "trainannot"]),
        (colored_label, "unknown colors", ["is a color picture where a picture of ids is expected"]),
        (repeated_name, "repeated name", ["2 images are named", "rename the others"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_damage(damage: Callable[[Path], None], kind: str, words: list[str], root: Path) -> None:
    damage(root)
    report = run(root)
    assert not report.usable
    assert [(item.kind, item.split) for item in report.findings] == [(kind, "train")]
    (problem,) = report.problems
    assert problem == report.findings[0].message
    assert problem.startswith("train: ")
    assert "\n" not in problem
    name = first_pair(root)[0].stem
    for word in (*words, name):
        assert word in problem
    # The other pairs are counted all the same.
    assert report.splits["train"].labeled == (5 if kind == "repeated name" else 3)
    assert report.splits["val"].labeled == 2


def test_unknown_ids_are_listed_with_their_pixels(root: Path) -> None:
    unknown_id(root)
    assert run(root).findings[0].ids == ((13, 2), (42, 7))


def test_wrong_size_and_unknown_id_are_both_told(root: Path) -> None:
    fakes.save(first_pair(root)[1], fakes.stripes([0, 99], (5, 6)))
    assert [item.kind for item in run(root).findings] == ["size mismatch", "unknown ids"]


def test_unknown_color(tmp_path: Path) -> None:
    root = fakes.fake_camvid_rgb(tmp_path)
    label = root / "LabeledApproved_full" / "0001TP_006690_L.png"
    mask = np.array(Image.open(label))
    mask[0, 0] = (1, 2, 3)
    fakes.save(label, mask)
    report = run(root)
    assert [item.kind for item in report.findings] == ["unknown colors"]
    assert "color (1, 2, 3) (1 pixel)" in report.problems[0]


def test_many_alike_are_shortened(tmp_path: Path) -> None:
    root = fakes.fake_camvid(tmp_path, splits={"train": SHOWN + 3})
    for label in (root / "trainannot").iterdir():
        label.unlink()
    report = run(root)
    assert len(report.findings) == SHOWN + 3
    assert len(report.problems) == SHOWN + 1
    assert report.problems[-1] == "train: missing label in 3 more files"


def test_empty_split(root: Path) -> None:
    for image in (root / "test").iterdir():
        image.unlink()
    report = run(root)
    assert not report.usable
    assert report.problems[0].startswith("test: there are no images; camvid looks for train/")
    assert report.splits["test"].images == 0
    assert report.splits["test"].ignore_share == 0


def test_split_that_cannot_be_listed(tmp_path: Path) -> None:
    file = fakes.fake_yaml(tmp_path)
    source = open_source(file)
    (tmp_path / "images" / "val").rename(tmp_path / "images" / "gone")
    report = check(source)
    assert [(item.kind, item.split) for item in report.findings] == [("broken split", "val")]
    assert "cannot be listed" in report.problems[0]
    assert report.splits["train"].labeled == 3


def test_duplicates_across_splits(root: Path) -> None:
    source_image, _ = first_pair(root, "train", 1)
    target_image, _ = first_pair(root, "val")
    # Saved anew: other bytes, the same pixels.
    Image.open(source_image).save(target_image, compress_level=1)
    report = run(root)
    assert report.usable
    (duplicate,) = report.duplicates
    assert duplicate.files == (("train", str(source_image)), ("val", str(target_image)))
    assert report.problems == [f"1 image is in train and val, for example {source_image} and {target_image}"]
    assert report.to_json()["duplicates"] == [
        [{"split": "train", "file": str(source_image)}, {"split": "val", "file": str(target_image)}]
    ]


def test_many_duplicates_are_one_sentence(tmp_path: Path) -> None:
    fakes.fake_yaml(tmp_path)
    content = {"names": list(fakes.NAMES), "train": "images/train", "val": "images/train"}
    report = check(open_source(fakes.write_yaml(tmp_path / "data.yaml", content)))
    assert len(report.duplicates) == 3
    assert len(report.problems) == 1
    assert report.problems[0].startswith("3 images are in train and val, for example ")


def test_pictures_of_equal_bytes_but_other_shape_are_no_duplicates(tmp_path: Path) -> None:
    for split, size in {"train": (4, 6), "val": (6, 4)}.items():
        fakes.save(tmp_path / split / f"{split}.png", np.zeros((*size, 3), dtype=np.uint8))
        fakes.save(tmp_path / f"{split}annot" / f"{split}.png", fakes.stripes([0, 1], size))
    assert run(tmp_path).duplicates == ()


def test_views_of_the_same_images_are_not_compared_by_default(tmp_path: Path) -> None:
    report = run(fakes.fake_cityscapes(tmp_path))
    assert report.duplicates == ()
    assert list(report.splits) == ["train", "val", "test", "train_extra"]
    assert report.splits["test"].labeled == 0
    assert report.splits["test"].unseen == ()
    assert check(open_source(tmp_path), ["train", "train-coarse"]).duplicates


def test_unseen_classes_and_blank_labels_are_noted(root: Path) -> None:
    fakes.save(first_pair(root, "val", 0)[1], fakes.stripes([11]))
    fakes.save(first_pair(root, "val", 1)[1], fakes.stripes([0, 1, 2, 3, 4, 5, 6, 7]))
    report = run(root)
    assert report.usable
    assert report.problems == []
    assert report.splits["val"].unseen == ("car", "pedestrian", "bicyclist")
    assert report.notes == [
        "val: 1 labels hold nothing but ignored pixels",
        "val: no pixel of car, pedestrian, bicyclist",
    ]


@pytest.mark.parametrize(
    ("kind", "label_kind", "note"),
    [
        ("rgb", "colors", "train: 3 label files are color pictures"),
        ("palette", "palette", "train: 3 label files are palette pictures"),
        ("binary", "8-bit ids", "masks hold only 0 and 255: 255 is read as class 1 (road)"),
        ("16bit", "16-bit ids", None),
    ],
)
def test_kinds_of_masks_are_told_in_words(
    kind: str, label_kind: str, note: str | None, tmp_path: Path
) -> None:
    report = run(fakes.fake_yaml(tmp_path, kind))
    assert report.usable
    assert report.splits["train"].label_kinds == {label_kind: 3}
    assert any(item.startswith(note) for item in report.notes) if note else report.notes == []


def test_sizes_come_most_frequent_first(root: Path) -> None:
    image, label = first_pair(root)
    fakes.save(image, fakes.picture("small", (6, 8)))
    fakes.save(label, fakes.stripes([0], (6, 8)))
    assert list(run(root).splits["train"].sizes.items()) == [("16x12", 3), ("8x6", 1)]
