"""SUN RGB-D: 10 335 pictures of rooms, 37 classes (Song et al., CVPR 2015). Depth is not read.

Layouts: the archives of A. Handa (``sunrgbd-meta-data``), in which the labels of the test pictures come first, and their
rearrangement by C. Choy (``SUN_RGBD``), which MSeg is made from::

    SUNRGBD-{train,test}_images/img-NNNNNN.jpg    sunrgbd_train_test_labels/img-NNNNNN.png  (test 1..5050, then train)

    image/{train,test}/img-NNNNNN.jpg             label37/{train,test}/NNNNNNNN.png         (or label38/, as MSeg names it)
                                                  split/val37.txt                           (optional)

Label files hold the ids 1..37; 0, unlabeled, is ignored. The label files of 13 classes (``img13labels-*``) and the
MATLAB files of the original release are not read.

Splits: ``train`` (5285 pictures), ``test`` (5050, labeled) and ``val``: the 475 test pictures that ``split/val37.txt``
lists and MSeg validates on, or all of ``test`` where there is no such list.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.name_lists import read_lines
from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.errors import DataError
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "sunrgbd"
LOOKS_FOR = (
    "SUNRGBD-{train,test}_images/ + sunrgbd_train_test_labels/, or image/*/ + label37/*/ for train and test"
)
OBTAIN = (
    "The official site is rgbd.cs.princeton.edu; take SUNRGBD-train_images.tgz, SUNRGBD-test_images.tgz and"
    " sunrgbd_train_test_labels.tar.gz as github.com/ankurhanda/sunrgbd-meta-data says, no registration, and"
    " split/val37.txt from github.com/chrischoy/SUN_RGBD to validate on the pictures of MSeg."
)
EXPECTED: Mapping[str, int] = {"train": 5285, "val": 475, "test": 5050}

ARCHIVE_LABELS = "sunrgbd_train_test_labels"
FIRST_TRAIN = 5050  # so many labels of test pictures come before those of the training pictures
LABELS = ("label37", "label38")
LIST = "split/val37.txt"
_IMAGE = re.compile(r"img-(\d{6})")


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where neither layout is found."""
    if not ((root / ARCHIVE_LABELS).is_dir() or any((root / labels).is_dir() for labels in LABELS)):
        return None
    folders = tuple(split for split in ("train", "test") if _images(root, split).is_dir())
    if not folders:
        return None
    has_test = "test" in folders
    whole = has_test and not (root / LIST).is_file()
    return Source(
        name=NAME,
        root=root,
        label_map=label_map("sunrgbd", "sunrgbd-37"),
        splits=(*folders, *(("val",) if has_test else ())),
        list_split=partial(_list_split, root),
        looks_for=LOOKS_FOR,
        license=space_note("sunrgbd").license,
        base_splits=folders,
        notes=(f"val is all of test, because there is no {LIST}",) if whole else (),
    )


def _images(root: Path, split: str) -> Path:
    archive = root / f"SUNRGBD-{split}_images"
    return archive if archive.is_dir() else root / "image" / split


def _list_split(root: Path, split: str) -> list[Record]:
    if split != "val":
        return _list_folder(root, split)
    records = _list_folder(root, "test")
    listed = root / LIST
    if not listed.is_file():
        return records
    numbers = _read_numbers(listed)
    return [record for record in records if int(record.key[-6:]) in numbers]


def _list_folder(root: Path, split: str) -> list[Record]:
    records = []
    for image in list_images(_images(root, split)):
        if (found := _IMAGE.fullmatch(image.stem)) is not None:
            label = _label(root, split, int(found[1]))
            records.append(Record(image, label, f"{split}/{image.stem}"))
    return records


def _label(root: Path, split: str, number: int) -> Path:
    if (root / ARCHIVE_LABELS).is_dir():
        return root / ARCHIVE_LABELS / f"img-{number + FIRST_TRAIN * (split == 'train'):06d}.png"
    labels = next((labels for labels in LABELS if (root / labels).is_dir()), LABELS[0])
    return root / labels / split / f"{number:08d}.png"


def _read_numbers(file: Path) -> set[int]:
    """Return the numbers of the pictures in a list, whatever columns it has beside them."""
    found = [_IMAGE.search(line) for line in read_lines(file)]
    if None in found:
        raise DataError(
            "has a line that names no picture img-NNNNNN.jpg",
            where=file,
            remedy="take the list from github.com/chrischoy/SUN_RGBD again",
        )
    return {int(match[1]) for match in found if match is not None}
