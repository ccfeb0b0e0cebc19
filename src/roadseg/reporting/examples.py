"""Pictures of a report: small enough to travel inside the page, exact enough to be filtered by class there."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roadseg.errors import ImageError, LabelError
from roadseg.labels import LabelSpace

__all__ = ["MAX_SIDE", "NO_TRUTH", "Example", "make_example"]

MAX_SIDE = 1024  # pixels of the longer side
NO_TRUTH = 255  # in the pictures of channels
_QUALITY = 82


@dataclass(frozen=True)
class Example:
    """One image of a report.

    Attributes:
        key: Its name.
        miou: Mean IoU of the image in 0..1, or None.
        accuracy: Share of right pixels in 0..1, or None.
        width: Width in pixels, and
        height: height, as shown.
        image: The picture, a ``data:`` address (JPEG).
        truth: Channels of the truth, a ``data:`` address (gray PNG; `NO_TRUTH` where there is none), or empty.
        prediction: Channels of the prediction, likewise.
    """

    key: str
    miou: float | None
    accuracy: float | None
    width: int
    height: int
    image: str
    truth: str
    prediction: str


def make_example(
    key: str,
    image: NDArray[np.uint8],
    truth: NDArray[Any] | None,
    prediction: NDArray[Any] | None,
    space: LabelSpace,
    *,
    scores: tuple[float | None, float | None] = (None, None),
) -> Example:
    """Scale an image and its labels down and encode them.

    Labels are sampled, never mixed.

    Args:
        key: Name of the image.
        image: uint8 ``[H, W, 3]``.
        truth: Ids of the space, ``[h, w]``, or None.
        prediction: Likewise, of the truth's size.
        space: What the ids mean.
        scores: Mean IoU and accuracy of the image.

    Raises:
        ImageError: Image and labels are of different proportions.
        LabelError: The space has too many classes for the pictures of a report.
    """
    if space.num_classes >= NO_TRUTH:
        raise LabelError(
            f"label space {space.name} has {space.num_classes} classes; reports show pictures of up to"
            f" {NO_TRUTH - 1}",
            remedy="leave the pictures out with --worst 0",
        )
    height, width = image.shape[:2]
    for labels in (truth, prediction):
        # Stored labels may be a whole fraction of the image; anything else belongs to another picture.
        if labels is not None and abs(labels.shape[0] * width - labels.shape[1] * height) > 2 * max(
            height, width
        ):
            raise ImageError(
                f"the image is {width} x {height} and a label map {labels.shape[1]} x {labels.shape[0]}",
                where=key,
                remedy="give predictions of the same images",
            )
    scale = min(1.0, MAX_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    return Example(
        key,
        *scores,
        *size,
        _encoded(picture, "JPEG", quality=_QUALITY, optimize=True),
        *("" if labels is None else _channels(labels, space, size) for labels in (truth, prediction)),
    )


def _channels(labels: NDArray[Any], space: LabelSpace, size: tuple[int, int]) -> str:
    rows = ((np.arange(size[1]) + 0.5) * labels.shape[0] / size[1]).astype(np.intp)
    columns = ((np.arange(size[0]) + 0.5) * labels.shape[1] / size[0]).astype(np.intp)
    sampled = labels[rows[:, None], columns[None]]
    channels = np.full(sampled.shape, NO_TRUTH, np.uint8)
    for channel, label in enumerate(space.ids):
        if label != space.ignore:
            channels[sampled == space.stored_id(label, labels.dtype)] = channel
    return _encoded(Image.fromarray(channels), "PNG", optimize=True)


def _encoded(picture: Image.Image, kind: str, **options: Any) -> str:  # noqa: ANN401 - Pillow's writer options
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
