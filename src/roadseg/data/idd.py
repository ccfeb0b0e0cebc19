"""IDD, the India Driving Dataset: 10 000 frames of roads in Hyderabad and Bangalore (Varma et al., WACV 2019).

Layout::

    leftImg8bit/{train,val,test}/<drive>/<frame>_leftImg8bit.png                (part II of IDD 20k: JPEG)
    gtFine/{train,val}/<drive>/<frame>_gtFine_polygons.json                     (as it comes)
    gtFine/{train,val}/<drive>/<frame>_gtFine_labelids.png                      (39 classes)
    gtFine/{train,val}/<drive>/<frame>_gtFine_labellevel3Ids.png                (26 classes)

Drives are numbers, which tells the data set from Cityscapes. Labels come as polygons: the authors' public code
(github.com/AutoNUE/public-code) paints them, as ids of all classes with ``createLabels.py --id-type id``, or as the ids
of their benchmark with ``--id-type level3Id``. Where both are there, all classes are read. The two parts of IDD 20k
unpack to a folder each; numbers of images are those of the first part, which MSeg takes too.

Splits: ``train`` (6993 frames), ``val`` (981) and ``test`` (2029, no public labels).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.errors import DataError
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "idd"
LOOKS_FOR = (
    "leftImg8bit/<split>/<number>/*_leftImg8bit.png + gtFine/<split>/<number>/*_gtFine_labelids.png"
    " (or *_gtFine_labellevel3Ids.png)"
)
OBTAIN = (
    "Register at idd.insaan.iiit.ac.in and take IDD Segmentation (IDD 20k, part I); for research under the terms of the"
    " site. Then paint its polygons with the authors' public code: python preperation/createLabels.py --datadir DIR"
    " --id-type id"
)
EXPECTED: Mapping[str, int] = {"train": 6993, "val": 981, "test": 2029}

IMAGES, LABELS = "leftImg8bit", "gtFine"
IMAGE_END = "_leftImg8bit"
POLYGONS = "_gtFine_polygons.json"
# Ending of the label files: the space of their ids, and the one to train with.
ENDINGS = {"_gtFine_labelids.png": ("idd", "idd-39"), "_gtFine_labellevel3Ids.png": ("idd-26", "idd-26")}


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where there are no numbered drives.

    Raises:
        DataError: Its polygons were not painted yet.
    """
    splits = tuple(split for split in EXPECTED if _drives(root / IMAGES / split))
    if not splits:
        return None
    painted = [ending for ending in ENDINGS if _holds(root, ending)]
    if not painted and _holds(root, POLYGONS):
        raise DataError(
            "its labels are polygons",
            where=root / LABELS,
            remedy="paint them with the authors' public code: python preperation/createLabels.py --datadir"
            f" {root} --id-type id",
        )
    ending = (*painted, *ENDINGS)[0]
    stored, target = ENDINGS[ending]
    return Source(
        name=NAME,
        root=root,
        label_map=label_map(stored, target),
        splits=splits,
        list_split=partial(_list_split, root, ending),
        looks_for=LOOKS_FOR,
        license=space_note(target).license,
    )


def _drives(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())


def _holds(root: Path, ending: str) -> bool:
    return next((root / LABELS).glob(f"*/*/*{ending}"), None) is not None


def _list_split(root: Path, ending: str, split: str) -> list[Record]:
    records = []
    for drive in _drives(root / IMAGES / split):
        for image in list_images(drive):
            if not image.stem.endswith(IMAGE_END):
                continue
            frame = image.stem.removesuffix(IMAGE_END)
            label = None if split == "test" else root / LABELS / split / drive.name / f"{frame}{ending}"
            records.append(Record(image, label, f"{drive.name}/{frame}"))
    return records
