"""What of a published data set is on disk: images and label files of each official split are counted, none is read."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from roadseg.data.records import Record
from roadseg.data.source import Source
from roadseg.data.sources import PUBLISHED, Published, open_source
from roadseg.errors import DataError, RoadsegError

__all__ = ["Inventory", "SplitCount", "published", "take_inventory"]

SHOWN = 5  # names of missing files


@dataclass(frozen=True)
class SplitCount:
    """What is there of one split.

    Attributes:
        split: Its name.
        expected: The number of its images in the official release.
        images: Images found.
        labels: Label files found.
        missing_labels: Images without their label file; 0 where the split has no public labels.
        first_missing: Where the first of the missing label files belong.
        problem: Why the split cannot be listed; empty where it can.
    """

    split: str
    expected: int
    images: int = 0
    labels: int = 0
    missing_labels: int = 0
    first_missing: tuple[Path, ...] = ()
    problem: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.images >= self.expected and not self.missing_labels and not self.problem


@dataclass(frozen=True)
class Inventory:
    """What is there of a data set.

    Attributes:
        name: Name of the data set.
        root: The folder that was looked at.
        splits: One entry for each official split.
        problem: Why nothing could be opened; empty where it could.
    """

    name: str
    root: Path
    splits: tuple[SplitCount, ...]
    problem: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.problem and all(count.complete for count in self.splits)

    def to_json(self) -> dict[str, Any]:
        """Return everything as what JSON can hold."""
        splits = [
            asdict(count)
            | {"first_missing": [str(path) for path in count.first_missing], "complete": count.complete}
            for count in self.splits
        ]
        return {
            "name": self.name,
            "root": str(self.root),
            "complete": self.complete,
            "problem": self.problem,
            "splits": splits,
        }


def published(name: str) -> Published:
    """Return the layout of a published data set.

    Raises:
        DataError: There is none of that name.
    """
    names = [layout.NAME for layout in PUBLISHED]
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise DataError(
            f"{name!r} is no published data set that roadseg knows",
            remedy=f"{hint}known are {', '.join(names)}",
        )
    return PUBLISHED[names.index(name)]


def take_inventory(
    layout: Published,
    root: Path,
    splits: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """Count what is on disk of a published data set.

    Args:
        layout: The data set.
        root: Where it is, or will be.
        splits: The splits to look at; all official ones when empty.
        progress: Told after each split how many are done, of how many.

    Raises:
        DataError: The data set has no such split.
    """
    if unknown := [split for split in splits if split not in layout.EXPECTED]:
        raise DataError(
            f"{layout.NAME} has no official split {unknown[0]!r}",
            remedy=f"it has {', '.join(layout.EXPECTED)}",
        )
    wanted = {split: count for split, count in layout.EXPECTED.items() if split in splits or not splits}
    try:
        source = open_source(f"{layout.NAME}:{root}")
    except RoadsegError as error:
        counts = tuple(SplitCount(split, expected) for split, expected in wanted.items())
        return Inventory(layout.NAME, root, counts, problem=str(error))
    found = []
    for done, (split, expected) in enumerate(wanted.items(), 1):
        found.append(_count(source, split, expected))
        if progress is not None:
            progress(done, len(wanted))
    return Inventory(layout.NAME, root, tuple(found))


def _count(source: Source, split: str, expected: int) -> SplitCount:
    records: list[Record] = []
    for part in split.split("+"):
        if part not in source.splits:
            continue
        try:
            records += source.list_split(part)
        except RoadsegError as error:
            return SplitCount(split, expected, images=len(records), problem=str(error))
    labels = [record.label for record in records if record.label is not None]
    missing = [label for label in labels if not label.is_file()]
    return SplitCount(
        split,
        expected,
        images=len(records),
        labels=len(labels) - len(missing),
        missing_labels=len(missing),
        first_missing=tuple(missing[:SHOWN]),
    )
