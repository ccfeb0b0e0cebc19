"""Cityscapes: 5000 finely and 19 998 coarsely labeled frames from German and Swiss cities (Cordts et al., 2016).

Layouts, flat or as the archives unpack, which may be mixed::

    leftImg8bit/{train,val,test}/<city>/<city>_<seq>_<frame>_leftImg8bit.png      (images may be JPEG)
    gtFine/{train,val}/<city>/<city>_<seq>_<frame>_gtFine_labelIds.png            (and _instanceIds.png, for iIoU)
    leftImg8bit/train_extra/...    gtCoarse/{train,val,train_extra}/..._gtCoarse_labelIds.png

    leftImg8bit_trainvaltest/leftImg8bit/...     gtFine_trainvaltest/gtFine/...
    leftImg8bit_trainextra/leftImg8bit/...       gtCoarse/gtCoarse/...

Splits: ``train``, ``val``, ``test`` (no public labels), ``train_extra`` (coarse), ``train-coarse`` and ``val-coarse``
(coarse labels of the fine splits), and the cross-validation folds ``train-cv0``/``val-cv0`` to ``cv3``, which deal the
21 cities of train and val anew: fold 0 is the official split, folds 1 and 2 hold out three other cities each, and fold
3 trains and validates on all of them.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "FOLDS", "LOOKS_FOR", "NAME", "OBTAIN", "instance_file", "open_root"]

NAME = "cityscapes"
LOOKS_FOR = (
    "leftImg8bit/<split>/<city>/*_leftImg8bit.png + gtFine/<split>/<city>/*_gtFine_labelIds.png"
    " (or in leftImg8bit_trainvaltest/ + gtFine_trainvaltest/), coarse labels in gtCoarse/"
)
OBTAIN = (
    "Register at cityscapes-dataset.com and take leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip (coarse labels:"
    " leftImg8bit_trainextra.zip and gtCoarse.zip); for non-commercial use under the license of Cityscapes."
)
EXPECTED: Mapping[str, int] = {"train": 2975, "val": 500, "test": 1525}

FOLDS: tuple[tuple[str, ...] | None, ...] = (
    ("frankfurt", "lindau", "munster"),
    ("darmstadt", "dusseldorf", "erfurt"),
    ("monchengladbach", "strasbourg", "stuttgart"),
    None,
)
"""The cities that each fold validates on; None for all of them, which it then also trains on."""

IMAGE = "leftImg8bit"
FINE, COARSE = "gtFine", "gtCoarse"
FOLDERS = {
    IMAGE: (IMAGE, "leftImg8bit_trainvaltest/leftImg8bit", "leftImg8bit_trainextra/leftImg8bit"),
    FINE: (FINE, "gtFine_trainvaltest/gtFine"),
    COARSE: ("gtCoarse/gtCoarse", COARSE),
}

# Split: the folder of its images, the kind of its labels.
PLAIN: dict[str, tuple[str, str | None]] = {
    "train": ("train", FINE),
    "val": ("val", FINE),
    "test": ("test", None),
    "train_extra": ("train_extra", COARSE),
    "train-coarse": ("train", COARSE),
    "val-coarse": ("val", COARSE),
}
BASE_SPLITS = ("train", "val", "test", "train_extra")


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where there are no images of it."""
    splits = _splits(root)
    if not splits:
        return None
    return Source(
        name=NAME,
        root=root,
        label_map=label_map("cityscapes", "cityscapes-19"),
        splits=splits,
        list_split=partial(_list_split, root),
        looks_for=LOOKS_FOR,
        license=space_note("cityscapes").license,
        base_splits=tuple(split for split in BASE_SPLITS if split in splits),
    )


def instance_file(label: Path) -> Path:
    """Return the file of instance ids that belongs to a file of label ids; it need not exist."""
    return label.with_name(label.name.replace("_labelIds", "_instanceIds"))


def _splits(root: Path) -> tuple[str, ...]:
    found = [
        split
        for split, (folder, kind) in PLAIN.items()
        if _folder(root, IMAGE, folder).is_dir()
        and (split in BASE_SPLITS or _folder(root, kind or FINE, folder).is_dir())
    ]
    if "train" in found and "val" in found:
        found += [f"{part}-cv{fold}" for fold in range(len(FOLDS)) for part in ("train", "val")]
    return tuple(found)


def _folder(root: Path, kind: str, split: str) -> Path:
    """Return where the files of one kind and split are, or would be."""
    candidates = [root / folder / split for folder in FOLDERS[kind]]
    # Where it is missing, the error should name the place beside what there is.
    beside = [path for path in candidates if path.parent.is_dir()]
    return next((path for path in candidates if path.is_dir()), (beside or candidates)[0])


def _list_split(root: Path, split: str) -> list[Record]:
    name, _, fold = split.partition("-cv")
    if not fold:
        return _list_plain(root, *PLAIN[split])
    cities = FOLDS[int(fold)]
    records = _list_plain(root, "train", FINE) + _list_plain(root, "val", FINE)
    if cities is None:
        return records
    return [record for record in records if (record.key.split("/")[0] in cities) == (name == "val")]


def _list_plain(root: Path, folder: str, kind: str | None) -> list[Record]:
    images = _folder(root, IMAGE, folder)
    labels = None if kind is None else _folder(root, kind, folder)
    records = []
    for city in sorted(path for path in images.iterdir() if path.is_dir()):
        for image in list_images(city):
            if not image.stem.endswith(f"_{IMAGE}"):
                continue
            stem = image.stem.removesuffix(f"_{IMAGE}")
            label = None if labels is None else labels / city.name / f"{stem}_{kind}_labelIds.png"
            instances = None if label is None else instance_file(label)
            known = instances if instances is not None and instances.is_file() else None
            records.append(Record(image, label, f"{city.name}/{stem}", known))
    return records
