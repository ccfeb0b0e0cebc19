"""Tiny data sets in the layouts of the general ones (photos of everything, rooms), drawn by code; see `tests.fakes`."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadseg.labels import LabelSpace, space
from tests.fakes import SIZE, picture, save, stripes

PHOTOS = {"train": 5, "val": 2}  # labeled ones of fake_coco_panoptic
VOC_PALETTE = [tuple(int(value) for value in color) for color in space("voc-21").palette]


def turned(stored: LabelSpace, step: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Stripes of the ids of a space and its ignored one, other ids for every step, ``[H, W]``."""
    ids = list(dict.fromkeys([*stored.ids, stored.ignore]))
    return stripes(np.roll(ids, -(size[1] - 2) * step)[: size[1]], size)


def fake_ade20k(root: Path, *, size: tuple[int, int] = SIZE) -> Path:
    """ADEChallengeData2016: 5 training and 2 validation photos."""
    stored = space("ade20k")
    for split, part, count in (("training", "train", 5), ("validation", "val", 2)):
        for i in range(count):
            name = f"ADE_{part}_{i + 1:08d}"
            save(root / "images" / split / f"{name}.jpg", picture(name, size))
            save(root / "annotations" / split / f"{name}.png", turned(stored, i, size))
    return root


def segment_ids(count: int) -> np.ndarray:
    """Ids that use all three bytes, and sort differently than the segments that bear them."""
    return (np.arange(count, 0, -1) * 1234567) % (1 << 24)


def fake_coco_panoptic(root: Path, *, beside: bool = False, size: tuple[int, int] = SIZE) -> Path:
    """COCO panoptic 2017: 5 training, 2 validation, 1 test photo; a label picture has segments and unlabeled pixels.

    Args:
        root: Folder to fill.
        beside: Whether images are in ``images/`` and label pictures beside ``annotations/``, as some tools want them.
        size: Height and width.
    """
    stored = space("coco-panoptic")
    images, labels = (root / "images", root) if beside else (root, root / "annotations")
    for first, (split, count) in zip((9, 139), PHOTOS.items(), strict=True):
        annotations = []
        for i in range(count):
            name = f"{12 * i + first:012d}"
            save(images / f"{split}2017" / f"{name}.jpg", picture(name, size))
            categories = turned(stored, i, size)
            used = [int(number) for number in np.unique(categories) if number != stored.ignore]
            ids = segment_ids(len(used))
            table = np.zeros(np.iinfo(stored.dtype).max + 1, dtype=np.int64)
            table[used] = ids
            save(labels / f"panoptic_{split}2017" / f"{name}.png", as_colors(table[categories]))
            segments = [
                {"id": int(number), "category_id": category, "iscrowd": 0, "bbox": [0, 0, 1, 1], "area": 1}
                for number, category in zip(ids, used, strict=True)
            ]
            annotations.append(
                {"segments_info": segments, "file_name": f"{name}.png", "image_id": 12 * i + first}
            )
        write_panoptic(root / "annotations" / f"panoptic_{split}2017.json", annotations)
    save(images / "test2017" / "000000000001.jpg", picture("coco test", size))
    return root


def as_colors(segments: np.ndarray) -> np.ndarray:
    """Segment ids as the colors of a panoptic picture, uint8 ``[H, W, 3]``."""
    return np.stack([segments & 255, (segments >> 8) & 255, segments >> 16], axis=-1).astype(np.uint8)


def write_panoptic(path: Path, annotations: Sequence[object]) -> Path:
    """Write a JSON file as that of COCO panoptic, with what comes along in it."""
    document = {
        "info": {"description": "fake", "year": 2017},
        "licenses": [{"id": 1, "name": "none"}],
        "images": [{"id": 139, "file_name": "000000000139.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "annotations": list(annotations),
        "categories": [
            {"id": item.id, "name": item.name, "isthing": 1} for item in space("coco-panoptic").classes
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def fake_sunrgbd(root: Path, layout: str = "archives", *, size: tuple[int, int] = SIZE) -> Path:
    """SUN RGB-D, 4 training and 3 test pictures, as the "archives" or "rearranged" with the list of val (1 and 3)."""
    stored = space("sunrgbd")
    for split, count in {"train": 4, "test": 3}.items():
        for i in range(1, count + 1):
            ids = turned(stored, i, size)
            if layout == "archives":
                image = root / f"SUNRGBD-{split}_images" / f"img-{i:06d}.jpg"
                number = i + (5050 if split == "train" else 0)
                save(root / "sunrgbd_train_test_labels" / f"img-{number:06d}.png", ids)
            else:
                image = root / "image" / split / f"img-{i:06d}.jpg"
                save(root / "label37" / split / f"{i:08d}.png", ids)
            save(image, picture(f"{split} {i}", size))
    if layout != "archives":
        lines = [
            f"image/test/img-{i:06d}.jpg depth/test/{i:08d}.png label37/test/{i:08d}.png" for i in (1, 3)
        ]
        write_list(root / "split" / "val37.txt", lines)
    return root


def fake_scannet(root: Path, *, lists: str = "", size: tuple[int, int] = SIZE) -> Path:
    """The frames of ScanNet's benchmark: 2 scenes to train on, 1 to validate on, 1 test scene; lists in that folder."""
    stored = space("scannet")
    scenes = {"train": ("scene0191_00", "scene0000_01"), "val": ("scene0568_00",)}
    for split, names in scenes.items():
        for step, name in enumerate(names):
            for frame in (0, 100):
                folder = root / "scannet_frames_25k" / name
                save(folder / "color" / f"{frame:06d}.jpg", picture(f"{name} {frame}", size))
                save(folder / "label" / f"{frame:06d}.png", turned(stored, step + (frame > 0), size))
        write_list(root / lists / f"scannetv2_{split}.txt", names)
    for frame in (0, 100):
        test = root / "scannet_frames_test" / "scene0707_00" / "color" / f"{frame:06d}.jpg"
        save(test, picture(f"test {frame}", size))
    return root


def fake_voc(root: Path, *, augmented: bool = False, size: tuple[int, int] = SIZE) -> Path:
    """VOC2012: 4 training, 2 validation, 1 test photo; with ``SegmentationClassAug`` 2 more to train on."""
    stored = space("voc-21")
    names = {"train": ["2007_000032", "2007_000039", "2008_000063", "2008_000068"]}
    names |= {"val": ["2007_000033", "2007_000042"], "test": ["2008_000006"]}
    more = ["2008_000002", "2008_000003"] if augmented else []
    for i, name in enumerate([*names["train"], *names["val"], *names["test"], *more]):
        save(root / "JPEGImages" / f"{name}.jpg", picture(name, size))
        ids = turned(stored, i, size)
        if name not in (*names["test"], *more):
            save(root / "SegmentationClass" / f"{name}.png", ids, VOC_PALETTE)
        if augmented and name not in names["test"]:
            save(root / "SegmentationClassAug" / f"{name}.png", ids)
    for split, listed in names.items():
        write_list(root / "ImageSets" / "Segmentation" / f"{split}.txt", listed)
    return root


def fake_pascal_context(root: Path, *, size: tuple[int, int] = SIZE) -> Path:
    """VOC2010 with the labels of PASCAL-Context as MMSegmentation converts them: 5 training, 2 validation photos."""
    for split, count in {"train": 5, "val": 2}.items():
        names = [f"20{8 + (split == 'val'):02d}_{i:06d}" for i in range(count)]
        for i, name in enumerate(names):
            save(root / "JPEGImages" / f"{name}.jpg", picture(name, size))
            ids = stripes(np.roll(np.arange(60), -14 * i)[: size[1]], size)
            save(root / "SegmentationClassContext" / f"{name}.png", ids)
        write_list(root / "ImageSets" / "SegmentationContext" / f"{split}.txt", names)
    return root


def write_list(path: Path, lines: Sequence[str]) -> Path:
    """Write a text file of one name per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
