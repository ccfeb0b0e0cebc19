"""A folder of images and masks described by a data.yaml, the way Ultralytics and LibreYOLO write it.

::

    path: .                      # root of the data, relative to this file; default: its folder
    train: images/train          # a folder (searched deeply), a list of folders, or a .txt file that lists images;
                                 # a mask that lies elsewhere stands behind its image, after a tab
    val: images/val
    test: images/test            # optional; may have no masks
    masks_dir: masks             # takes the place of "images" in the path of an image; default: masks
    names: {0: road, 1: car}     # or a list; numbered from 0 without gaps
    label_mapping: {7: 0, 26: 1, 0: ignore}   # optional: id in the masks -> class, or ignore

The mask of ``images/train/a.jpg`` is ``masks/train/a.png``: 8- or 16-bit ids, a palette picture (its indices count
unless colors are given), or colors. Keys that roadseg adds::

    ignore: 255                  # id of the pixels that are left out; default 255
    colors: {road: [128, 64, 128], car: [0, 0, 142]}    # of color masks; names beyond the classes are ignored
    space: cityscapes-19         # a label space that roadseg knows, instead of names
    binary: auto                 # whether masks of 0 and 255 mean two classes; true and false decide it
    license: CC BY 4.0           # what the data may be used for
    splits: {plus1: lists/plus1.txt}    # further splits, which may share images with the others
"""

import difflib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.data.yaml_labels import read_labels
from roadseg.errors import DataError
from roadseg.media.writing import is_utf8

__all__ = ["LOOKS_FOR", "NAME", "open_root"]

NAME = "yaml"
LOOKS_FOR = "a data.yaml with names and train, images/ + masks/ of the same file names"
SPLITS = ("train", "val", "test")
SUFFIXES = (".yaml", ".yml")
USUAL_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
KNOWN_KEYS = (
    *("path", *SPLITS, "masks_dir", "names", "label_mapping"),
    *("ignore", "colors", "space", "binary", "license", "splits"),
)
IMAGES = "images"


def open_root(root: Path) -> Source | None:
    """Return the data set of a data.yaml, or of a folder that contains one; None where there is none.

    Raises:
        DataError: The file is damaged or contradicts itself, or a folder that it names is missing.
        LabelError: It names a label space that does not exist, or classes that do not fit together.
    """
    file = _yaml_file(root)
    if file is None:
        return None
    data = _load(file)
    _check_keys(file, data)
    base = _base_folder(file, data)
    splits = tuple(split for split in SPLITS if data.get(split))
    if not splits:
        raise DataError("names no split", where=file, remedy="add train: images/train and val: images/val")
    further = _further_splits(file, data)
    named = {**{split: data[split] for split in splits}, **further}
    places = {split: _places(file, base, split, value) for split, value in named.items()}
    masks_dir = data.get("masks_dir", "masks")
    if not isinstance(masks_dir, str) or not masks_dir:
        raise DataError(f"masks_dir is {masks_dir!r}", where=file, remedy="give the name of a folder")
    lister = partial(_list_split, base, places, masks_dir)
    labels = read_labels(file, data, [record for split in splits for record in lister(split)])
    return Source(
        name=NAME,
        root=file,
        label_map=labels.map,
        splits=tuple(places),
        list_split=lister,
        looks_for=LOOKS_FOR,
        license=str(data.get("license") or "as its owner says"),
        base_splits=splits if further else (),
        colored=labels.colored,
        palette_colored="colors" in data,
        notes=labels.notes,
    )


def _yaml_file(root: Path) -> Path | None:
    if root.is_file():
        return root if root.suffix.lower() in SUFFIXES else None
    for name in USUAL_NAMES:
        if (root / name).is_file():
            return root / name
    if not root.is_dir():
        return None
    # Under another name, only a file that clearly describes a data set: any tool may leave a YAML file around.
    files = [
        path for path in sorted(root.iterdir()) if path.suffix.lower() in SUFFIXES and _describes_data(path)
    ]
    if len(files) > 1:
        raise DataError(
            f"holds several data set files: {', '.join(path.name for path in files)}",
            where=root,
            remedy="give the path of one of them",
        )
    return files[0] if files else None


def _describes_data(file: Path) -> bool:
    try:
        data = _load(file)
    except DataError:
        return False
    return ("names" in data or "space" in data) and any(split in data for split in SPLITS)


def _load(file: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=file) from error
    except UnicodeDecodeError as error:
        raise DataError("is not a text in UTF-8", where=file, remedy="save it as UTF-8") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(error, "problem", None) or type(error).__name__
        raise DataError(
            f"is not valid YAML{line}: {problem}", where=file, remedy="correct the file"
        ) from error
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"holds a {type(data).__name__}, not keys and values"
        raise DataError(what, where=file, remedy="it needs names, train and val")
    return data


def _check_keys(file: Path, data: Mapping[str, Any]) -> None:
    """Refuse keys that look misspelled; other foreign keys (download, channels, ...) are left alone."""
    for key in data:
        close = difflib.get_close_matches(str(key), KNOWN_KEYS, n=1, cutoff=0.8)
        if key not in KNOWN_KEYS and close and close[0] not in data:
            raise DataError(f"has an unknown key {key!r}", where=file, remedy=f"did you mean {close[0]}?")


def _further_splits(file: Path, data: Mapping[str, Any]) -> Mapping[str, Any]:
    further = data.get("splits") or {}
    if not isinstance(further, dict):
        raise DataError(f"splits is {further!r}", where=file, remedy="give {name: folder or .txt file}")
    for name in further:
        if not isinstance(name, str) or not name or name in SPLITS or set(name) & set("+@/"):
            raise DataError(
                f"splits names {name!r}",
                where=file,
                remedy=f"give a text without + @ / that is not {', '.join(SPLITS)}",
            )
    return further


def _base_folder(file: Path, data: Mapping[str, Any]) -> Path:
    path = data.get("path") or "."
    if not isinstance(path, str):
        raise DataError(f"path is {path!r}", where=file, remedy="give a folder")
    base = _joined(file.parent.absolute(), path)
    if not base.is_dir():
        raise DataError(
            f"path: {path} leads to {base}, which does not exist",
            where=file,
            remedy="path is relative to the folder of this file; correct it, or leave it out",
        )
    return base


def _joined(root: Path, path: str) -> Path:
    """Return a path from a file, made absolute. Links are kept: what they lead to need not have masks beside it."""
    return Path(os.path.normpath(root / Path(path).expanduser()))


def _places(file: Path, base: Path, split: str, value: object) -> tuple[Path, ...]:
    values = value if isinstance(value, list) else [value]
    names = [item for item in values if isinstance(item, str)]
    if len(names) < len(values):
        raise DataError(
            f"{split} is {value!r}",
            where=file,
            remedy="give a folder, a list of folders, or a .txt file that lists images",
        )
    places = tuple(_joined(base, item) for item in names)
    for place in places:
        if not place.is_dir() and not (place.is_file() and place.suffix.lower() == ".txt"):
            what = "is neither a folder nor a .txt file" if place.exists() else "does not exist"
            raise DataError(
                f"{split} names {place}, which {what}",
                where=file,
                remedy=f"correct {split} or path; both are resolved from the folder of this file",
            )
    return places


def _list_split(
    base: Path, places: Mapping[str, tuple[Path, ...]], masks_dir: str, split: str
) -> list[Record]:
    images: list[tuple[Path, Path | None]] = []  # with the mask, where a list names it
    for place in places[split]:
        if place.is_file():
            images += _read_list(place, base)
        else:
            images += [(image, None) for image in list_images(place, recursive=True)]
    folders: dict[Path, tuple[Path, dict[str, Path], str]] = {}
    records = []
    for image, mask in images:
        if image.parent not in folders:
            masks, prefix = _mask_folder(base, image.parent, masks_dir)
            folders[image.parent] = masks, _masks_by_stem(masks), prefix
        masks, by_stem, prefix = folders[image.parent]
        label = mask or by_stem.get(image.stem, masks / f"{image.stem}.png")
        key = f"{prefix}{image.stem}"
        if mask is not None and mask.is_relative_to(base / masks_dir):
            key = mask.relative_to(base / masks_dir).with_suffix("").as_posix()
        records.append(Record(image, label, key))
    if split == "test" and not any(record.label and record.label.is_file() for record in records):
        return [record._replace(label=None) for record in records]
    return records


def _mask_folder(base: Path, folder: Path, masks_dir: str) -> tuple[Path, str]:
    """Return the folder of the masks of a folder of images, and the start of the keys of its records.

    The last folder called "images" below the root is replaced; else the last one anywhere; else the masks mirror the
    whole tree below the root.
    """
    inside = folder.is_relative_to(base)
    below = folder.relative_to(base).parts if inside else ()
    candidates: list[tuple[Path, Path]] = []
    for root, parts in ((base, below), (Path(folder.anchor), folder.parts[1:])):
        if IMAGES in parts:
            cut = len(parts) - 1 - parts[::-1].index(IMAGES)
            candidates.append((root.joinpath(*parts[:cut]), Path(*parts[cut + 1 :])))
    candidates.append((base, Path(*below)) if inside else (folder.parent, Path(folder.name)))
    existing = [pair for pair in candidates if (pair[0] / masks_dir).is_dir()]
    before, after = (existing or candidates)[0]
    key = "/".join(part for part in below if part != IMAGES) if inside else after.as_posix()
    return before / masks_dir / after, "" if key in ("", ".") else f"{key}/"


def _masks_by_stem(folder: Path) -> dict[str, Path]:
    """Return the masks in a folder, whatever their suffix; a .png where there are several of one stem."""
    found = list_images(folder) if folder.is_dir() else []
    return {path.stem: path for path in sorted(found, key=lambda path: path.suffix.lower() == ".png")}


def _read_list(file: Path, base: Path) -> list[tuple[Path, Path | None]]:
    """Return the images that a text file lists, one per line, relative to it or to the root, and masks behind tabs."""
    try:
        # Names of files need not be UTF-8.
        text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(
            f"cannot be read as a list of images ({error.strerror or error})",
            where=file,
            remedy="check that it may be read",
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    images: list[tuple[Path, Path | None]] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        name, _, mask = (part.strip() for part in line.partition("\t"))
        image = _existing(name, file, base, number)
        images.append((image, _existing(mask, file, base, number) if mask else None))
    return images


def _existing(name: str, file: Path, base: Path, number: int) -> Path:
    """Return the file that a line of a list names."""
    candidates = [_joined(root, name) for root in (file.parent, base)]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None and not is_utf8(name):
        raise DataError(
            f"cannot be read as a list of images: line {number} is not UTF-8",
            where=file,
            remedy="save it as UTF-8 text",
        )
    if found is None:
        raise DataError(
            f"line {number} names {name}, which does not exist",
            where=file,
            remedy=f"paths are relative to {file.parent} or {base}",
        )
    return found
