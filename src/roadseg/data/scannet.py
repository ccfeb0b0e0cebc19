"""ScanNet, the 25 000 frames of its 2D benchmark: video of rooms, 20 classes (Dai et al., CVPR 2017). Depth is not read.

Layout, as the archives unpack, with the benchmark's lists of scenes beside them or in ``Tasks/Benchmark``, where the
official repository has them::

    scannet_frames_25k/sceneNNNN_NN/color/NNNNNN.jpg     scannet_frames_25k/sceneNNNN_NN/label/NNNNNN.png
    scannet_frames_test/sceneNNNN_NN/color/NNNNNN.jpg    (no public labels)
    scannetv2_train.txt   scannetv2_val.txt

Frames and label files are 1296x968. Label files hold the 40 classes of NYUv2, ids 1..40, of which the benchmark evaluates
20; the others and 0 are ignored.

Splits: ``train`` (19 466 frames of 1201 scenes), ``val`` (5436 frames of 312) and ``test`` (2135 frames of 100).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from roadseg.data.name_lists import read_names
from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.errors import DataError
from roadseg.labels import label_map, space_note

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "scannet"
LOOKS_FOR = "scannet_frames_25k/scene*/{color,label}/ + scannetv2_{train,val}.txt, and scannet_frames_test/"
OBTAIN = (
    "Sign the terms of use at www.scan-net.org and send them in; the answer tells how to download scannet_frames_25k.zip"
    " and scannet_frames_test.zip. The lists scannetv2_train.txt and scannetv2_val.txt are in Tasks/Benchmark of"
    " github.com/ScanNet/ScanNet."
)
EXPECTED: Mapping[str, int] = {"train": 19466, "val": 5436, "test": 2135}

FRAMES, TEST_FRAMES = "scannet_frames_25k", "scannet_frames_test"
LIST_FOLDERS = ("", "Tasks/Benchmark")


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where there are no frames of it.

    Raises:
        DataError: There are frames, but no list that deals their scenes to splits.
    """
    if not (root / FRAMES).is_dir():
        return None
    listed = tuple(split for split in ("train", "val") if _scene_list(root, split) is not None)
    if not listed:
        raise DataError(
            f"holds {FRAMES}, but no list of scenes",
            where=root,
            remedy="put scannetv2_train.txt and scannetv2_val.txt beside it, from Tasks/Benchmark of"
            " github.com/ScanNet/ScanNet",
        )
    return Source(
        name=NAME,
        root=root,
        label_map=label_map("scannet", "scannet-20"),
        splits=(*listed, *(("test",) if (root / TEST_FRAMES).is_dir() else ())),
        list_split=partial(_list_split, root),
        looks_for=LOOKS_FOR,
        license=space_note("scannet").license,
    )


def _scene_list(root: Path, split: str) -> Path | None:
    files = (root / folder / f"scannetv2_{split}.txt" for folder in LIST_FOLDERS)
    return next((file for file in files if file.is_file()), None)


def _list_split(root: Path, split: str) -> list[Record]:
    if split == "test":
        scenes = sorted(path for path in (root / TEST_FRAMES).iterdir() if (path / "color").is_dir())
        return [record for scene in scenes for record in _list_scene(scene, labeled=False)]
    listed = _scene_list(root, split)
    names = [] if listed is None else read_names(listed)
    return [record for name in sorted(names) for record in _list_scene(root / FRAMES / name, labeled=True)]


def _list_scene(scene: Path, *, labeled: bool) -> list[Record]:
    records = []
    for image in list_images(scene / "color"):
        label = scene / "label" / f"{image.stem}.png" if labeled else None
        records.append(Record(image, label, f"{scene.name}/{image.stem}"))
    return records
