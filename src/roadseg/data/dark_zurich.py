"""Dark Zurich: streets of Zurich by day, at twilight and at night, 201 night frames labeled (Sakaridis et al., ICCV 2019).

Layout, flat or with each archive in a folder of its own name (``Dark_Zurich_train_anon/``, ``Dark_Zurich_val_anon/``,
``Dark_Zurich_test_anon_withoutGt/``)::

    rgb_anon/train/{day,twilight,night}/<sequence>/<frame>_rgb_anon.png          (no labels)
    rgb_anon/{val,test}/night/<sequence>/<frame>_rgb_anon.png
    gt/val/night/<sequence>/<frame>_gt_labelTrainIds.png                          (and _gt_invIds.png, not read)
    rgb_anon/{val,test}_ref/day/<sequence>_ref/<frame>_ref_rgb_anon.png           (the same places by day)

Classes are the 19 of Cityscapes, by their training ids, and 255 for what is ignored.

Splits: ``val`` (50 night frames), ``test`` (151, no public labels), ``train`` (8377 frames without labels) and its parts
``train-day`` (3041), ``train-twilight`` (2920) and ``train-night`` (2416); ``val_ref`` and ``test_ref``, without labels.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "TIMES", "open_root"]

NAME = "dark-zurich"
LOOKS_FOR = (
    "rgb_anon/val/night/<sequence>/*_rgb_anon.png + gt/val/night/<sequence>/*_gt_labelTrainIds.png,"
    " rgb_anon/train/{day,twilight,night}/, rgb_anon/test/night/ (also in Dark_Zurich_val_anon/ and so on)"
)
OBTAIN = (
    "Take Dark_Zurich_val_anon.zip, and for training without labels Dark_Zurich_train_anon.zip, from the project's page"
    " at trace.ethz.ch (2019, GCMA_UIoU); for non-commercial use under the license in the archives."
)
EXPECTED: Mapping[str, int] = {"train": 8377, "val": 50, "test": 151}
LICENSE = "Dark Zurich data: see the license in its archives; non-commercial"

TIMES = ("day", "twilight", "night")
SPACE = "cityscapes-19"
LABELED = "val"
IMAGE, LABEL = "_rgb_anon", "_gt_labelTrainIds.png"
ARCHIVES = {
    "train": "Dark_Zurich_train_anon",
    "val": "Dark_Zurich_val_anon",
    "test": "Dark_Zurich_test_anon_withoutGt",
}


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where there are no images of it."""
    parts = (*EXPECTED, "val_ref", "test_ref")
    found = {part: [time for time in TIMES if (_images(root, part) / time).is_dir()] for part in parts}
    joined = tuple(part for part, times in found.items() if times)
    if not joined:
        return None
    return Source(
        name=NAME,
        root=root,
        label_map=label_map(SPACE, SPACE),
        splits=joined + tuple(f"train-{time}" for time in found["train"]),
        list_split=partial(_list_split, root),
        looks_for=LOOKS_FOR,
        license=LICENSE,
        base_splits=joined,
    )


def _images(root: Path, part: str) -> Path:
    """Return where the images of a part are, or would be."""
    archive = root / ARCHIVES[part.removesuffix("_ref")]
    return (archive if (archive / "rgb_anon" / part).is_dir() else root) / "rgb_anon" / part


def _list_split(root: Path, split: str) -> list[Record]:
    part, _, time = split.partition("-")
    images = _images(root, part)
    labels = images.parents[1] / "gt" / part if part == LABELED else None
    records = []
    for image in list_images(images / time, recursive=True):
        if not image.stem.endswith(IMAGE):
            continue
        frame = image.relative_to(images).with_name(image.stem.removesuffix(IMAGE))
        label = None if labels is None else labels / frame.with_name(f"{frame.name}{LABEL}")
        records.append(Record(image, label, frame.as_posix()))
    return records
