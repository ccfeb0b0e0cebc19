"""WildDash 1: 70 labeled frames of hard road scenes from all over the world, for testing (Zendel et al., ECCV 2018).

Layout, at the folder given or in its ``wd_val_01/``, labels beside the images::

    <frame>.png    <frame>_labelIds.png          (ids of Cityscapes; other pictures of a frame are not read)

and the frames of the benchmark, which have no public labels, in ``wd_bench_01/`` or ``wd_both_01/``.

Splits: ``val`` (70 frames, the ones that MSeg evaluates) and ``test`` (156). WildDash 2 replaces it, see
:mod:`roadseg.data.wilddash`.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.data.wilddash import FRAME
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "wilddash1"
LOOKS_FOR = "*.png + *_labelIds.png of WildDash 1 side by side, also in wd_val_01/; wd_bench_01/*.png"
OBTAIN = (
    "Register at wilddash.cc and take wd_val_01.zip of the first version; for non-commercial use under the license of"
    " WildDash."
)
EXPECTED: Mapping[str, int] = {"val": 70, "test": 156}
STORED, TARGET = "cityscapes", "wilddash-19"

PUBLIC = "wd_val_01"
BENCHMARKS = ("wd_bench_01", "wd_both_01")
LABEL_END = "_labelIds.png"


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where it is not of this layout."""
    public = next((folder for folder in (root / PUBLIC, root) if _is_public(folder)), None)
    if public is None:
        return None
    beside = (parent / name for parent in (root, root.parent) for name in BENCHMARKS)
    benchmark = next((folder for folder in beside if folder.is_dir()), None)
    return Source(
        name=NAME,
        root=root,
        label_map=label_map(STORED, TARGET),
        splits=("val",) if benchmark is None else ("val", "test"),
        list_split=partial(_list_split, public, benchmark or root / BENCHMARKS[0]),
        looks_for=LOOKS_FOR,
        license=space_note(TARGET).license,
    )


def _is_public(folder: Path) -> bool:
    labels = folder.glob(f"*{LABEL_END}")
    return any(FRAME.fullmatch(label.name.removesuffix(LABEL_END)) for label in labels)


def _list_split(public: Path, benchmark: Path, split: str) -> list[Record]:
    folder = benchmark if split == "test" else public
    return [
        Record(image, None if split == "test" else folder / f"{image.stem}{LABEL_END}", image.stem)
        for image in list_images(folder)
        if FRAME.fullmatch(image.stem)
    ]
