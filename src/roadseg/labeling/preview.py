"""A sheet of pictures that shows what a network said, and what of it is trusted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roadseg.data import Record, Source
from roadseg.labeling.label_folder import LabelFolder
from roadseg.media import Prediction, read_image, read_mask, side_by_side, stack

__all__ = ["hatched", "preview_sheet", "spread"]

Picture = NDArray[np.uint8]

_WIDTH = 640  # of each panel, in pixels
_GAP = 4
_PERIOD, _LINE = 8, 1  # of the hatching, in pixels
_LIGHT = np.uint8(64)  # what its lines add to dark pixels


def preview_sheet(folder: LabelFolder, source: Source, records: Sequence[Record]) -> Picture:
    """Return a row for each picture: all labels over it, and beside it the trusted ones, with the others hatched.

    Args:
        folder: Where the labels are.
        source: The data set of the pictures.
        records: The pictures, at least one, all labeled.

    Returns:
        uint8 ``[H, W, 3]``.
    """
    rows = []
    for record in records:
        files = folder.files(record.key)
        image = read_image(record.image)
        said = source.label_map.relabel(read_mask(files["labels"]), where=str(files["labels"]))
        mask = read_mask(files["masks"])
        space = source.target
        ignored = mask == space.stored_id(space.ignore, mask.dtype)
        panels = [
            Prediction(said, space).overlay(image),
            hatched(Prediction(mask, space).overlay(image), ignored),
        ]
        rows.append(side_by_side([_narrow(panel) for panel in panels], _GAP))
    return stack(rows, _GAP)


def hatched(picture: Picture, where: NDArray[np.bool_]) -> Picture:
    """Return a picture that is darker and crossed by light diagonal lines at some pixels.

    Args:
        picture: uint8 ``[H, W, 3]``.
        where: bool ``[H, W]``.
    """
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    lines = (rows + columns) % _PERIOD < _LINE
    dark = picture // 2
    shaded = np.where(lines[..., None], dark + _LIGHT, dark)
    return np.where(where[..., None], shaded, picture).astype(np.uint8)


def spread(records: Sequence[Record], count: int) -> list[Record]:
    """Return so many records, evenly from all over a list."""
    count = min(count, len(records))
    return [records[(2 * number + 1) * len(records) // (2 * count)] for number in range(count)]


def _narrow(picture: Picture) -> Picture:
    """Make a wide panel as wide as the sheet allows."""
    height, width = picture.shape[:2]
    if width <= _WIDTH:
        return picture
    small = Image.fromarray(picture).resize((_WIDTH, max(1, height * _WIDTH // width)), Image.Resampling.BOX)
    return np.asarray(small)
