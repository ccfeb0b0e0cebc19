"""ADE20K, the 150 classes of the scene parsing challenge: 22 210 photos of all kinds (Zhou et al., CVPR 2017).

Layout, as ``ADEChallengeData2016.zip`` unpacks::

    images/training/ADE_train_*.jpg      annotations/training/ADE_train_*.png
    images/validation/ADE_val_*.jpg      annotations/validation/ADE_val_*.png

Label files hold the ids 1..150 of the challenge's ``objectInfo150.txt``; 0, everything else, is ignored. The full
release with its 3000 object names (``ADE20K_2021_17_01``) is another layout and is not read.

Splits: ``train`` (20 210 photos) and ``val`` (2000).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "ade20k"
LOOKS_FOR = "images/training + annotations/training, likewise validation/"
OBTAIN = (
    "Take ADEChallengeData2016.zip (0.9 GB) from sceneparsing.csail.mit.edu, no registration, and give the folder that it"
    " unpacks to; the photos are for non-commercial research and education."
)
EXPECTED: Mapping[str, int] = {"train": 20210, "val": 2000}

IMAGES, LABELS = "images", "annotations"
FOLDERS = {"train": "training", "val": "validation"}


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where it is not of this layout."""
    if not any((root / LABELS / folder).is_dir() for folder in FOLDERS.values()):
        return None
    splits = tuple(split for split, folder in FOLDERS.items() if (root / IMAGES / folder).is_dir())
    if not splits:
        return None
    return Source(
        name=NAME,
        root=root,
        label_map=label_map("ade20k", "ade20k-150"),
        splits=splits,
        list_split=partial(_list_split, root),
        looks_for=LOOKS_FOR,
        license=space_note("ade20k").license,
    )


def _list_split(root: Path, split: str) -> list[Record]:
    folder = FOLDERS[split]
    labels = root / LABELS / folder
    return [
        Record(image, labels / f"{image.stem}.png", image.stem)
        for image in list_images(root / IMAGES / folder)
    ]
