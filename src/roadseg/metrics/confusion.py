"""The confusion matrix: the one thing that is counted, and from which every score follows."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace
from roadseg.metrics.channels import channel_table, check_shapes, look_up

__all__ = ["Confusion"]

_AT_ONCE = 1 << 19  # pixels; what is made of so many stays in the processor's cache


@dataclass(eq=False)
class Confusion:
    """Pixel counts of truth against prediction.

    Attributes:
        space: Label space of both; its classes are rows and columns in channel order.
        counts: int64 ``[C+1, C+1]``: rows are the truth, columns the prediction. The last row holds pixels without
            truth, the last column pixels for which the network answered "none of the classes" (a void channel). Both
            are kept because conventions differ in whether they count; `Scores` names the one it uses.
        images: Images counted.
    """

    space: LabelSpace
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    images: int = 0

    def __post_init__(self) -> None:
        size = self.space.num_classes + 1
        if self.counts.size == 0:
            self.counts = np.zeros((size, size), np.int64)
        if self.counts.shape != (size, size):
            raise LabelError(f"counts of shape {self.counts.shape} do not fit {size - 1} classes")
        self._channels = channel_table(self.space)

    def update(self, truth: NDArray[np.integer], prediction: NDArray[np.integer], where: str = "") -> None:
        """Add one image.

        Args:
            truth: ``[H, W]`` ids of the space, or its ignore id.
            prediction: ``[H, W]`` likewise.
            where: Names the image in errors.

        Raises:
            LabelError: The shapes differ, or an id is neither a class nor the ignore id.
        """
        check_shapes(truth, prediction, where)
        if truth.size == 0:
            raise LabelError(
                "the truth is empty", where=where or None, remedy="score images that have pixels"
            )
        if truth.dtype == prediction.dtype == np.uint8:
            self.counts += self._count_bytes(truth, prediction, where)
        else:
            size = self.space.num_classes + 1
            rows = self._to_channels(truth, "truth", where).astype(np.int32)
            rows *= size
            rows += self._to_channels(prediction, "prediction", where)
            self.counts += _histogram(rows.ravel(), size * size).reshape(size, size)
        self.images += 1

    def to_json(self) -> dict[str, Any]:
        """Return the counts with their names as plain JSON values; the last row and column are the ignored."""
        return {"names": list(self.space.names), "counts": self.counts.tolist()}

    def _count_bytes(
        self, truth: NDArray[np.integer], prediction: NDArray[np.integer], where: str
    ) -> NDArray[np.int64]:
        """Count pairs of 8-bit ids as they are, and sort the few kinds of pairs into channels afterwards."""
        found = np.zeros(1 << 16, np.int64)
        flat, other = truth.reshape(-1), prediction.reshape(-1)
        for start in range(0, truth.size, _AT_ONCE):
            pairs = flat[start : start + _AT_ONCE].astype(np.uint16)
            pairs <<= 8
            pairs |= other[start : start + _AT_ONCE]
            found += _histogram(pairs, len(found))
        table = found.reshape(256, 256)
        rows, columns = np.nonzero(table)
        counts = np.zeros_like(self.counts)
        channels = (
            self._to_channels(rows, "truth", where, truth),
            self._to_channels(columns, "prediction", where, prediction),
        )
        np.add.at(counts, channels, table[rows, columns])
        return counts

    def _to_channels(
        self, ids: NDArray[np.integer], what: str, where: str, pixels: NDArray[np.integer] | None = None
    ) -> NDArray[np.int16]:
        """Return the channels of ids; errors count an unknown id in ``pixels`` (default: in the ids)."""
        return look_up(self._channels, ids, self.space, what, where, pixels)

    def __add__(self, other: "Confusion") -> "Confusion":
        if self.space != other.space:
            raise LabelError(f"cannot add counts in {self.space.name} and in {other.space.name}")
        return Confusion(self.space, self.counts + other.counts, self.images + other.images)


def _histogram(codes: NDArray[np.integer], size: int) -> NDArray[np.int64]:
    """Count each of the codes 0..size-1 in ``[N]``.

    Label maps are made of runs of equal pixels, and finding where runs end is several times faster than counting
    pixel by pixel. Where most runs are short, as in noise, pixels are counted one by one.
    """
    last = np.flatnonzero(codes[1:] != codes[:-1])
    if 4 * len(last) > len(codes):
        return np.bincount(codes, minlength=size)
    bounds = np.empty(len(last) + 2, np.int64)
    bounds[0], bounds[-1] = 0, len(codes)
    np.add(last, 1, out=bounds[1:-1])
    # The lengths of runs add up in float64, exactly: a picture has far fewer than 2**53 pixels.
    return np.bincount(codes[bounds[:-1]], weights=np.diff(bounds), minlength=size).astype(np.int64)
