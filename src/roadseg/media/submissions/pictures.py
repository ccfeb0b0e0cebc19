"""One label picture of a submission: whether a benchmark's tool would read what was meant."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from roadseg.errors import ImageError
from roadseg.labels import space
from roadseg.labels.colors import count_ids
from roadseg.media.images import read_mask
from roadseg.media.submissions.benchmark import Benchmark, Fault

__all__ = ["Census", "check_mask", "check_png", "check_size"]

_HEAD = 26  # bytes up to the color type of a PNG
_END = b"\0\0\0\0IEND\xaeB`\x82"  # its last chunk, always the same
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY = 0
_COLOR_TYPES = {
    2: "a color picture (RGB)",
    3: "a palette picture, of which some tools read the colors",
    4: "gray with transparency",
    6: "a color picture with transparency (RGBA)",
}
_COLORED = (2, 6)

_TRAIN_SPACE = "cityscapes-19"
_LAST_TRAIN_ID = 18  # of the 19 classes of Cityscapes
_NEVER_PREDICTED = range(1, 7)  # official ids from ego vehicle to ground, which no network is trained on


class Census:
    """What ids all pictures of a submission hold; tells what no single picture can."""

    def __init__(self) -> None:
        self.pictures = 0
        self.pixels = np.zeros(256, dtype=np.int64)

    def add(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Count a picture's pixels by id; returns its own counts, ``[256]``."""
        # Ten times faster than bincount, which widens 8 bits to 64 first.
        counts = np.array(Image.fromarray(mask).histogram(), dtype=np.int64)
        self.pictures += 1
        self.pixels += counts
        return counts

    def faults(self, benchmark: Benchmark, where: str) -> list[Fault]:
        """Return what is wrong with all pictures together."""
        ids = np.flatnonzero(self.pixels).tolist()
        if len(ids) == 1 and self.pictures > 1:
            return [Fault("constant", where, f"all {self.pictures} pictures hold nothing but id {ids[0]}")]
        numbers = set(ids) - {space(benchmark.networks).ignore}
        has_train_ids = benchmark.networks == _TRAIN_SPACE and all(
            number <= _LAST_TRAIN_ID for number in numbers
        )
        if has_train_ids and numbers & set(_NEVER_PREDICTED):
            what = f"these are train ids (0..18), but {benchmark.name} wants the ids of {benchmark.official} (7 is road)"
            return [Fault("train-ids", where, what)]
        return []


def check_png(
    benchmark: Benchmark, path: Path, where: str, size: tuple[int, int] | None, census: Census
) -> list[Fault]:
    """Return what is wrong with a file.

    Args:
        benchmark: Whose rules count.
        path: The file.
        where: What to call it.
        size: Height and width that it must have; None for any that the benchmark knows.
        census: Takes note of its ids.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            stream.seek(-min(len(_END), len(head)), os.SEEK_END)
            tail = stream.read()
    except OSError as error:
        return [Fault("unreadable", where, f"cannot be opened ({error.strerror})")]
    if len(head) < _HEAD or not head.startswith(_SIGNATURE) or head[12:16] != b"IHDR":
        return [Fault("unreadable", where, "is empty" if not head else "is no PNG, whatever its name says")]
    width, height, depth, color_type = struct.unpack(">IIBB", head[16:26])
    faults = check_size(benchmark, where, (height, width), size)
    if color_type != _GRAY:
        kind = _COLOR_TYPES.get(color_type, f"of the unknown color type {color_type}")
        what = f"is {kind}; ids are wanted, as gray of 8 bits"
        return [*faults, Fault("color" if color_type in _COLORED else "type", where, what)]
    if depth != 8:
        return [*faults, Fault("type", where, f"is gray of {depth} bits; 8 bits are wanted")]
    if tail != _END:
        # Pillow makes do with less; other tools do not.
        return [*faults, Fault("unreadable", where, "is cut short, or goes on after its end")]
    try:
        mask = read_mask(path)
    except ImageError as error:
        return [*faults, Fault("unreadable", where, error.what)]
    return [*faults, *check_mask(benchmark, mask, where, census)]


def check_size(
    benchmark: Benchmark, where: str, found: tuple[int, int], wanted: tuple[int, int] | None
) -> list[Fault]:
    """Return what is wrong with a picture's height and width."""
    is_right = (
        found == wanted
        if wanted is not None
        else not benchmark.sizes or any(found in s for s in benchmark.sizes)
    )
    if is_right:
        return []
    words = f"{wanted[1]} x {wanted[0]}" if wanted is not None else " or ".join(map(str, benchmark.sizes))
    return [Fault("size", where, f"is {found[1]} x {found[0]}, but must be {words}")]


def check_mask(benchmark: Benchmark, mask: npt.NDArray[Any], where: str, census: Census) -> list[Fault]:
    """Return what is wrong with a picture's ids, uint8 ``[H, W]``."""
    counts = census.add(mask)
    strange = [number for number in np.flatnonzero(counts).tolist() if number not in benchmark.allowed_ids]
    if not strange:
        return []
    found = count_ids(np.repeat(np.array(strange), counts[strange]))
    return [Fault("ids", where, f"holds {found}, which {benchmark.name} does not know")]
