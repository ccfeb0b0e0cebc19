"""A data set that torch can load: records are decoded, relabeled and transformed, one sample at a time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from roadseg.data.records import Record, Sample
from roadseg.data.sources import Source
from roadseg.errors import DataError
from roadseg.media import read_image

__all__ = ["Draw", "MixedDataset", "RoadDataset", "decode"]


class Draw(NamedTuple):
    """One sample to be drawn: which, and the seed of its random changes.

    The seed makes a sample independent of who loads it and of what was loaded before: the number of loader
    processes, the rank, and an interruption change nothing.
    """

    position: int
    seed: int


class RoadDataset(Dataset[Sample]):
    """Samples of one split.

    Args:
        source: The data set on disk.
        split: For example ``train`` or ``train+val``.
        transform: Applied to each decoded sample; None for none.
    """

    def __init__(
        self, source: Source, split: str, transform: Callable[[Sample], Sample] | None = None
    ) -> None:
        self.source = source
        self.records: Sequence[Record] = source.find(split)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, item: int | Draw) -> Sample:
        """Return a sample; with a `Draw`, its random changes depend on the draw's seed alone."""
        if isinstance(item, Draw):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(item.seed)
                return self._load(item.position)
        return self._load(item)

    def _load(self, index: int) -> Sample:
        sample = decode(self.source, self.records[index])
        return sample if self.transform is None else self.transform(sample)


class MixedDataset(Dataset[Sample]):
    """Two data sets of the same label space, one after the other.

    Args:
        first: Indices 0 .. len(first)-1.
        second: The indices after them.
    """

    def __init__(self, first: RoadDataset, second: RoadDataset) -> None:
        if first.source.target != second.source.target:
            raise DataError(
                f"labels are in {second.source.target.name}, but those of {first.source.root} in"
                f" {first.source.target.name}",
                where=second.source.root,
                remedy="render or map it to the same label space",
            )
        self.first = first
        self.second = second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, item: Draw) -> Sample:
        """Return a sample of the data set that the draw's index falls into."""
        if item.position < len(self.first):
            return self.first[item]
        return self.second[Draw(item.position - len(self.first), item.seed)]


def decode(source: Source, record: Record) -> Sample:
    """Read a record's image and its mask, in the ids of the source's target space.

    Raises:
        ImageError: A file cannot be decoded.
        LabelError: The mask holds an id that its space does not know.
        DataError: The record has no label, or image and mask differ in size.
    """
    if record.label is None:
        raise DataError("has no label file", where=record.image, remedy="use a split that is labeled")
    image = read_image(record.image)
    mask = source.read_label(record)
    if mask.shape != image.shape[:2]:
        raise DataError(
            f"is {mask.shape[1]}x{mask.shape[0]} but its image {record.image.name} is"
            f" {image.shape[1]}x{image.shape[0]}",
            where=record.label,
            remedy="resize the label with nearest-neighbor interpolation, or remove the pair",
        )
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    # torch has few operations on uint16; ids above 255 are rare enough to pay for int64.
    ids = torch.from_numpy(np.ascontiguousarray(mask if mask.dtype == np.uint8 else mask.astype(np.int64)))
    return Sample(pixels, ids, record.key)
