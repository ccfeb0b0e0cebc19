"""What flows out of a data set: a ``Record`` (paths) and a ``Sample`` (decoded pixels)."""

from pathlib import Path
from typing import NamedTuple

import torch

__all__ = ["Record", "Sample"]


class Record(NamedTuple):
    """One image of a data set, found but not read.

    Attributes:
        image: Path of the image file.
        label: Path of its label file, or None where there is none (test splits).
        key: Name that is unique within the split, with ``/`` between folders and without a suffix,
            for example ``frankfurt/frankfurt_000000_000294``. Outputs are named by it.
        instances: Path of the file that tells single objects apart, where the data set has one.
    """

    image: Path
    label: Path | None
    key: str
    instances: Path | None = None


class Sample(NamedTuple):
    """One decoded image with its label map.

    A NamedTuple because torchvision's v2 transforms and torch's default collate keep its type.

    Attributes:
        image: uint8 ``[3, H, W]``, RGB (``[B, 3, H, W]`` once collated).
        mask: uint8 or int64 ``[H, W]`` ids of the data set's *training* space (``[B, H, W]`` once collated).
        key: The record's key.
    """

    image: torch.Tensor
    mask: torch.Tensor
    key: str
