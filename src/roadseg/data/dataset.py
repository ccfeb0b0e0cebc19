"""A data set that torch can load: records are decoded, relabeled and transformed, one sample at a time."""

import bisect
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch.utils.data import Dataset

from roadseg.data.cache import Cache
from roadseg.data.decoding import decode
from roadseg.data.records import Record, Sample
from roadseg.data.sources import Source
from roadseg.data.stages import Stopwatch
from roadseg.errors import DataError

__all__ = ["Draw", "MixedDataset", "RoadDataset", "Transform"]


class Draw(NamedTuple):
    """One sample to be drawn: which, the seed of its random changes, and what its crop must show.

    `center` is (x, y) in pixels of the stored image: the crop contains this point; None leaves it to chance.
    The seed makes a sample independent of who loads it and of what was loaded before: the number of loader
    processes, the rank, and an interruption change nothing.
    """

    position: int
    seed: int
    center: tuple[int, int] | None = None


class Transform(Protocol):
    """What makes a training sample of a decoded one."""

    def __call__(self, sample: Sample, center: tuple[int, int] | None = None) -> Sample:
        """Return the changed sample; a crop contains `center`, (x, y) in pixels of the given one."""
        ...


class RoadDataset(Dataset[Sample]):
    """Samples of one split.

    Args:
        source: The data set on disk.
        split: For example ``train`` or ``train+val``.
        transform: Applied to each decoded sample; None for none.
        cache: Folder of decoded images, see `roadseg.data.cache.build_cache`; None decodes the files.

    Raises:
        DataError: There is no such split, or the cache lacks some of its images or is of other labels.
    """

    def __init__(
        self,
        source: Source,
        split: str,
        transform: Transform | None = None,
        cache: str | Path | None = None,
    ) -> None:
        self.source = source
        self.records: Sequence[Record] = source.find(split)
        self.transform = transform
        self.cache = None if cache is None else Cache(cache, source)
        if self.cache is not None:
            self.cache.check(self.records, split)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, item: int | Draw) -> Sample:
        """Return a sample; with a `Draw`, its random changes depend on the draw's seed alone."""
        return self.load(item, Stopwatch())

    def load(self, item: int | Draw, watch: Stopwatch) -> Sample:
        """Return a sample as `__getitem__` does, and count the time of its stages."""
        if isinstance(item, Draw):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(item.seed)
                return self._load(item.position, item.center, watch)
        return self._load(item, None, watch)

    def _load(self, index: int, center: tuple[int, int] | None, watch: Stopwatch) -> Sample:
        record = self.records[index]
        if self.cache is None:
            sample = decode(self.source, record, watch)
        else:
            sample = self.cache.read(record)
            watch.lap("decode")
        if self.transform is not None:
            sample = self.transform(sample, center)
            watch.lap("transform")
        return sample


class MixedDataset(Dataset[Sample]):
    """Data sets of the same label space, one after the other.

    Args:
        datasets: The positions 0 .. len(first)-1 are those of the first, and so on.

    Raises:
        DataError: A data set is in another label space than the first.
    """

    def __init__(self, *datasets: RoadDataset) -> None:
        first = datasets[0].source
        for dataset in datasets[1:]:
            if dataset.source.target != first.target:
                raise DataError(
                    f"labels are in {dataset.source.target.name}, but those of {first.root} in"
                    f" {first.target.name}",
                    where=dataset.source.root,
                    remedy="translate them all to one label space (--data.to), or render scenes in it",
                )
        self.datasets = datasets
        self.starts = list(itertools.accumulate((len(dataset) for dataset in datasets), initial=0))

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, item: Draw) -> Sample:
        """Return a sample of the data set that the draw's position falls into."""
        return self.load(item, Stopwatch())

    def load(self, item: Draw, watch: Stopwatch) -> Sample:
        """Return a sample as `__getitem__` does, and count the time of its stages."""
        if not 0 <= item.position < len(self):
            raise IndexError(f"position {item.position} of {len(self)}")
        member = bisect.bisect_right(self.starts, item.position) - 1
        inside = item._replace(position=item.position - self.starts[member])
        return self.datasets[member].load(inside, watch)
