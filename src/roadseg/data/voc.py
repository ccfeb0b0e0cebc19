"""PASCAL VOC 2012 segmentation: 20 kinds of objects and background (Everingham et al., IJCV 2015).

Layout, as the archives unpack; the path may be ``VOCdevkit`` or ``VOCdevkit/VOC2012``::

    JPEGImages/*.jpg   SegmentationClass/*.png   ImageSets/Segmentation/{train,val,test}.txt
                       SegmentationClassAug/*.png      (optional: labels of Hariharan et al., ICCV 2011)

Label files are palette pictures of the ids 0..20; the outlines of objects, 255, are ignored.

Splits: ``train`` (1464 photos), ``val`` (1449), ``test`` (1456, no public labels; with the test archive) and
``trainaug`` (10 582): everything that ``SegmentationClassAug`` labels and ``val`` does not hold, ``train`` included.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.name_lists import list_named, read_names
from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "voc"
LOOKS_FOR = "JPEGImages/ + SegmentationClass/ + ImageSets/Segmentation/{train,val}.txt"
OBTAIN = (
    "Take VOCtrainval_11-May-2012.tar (2 GB) from host.robots.ox.ac.uk/pascal/VOC/voc2012, no registration, and give"
    " VOCdevkit/VOC2012; the test images need an account on the evaluation server there."
)
EXPECTED: Mapping[str, int] = {"train": 1464, "val": 1449, "test": 1456}

SPACE = "voc-21"
IMAGES, LABELS, AUGMENTED = "JPEGImages", "SegmentationClass", "SegmentationClassAug"
LISTS = "ImageSets/Segmentation"
BASE_SPLITS = ("train", "val", "test")


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where it is not of this layout."""
    base = root / "VOC2012" if (root / "VOC2012").is_dir() else root
    if not ((base / LABELS).is_dir() and (base / LISTS).is_dir()):
        return None
    listed = tuple(split for split in BASE_SPLITS if (base / LISTS / f"{split}.txt").is_file())
    if not listed:
        return None
    augmented = ("trainaug",) if "val" in listed and (base / AUGMENTED).is_dir() else ()
    return Source(
        name=NAME,
        root=root,
        label_map=label_map(SPACE, SPACE),
        splits=listed + augmented,
        list_split=partial(_list_split, base),
        looks_for=LOOKS_FOR,
        license=space_note(SPACE).license,
        base_splits=listed,
    )


def _list_split(base: Path, split: str) -> list[Record]:
    if split != "trainaug":
        labels = None if split == "test" else base / LABELS
        return list_named(base / LISTS / f"{split}.txt", base / IMAGES, labels)
    held_out = set(read_names(base / LISTS / "val.txt"))
    return [
        Record(base / IMAGES / f"{label.stem}.jpg", label, label.stem)
        for label in list_images(base / AUGMENTED)
        if label.stem not in held_out
    ]
