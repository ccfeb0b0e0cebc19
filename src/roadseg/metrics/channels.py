"""From stored ids to channels, for everything that is counted per class."""

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace

__all__ = ["channels_of", "pair_of"]


def channels_of(
    ids: NDArray[np.integer], space: LabelSpace, what: str = "truth", where: str = ""
) -> NDArray[np.int16]:
    """Return the channel of every id; the ignore id gives C, also where a void class shares it.

    Args:
        ids: Ids of the space, or its ignore id, of any shape.
        space: The label space.
        what: What the ids are, for errors.
        where: The image they belong to, for errors.

    Raises:
        LabelError: An id is neither a class nor the ignore id.
    """
    known = [label for label in (*space.ids, space.ignore) if label >= 0]
    table = np.full(max(known) + 1, -1, np.int16)
    for channel, label in enumerate(space.ids):
        if label >= 0:
            table[label] = channel
    if space.ignore >= 0:
        table[space.ignore] = space.num_classes
    inside = ids.size == 0 or (int(ids.min()) >= 0 and int(ids.max()) < len(table))
    channels: NDArray[np.int16] = table[ids] if inside else np.full(ids.shape, -1, np.int16)
    if channels.size and int(channels.min()) < 0:
        bad = ids[~np.isin(ids, known)]
        raise LabelError(
            f"the {what} has id {int(bad[0])} on {int((ids == bad[0]).sum())} pixels, which is not in label space"
            f" {space.name}",
            where=where or None,
            remedy="map it with a label map, or declare it as ignored",
        )
    return channels


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
    if truth.shape != prediction.shape:
        raise LabelError(
            f"truth of shape {truth.shape} and prediction of shape {prediction.shape} differ",
            where=where or None,
            remedy="score at the size of the stored labels",
        )
    true = channels_of(truth, space, "truth", where)
    given = channels_of(prediction, space, "prediction", where)
    valid = true < space.num_classes
    kind = np.uint8 if space.num_classes + 2 <= np.iinfo(np.uint8).max else np.uint16
    pair: list[NDArray[np.integer]] = [(channels + 1).astype(kind) for channels in (true, given)]
    for labels in pair:
        labels *= valid
    return pair[0], pair[1]
