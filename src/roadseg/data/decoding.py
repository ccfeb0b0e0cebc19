"""From the files of a record to a sample."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from roadseg.data.records import Record, Sample
from roadseg.data.source import Source
from roadseg.data.stages import Stopwatch
from roadseg.errors import DataError
from roadseg.media import read_image

__all__ = ["as_sample", "decode", "read_pair"]


def decode(source: Source, record: Record, watch: Stopwatch | None = None) -> Sample:
    """Read a record's image and its mask, in the ids of the source's target space.

    Args:
        source: The data set.
        record: One of its images.
        watch: Counts the time of the stages ``decode`` and ``relabel``.

    Returns:
        The sample; its image is a view of pixels that lie as ``[H, W, 3]`` in memory.

    Raises:
        ImageError: A file cannot be decoded.
        LabelError: The mask holds an id that its space does not know.
        DataError: The record has no label, or image and mask differ in size.
    """
    watch = watch or Stopwatch()
    pixels, mask = read_pair(source, record, watch)
    if source.refine is not None:
        mask = source.refine(record, mask)
        watch.lap("relabel")
    return as_sample(torch.from_numpy(pixels), torch.from_numpy(mask), record.key)


def read_pair(
    source: Source, record: Record, watch: Stopwatch | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """Read a record's image and its mask as it is before the source refines it; arguments as for `decode`.

    Returns:
        Pixels, uint8 ``[H, W, 3]``, and ids of the target space, uint8 or uint16 ``[H, W]``.

    Raises:
        ImageError: A file cannot be decoded.
        LabelError: The mask holds an id that its space does not know.
        DataError: The record has no label, or image and mask differ in size.
    """
    watch = watch or Stopwatch()
    stored = source.read_stored(record)  # first: it tells of a missing label before anything is decoded
    pixels = read_image(record.image)
    watch.lap("decode")
    mask = np.ascontiguousarray(source.relabel(record, stored))
    watch.lap("relabel")
    if mask.shape != pixels.shape[:2]:
        raise DataError(
            f"is {mask.shape[1]}x{mask.shape[0]} but its image {record.image.name} is"
            f" {pixels.shape[1]}x{pixels.shape[0]}",
            where=record.label,
            remedy="resize the label with nearest-neighbor interpolation, or remove the pair",
        )
    return pixels, mask


def as_sample(pixels: torch.Tensor, mask: torch.Tensor, key: str) -> Sample:
    """Return a sample of ``[H, W, 3]`` pixels and ``[H, W]`` ids."""
    # torch has few operations on uint16; ids above 255 are rare enough to pay for int64.
    return Sample(pixels.permute(2, 0, 1), mask if mask.dtype == torch.uint8 else mask.long(), key)
