"""Mapillary Vistas: 25 000 street photos from all over the world, research edition (Neuhold et al., ICCV 2017).

Layouts of release 1.2, and of release 2.0, which keeps the labels of 1.2 beside its own::

    config.json          {training,validation}/images/*.jpg   {training,validation}/labels/*.png
    config_v1.2.json     {training,validation}/images/*.jpg   {training,validation}/v1.2/labels/*.png
                         testing/images/*.jpg

Label files hold positions in the configuration's list of 66 labels, as palette pictures. The last one, 65, is
``Unlabeled``: it is ignored, the other 65 are trained and evaluated. The 124 classes of release 2.0 are not read.

Splits: ``train`` (18 000 photos), ``val`` (2000) and ``test`` (5000, no public labels).
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.errors import DataError
from roadseg.labels import label_map, space, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "mapillary"
LOOKS_FOR = (
    "training/images + training/labels (or training/v1.2/labels), likewise validation/, and testing/images"
)
OBTAIN = (
    "Register at mapillary.com/dataset/vistas and take release 1.2, or release 2.0, which holds the labels of 1.2 in"
    " v1.2/labels; research edition, CC BY-NC-SA."
)
EXPECTED: Mapping[str, int] = {"train": 18000, "val": 2000, "test": 5000}
SPACE = "mapillary-65"
UNLABELED = "Unlabeled"

FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
LABELS = ("labels", "v1.2/labels")
NEWER_LABELS = "v2.0/labels"
CONFIGS = ("config.json", "config_v1.2.json")


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where it is not of this layout.

    Raises:
        DataError: It has only the labels of release 2.0, or its configuration lists others than those of release 1.2.
    """
    if not any(_labels(root, split) for split in ("train", "val")):
        if any((root / FOLDERS[split] / NEWER_LABELS).is_dir() for split in ("train", "val")):
            raise DataError(
                "has only the labels of release 2.0, of 124 classes",
                where=root,
                remedy="unpack the folders v1.2 of that release too; describe other labels by a data.yaml",
            )
        return None
    for name in CONFIGS:
        if (config := root / name).is_file():
            _check_config(config)
    return Source(
        name=NAME,
        root=root,
        label_map=label_map(SPACE, SPACE),
        splits=tuple(split for split, folder in FOLDERS.items() if (root / folder / "images").is_dir()),
        list_split=partial(_list_split, root),
        looks_for=LOOKS_FOR,
        license=space_note(SPACE).license,
    )


def _labels(root: Path, split: str) -> Path | None:
    """Return the folder of a split's label files, if there is one."""
    folder = root / FOLDERS[split]
    if not (folder / "images").is_dir():
        return None
    return next((folder / labels for labels in LABELS if (folder / labels).is_dir()), None)


def _check_config(config: Path) -> None:
    """Compare the configuration's labels with those that the ids are taken for."""
    try:
        found = [label["readable"] for label in _read(config)["labels"]]
    except (KeyError, TypeError) as error:
        raise DataError(
            "lists no labels", where=config, remedy="take the file from the archive of Mapillary Vistas again"
        ) from error
    expected = [*space(SPACE).names, UNLABELED]
    if found != expected:
        pairs = zip([*found, None], [*expected, None], strict=False)
        position, (theirs, ours) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        raise DataError(
            f"lists {len(found)} labels, and {theirs!r} in place {position}, where release 1.2 has {len(expected)} and"
            f" {ours!r}",
            where=config,
            remedy="use release 1.2, or the v1.2 labels of release 2.0; describe other labels by a data.yaml",
        )


def _read(config: Path) -> Any:  # noqa: ANN401 - JSON is untyped by nature
    try:
        return json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read ({error})",
            where=config,
            remedy="take the file from the archive of Mapillary Vistas again",
        ) from error


def _list_split(root: Path, split: str) -> list[Record]:
    folder = root / FOLDERS[split]
    # Where the labels are missing, the error should name the place they have in this release.
    labels = None if split == "test" else _labels(root, split) or folder / _usual_place(root)
    return [
        Record(image, None if labels is None else labels / f"{image.stem}.png", image.stem)
        for image in list_images(folder / "images")
    ]


def _usual_place(root: Path) -> str:
    return LABELS[1] if (root / CONFIGS[1]).is_file() else LABELS[0]
