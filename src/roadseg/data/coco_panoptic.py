"""COCO panoptic: 123 287 photos of everyday scenes, 80 kinds of things and 53 of stuff (Kirillov et al., CVPR 2019).

Layout, as the archives unpack (the label pictures are archives within the archive of annotations)::

    train2017/*.jpg    annotations/panoptic_train2017.json    annotations/panoptic_train2017/*.png
    val2017/*.jpg      annotations/panoptic_val2017.json      annotations/panoptic_val2017/*.png
    test2017/*.jpg     (no public labels)

Images may lie in ``images/``, label pictures beside ``annotations/``. A label picture has one color per segment:
red + 256 green + 65536 blue is the segment's id, 0 where nothing is labeled, and the JSON file tells its category,
1..200 with gaps.

The JSON file of the training split has hundreds of megabytes. It is parsed once, when the split is listed, which takes
some 10 s; what is needed of it, 19 MB, is kept in the user's cache folder, where loader processes and later runs find it.
Names in it are compared with those on disk, and never opened.

Splits: ``train`` (118 287 photos), ``val`` (5000) and ``test`` (40 670).
"""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from roadseg.data.class_centers import user_cache
from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.errors import DataError, LabelError, OutputError
from roadseg.labels import label_map, space, space_note
from roadseg.media import atomic_path

__all__ = ["EXPECTED", "LOOKS_FOR", "NAME", "OBTAIN", "open_root"]

NAME = "coco-panoptic"
LOOKS_FOR = "{train,val}2017/*.jpg + annotations/panoptic_{train,val}2017.json and the folders of label pictures of that name"
OBTAIN = (
    "Take train2017.zip (18 GB), val2017.zip (1 GB) and panoptic_annotations_trainval2017.zip (0.8 GB) from"
    " cocodataset.org, no registration; unpack also the two archives inside the last one, in annotations/."
)
EXPECTED: Mapping[str, int] = {"train": 118287, "val": 5000, "test": 40670}

SPACE = "coco-panoptic"
ANNOTATIONS = "annotations"
MAX_JSON = 2**30  # bytes; the official files have less than half of it
KEPT_FROM = 2**22  # bytes of JSON from which on what was parsed is kept: less is parsed as fast as it is read
FORMAT = 1
SHIFT = 24  # bits of a segment's id
SHOWN = 3  # unknown segments that an error names
_STEM = re.compile(r"\w[\w-]{0,63}")
_AGAIN = "take it from the official archive panoptic_annotations_trainval2017.zip again"


@dataclass(frozen=True)
class Segments:
    """The segments of all label pictures that one JSON file describes.

    Attributes:
        stems: Names of the pictures without suffix, sorted, ``[N]``.
        keys: ``(index of the picture << 24) + segment id``, sorted, int64 ``[S]``.
        categories: Category ids of the segments, uint16 ``[S]``.
    """

    stems: npt.NDArray[np.str_]
    keys: npt.NDArray[np.int64]
    categories: npt.NDArray[np.uint16]

    def find(self, stem: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]] | None:
        """Return ids and categories of the segments of a picture, sorted by id; None where it is not described."""
        index = int(np.searchsorted(self.stems, stem))
        if index == len(self.stems) or self.stems[index] != stem:
            return None
        first, last = np.searchsorted(self.keys, (index << SHIFT, (index + 1) << SHIFT))
        return self.keys[first:last] - (index << SHIFT), self.categories[first:last]


def open_root(root: Path) -> Source | None:
    """Return the data set in a folder, or None where it is not of this layout."""
    labeled = tuple(
        split
        for split in ("train", "val")
        if _json_file(root, split).is_file() and _images(root, split).is_dir()
    )
    if not labeled:
        return None
    return Source(
        name=NAME,
        root=root,
        label_map=label_map(SPACE, "coco-panoptic-133"),
        splits=(*labeled, *(("test",) if _images(root, "test").is_dir() else ())),
        list_split=partial(_list_split, root),
        looks_for=LOOKS_FOR,
        license=space_note(SPACE).license,
        decode=partial(_decode, root),
    )


def _json_file(root: Path, split: str) -> Path:
    return root / ANNOTATIONS / f"panoptic_{split}2017.json"


def _images(root: Path, split: str) -> Path:
    nested = root / "images" / f"{split}2017"
    return nested if nested.is_dir() else root / f"{split}2017"


def _labels(root: Path, split: str) -> Path:
    beside = root / f"panoptic_{split}2017"
    return beside if beside.is_dir() else root / ANNOTATIONS / beside.name


def _list_split(root: Path, split: str) -> list[Record]:
    images = list_images(_images(root, split))
    if split == "test":
        return [Record(image, None, image.stem) for image in images]
    file = _json_file(root, split)
    # Here and not when the first label is read: loader processes, which come later, find it parsed.
    known = set(_read_segments(file).stems.tolist())
    unknown = [image for image in images if image.stem not in known]
    if unknown:
        raise DataError(
            f"does not describe {len(unknown)} of {len(images)} images of split {split!r}, for example"
            f" {unknown[0].name}",
            where=file,
            remedy=f"{_AGAIN}, or remove those images",
        )
    labels = _labels(root, split)
    return [Record(image, labels / f"{image.stem}.png", image.stem) for image in images]


def _decode(root: Path, record: Record, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the category of every pixel, ``[H, W]``, of a picture of segments; ``Source.decode`` of this data set."""
    label = record.label or record.image
    file = root / ANNOTATIONS / f"{label.parent.name}.json"
    found = _read_segments(file).find(label.stem)
    if found is None:
        raise DataError(f"is not described in {file.name}", where=label, remedy=_AGAIN)
    stored = space(SPACE)
    ids = np.insert(found[0], 0, 0)  # segment 0: not labeled
    categories = np.insert(found[1], 0, stored.stored_id(stored.ignore)).astype(stored.dtype)
    # Segments are long runs of equal pixels: looking up the runs alone is ten times as fast.
    pixels = _segment_ids(picture).ravel()
    first = np.insert(np.flatnonzero(pixels[1:] != pixels[:-1]) + 1, 0, 0)
    lengths = np.diff(first, append=pixels.size)
    runs = pixels[first]
    positions = np.minimum(np.searchsorted(ids, runs), len(ids) - 1)
    if (strange := ids[positions] != runs).any():
        raise _unknown_segments(label, file, runs[strange], lengths[strange])
    return np.repeat(categories[positions], lengths).reshape(picture.shape[:2])


def _segment_ids(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the segment id of every pixel; a gray picture, which COCO does not have, holds them as they are."""
    wide = picture.astype(np.uint32)
    return wide if wide.ndim == 2 else wide[..., 0] | wide[..., 1] << 8 | wide[..., 2] << 16


def _unknown_segments(
    label: Path, file: Path, ids: npt.NDArray[Any], pixels: npt.NDArray[np.int64]
) -> LabelError:
    values, inverse = np.unique(ids, return_inverse=True)
    counts = np.bincount(inverse, pixels).astype(int)
    named = [f"{value} ({count} pixels)" for value, count in zip(values, counts, strict=True)]
    more = ", ..." if len(named) > SHOWN else ""
    return LabelError(
        f"holds segment {', '.join(named[:SHOWN])}{more}, which {file.name} does not describe",
        where=label,
        remedy="take the label pictures and the JSON file from the same archive",
    )


def _read_segments(file: Path) -> Segments:
    """Return the segments that a JSON file describes; parsed only where neither memory nor the user's cache has them.

    Raises:
        DataError: The file is missing, damaged or implausible.
    """
    try:
        state = file.stat()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=file, remedy=_AGAIN) from error
    return _load_segments(file.absolute(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4)
def _load_segments(file: Path, size: int, changed: int) -> Segments:
    if size > MAX_JSON:
        raise DataError(
            f"has {size / 1e9:.1f} GB, above the limit of {MAX_JSON / 1e9:.1f} GB", where=file, remedy=_AGAIN
        )
    if size < KEPT_FROM:
        return _parse(file)
    state = f"{FORMAT} {file} {size} {changed} {space(SPACE).fingerprint}"
    kept = user_cache() / f"coco-panoptic-{hashlib.sha256(str(file).encode()).hexdigest()[:16]}.npz"
    if (segments := _recall(kept, state)) is None:
        segments = _parse(file)
        # Without it every process parses by itself: slow, but right.
        with suppress(OutputError), atomic_path(kept) as temporary:
            np.savez(
                temporary,
                state=np.array(state),
                stems=segments.stems,
                keys=segments.keys,
                categories=segments.categories,
            )
    return segments


def _recall(kept: Path, state: str) -> Segments | None:
    """Return what was kept, or None where it is missing, of another state or damaged."""
    try:
        with kept.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            if str(arrays["state"]) != state:
                return None
            return Segments(arrays["stems"], arrays["keys"], arrays["categories"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
        return None


def _parse(file: Path) -> Segments:
    try:
        document = json.loads(file.read_bytes(), object_pairs_hook=_condense)
        pictures = sorted(_checked_pictures(document["annotations"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(
            f"holds no panoptic annotations, or is damaged ({reason[:200]})", where=file, remedy=_AGAIN
        ) from error
    stems = np.array([stem for stem, _ in pictures], dtype=np.str_)
    counts = [len(segments) for _, segments in pictures]
    pairs = np.array([pair for _, segments in pictures for pair in segments], dtype=np.int64).reshape(-1, 2)
    keys = (np.repeat(np.arange(len(pictures)), counts) << SHIFT) + pairs[:, 0]
    order = np.argsort(keys, kind="stable")
    keys, categories = keys[order], pairs[order, 1]
    _check_plausible(file, stems, keys, categories)
    return Segments(stems, keys, categories.astype(np.uint16))


def _checked_pictures(annotations: object) -> list[tuple[str, list[tuple[int, int]]]]:
    """Return the annotations as `_condense` left them, where they are those of pictures.

    Raises:
        ValueError: They are of another kind, such as the objects of ``instances_train2017.json``.
    """
    if not isinstance(annotations, list) or not annotations:
        raise ValueError("it describes no picture")
    if not all(isinstance(item, tuple) and isinstance(item[0], str) for item in annotations):
        raise ValueError("its annotations are not those of pictures with segments_info")
    return annotations


def _condense(items: Sequence[tuple[str, Any]]) -> object:
    """Keep of a JSON object what is needed, so that a large file takes little memory.

    Returns:
        ``(id, category)`` for a segment, ``(name, segments)`` for a picture, the object for what holds all pictures,
        None for everything else.

    Raises:
        ValueError: A picture or a segment is not as it should be.
    """
    entry = dict(items)
    if "segments_info" in entry:
        name, segments = entry.get("file_name"), entry["segments_info"]
        stem = Path(name).stem if isinstance(name, str) else ""
        if not (_STEM.fullmatch(stem) and isinstance(segments, list)):
            raise ValueError(f"an annotation of {stem[:80]!r} is none of a picture")
        if not all(isinstance(segment, tuple) and type(segment[0]) is int for segment in segments):
            raise ValueError(f"a segment of {stem!r} has no id or no category")
        return stem, segments
    if "category_id" in entry:
        number, category = entry.get("id"), entry["category_id"]
        if not (type(number) is int and type(category) is int):
            raise ValueError("a segment has an id or a category that is no number")
        if not (0 < number < 1 << SHIFT and 0 <= category < 1 << 16):
            raise ValueError(f"a segment has the id {number} and the category {category}")
        return number, category
    return entry if "annotations" in entry else None


def _check_plausible(
    file: Path, stems: npt.NDArray[np.str_], keys: npt.NDArray[np.int64], categories: npt.NDArray[np.int64]
) -> None:
    """Refuse what would label pixels by chance.

    Raises:
        DataError: A picture or a segment is described twice, or a category is none of COCO panoptic.
    """
    if (twice := stems[1:][stems[1:] == stems[:-1]]).size:
        what = f"describes {twice[0]} twice"
    elif (same := keys[1:][keys[1:] == keys[:-1]]).size:
        what = f"describes segment {same[0] & ((1 << SHIFT) - 1)} of {stems[same[0] >> SHIFT]} twice"
    elif (strange := np.setdiff1d(categories, space(SPACE).ids)).size:
        what = f"uses the category {strange[0]}, which COCO panoptic does not have"
    else:
        return
    raise DataError(what, where=file, remedy=_AGAIN)
