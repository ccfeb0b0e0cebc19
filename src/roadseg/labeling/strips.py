"""A sheet of pictures that shows how labels went from an annotated frame to its neighbors."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from roadseg.labeling.motion import Picture
from roadseg.labeling.propagation import Propagated
from roadseg.labels import LabelMap
from roadseg.media import Prediction, legend_bar, side_by_side, stack

__all__ = ["strip"]

_PANEL = 360  # width of a picture, in pixels
_GAP = 4
_MARGIN, _HEAD, _FONT = 72, 36, 20  # pixels: left of a row, above the columns, of the letters
_BACKGROUND, _TEXT, _FAINT = (24, 26, 31), (238, 240, 243), (160, 166, 176)
_DIMMED = 3  # where nothing is marked, the frame is shown at a third of its brightness
_MARKED = np.array([255, 140, 40], dtype=np.uint8)
_COLUMNS = ("real frame", "picture of the pair", "labels of the pair", "occluded: ignored")


def strip(
    frame: Picture,
    label: npt.NDArray[Any],
    neighbors: Iterable[Propagated],
    shown: LabelMap,
    *,
    checked: bool,
) -> Picture:
    """Return a row for each frame in the order of time; the annotated one has its true labels.

    The columns are the real frame, the picture that goes with the labels, the labels over that picture, and what the
    check of occlusions marked.

    Args:
        frame: The annotated frame, uint8 ``[H, W, 3]``.
        label: Its labels, ``[H, W]``.
        neighbors: What was made of them, in any order; each is made small before the next is asked for.
        shown: From the ids of the labels to those whose colors are shown.
        checked: Whether occlusions were checked; else there is no such column.

    Returns:
        uint8 ``[h, w, 3]``.
    """
    own = Propagated(0, 0, Path(), frame, frame, label, np.zeros(label.shape, dtype=np.bool_))
    rows, present = dict[int, Picture](), set[int]()
    for item in chain([own], neighbors):
        labels = Prediction(shown.relabel(item.label), shown.target)
        rows[item.offset] = _row(item, labels, checked=checked)
        present.update(np.unique(labels.labels).tolist())
    ids = [number for number in shown.target.ids if number in present]
    head = _head(_COLUMNS if checked else _COLUMNS[:-1])
    body = stack([head, *(rows[offset] for offset in sorted(rows))], _GAP)
    return stack([body, legend_bar(shown.target, ids, body.shape[1])], _GAP)


def _row(item: Propagated, labels: Prediction, *, checked: bool) -> Picture:
    panels = [item.real, item.image, labels.overlay(item.image)]
    if checked:
        panels.append(np.where(item.occluded[..., None], _MARKED, item.real // _DIMMED))
    small = [_shrunk(panel) for panel in panels]
    text = f"{item.offset:+d}" if item.offset else "truth"
    return side_by_side([_text(text, (_MARGIN, small[0].shape[0]), bright=not item.offset), *small], _GAP)


def _head(columns: Sequence[str]) -> Picture:
    size = _PANEL, _HEAD
    return side_by_side(
        [_text("", (_MARGIN, _HEAD), bright=True), *(_text(text, size, bright=True) for text in columns)],
        _GAP,
    )


def _shrunk(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    size = _PANEL, max(1, round(height * _PANEL / width))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))


def _text(text: str, size: tuple[int, int], *, bright: bool) -> Picture:
    """Return a panel of this width and height with centered text."""
    panel = Image.new("RGB", size, _BACKGROUND)
    middle = size[0] // 2, size[1] // 2
    font = ImageFont.load_default(_FONT)
    ImageDraw.Draw(panel).text(middle, text, font=font, fill=_TEXT if bright else _FAINT, anchor="mm")
    return np.array(panel)
