"""ACDC: 4006 frames of Swiss roads in fog, at night, in rain and in snow (Sakaridis et al., ICCV 2021).

Layout, flat or with each archive in a folder of its own name (``rgb_anon_trainvaltest/``, ``gt_trainval/``)::

    rgb_anon/{fog,night,rain,snow}/{train,val,test}/<sequence>/<frame>_rgb_anon.png
    gt/{fog,night,rain,snow}/{train,val}/<sequence>/<frame>_gt_labelTrainIds.png         (or _gt_labelIds.png)

    rgb_anon/{fog,night,rain,snow}/{train,val,test}_ref/<sequence>/<frame>_rgb_ref_anon.png
    gt/{fog,night,rain,snow}/{train,val}_ref/<sequence>/<frame>_gt_ref_labelTrainIds.png

Every frame has a reference: the same place in good weather by day. The labels of the references came later and may be
missing. Classes are the 19 of Cityscapes; where both kinds of label files are there, the training ids are read.

Splits: ``train`` (1600 frames), ``val`` (406), ``test`` (2000, no public labels) and their references ``train_ref``,
``val_ref`` and ``test_ref``; each also for one condition alone, such as ``val-night`` (106 frames) or ``train_ref-fog``.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map

__all__ = ["CONDITIONS", "EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "acdc"
LOOKS_FOR = (
    "rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png + gt/<condition>/<split>/<sequence>/*_gt_labelTrainIds.png"
    " (or *_gt_labelIds.png), conditions fog, night, rain, snow"
)
OBTAIN = (
    "Register at acdc.vision.ee.ethz.ch and take rgb_anon_trainvaltest.zip and gt_trainval.zip; for non-commercial use"
    " under the license of ACDC."
)
EXPECTED: Mapping[str, int] = {"train": 1600, "val": 406, "test": 2000}
LICENSE = "ACDC data: see acdc.vision.ee.ethz.ch; non-commercial"

CONDITIONS = ("fog", "night", "rain", "snow")
REFERENCE = "_ref"
IMAGES = ("rgb_anon", "rgb_anon_trainvaltest/rgb_anon")
LABELS = ("gt", "gt_trainval/gt")
# Ending of the label files: the space of their ids.
ENDINGS = {"labelTrainIds.png": "cityscapes-19", "labelIds.png": "cityscapes"}


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where there are no images of it."""
    images, labels = _first_folder(root, IMAGES), _first_folder(root, LABELS)
    parts = (*EXPECTED, *(f"{split}{REFERENCE}" for split in EXPECTED))
    found = {
        part: [condition for condition in CONDITIONS if (images / condition / part).is_dir()]
        for part in parts
    }
    joined = tuple(part for part, conditions in found.items() if conditions)
    if not joined:
        return None
    ending = next((ending for ending in ENDINGS if _holds(labels, ending)), next(iter(ENDINGS)))
    return Source(
        name=NAME,
        root=root,
        label_map=label_map(ENDINGS[ending], "cityscapes-19"),
        splits=joined + tuple(f"{part}-{condition}" for part in joined for condition in found[part]),
        list_split=partial(_list_split, images, labels, ending),
        looks_for=LOOKS_FOR,
        license=LICENSE,
        base_splits=joined,
    )


def _first_folder(root: Path, places: tuple[str, ...]) -> Path:
    return next((root / place for place in places if (root / place).is_dir()), root / places[0])


def _holds(labels: Path, ending: str) -> bool:
    return next(labels.glob(f"*/*/*/*_{ending}"), None) is not None


def _list_split(images: Path, labels: Path, ending: str, split: str) -> list[Record]:
    part, _, condition = split.partition("-")
    conditions = [condition] if condition else CONDITIONS
    # References are all labeled or not at all, as their archive is there or not.
    labeled = part in ("train", "val") or any((labels / name / part).is_dir() for name in conditions)
    mark = REFERENCE if part.endswith(REFERENCE) else ""
    records = []
    for name in conditions:
        folder = images / name / part
        for image in list_images(folder, recursive=True) if folder.is_dir() else ():
            if not image.stem.endswith(f"_rgb{mark}_anon"):
                continue
            frame = image.relative_to(folder).with_name(image.stem.removesuffix(f"_rgb{mark}_anon"))
            label = labels / name / part / frame.with_name(f"{frame.name}_gt{mark}_{ending}")
            records.append(Record(image, label if labeled else None, f"{name}/{frame.as_posix()}"))
    return records
