"""Counts over the labels of a data set."""

import numpy as np
from numpy.typing import NDArray

from roadseg.data.records import Record
from roadseg.data.sources import Source

__all__ = ["count_pixels"]


def count_pixels(source: Source, records: list[Record]) -> NDArray[np.int64]:
    """Return ``[C]`` label pixels per class of the source's target space; ignored pixels are left out."""
    space = source.target
    counts = np.zeros(max(space.ids) + 1, np.int64)
    for record in records:
        mask = source.read_label(record)
        counts += np.bincount(mask[mask != space.ignore].ravel(), minlength=len(counts))
    return counts[list(space.ids)]
