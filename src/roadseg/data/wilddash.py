"""WildDash 2: 4256 labeled frames of dash cameras from all over the world, many of them hard (Zendel et al., CVPR 2022).

Layout, at the folder given or in its ``wd_public_02/``::

    images/*.jpg    labels/*.png (or *_labelIds.png)      (ids 0..38: those of Cityscapes, and five more)

and the frames of the benchmark, which have no public labels, in ``wd_both_02/images/*.jpg`` beside it. Release 2.0
(``wd_public_v2p0``) brings panoptic pictures of 80 classes: its authors' public code (``remap_coco.py`` and ``pano2sem.py``
of github.com/ozendelait/wilddash_scripts) makes of them the pictures that are read here.

Trained and evaluated are the 19 classes of Cityscapes, by its labeling policy: vans are cars, pickups are trucks, road
markings are road, and billboards are ignored.

Splits: the data set has none of its own, so every tenth frame, by a hash of its name, is in ``val``, the others in
``train``; ``train+val`` are all 4256. ``test`` (812) is the benchmark. WildDash 1 is another data set, see
:mod:`roadseg.data.wilddash1`.
"""

import re
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "FRAME", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "wilddash"
LOOKS_FOR = "images/*.jpg + labels/*.png of WildDash 2, also in wd_public_02/; wd_both_02/images/*.jpg"
OBTAIN = (
    "Register at wilddash.cc and take wd_public_02.zip, and wd_both_02.zip for the benchmark; for non-commercial use"
    " under the license of WildDash."
)
EXPECTED: Mapping[str, int] = {"train+val": 4256, "test": 812}
SPACE, POLICY, TARGET = "wilddash", "cityscapes-19", "wilddash-19"

FRAME = re.compile(r"[a-z]{2}\d{4}_\d{6}")
"""The stem of a frame: country, video, number."""

PUBLIC, BENCHMARK = "wd_public_02", "wd_both_02"
CONTENTS = ("wilddash_public.json", "panoptic.json")  # lie beside the folders
HELD_OUT = 10  # one frame in so many is for validation


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where it is not of this layout."""
    public = next((folder for folder in (root / PUBLIC, root) if _is_public(folder)), None)
    if public is None:
        return None
    benchmark = next(
        (f for f in (root / BENCHMARK, root.parent / BENCHMARK) if (f / "images").is_dir()), None
    )
    base = ("train", "val", *(() if benchmark is None else ("test",)))
    return Source(
        name=NAME,
        root=root,
        label_map=label_map(SPACE, POLICY).then(label_map(POLICY, TARGET)),
        splits=base,
        list_split=partial(_list_split, public, benchmark or root / BENCHMARK),
        looks_for=LOOKS_FOR,
        license=space_note(SPACE).license,
        base_splits=base,
    )


def _is_public(folder: Path) -> bool:
    images, labels = folder / "images", folder / "labels"
    if not (images.is_dir() and labels.is_dir()):
        return False
    first = next((path for path in images.iterdir() if path.suffix == ".jpg"), None)
    named = first is not None and FRAME.fullmatch(first.stem) is not None
    return named or any((folder / name).is_file() for name in CONTENTS)


def _list_split(public: Path, benchmark: Path, split: str) -> list[Record]:
    if split == "test":
        return [Record(image, None, image.stem) for image in list_images(benchmark / "images")]
    labels = public / "labels"
    ending = "_labelIds.png" if next(labels.glob("*_labelIds.png"), None) else ".png"
    return [
        Record(image, labels / f"{image.stem}{ending}", image.stem)
        for image in list_images(public / "images")
        if _held_out(image.stem) == (split == "val")
    ]


def _held_out(stem: str) -> bool:
    return zlib.crc32(stem.encode()) % HELD_OUT == 0
