"""KITTI semantics 2015: 400 frames from Karlsruhe, 200 of them labeled as Cityscapes is (Abu Alhaija et al., 2018).

Layout::

    training/image_2/NNNNNN_10.png    training/semantic/NNNNNN_10.png    (ids of Cityscapes)
    testing/image_2/NNNNNN_10.png                                        (no public labels)

Other folders and frames of the KITTI 2015 archives (``image_3``, ``*_11.png``) may lie beside and are left out. Sizes
vary from 1224x370 to 1242x376. The data set has no validation split of its own: three folds hold out 21 frames each, the
ones that Zhu et al. (CVPR 2019) used.

Splits: ``train-cv0``/``val-cv0`` to ``cv2`` are the folds, ``train`` and ``val`` those of fold 0, so that ``train+val``
are all 200 frames; ``test`` (200 frames).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "FOLDS", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "kitti"
LOOKS_FOR = "training/image_2/*_10.png + training/semantic/*_10.png, and testing/image_2/*_10.png"
OBTAIN = (
    "Register at cvlibs.net and take data_semantics.zip (semantic segmentation, KITTI 2015); CC BY-NC-SA 3.0."
)
EXPECTED: Mapping[str, int] = {"train": 179, "val": 21, "test": 200}

FOLDS: tuple[frozenset[int], ...] = (
    frozenset(
        (1, 5, 11, 29, 35, 49, 57, 68, 72, 82, 93, 115, 119, 130, 145, 154, 156, 167, 169, 189, 198),
    ),
    frozenset(
        (0, 12, 24, 31, 42, 50, 63, 71, 84, 96, 101, 112, 121, 133, 141, 155, 164, 171, 187, 191, 197),
    ),
    frozenset(
        (3, 6, 13, 21, 41, 54, 61, 73, 88, 91, 110, 121, 126, 131, 142, 149, 150, 163, 173, 183, 199),
    ),
)
"""The numbers of the frames that each fold validates on; 121 is in two of them."""

IMAGES, LABELS = "image_2", "semantic"
FRAME = "_10"  # the labeled one of each pair of successive frames


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where there are no labeled frames of it."""
    if not ((root / "training" / IMAGES).is_dir() and (root / "training" / LABELS).is_dir()):
        return None
    base = ("train", "val", *(("test",) if (root / "testing" / IMAGES).is_dir() else ()))
    return Source(
        name=NAME,
        root=root,
        label_map=label_map("kitti", "cityscapes-19"),
        splits=base + tuple(f"{part}-cv{fold}" for fold in range(len(FOLDS)) for part in ("train", "val")),
        list_split=partial(_list_split, root),
        looks_for=LOOKS_FOR,
        license=space_note("kitti").license,
        base_splits=base,
    )


def _list_split(root: Path, split: str) -> list[Record]:
    if split == "test":
        return [Record(image, None, image.stem) for image in _frames(root / "testing" / IMAGES)]
    part, _, fold = split.partition("-cv")
    held_out = FOLDS[int(fold or 0)]
    return [
        Record(image, root / "training" / LABELS / f"{image.stem}.png", image.stem)
        for image in _frames(root / "training" / IMAGES)
        if (int(image.stem.removesuffix(FRAME)) in held_out) == (part == "val")
    ]


def _frames(folder: Path) -> list[Path]:
    return [
        image
        for image in list_images(folder)
        if image.stem.endswith(FRAME) and image.stem.removesuffix(FRAME).isdecimal()
    ]
