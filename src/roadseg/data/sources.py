"""Opens data sets: ``open_source("data/camvid")`` finds out what is there.

Each layout is a module with a `NAME`, the clause `LOOKS_FOR` and ``open_root(root) -> Source | None``; that of a published
data set also says how to `OBTAIN` it and how many images are `EXPECTED`. A new one is a new module and one more entry in
`PUBLISHED`.
"""

import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from roadseg.data import (
    acdc,
    ade20k,
    bdd100k,
    camvid,
    cityscapes,
    coco_panoptic,
    dark_zurich,
    idd,
    kitti,
    mapillary,
    pascal_context,
    scannet,
    subset,
    sunrgbd,
    voc,
    wilddash,
    wilddash1,
    yaml_folder,
)
from roadseg.data.source import Source
from roadseg.errors import DataError, RoadsegError

__all__ = ["LAYOUTS", "PUBLISHED", "Layout", "Published", "Source", "open_source"]


class Layout(Protocol):
    """What a module must have to open one kind of data set."""

    NAME: str
    """What it is called in ``NAME:PATH``."""
    LOOKS_FOR: str
    """The files and folders it consists of, a clause for error texts."""

    def open_root(self, root: Path) -> Source | None:
        """Return the data set at a path, or None where it is not of this layout.

        Raises:
            DataError: It is of this layout, but damaged.
        """


class Published(Layout, Protocol):
    """What the module of a published data set must have."""

    OBTAIN: str
    """Where it can be had and under which terms, in sentences."""
    EXPECTED: Mapping[str, int]
    """The number of images in each official split; ``train+val`` where they are not told apart."""


PUBLISHED: tuple[Published, ...] = (
    camvid,
    idd,  # before Cityscapes, whose folders have the same names
    cityscapes,
    mapillary,
    kitti,
    bdd100k,
    acdc,
    dark_zurich,
    wilddash,
    wilddash1,
    ade20k,
    coco_panoptic,
    sunrgbd,
    scannet,
    pascal_context,  # before VOC, whose folders lie beside
    voc,
)
"""The published data sets, in the order in which an unnamed folder is tried."""

LAYOUTS: tuple[Layout, ...] = (subset, yaml_folder, *PUBLISHED)  # a subset is a YAML file too


def open_source(spec: str | Path) -> Source:
    """Open a data set on disk.

    Args:
        spec: A folder or a data.yaml, whose layout is found out, or ``NAME:PATH`` with the name of a layout, for
            example ``camvid:/data/camvid``.

    Raises:
        DataError: There is nothing at the path, or nothing that a layout recognizes.
        LabelError: The data set names a label space or a class that does not exist.
    """
    name, root = _split_spec(spec)
    layouts = [layout for layout in LAYOUTS if name in (layout.NAME, None)]
    if not root.exists():
        raise DataError(
            "does not exist",
            where=root,
            remedy="give the path of a data set: CamVid, Cityscapes, ... (`roadseg data setup` lists them), or images"
            " and masks with a data.yaml",
        )
    for layout in layouts:
        if (source := layout.open_root(root)) is not None:
            return source
    if name is None:
        what = "holds no data set that roadseg knows"
        names = ", ".join(layout.NAME for layout in PUBLISHED)
        looked = f"{yaml_folder.LOOKS_FOR}, or {names}; `roadseg data setup NAME` tells what one consists of"
    else:
        what = f"is no {name} data set"
        looked = "; ".join(layout.LOOKS_FOR for layout in layouts)
    raise DataError(what, where=root, remedy=_nested(layouts, root) or f"looked for {looked}")


def _split_spec(spec: str | Path) -> tuple[str | None, Path]:
    text = str(spec)
    if not text.strip():
        raise DataError(
            "no data set was given",
            remedy="give a folder, a data.yaml, or NAME:PATH, for example camvid:/data/camvid",
        )
    name, colon, path = text.partition(":")
    known = [layout.NAME for layout in LAYOUTS]
    if colon and name in known:
        if not path:
            raise DataError(
                f"{text!r} has no path", remedy=f"give {name}:PATH, for example {name}:/data/{name}"
            )
        return name, Path(path).expanduser()
    # A single letter before the colon is a drive: C:\data.
    if colon and len(name) > 1 and name.replace("-", "").isalnum() and not Path(text).exists():
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}:{path}? " if close else ""
        raise DataError(
            f"{name!r} is not a kind of data set", where=text, remedy=f"{hint}known are {', '.join(known)}"
        )
    return None, Path(text).expanduser()


def _nested(layouts: Sequence[Layout], root: Path) -> str | None:
    """Return a remedy when the data set lies one folder deeper, as archives often unpack."""
    if not root.is_dir():
        return None
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        with suppress(RoadsegError, OSError):
            if any(layout.open_root(folder) is not None for layout in layouts):
                return f"there is one in {folder}: give that path"
    return None
