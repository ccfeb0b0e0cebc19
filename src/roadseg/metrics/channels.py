"""From stored ids to channels, for everything that is counted per class."""

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace

__all__ = ["channel_table", "channels_of", "check_shapes", "look_up", "pair_of"]


def channel_table(space: LabelSpace) -> NDArray[np.int16]:
    """Return a table from id to channel; the ignore id gives C, also where a void class shares it, unknown ids -1."""
    table = np.full(max(space.ignore, *space.ids) + 1, -1, np.int16)
    for channel, label in enumerate(space.ids):
        if label >= 0:
            table[label] = channel
    if space.ignore >= 0:
        table[space.ignore] = space.num_classes
    return table


def look_up(
    table: NDArray[np.int16],
    ids: NDArray[np.integer],
    space: LabelSpace,
    what: str,
    where: str = "",
    pixels: NDArray[np.integer] | None = None,
) -> NDArray[np.int16]:
    """Return the channel of every id.

    Args:
        table: The `channel_table` of the space.
        ids: Ids of the space, or its ignore id, of any shape.
        space: The label space.
        what: What the ids are, for errors.
        where: The image they belong to, for errors.
        pixels: Where errors count an unknown id; None for the ids themselves.

    Raises:
        LabelError: An id is neither a class nor the ignore id.
    """
    inside = ids.size == 0 or (int(ids.min()) >= 0 and int(ids.max()) < len(table))
    channels: NDArray[np.int16] = table[ids] if inside else np.full(ids.shape, -1, np.int16)
    if channels.size and int(channels.min()) < 0:
        bad = ids[~np.isin(ids, np.flatnonzero(table >= 0))]
        count = int(((ids if pixels is None else pixels) == bad[0]).sum())
        raise LabelError(
            f"the {what} has id {int(bad[0])} on {count} pixels, which is not in label space {space.name}",
            where=where or None,
            remedy="map it with a label map, or declare it as ignored",
        )
    return channels


def channels_of(
    ids: NDArray[np.integer], space: LabelSpace, what: str = "truth", where: str = ""
) -> NDArray[np.int16]:
    """Return the channel of every id; see `look_up`."""
    return look_up(channel_table(space), ids, space, what, where)


def check_shapes(truth: NDArray[np.integer], prediction: NDArray[np.integer], where: str = "") -> None:
    """Refuse a truth and a prediction of different shapes.

    Raises:
        LabelError: They differ.
    """
    if truth.shape != prediction.shape:
        raise LabelError(
            f"truth of shape {truth.shape} and prediction of shape {prediction.shape} differ",
            where=where or None,
            remedy="score at the size of the stored labels",
        )


def pair_of(
    space: LabelSpace, truth: NDArray[np.integer], prediction: NDArray[np.integer], where: str = ""
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return truth and prediction as channel + 1; in both, 0 where there is no truth.

    C + 1 in the prediction is "none of the classes". The type is the smallest unsigned one with a value to spare.

    Args:
        space: Their label space.
        truth: ``[H, W]`` ids of the space, or its ignore id.
        prediction: ``[H, W]`` likewise.
        where: Names the image in errors.

    Raises:
        LabelError: The shapes differ, or an id is neither a class nor the ignore id.
    """
    check_shapes(truth, prediction, where)
    true = channels_of(truth, space, "truth", where)
    given = channels_of(prediction, space, "prediction", where)
    valid = true < space.num_classes
    kind = np.uint8 if space.num_classes + 2 <= np.iinfo(np.uint8).max else np.uint16
    pair: list[NDArray[np.integer]] = [(channels + 1).astype(kind) for channels in (true, given)]
    for labels in pair:
        labels *= valid
    return pair[0], pair[1]
