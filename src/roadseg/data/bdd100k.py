"""BDD100K, semantic segmentation: 10 000 frames of US dash cameras, 8000 of them labeled (Yu et al., CVPR 2020).

Layouts, at the folder given or in its ``bdd100k/``, as the archives unpack; today's, and the one of 2018::

    images/10k/{train,val,test}/*.jpg    labels/sem_seg/masks/{train,val}/*.png
    seg/images/{train,val,test}/*.jpg    seg/labels/{train,val}/*_train_id.png

Label files hold the 19 training ids of Cityscapes and 255 for what is ignored; the pictures in color and the polygons
that lie beside are not read. The 10 000 frames are not a part of the 100 000 that the other tasks use.

Splits: ``train`` (7000 frames), ``val`` (1000) and ``test`` (2000, no public labels).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "bdd100k"
LOOKS_FOR = (
    "images/10k/<split>/*.jpg + labels/sem_seg/masks/<split>/*.png"
    " (or seg/images/<split>/*.jpg + seg/labels/<split>/*_train_id.png), also in bdd100k/"
)
OBTAIN = (
    "Register at bdd-data.berkeley.edu and take the archives 10K Images and Segmentation; free for research, teaching"
    " and other non-profit purposes under the BDD100K license."
)
EXPECTED: Mapping[str, int] = {"train": 7000, "val": 1000, "test": 2000}
SPACE = "bdd-19"


class Places(NamedTuple):
    """Where one release keeps its files, and how a label's name goes on after that of its image."""

    images: str
    labels: str
    ending: str


RELEASES = (
    Places("images/10k", "labels/sem_seg/masks", ".png"),
    Places("seg/images", "seg/labels", "_train_id.png"),
)


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where there are no images of it."""
    for folder in (root, root / "bdd100k"):
        for places in RELEASES:
            splits = tuple(split for split in EXPECTED if (folder / places.images / split).is_dir())
            if splits:
                return Source(
                    name=NAME,
                    root=root,
                    label_map=label_map(SPACE, SPACE),
                    splits=splits,
                    list_split=partial(_list_split, folder, places),
                    looks_for=LOOKS_FOR,
                    license=space_note(SPACE).license,
                )
    return None


def _list_split(folder: Path, places: Places, split: str) -> list[Record]:
    labels = None if split == "test" else folder / places.labels / split
    return [
        Record(image, None if labels is None else labels / f"{image.stem}{places.ending}", image.stem)
        for image in list_images(folder / places.images / split)
    ]
