"""Reads a whole data set before it is trained on, and says what is wrong with it."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from roadseg.data.records import Record
from roadseg.data.source import Source, label_kind
from roadseg.errors import DataError, ImageError, LabelError, RoadsegError
from roadseg.labels import LabelSpace
from roadseg.media import read_image

__all__ = ["Duplicate", "Finding", "Report", "SplitReport", "check"]

SHOWN = 5  # findings of one kind and split that are spelled out; the JSON has all
MOST_WORKERS = 8


@dataclass(frozen=True)
class Finding:
    """Something that makes a pair, or a whole split, unusable.

    Attributes:
        kind: ``unreadable image``, ``missing label``, ``unreadable label``, ``unknown ids``, ``unknown colors``,
            ``size mismatch``, ``repeated name``, ``empty split`` or ``broken split``.
        split: The split it is in.
        file: The file it is about, or the root.
        message: One sentence that names the file.
        ids: Unknown stored ids with their number of pixels.
    """

    kind: str
    split: str
    file: str
    message: str
    ids: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Duplicate:
    """An image that is in more than one split: what is trained on must not be tested on.

    Attributes:
        files: ``(split, file)`` of every copy. Copies have the same pixels; names and file formats may differ.
    """

    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SplitReport:
    """What one split holds. Pixels are counted over its usable pairs.

    Attributes:
        images: Number of images.
        labeled: Number of pairs whose label could be used.
        sizes: Number of images by ``WIDTHxHEIGHT``, most frequent first.
        label_kinds: Number of label files by kind: ``8-bit ids``, ``16-bit ids``, ``palette``, ``colors``.
        pixels: Pixels by class name of the target space.
        ignored: Pixels that are left out of losses and scores.
        blank: Number of labels that are ignored altogether.
    """

    images: int
    labeled: int
    sizes: Mapping[str, int]
    label_kinds: Mapping[str, int]
    pixels: Mapping[str, int]
    ignored: int
    blank: int

    @property
    def frequencies(self) -> dict[str, float]:
        """Share of each class in the pixels that count, 0..1."""
        total = sum(self.pixels.values())
        return {name: count / total if total else 0.0 for name, count in self.pixels.items()}

    @property
    def ignore_share(self) -> float:
        """Share of the pixels that are ignored, 0..1."""
        total = sum(self.pixels.values()) + self.ignored
        return self.ignored / total if total else 0.0

    @property
    def unseen(self) -> tuple[str, ...]:
        """Classes without a pixel; empty for a split without labels."""
        return tuple(name for name, count in self.pixels.items() if not count) if self.labeled else ()

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists, strings and numbers."""
        return {
            "images": self.images,
            "labeled": self.labeled,
            "sizes": dict(self.sizes),
            "label_kinds": dict(self.label_kinds),
            "pixels": dict(self.pixels),
            "frequencies": self.frequencies,
            "unseen": list(self.unseen),
            "ignored": self.ignored,
            "ignore_share": self.ignore_share,
            "blank": self.blank,
        }


@dataclass(frozen=True)
class Report:
    """What was found in a data set.

    Attributes:
        name: Name of the layout.
        root: Where the data set is.
        space: Name of the label space that networks are trained with.
        splits: By name, in the order they were read.
        findings: What makes pairs or splits unusable.
        duplicates: Images that are in several splits.
        remarks: What the layout found out about the data set on opening it.
    """

    name: str
    root: str
    space: str
    splits: Mapping[str, SplitReport]
    findings: tuple[Finding, ...]
    duplicates: tuple[Duplicate, ...]
    remarks: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether every pair can be used and no split is empty. Duplicates do not count: they train, but mislead."""
        return not self.findings

    @property
    def problems(self) -> list[str]:
        """One sentence for each thing to put right; of many alike, the first few and how many more there are."""
        sentences: list[str] = []
        order = {split: i for i, split in enumerate(self.splits)}
        ordered = sorted(self.findings, key=lambda item: (order.get(item.split, -1), item.kind))
        for (split, kind), group in groupby(ordered, key=lambda item: (item.split, item.kind)):
            found = [item.message for item in group]
            sentences += found[:SHOWN]
            if len(found) > SHOWN:
                sentences.append(f"{split}: {kind} in {len(found) - SHOWN} more files")
        by_splits: dict[tuple[str, ...], list[Duplicate]] = defaultdict(list)
        for duplicate in self.duplicates:
            by_splits[tuple(sorted({split for split, _ in duplicate.files}, key=order.__getitem__))].append(
                duplicate
            )
        for splits, copies in by_splits.items():
            names = " and ".join(file for _, file in copies[0].files)
            some = "1 image is" if len(copies) == 1 else f"{len(copies)} images are"
            sentences.append(f"{some} in {' and '.join(splits)}, for example {names}")
        return sentences

    @property
    def notes(self) -> list[str]:
        """One sentence for each thing that is worth knowing but may be as intended."""
        sentences = list(self.remarks)
        for name, split in self.splits.items():
            if count := split.label_kinds.get("colors", 0):
                sentences.append(f"{name}: {count} label files are color pictures")
            if count := split.label_kinds.get("palette", 0):
                sentences.append(f"{name}: {count} label files are palette pictures")
            if split.blank:
                sentences.append(f"{name}: {split.blank} labels hold nothing but ignored pixels")
            if split.unseen:
                sentences.append(f"{name}: no pixel of {', '.join(split.unseen)}")
        return sentences

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists, strings and numbers."""
        return {
            "name": self.name,
            "root": self.root,
            "space": self.space,
            "usable": self.usable,
            "problems": self.problems,
            "notes": self.notes,
            "splits": {name: split.to_json() for name, split in self.splits.items()},
            "findings": [
                {
                    "kind": item.kind,
                    "split": item.split,
                    "file": item.file,
                    "message": item.message,
                    "ids": {str(number): count for number, count in item.ids},
                }
                for item in self.findings
            ],
            "duplicates": [
                [{"split": split, "file": file} for split, file in item.files] for item in self.duplicates
            ],
        }


class _Pair(NamedTuple):
    """What one pair holds."""

    findings: tuple[Finding, ...] = ()
    size: str | None = None
    digest: bytes | None = None
    label_kind: str | None = None
    counts: npt.NDArray[np.int64] | None = None


def check(
    source: Source,
    splits: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Read every image and label of a data set.

    Args:
        source: The data set.
        splits: Splits to read; by default all that should have no image in common.
        workers: Threads that read, at least one; by default one per processor, at most 8.
        progress: Called with the number of images read and their total, from the calling thread.

    Raises:
        DataError: A split in ``splits`` does not exist.
    """
    if splits is None:
        splits = source.base_splits or source.splits
    names = list(dict.fromkeys(part for split in splits for part in split.split("+")))
    listed, findings = _list_splits(source, names)
    work = [(split, record) for split, records in listed.items() for record in records]
    pairs: dict[str, list[_Pair]] = {split: [] for split in names}
    threads = max(1, workers or min(MOST_WORKERS, os.cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        try:
            results = pool.map(lambda item: _examine(source, *item), work)
            for done, ((split, _), pair) in enumerate(zip(work, results, strict=True), start=1):
                pairs[split].append(pair)
                if progress is not None:
                    progress(done, len(work))
        finally:
            pool.shutdown(cancel_futures=True)
    findings += [finding for found in pairs.values() for pair in found for finding in pair.findings]
    return Report(
        name=source.name,
        root=str(source.root),
        space=source.target.name,
        splits={split: _summarize(source.target, found) for split, found in pairs.items()},
        findings=tuple(findings),
        duplicates=_find_duplicates(work, (pair for found in pairs.values() for pair in found)),
        remarks=source.notes,
    )


def _list_splits(source: Source, names: Sequence[str]) -> tuple[dict[str, list[Record]], list[Finding]]:
    listed: dict[str, list[Record]] = {}
    findings: list[Finding] = []
    for split in names:
        if split not in source.splits:
            source.find(split)  # raises the error that names the splits
        try:
            records = source.list_split(split)
        except DataError as error:
            findings.append(Finding("broken split", split, error.where or "", f"{split}: {error}"))
            continue
        if not records:
            message = f"{split}: there are no images; {source.name} looks for {source.looks_for}"
            findings.append(Finding("empty split", split, str(source.root), message))
        for key, count in Counter(record.key for record in records).items():
            if count > 1:
                message = f"{split}: {count} images are named {key}; keep one, or rename the others"
                findings.append(Finding("repeated name", split, key, message))
        listed[split] = records
    return listed, findings


def _examine(source: Source, split: str, record: Record) -> _Pair:
    """Read one pair; runs in a thread."""
    try:
        image = read_image(record.image)
    except RoadsegError as error:
        return _Pair((_finding("unreadable image", split, error, record.image),))
    size = f"{image.shape[1]}x{image.shape[0]}"
    # Of the pixels, not of the file: a copy that was only saved anew is a copy.
    digest = hashlib.blake2b(image.data, digest_size=16, person=size.encode()[:16]).digest()
    pair = _Pair(size=size, digest=digest)
    if record.label is None:
        return pair
    if not record.label.is_file():
        message = f"{split}: {record.image} has no label file; it belongs at {record.label}"
        return pair._replace(findings=(Finding("missing label", split, str(record.image), message),))
    return _examine_label(source, split, record, record.label, pair)


def _examine_label(source: Source, split: str, record: Record, label: Path, pair: _Pair) -> _Pair:
    try:
        pair = pair._replace(label_kind=label_kind(label))
        stored = source.read_stored(record)
    except RoadsegError as error:
        kind = "unreadable label" if isinstance(error, ImageError) else "unknown colors"
        return pair._replace(findings=(_finding(kind, split, error, label),))
    findings: list[Finding] = []
    size = f"{stored.shape[1]}x{stored.shape[0]}"
    if size != pair.size:
        message = (
            f"{split}: {label} is {size} but its image {record.image.name} is {pair.size}; resize the label with"
            " nearest-neighbor interpolation, or remove the pair"
        )
        findings.append(Finding("size mismatch", split, str(label), message))
    try:
        mask = source.label_map.relabel(stored, where=str(label))
    except LabelError as error:
        finding = _finding("unknown ids", split, error, label)
        findings.append(replace(finding, ids=_unknown_ids(source.stored, stored)))
    if findings:
        return pair._replace(findings=tuple(findings))
    return pair._replace(counts=np.bincount(mask.ravel(), minlength=_num_bins(source.target)))


def _finding(kind: str, split: str, error: RoadsegError, file: Path) -> Finding:
    return Finding(kind, split, str(file), f"{split}: {error}")


def _unknown_ids(space: LabelSpace, stored: npt.NDArray[Any]) -> tuple[tuple[int, int], ...]:
    known = {space.stored_id(number, stored.dtype) for number in (*space.ids, space.ignore)}
    values, counts = np.unique(stored, return_counts=True)
    found = zip(values.tolist(), counts.tolist(), strict=True)
    return tuple((number, count) for number, count in found if number not in known)


def _num_bins(space: LabelSpace) -> int:
    return max(*space.ids, space.stored_id(space.ignore)) + 1


def _summarize(space: LabelSpace, pairs: Sequence[_Pair]) -> SplitReport:
    total = np.zeros(_num_bins(space), dtype=np.int64)
    blank = 0
    usable = [pair.counts for pair in pairs if pair.counts is not None]
    for counts in usable:
        total += counts
        blank += int(counts[space.ignore] == counts.sum())
    ignored = int(total[space.ignore])
    total[space.ignore] = 0
    return SplitReport(
        images=len(pairs),
        labeled=len(usable),
        sizes=dict(Counter(pair.size for pair in pairs if pair.size is not None).most_common()),
        label_kinds=dict(
            Counter(pair.label_kind for pair in pairs if pair.label_kind is not None).most_common()
        ),
        pixels={item.name: int(total[item.id]) for item in space.classes if item.id != space.ignore},
        ignored=ignored,
        blank=blank,
    )


def _find_duplicates(work: Sequence[tuple[str, Record]], pairs: Iterable[_Pair]) -> tuple[Duplicate, ...]:
    copies: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for (split, record), pair in zip(work, pairs, strict=True):
        if pair.digest is not None:
            copies[pair.digest].append((split, str(record.image)))
    return tuple(
        Duplicate(tuple(files)) for files in copies.values() if len({split for split, _ in files}) > 1
    )
