"""PASCAL-Context: the photos of PASCAL VOC 2010, every pixel labeled, 59 classes and background (Mottaghi et al., 2014).

Layout, as the converters of MMSegmentation and HRNet write it; the path may be ``VOCdevkit`` or ``VOCdevkit/VOC2010``::

    JPEGImages/*.jpg   SegmentationClassContext/*.png   ImageSets/SegmentationContext/{train,val}.txt

Label files hold 0 for background, which counts as a class, and 1..59 for the others in alphabetical order (not that of
the official ``59_labels.txt``); 255 is ignored. The official labels are MATLAB files of 459 classes (``trainval/*.mat``),
which are not read: convert them with one of those tools. Label files of MSeg (``Segmentation_GT_60cls``) have other ids
and are not read either.

Splits: ``train`` (4998 photos) and ``val`` (5105).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.name_lists import list_named
from roadseg.data.records import Record
from roadseg.data.source import Source
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "pascal-context"
LOOKS_FOR = "JPEGImages/ + SegmentationClassContext/ + ImageSets/SegmentationContext/{train,val}.txt"
OBTAIN = (
    "Take VOCtrainval_03-May-2010.tar (1.3 GB) from host.robots.ox.ac.uk/pascal/VOC/voc2010 and the labels from"
    " cs.stanford.edu/~roozbeh/pascal-context, no registration; convert them to SegmentationClassContext as the guide of"
    " MMSegmentation to data sets describes, and give VOCdevkit/VOC2010."
)
EXPECTED: Mapping[str, int] = {"train": 4998, "val": 5105}

IMAGES, LABELS, LISTS = "JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext"


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where it is not of this layout."""
    base = root / "VOC2010" if (root / "VOC2010").is_dir() else root
    if not ((base / LABELS).is_dir() and (base / LISTS).is_dir()):
        return None
    splits = tuple(split for split in EXPECTED if (base / LISTS / f"{split}.txt").is_file())
    if not splits:
        return None
    return Source(
        name=NAME,
        root=root,
        label_map=label_map("pascal-context", "pascal-context-60"),
        splits=splits,
        list_split=partial(_list_split, base),
        looks_for=LOOKS_FOR,
        license=space_note("pascal-context").license,
    )


def _list_split(base: Path, split: str) -> list[Record]:
    return list_named(base / LISTS / f"{split}.txt", base / IMAGES, base / LABELS)
