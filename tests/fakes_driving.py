"""Tiny data sets of roads in the layouts of the real ones, drawn by code; as in `tests.fakes`."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadseg.labels import space
from tests.fakes import SIZE, picture, save, stripes

WILDDASH_FRAMES = tuple(f"{land}{video:04d}_100000" for land in ("at", "de", "in") for video in range(6))


def ids_of(name: str, turn: int) -> np.ndarray:
    """Ids of a space, in stripes, turned from picture to picture, so that all of them occur somewhere."""
    stored = space(name)
    ids = [number for number in stored.ids if number >= 0]
    ids += [] if stored.ignore in ids else [stored.ignore]
    return stripes(np.roll(ids, 11 * turn)[: SIZE[1]])


def fake_bdd100k(root: Path, release: str = "new", *, folder: str = ".") -> Path:
    """BDD100K, release "new" or "old", in a folder below the root: 5 train, 2 val, 1 test frames."""
    images, labels, end = {
        "new": ("images/10k", "labels/sem_seg/masks", ".png"),
        "old": ("seg/images", "seg/labels", "_train_id.png"),
    }[release]
    for split, count in {"train": 5, "val": 2, "test": 1}.items():
        for i in range(count):
            name = f"{split}{i}-0a1b"
            save(root / folder / images / split / f"{name}.jpg", picture(name))
            if split != "test":
                save(root / folder / labels / split / f"{name}{end}", ids_of("bdd-19", i))
    return root


def fake_idd(root: Path, kinds: Sequence[str] = ("ids",), *, suffix: str = ".png") -> Path:
    """IDD, with the polygons and painted labels of "ids", "level3" or both: 4 train, 2 val, 1 test frames."""
    stored = {"ids": ("labelids", "idd"), "level3": ("labellevel3Ids", "idd-26")}
    for split, drives in {"train": ("0", "201"), "val": ("119",), "test": ("7",)}.items():
        for drive in drives:
            for i in range(1 if split == "test" else 2):
                name = f"{i:06d}"  # the same in every drive
                images = root / "leftImg8bit" / split / drive
                save(images / f"{name}_leftImg8bit{suffix}", picture(f"{drive} {i}"))
                if split == "test":
                    continue
                labels = root / "gtFine" / split / drive
                labels.mkdir(parents=True, exist_ok=True)
                (labels / f"{name}_gtFine_polygons.json").write_text(json.dumps({"objects": []}))
                for kind in kinds:
                    ending, ids = stored[kind]
                    save(labels / f"{name}_gtFine_{ending}.png", ids_of(ids, i + len(drive)))
    return root


def fake_wilddash(root: Path, *, folder: str = ".", ending: str = ".png") -> Path:
    """WildDash 2 in a folder below the root: 18 public frames, 2 of the benchmark."""
    for i, name in enumerate(WILDDASH_FRAMES):
        save(root / folder / "images" / f"{name}.jpg", picture(name))
        save(root / folder / "labels" / f"{name}{ending}", ids_of("wilddash", i))
    for name in ("us0001_100000", "za0002_100000"):
        save(root / "wd_both_02" / "images" / f"{name}.jpg", picture(name))
    return root


def fake_wilddash1(root: Path, *, folder: str = ".") -> Path:
    """WildDash 1 in a folder below the root: 4 public frames with all that lies beside them, 2 of the benchmark."""
    stored = space("cityscapes")
    for i, name in enumerate(WILDDASH_FRAMES[:4]):
        save(root / folder / f"{name}.png", picture(name))
        ids = ids_of("cityscapes", i)
        save(root / folder / f"{name}_labelIds.png", ids)
        save(root / folder / f"{name}_labelColors.png", stored.colorize(ids))
        save(root / folder / f"{name}_instanceIds.png", ids.astype(np.uint16))
    for name in ("us0001_100000", "za0002_100000"):
        save(root / "wd_bench_01" / f"{name}.png", picture(name))
    return root


def fake_acdc(
    root: Path, kinds: Sequence[str] = ("labelTrainIds",), *, archives: bool = False, references: bool = False
) -> Path:
    """ACDC: for each condition 2 train, 1 val and 1 test frame, and a reference of each.

    Args:
        root: Folder to fill.
        kinds: Which label files there are: "labelTrainIds", "labelIds" or both.
        archives: Whether the archives are in folders of their own names.
        references: Whether the references are labeled too.
    """
    images = root / "rgb_anon_trainvaltest/rgb_anon" if archives else root / "rgb_anon"
    labels = root / "gt_trainval/gt" if archives else root / "gt"
    spaces = {"labelTrainIds": "cityscapes-19", "labelIds": "cityscapes"}
    for turn, condition in enumerate(("fog", "night", "rain", "snow")):
        for split, count in {"train": 2, "val": 1, "test": 1}.items():
            for i in range(count):
                name = f"GOPR0{turn}_frame_{i:06d}"
                for mark in ("", "_ref"):
                    place = Path(condition, f"{split}{mark}", f"GOPR0{turn}")
                    save(images / place / f"{name}_rgb{mark}_anon.png", picture(f"{place} {i}"))
                    if split == "test" or (mark and not references):
                        continue
                    for kind in kinds:
                        save(labels / place / f"{name}_gt{mark}_{kind}.png", ids_of(spaces[kind], turn + i))
    return root


def fake_dark_zurich(root: Path, *, archives: bool = False) -> Path:
    """Dark Zurich: 1 train frame of each time of day, 3 val and 1 test frame of the night, and their references."""
    folders = {
        part: root
        / (f"Dark_Zurich_{part}_anon" + ("_withoutGt" if part == "test" else "") if archives else ".")
        for part in ("train", "val", "test")
    }
    for time in ("day", "twilight", "night"):
        images = folders["train"] / "rgb_anon" / "train" / time / f"GOPR_{time}"
        save(images / f"GOPR_{time}_frame_000001_rgb_anon.png", picture(time))
    for part, count in {"val": 3, "test": 1}.items():
        for i in range(count):
            name, sequence = f"GOPR0356_frame_{i:06d}", "GOPR0356"
            folder = folders[part]
            save(folder / f"rgb_anon/{part}/night/{sequence}/{name}_rgb_anon.png", picture(f"{part} {i}"))
            day = folder / f"rgb_anon/{part}_ref/day/{sequence}_ref"
            save(day / f"{name}_ref_rgb_anon.png", picture(f"{part} {i} by day"))
            if part == "val":
                ids = ids_of("cityscapes-19", i)
                save(folder / f"gt/val/night/{sequence}/{name}_gt_labelTrainIds.png", ids)
                save(folder / f"gt/val/night/{sequence}/{name}_gt_invIds.png", np.zeros_like(ids))
    return root
