"""The confusion matrix: the one thing that is counted, and from which every score follows."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace

__all__ = ["Confusion"]


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
        self._channels = _channel_table(self.space)

    def update(self, truth: NDArray[np.integer], prediction: NDArray[np.integer], where: str = "") -> None:
        """Add one image.

        Args:
            truth: ``[H, W]`` ids of the space, or its ignore id.
            prediction: ``[H, W]`` likewise.
            where: Names the image in errors.

        Raises:
            LabelError: The shapes differ, or an id is neither a class nor the ignore id.
        """
        if truth.shape != prediction.shape:
            raise LabelError(
                f"truth of shape {truth.shape} and prediction of shape {prediction.shape} differ",
                where=where or None,
                remedy="score at the size of the stored labels",
            )
        size = self.space.num_classes + 1
        rows = self._to_channels(truth, "truth", where)
        columns = self._to_channels(prediction, "prediction", where)
        pairs = rows.astype(np.int32).ravel() * size + columns.ravel()
        self.counts += np.bincount(pairs, minlength=size * size).reshape(size, size)
        self.images += 1

    def _to_channels(self, ids: NDArray[np.integer], what: str, where: str) -> NDArray[np.int16]:
        table = self._channels
        if ids.size and int(ids.max()) < len(table) and int(ids.min()) >= 0:
            channels: NDArray[np.int16] = table[ids]
            if int(channels.min()) >= 0:
                return channels
        known = [*self.space.ids, self.space.ignore]
        bad = ids[~np.isin(ids, known)]
        raise LabelError(
            f"the {what} has id {int(bad[0])} on {int((ids == bad[0]).sum())} pixels, which is not in label space"
            f" {self.space.name}"
            if bad.size
            else f"the {what} is empty",
            where=where or None,
            remedy="map it with a label map, or declare it as ignored",
        )

    def __add__(self, other: "Confusion") -> "Confusion":
        if self.space != other.space:
            raise LabelError(f"cannot add counts in {self.space.name} and in {other.space.name}")
        return Confusion(self.space, self.counts + other.counts, self.images + other.images)


def _channel_table(space: LabelSpace) -> NDArray[np.int16]:
    """Return a table from id to channel; the ignore id gives C, unknown ids give -1."""
    ids = [i for i in (*space.ids, space.ignore) if i >= 0]
    table = np.full(max(ids) + 1, -1, np.int16)
    for channel, class_id in enumerate(space.ids):
        if class_id >= 0:
            table[class_id] = channel
    table[space.ignore] = space.num_classes  # also where a void class shares the id: void is not scored
    return table
